/* SPDX-License-Identifier: MIT
 *
 * The inside of struct manager, for the manager's own modules; the API uses manager.h.
 */
#pragma once

#include <ev.h>
#include <jansson.h>

#include "manager/config/config.h"
#include "manager/manager.h"
#include "manager/state.h"
#include "manager/store.h"
#include "shared/cgroup_layout.h"
#include "shared/procid.h"

struct gc;
struct upgrade;

struct manager {
    struct ev_loop *loop;
    const struct config *config;
    struct store store;
    struct cgroup_layout cgroup;
    uint64_t kept_shared, kept_own; /* sums of what tasks claim (manager/alloc/limits.c) */
    json_t *attributes;
    json_t *config_pending; /* names of what a new configuration cannot change; NULL: none */
    char *config_error;     /* why the newest one was refused; NULL: it was not */
    char boot_id[BOOT_ID_BYTES];
    uint64_t index;            /* of the newest change */
    struct watch_hub *watches; /* of files that templates read */

    struct job_record *jobs; /* newest version of each, in no order */
    struct alloc *allocs;    /* oldest first */
    struct alloc **allocs_end;
    void *allocs_by_id; /* the same ones, for tsearch(3) */

    struct alloc *dirty; /* changed since the last flush */
    struct alloc *in_line;
    struct alloc **in_line_end;
    ev_prepare flusher; /* settles, saves and announces what is dirty, once per turn of the loop */
    ev_timer trimmer;   /* gives freed memory back, some time after much was freed */
    size_t free_bytes;  /* that the allocator kept at the last trimming */
    ev_periodic launcher; /* of periodic jobs: manager/job/periodic.c */
    ev_timer reaper;      /* at the start, while leftovers are dying */
    ev_idle starter;      /* active while `in_line` is not empty: one allocation per turn */

    size_t n_disk_waits; /* tasks that wait for another allocation's data (manager/alloc/disk.c) */

    size_t n_tidy;      /* allocations that are finished and tidied up … */
    size_t n_collected; /* … and have no directory any more */
    size_t n_purged;    /* those whose job is purged */
    struct gc *gc;

    void (*on_change)(void *arg, struct alloc *alloc);
    void *on_change_arg;
    struct upgrade *upgrade; /* of all executors, under way; else NULL */
    void (*stop_all_done)(void *arg);
    void *stop_all_arg;
};

uint64_t manager_now_ns(void);
