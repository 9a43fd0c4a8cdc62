/* SPDX-License-Identifier: MIT
 *
 * manager/alloc/quota.h, with the kernel's side of it here: projects of directories and their
 * limits. With a real one it is tests/vm/test_quota.py.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/fs.h>
#include <linux/quota.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "manager/alloc/alloc.h"
#include "manager/alloc/allocdir.h"
#include "manager/alloc/quota.h"
#include "manager/job/jobs.h"
#include "manager/job/periodic.h"
#include "shared/cleanup.h"

enum {
    FIRST = 65536,
    N_PROJECTS = 8,
    N_DIRS = 8,
};

/* ---- the kernel ---- */

static struct {
    int error; /* what every quotactl(2) fails with; 0: none does */
    struct if_dqblk projects[N_PROJECTS];
    struct {
        ino_t inode;
        struct fsxattr attr;
    } dirs[N_DIRS];
} kernel;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __wrap_ioctl(int fd, unsigned long request, struct fsxattr *attr);

static long control(unsigned int command, uint32_t project, struct if_dqblk *data)
{
    if (kernel.error) {
        errno = kernel.error;
        return -1;
    }
    assert_true(project >= FIRST && project < FIRST + N_PROJECTS);
    if (command == QCMD((unsigned int)Q_GETQUOTA, PRJQUOTA))
        *data = kernel.projects[project - FIRST];
    else if (command == QCMD((unsigned int)Q_SETQUOTA, PRJQUOTA))
        kernel.projects[project - FIRST].dqb_bhardlimit = data->dqb_bhardlimit;
    else
        fail_msg("quotactl command 0x%x", command);
    return 0;
}

long __wrap_syscall(long number, ...)
{
    va_list args;
    long a[6];

    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    return number == SYS_quotactl_fd
               ? control((unsigned int)a[1], (uint32_t)a[2], (struct if_dqblk *)a[3])
               : __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int __wrap_ioctl(int fd, unsigned long request, struct fsxattr *attr)
{
    struct stat st;
    size_t i = 0;

    assert_int_equal(fstat(fd, &st), 0);
    while (kernel.dirs[i].inode && kernel.dirs[i].inode != st.st_ino)
        i++;
    assert_true(i < N_DIRS);
    kernel.dirs[i].inode = st.st_ino;
    if (request == FS_IOC_FSGETXATTR)
        *attr = kernel.dirs[i].attr;
    else if (request == FS_IOC_FSSETXATTR)
        kernel.dirs[i].attr = *attr;
    else
        fail_msg("ioctl 0x%lx", request);
    return 0;
}

/* ---- the manager ---- */

struct fixture {
    char dir[64];
    struct config config;
    struct manager m;
};

static void on_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
    (void)loop;
    (void)w;
    (void)revents;
}

static void open_manager(struct fixture *f)
{
    struct err e = ERR_INIT;

    f->m = (struct manager){.config = &f->config, .loop = ev_loop_new(0), .cgroup.version = ""};
    f->m.allocs_end = &f->m.allocs;
    f->m.in_line_end = &f->m.in_line;
    f->m.attributes = json_pack("{s:s}", "cleat.disk.quota", "true");
    ev_idle_init(&f->m.starter, on_idle);
    periodic_init(&f->m);
    assert_int_equal(store_open(&f->m.store, f->dir, &e), 0);
}

