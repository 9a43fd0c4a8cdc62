/* SPDX-License-Identifier: MIT
 *
 * An allocation is made by jobs.c, started through the manager's queue, and judged anew after every
 * change of its tasks. It ends when all its tasks are dead; then what is mounted for it is
 * unmounted and its record is final. Invariants: client status is a function of the tasks; desired
 * status never goes back from stop to run.
 */
#include "manager/alloc/alloc.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/alloc/allocdir.h"
#include "manager/alloc/disk.h"
#include "manager/alloc/disk_usage.h"
#include "manager/job/jobs.h"
#include "manager/task/task.h"
#include "shared/log.h"

const char *desired_status_name(enum desired_status status)
{
    static const char *const names[DESIRED_STATUS_N] = {"run", "stop"};

    return (unsigned int)status < DESIRED_STATUS_N ? names[status] : "unknown";
}

const char *client_status_name(enum client_status status)
{
    static const char *const names[CLIENT_STATUS_N] = {"pending", "running", "complete", "failed",
                                                       "lost"};

    return (unsigned int)status < CLIENT_STATUS_N ? names[status] : "unknown";
}

static char *make_name(const struct job_record *record, const struct job_group *group,
                       unsigned int index)
{
    char *name;

    if (asprintf(&name, "%s.%s[%u]", record->job->name, group->name, index) < 0)
        abort();
    return name;
}

struct alloc *alloc_new(struct manager *m, struct job_record *record, const struct job_group *group,
                        unsigned int index, const char *id)
{
    struct alloc *alloc = calloc(1, sizeof(*alloc));

    if (!alloc)
        abort();
    alloc->manager = m;
    if (id)
        (void)snprintf(alloc->id, sizeof(alloc->id), "%s", id);
    else
        uuid_make(alloc->id);
    alloc->job = job_record_ref(record);
    alloc->group = group;
    alloc->index = index;
    alloc->create_ns = alloc->modify_ns = record->submit_ns;
    alloc->create_index = alloc->modify_index = record->modify_index;
    alloc->tasks = calloc(group->n_tasks, sizeof(*alloc->tasks));
    alloc->name = make_name(record, group, index);
    alloc->dir = config_alloc_dir(m->config, alloc->id);
    if (!alloc->tasks)
        abort();
    alloc_init_delay(alloc);
    for (size_t i = 0; i < group->n_tasks; i++) {
        alloc->tasks[i].alloc = alloc;
        alloc->tasks[i].def = &group->tasks[i];
    }
    return alloc;
}

void alloc_move(struct alloc *alloc, struct job_record *record, const struct job_group *group)
{
    struct job_record *old = alloc->job;

    alloc->job = job_record_ref(record);
    alloc->group = group;
    for (size_t i = 0; i < group->n_tasks; i++)
        alloc->tasks[i].def = job_group_find_task(group, alloc->tasks[i].def->name);
    free(alloc->name);
    alloc->name = make_name(record, group, alloc->index);
    job_record_unref(old);
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(((const struct alloc *)a)->id, ((const struct alloc *)b)->id);
}

struct alloc *manager_find_alloc(const struct manager *m, const char *id)
{
    struct alloc key, **found;

    if (snprintf(key.id, sizeof(key.id), "%s", id) >= (int)sizeof(key.id))
        return NULL;
    found = tfind(&key, &m->allocs_by_id, compare_ids);
    return found ? *found : NULL;
}

struct alloc *alloc_free(struct alloc *alloc)
{
    if (!alloc)
        return NULL;
    if (manager_find_alloc(alloc->manager, alloc->id) == alloc)
        (void)tdelete(alloc, &alloc->manager->allocs_by_id, compare_ids);
    ev_timer_stop(alloc->manager->loop, &alloc->delay);
    alloc->manager->n_purged -= alloc->purge;
    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        task_deinit(&alloc->tasks[i]);
    disk_usage_free(alloc->disk_usage);
    free(alloc->tasks);
    free(alloc->name);
    free(alloc->dir);
    job_record_unref(alloc->job);
    free(alloc);
    return NULL;
}

void alloc_link(struct alloc *alloc)
{
    struct manager *m = alloc->manager;

    *m->allocs_end = alloc;
    m->allocs_end = &alloc->next;
    if (!tsearch(alloc, &m->allocs_by_id, compare_ids))
        abort();
}

