/* SPDX-License-Identifier: MIT */
#include "job_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/alloc/alloc.h"
#include "manager/job/jobs.h"
#include "manager/job/periodic.h"

static void on_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
    (void)loop;
    (void)w;
    (void)revents;
}

void fixture_open(struct fixture *f)
{
    struct err e = ERR_INIT;

    f->m = (struct manager){.config = &f->config, .loop = ev_loop_new(0), .cgroup.version = ""};
    f->m.allocs_end = &f->m.allocs;
    f->m.in_line_end = &f->m.in_line;
    f->m.attributes = json_pack("{s:s, s:s}", "kernel.name", "linux", "kernel.version", "6.1.9");
    ev_idle_init(&f->m.starter, on_idle);
    periodic_init(&f->m);
    if (store_open(&f->m.store, f->dir, &e))
        fail_msg("%s", e.text);
}

void fixture_close(struct fixture *f)
{
    struct manager *m = &f->m;

    ev_idle_stop(m->loop, &m->starter);
    periodic_deinit(m);
    for (struct alloc *a; (a = m->allocs);) {
        m->allocs = a->next;
        alloc_free(a);
    }
    for (struct job_record *j; (j = m->jobs);) {
        m->jobs = j->next;
        job_record_unref(j);
    }
    json_decref(m->attributes);
    ev_loop_destroy(m->loop);
    store_close(&m->store);
}

void fixture_restart(struct fixture *f)
{
    struct err e = ERR_INIT;

    fixture_close(f);
    fixture_open(f);
    if (jobs_load(&f->m, &e))
        fail_msg("%s", e.text);
    periodic_schedule(&f->m);
}

int fixture_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->dir, "/tmp/cleat-test-fixture-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->config = (struct config){.data_dir = f->dir,
                                .raw_exec_enabled = true,
                                .name = (char *)"host1",
                                .datacenter = (char *)"dc1",
                                .region = (char *)"global",
                                .meta = json_pack("{s:s}", "rack", "r1")};
    fixture_open(f);
    *state = f;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int fixture_tear_down(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    json_decref(f->config.meta);
    assert_int_equal(nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(f);
    return 0;
}