static void close_manager(struct fixture *f)
{
    struct manager *m = &f->m;

    ev_idle_stop(m->loop, &m->starter);
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

/* As a crash does; what is on record comes back. */
static void restart(struct fixture *f)
{
    struct err e = ERR_INIT;

    close_manager(f);
    open_manager(f);
    if (jobs_load(&f->m, &e))
        fail_msg("%s", e.text);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct job_record *record;
    struct job *job = NULL;
    struct err e = ERR_INIT;
    json_t *json =
        json_loads("{\"ID\": \"j\", \"Type\": \"batch\", \"TaskGroups\": [{\"Name\": \"g\","
                   " \"Count\": 2, \"EphemeralDisk\": {\"SizeMB\": 20}, \"Tasks\": [{"
                   "\"Name\": \"t\", \"Driver\": \"raw_exec\", \"Config\": {\"command\":"
                   " \"/bin/true\"}}]}]}",
                   0, NULL);

    strcpy(f->dir, "/tmp/cleat-test-quota-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->config = (struct config){.data_dir = f->dir, .raw_exec_enabled = true};
    memset(&kernel, 0, sizeof(kernel));
    open_manager(f);
    assert_int_equal(job_from_json(json, &job, &e), 0);
    if (manager_job_register(&f->m, job, &record, &e))
        fail_msg("%s", e.text);
    json_decref(json);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];

    close_manager(f);
    (void)snprintf(command, sizeof(command), "rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static struct alloc *first(struct fixture *f)
{
    return f->m.allocs;
}

static struct alloc *second(struct fixture *f)
{
    return f->m.allocs->next;
}

static void assign(struct alloc *alloc)
{
    struct err e = ERR_INIT;

    if (quota_assign(alloc, &e))
        fail_msg("%s", e.text);
}

static void make(struct alloc *alloc)
{
    autofree char *all = config_alloc_dir(alloc->manager->config, NULL);
    struct err e = ERR_INIT;

    assert_int_equal(allocdir_make_all(all, &e), 0);
    assert_int_equal(allocdir_make(alloc->dir, &e), 0);
}

static void apply(struct alloc *alloc)
{
    struct err e = ERR_INIT;

    if (quota_apply(alloc, &e))
        fail_msg("%s", e.text);
}

static void check(struct alloc *alloc, uint32_t project)
{
    struct quota_usage usage;
    struct stat st;
    size_t i = 0;

    assert_int_equal(alloc->project, project);
    assert_int_equal(quota_look(alloc, &usage), 0);
    assert_int_equal(usage.limit_bytes, 20 << 20);
    assert_int_equal(stat(alloc->dir, &st), 0);
    while (kernel.dirs[i].inode != st.st_ino)
        assert_true(++i < N_DIRS);
    assert_int_equal(kernel.dirs[i].attr.fsx_projid, project);
    assert_true(kernel.dirs[i].attr.fsx_xflags & FS_XFLAG_PROJINHERIT);
}

/* The manager dies after each step, and the next one begins anew. */
static void test_every_step_again(void **state)
{
    struct fixture *f = *state;

    for (int dies_after = 0; dies_after < 3; dies_after++) {
        assign(first(f));
        if (dies_after > 0)
            make(first(f));
        if (dies_after > 1)
            apply(first(f));
        restart(f);
        assert_int_equal(first(f)->project, FIRST);
    }
    make(first(f));
    apply(first(f));
    check(first(f), FIRST);
    assign(second(f));
    make(second(f));
    apply(second(f));
    check(second(f), FIRST + 1);
}

static void test_what_is_in_use_is_not_given_out(void **state)
{
    struct fixture *f = *state;

    make(first(f)); /* that is where it looks */
    assert_int_equal(rmdir(first(f)->dir), 0);
    kernel.projects[0].dqb_curspace = 4096;
    kernel.projects[1].dqb_curinodes = 1;
    kernel.projects[2].dqb_bhardlimit = 7; /* forgotten, and nothing is in it */
    assign(first(f));
    make(first(f));
    apply(first(f));
    check(first(f), FIRST + 2);
}

static void test_released(void **state)
{
    struct fixture *f = *state;

    make(second(f));
    assign(first(f));
    make(first(f));
    apply(first(f));
    quota_release(first(f));
    assert_int_equal(first(f)->project, 0);
    assert_int_equal(kernel.projects[0].dqb_bhardlimit, 0);
    assert_int_equal(rmdir(second(f)->dir), 0);
    assign(second(f));
    assert_int_equal(second(f)->project, FIRST);
}

/* Its record is not synced. */
static void test_the_directory_remembers(void **state)
{
    struct fixture *f = *state;

    assign(first(f));
    make(first(f));
    apply(first(f));
    first(f)->project = 0;
    alloc_save(first(f));
    restart(f);
    assert_int_equal(first(f)->project, 0);
    assign(first(f));
    apply(first(f));
    check(first(f), FIRST);
    first(f)->project = 0;
    second(f)->project = FIRST; /* whose it is is settled */
    assign(first(f));
    assert_int_equal(first(f)->project, 0);
}

static void test_without_quotas(void **state)
{
    struct fixture *f = *state;
    struct quota_usage usage;

    make(second(f));
    assign(second(f)); /* its directory was made before there were any */
    assert_int_equal(second(f)->project, 0);
    assert_true(quota_look(second(f), &usage) < 0);
    assign(first(f));
    make(first(f));
    kernel.error = ESRCH; /* switched off */
    apply(first(f));
    quota_release(first(f));
    assert_int_equal(first(f)->project, 0);
    kernel.error = 0;
    (void)json_object_set_new(f->m.attributes, "cleat.disk.quota", json_string("false"));
    assert_int_equal(rmdir(first(f)->dir), 0);
    assign(first(f));
    assert_int_equal(first(f)->project, 0);
}

static void test_a_limit_that_cannot_be_set(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;

    assign(first(f));
    make(first(f));
    kernel.error = ENOSPC;
    assert_int_equal(quota_apply(first(f), &e), -ENOSPC);
    assert_non_null(strstr(e.text, "set the disk quota of /tmp/cleat-test-quota-"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_step_again), TEST(test_what_is_in_use_is_not_given_out),
        TEST(test_released),         TEST(test_the_directory_remembers),
        TEST(test_without_quotas),   TEST(test_a_limit_that_cannot_be_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