void alloc_unlink(struct alloc *alloc)
{
    struct manager *m = alloc->manager;
    struct alloc **at = &m->allocs;

    assert(!alloc->dirty && !alloc->queued);
    while (*at != alloc)
        at = &(*at)->next;
    *at = alloc->next;
    if (m->allocs_end == &alloc->next)
        m->allocs_end = at;
    (void)tdelete(alloc, &m->allocs_by_id, compare_ids);
}

void alloc_changed(struct alloc *alloc, bool save)
{
    struct manager *m = alloc->manager;

    alloc->unsaved |= save;
    if (alloc->dirty)
        return;
    alloc->dirty = true;
    alloc->next_dirty = m->dirty;
    m->dirty = alloc;
}

void alloc_queue(struct alloc *alloc)
{
    struct manager *m = alloc->manager;

    if (alloc->queued)
        return;
    alloc->queued = true;
    alloc->next_queued = NULL;
    *m->in_line_end = alloc;
    m->in_line_end = &alloc->next_queued;
    ev_idle_start(m->loop, &m->starter);
}

enum client_status alloc_judge(const struct task *tasks, size_t n_tasks)
{
    bool failed = false, lost = false, running = false, pending = false;

    for (size_t i = 0; i < n_tasks; i++) {
        const struct task *task = &tasks[i];

        running |= task->status.state == TASK_STATE_RUNNING;
        pending |= task->status.state == TASK_STATE_PENDING;
        if (task->status.state == TASK_STATE_DEAD && task->status.failed) {
            lost |= task->machine.lost;
            failed |= !task->machine.lost;
        }
    }
    if (failed || lost)
        return failed ? CLIENT_FAILED : CLIENT_LOST;
    if (running)
        return CLIENT_RUNNING;
    return pending ? CLIENT_PENDING : CLIENT_COMPLETE;
}

bool alloc_is_terminal(const struct alloc *alloc)
{
    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        if (alloc->tasks[i].status.state != TASK_STATE_DEAD)
            return false;
    return true;
}

void alloc_stop(struct alloc *alloc)
{
    if (alloc->desired == DESIRED_STOP)
        return;
    alloc->desired = DESIRED_STOP;
    alloc_changed(alloc, false); /* the job's file says so */
}

void alloc_purge(struct alloc *alloc)
{
    alloc->manager->n_purged += !alloc->purge;
    alloc->purge = true;
}

static bool has_executor(const struct alloc *alloc)
{
    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        if (alloc->tasks[i].handle)
            return true;
    return false;
}

/* An earlier manager may have died before it had unmounted the secrets of a dead task. */
static void tidy(struct alloc *alloc)
{
    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        (void)allocdir_unmount_task(alloc->dir, alloc->tasks[i].def->name);
    alloc->tidy = true;
    alloc->unsaved = true;
    alloc->manager->n_tidy++;
}

void alloc_save(struct alloc *alloc)
{
    json_t *json = alloc_to_json(alloc);
    struct err e;

    if (store_write_alloc(&alloc->manager->store, alloc->id, json, &e))
        log_error("alloc %s: its record is out of date: %s", alloc->id, e.text);
    else
        alloc->unsaved = false;
    json_decref(json);
}

void alloc_flush(struct alloc *alloc)
{
    struct manager *m = alloc->manager;
    enum client_status was = alloc->client;

    if (!alloc->tidy)
        alloc_queue_due(alloc);
    alloc->client = alloc_judge(alloc->tasks, alloc->group->n_tasks);
    alloc->modify_ns = manager_now_ns();
    alloc->modify_index = ++m->index;
    if (alloc->client != was)
        log_info("alloc %s (%s): %s", alloc->id, alloc->name, client_status_name(alloc->client));
    if (!alloc->tidy && alloc_is_terminal(alloc) && !has_executor(alloc))
        tidy(alloc); /* until now the executors' records said what they know */
    if (alloc->unsaved)
        alloc_save(alloc);
    if (alloc->tidy)
        disk_released(alloc);
    if (m->on_change)
        m->on_change(m->on_change_arg, alloc);
}
