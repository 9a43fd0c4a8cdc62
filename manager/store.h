/* SPDX-License-Identifier: MIT
 *
 * The manager's records on disk, in <data_dir>/state (mode 0700):
 *   lock             held while a manager runs
 *   node-id          this node's id, made on the first start
 *   jobs/<id>        one job, all versions that still have allocations (id escaped)
 *   allocs/<id>      one allocation: what its tasks went through
 *   tasks/<id>/<task>  what manager and executor share (shared/proto/wire.h)
 * Payloads are JSON. A job's file is the truth about which allocations are to exist, and is synced
 * before the job is acknowledged; an allocation's file only adds what happened, and is not synced:
 * a power cut may leave an old one, none, or an empty one, which is the same.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "manager/record_format.h"
#include "shared/err.h"

struct store {
    char *data_dir;
    int state_fd;
    int jobs_fd;
    int allocs_fd;
    int lock_fd;
    char node_id[37];
    char **damaged; /* paths, n_damaged of them */
    size_t n_damaged;
    bool loading; /* nothing is renamed meanwhile */
    const struct record_format *format;
};

#define STORE_INIT                                                                                 \
    {                                                                                              \
        .state_fd = -1, .jobs_fd = -1, .allocs_fd = -1, .lock_fd = -1, .format = &record_format    \
    }

/* Makes what is missing, takes the lock, reads or makes the node id. -EBUSY: another manager holds
 * the directory (the text names its pid). */
int store_open(struct store *store, const char *data_dir, struct err *e);
void store_close(struct store *store);

/* True when `data_dir`, of this user, is a manager's that ended without tidying up. */
bool store_is_abandoned(const char *data_dir);

/* Synced. -ENAMETOOLONG, -ENOSPC, -EROFS …; the old content stays then. */
int store_write_job(struct store *store, const char *id, const json_t *json, struct err *e);

/* Synced too. */
int store_remove_job(struct store *store, const char *id, struct err *e);

/* Not synced. */
int store_write_alloc(struct store *store, const char *id, const json_t *json, struct err *e);

/* -ENOENT. A damaged record is set aside, logged and listed, and is -EBADMSG. -ENOTSUP: it is of a
 * newer release. */
int store_read_alloc(struct store *store, const char *id, json_t **ret_json, struct err *e);
bool store_has_alloc(const struct store *store, const char *id);
void store_remove_alloc(struct store *store, const char *id);

/* After loading: removes what a crash left here, which is half-written and empty files and, from
 * between a job's record and those of the allocations it no longer names, the records of finished
 * allocations that `is_known` denies. Those of a job that was set aside stay: a person may put it
 * back. */
void store_prune(struct store *store, bool (*is_known)(void *arg, const char *id), void *arg);

/* Calls `each` for every readable job record; those it refuses (negative) are set aside too.
 * -ENOTSUP, from `each` or because a record's format is of a newer release: nothing was changed. */
int store_load_jobs(struct store *store, int (*each)(void *arg, const json_t *json, struct err *e),
                    void *arg, struct err *e);

/* Looks whether the spec of a task that was started is sound; a damaged one is set aside as above.
 * The executor that lives has read it, and a new one gets a new one. */
void store_check_spec(struct store *store, const char *alloc_id, const char *task);

/* Removes what manager and executors shared for an allocation; calls `each` (unless NULL) with the
 * directory of each of its tasks first. */
void store_remove_task_dirs(const struct store *store, const char *alloc_id,
                            void (*each)(const char *dir));

/* <data_dir>/state/tasks/<alloc>/<task>; `task` NULL: the allocation's directory. */
void store_task_dir(const struct store *store, const char *alloc_id, const char *task, char *buf,
                    size_t size);
/* Makes it. Negative errno. */
int store_make_task_dir(const struct store *store, const char *alloc_id, const char *task);

/* A random (version 4) UUID, lower case. */
void uuid_make(char ret_id[37]);
