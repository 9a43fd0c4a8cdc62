/* SPDX-License-Identifier: MIT
 *
 * The job's file says of an allocation of the newest version that it is to stop ("Stopped" in
 * job_file.c); one of an older version is listed as kept, or not.
 */
#include "manager/job/replace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager/alloc/alloc.h"
#include "manager/host/budget.h"
#include "manager/job/jobs.h"
#include "shared/cleanup.h"
#include "shared/log.h"

static void place_for(struct manager *m, const struct alloc *old)
{
    struct alloc *alloc = alloc_new(m, old->job, old->group, old->index, NULL);

    alloc->create_index = alloc->modify_index = ++m->index;
    alloc->create_ns = alloc->modify_ns = manager_now_ns();
    alloc_link(alloc);
}

static void unplace(struct alloc *first)
{
    for (struct alloc *a = first, *next; a; a = next) {
        next = a->next;
        alloc_unlink(a);
        alloc_free(a);
    }
}

static void start(struct alloc *first)
{
    for (struct alloc *a = first; a; a = a->next) {
        alloc_queue(a);
        alloc_changed(a, false);
    }
}

/* All or nothing. Those of `olds` that are of an older version get nothing in their places: the
 * newest one could not be placed there. */
static int replace(struct manager *m, struct job_record *record, struct alloc **olds, size_t n,
                   struct err *e)
{
    struct alloc **end = m->allocs_end;
    size_t tasks = 0;
    int r;

    for (size_t i = 0; i < n; i++)
        tasks += olds[i]->job == record ? olds[i]->group->n_tasks : 0;
    r = budget_check(m, tasks, e);
    if (r)
        return r;
    for (size_t i = 0; i < n; i++) {
        olds[i]->desired = DESIRED_STOP;
        if (olds[i]->job == record)
            place_for(m, olds[i]);
    }
    r = jobs_save_or_remove(m, record->job->id, e);
    if (r) {
        unplace(*end);
        for (size_t i = 0; i < n; i++)
            olds[i]->desired = DESIRED_RUN;
        return r;
    }
    for (size_t i = 0; i < n; i++)
        alloc_changed(olds[i], false);
    start(*end);
    return 0;
}

static bool has_failed(const struct alloc *alloc)
{
    return alloc_is_terminal(alloc) &&
           (alloc->client == CLIENT_FAILED || alloc->client == CLIENT_LOST);
}

int replace_failed(struct manager *m, struct job_record *record, size_t *ret_n, struct err *e)
{
    autofree struct alloc **olds = NULL;
    size_t n = 0;
    int r;

    for (const struct alloc *a = m->allocs; a; a = a->next)
        n += a->job == record;
    olds = calloc(n + 1, sizeof(struct alloc *));
    if (!olds)
        abort();
    n = 0;
    for (struct alloc *a = m->allocs; a; a = a->next)
        if (a->job == record && a->desired == DESIRED_RUN && has_failed(a))
            olds[n++] = a;
    r = n ? replace(m, record, olds, n, e) : 0;
    if (r)
        return r;
    if (n)
        log_info("job \"%s\": %zu failed allocations are replaced", record->job->id, n);
    *ret_n = n;
    return 0;
}

int manager_alloc_stop(struct manager *m, struct alloc *alloc, struct err *e)
{
    struct job_record *record = manager_find_job(m, alloc->job->job->id);

    if (alloc->desired == DESIRED_STOP || (alloc_is_terminal(alloc) && !has_failed(alloc)))
        return 0;
    return replace(m, record, &alloc, 1, e);
}

int manager_job_evaluate(struct manager *m, const char *id, bool force,
                         struct job_record **ret_record, struct err *e)
{
    struct job_record *record = manager_find_job(m, id);
    size_t n;
    int r = 0;

    if (!record)
        return err_set(e, -ENOENT, "job \"%.100s\" not found", id);
    if (job_is_parent(record->job))
        return err_set(e, -EINVAL,
                       "job \"%.100s\" is periodic or parameterized: there is nothing to evaluate "
                       "but the jobs it is launched as",
                       id);
    if (force && !record->stop)
        r = replace_failed(m, record, &n, e);
    if (!r)
        *ret_record = record;
    return r;
}
