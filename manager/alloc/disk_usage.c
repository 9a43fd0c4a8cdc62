/* SPDX-License-Identifier: MIT
 *
 * A count is asked for by people and by what they watch with, perhaps each second, and may take
 * long: it is fresh for FRESH_S, and for TIMES as long as it took, so that counting never takes
 * more than that part of the time.
 */
#include "manager/alloc/disk_usage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "manager/alloc/quota.h"
#include "manager/core.h"
#include "manager/worker.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/job/value.h"
#include "shared/log.h"

enum {
    FRESH_S = 5,
    TIMES = 10,
    TIMEOUT_S = 300,
};

struct disk_usage {
    struct alloc *alloc;
    struct worker *worker;       /* under way; else NULL */
    uint64_t begun_ns, ended_ns; /* CLOCK_MONOTONIC */
    uint64_t counted_ns;         /* CLOCK_REALTIME; 0: it never succeeded */
    json_int_t bytes;
    bool partial;
};

void disk_usage_free(struct disk_usage *usage)
{
    if (usage)
        (void)worker_free(usage->worker);
    free(usage);
}

static void on_message(void *arg, const json_t *message)
{
    struct disk_usage *u = arg;

    u->bytes = json_integer_value(json_object_get(message, "bytes"));
    u->partial = json_is_true(json_object_get(message, "partial"));
    u->counted_ns = clock_now_ns(CLOCK_REALTIME);
}

static void on_end(void *arg, const struct worker_end *end)
{
    struct disk_usage *u = arg;
    struct manager *m = u->alloc->manager;

    u->worker = NULL;
    u->ended_ns = clock_now_ns(CLOCK_MONOTONIC);
    if (end->code)
        log_warn("alloc %s: count what it takes up: %s", u->alloc->id, end->text);
    if (m->on_change)
        m->on_change(m->on_change_arg, u->alloc);
}

static bool is_fresh(const struct disk_usage *u)
{
    uint64_t age_ns = clock_now_ns(CLOCK_MONOTONIC) - u->ended_ns;

    return u->ended_ns && (age_ns < FRESH_S * UINT64_C(1000000000) ||
                           age_ns < TIMES * (u->ended_ns - u->begun_ns));
}

static int count(struct disk_usage *u, struct err *e)
{
    const struct alloc *alloc = u->alloc;
    autofd int dir = open(alloc->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    autojson json_t *order = json_object();
    char name[64], program[PATH_MAX];

    if (dir < 0)
        return err_sys(e, -errno, "open %s", alloc->dir);
    (void)snprintf(name, sizeof(name), "alloc %s: ephemeral disk", alloc->id);
    worker_program("cleat-disk", program, sizeof(program));
    return worker_new(alloc->manager->loop,
                      &(struct worker_plan){.name = name,
                                            .program = program,
                                            .order = order,
                                            .fds = &dir,
                                            .n_fds = 1,
                                            .lock = -1,
                                            .timeout_s = TIMEOUT_S,
                                            .on_message = on_message,
                                            .on_end = on_end,
                                            .arg = u},
                      &u->worker, e);
}

bool disk_usage_refresh(struct alloc *alloc)
{
    struct quota_usage quota;
    struct disk_usage *u = alloc->disk_usage;
    struct err e = ERR_INIT;

    if (u && u->worker)
        return true;
    if (alloc->collected || (u && is_fresh(u)) || quota_look(alloc, &quota) == 0 ||
        access(alloc->dir, F_OK) < 0)
        return false;
    if (!u && !(u = alloc->disk_usage = calloc(1, sizeof(*u))))
        abort();
    u->alloc = alloc;
    u->begun_ns = clock_now_ns(CLOCK_MONOTONIC);
    if (count(u, &e) == 0)
        return true;
    log_warn("alloc %s: count what it takes up: %s", alloc->id, e.text);
    return false;
}

json_t *disk_usage_to_json(const struct alloc *alloc)
{
    const struct disk_usage *u = alloc->disk_usage;
    struct quota_usage quota = {0};
    bool known = quota_look(alloc, &quota) == 0;
    json_t *json = json_pack("{s:I, s:b}", "SizeMB", (json_int_t)alloc->group->disk.size_mb,
                             "Enforced", quota.limit_bytes > 0);

    if (known)
        (void)json_object_set_new(json, "UsedBytes", json_integer((json_int_t)quota.bytes));
    else if (u && u->counted_ns)
        (void)json_object_update_new(json,
                                     json_pack("{s:I, s:b, s:I}", "UsedBytes", u->bytes, "Partial",
                                               u->partial, "Timestamp", (json_int_t)u->counted_ns));
    return json;
}
