/* SPDX-License-Identifier: MIT
 *
 * Pure but for feasible_reconsider(): judged from the definition and the node. A group that waits
 * is on record with its job, since whether it has been placed cannot be told by its allocations:
 * finished ones are removed.
 */
#include "manager/job/feasible.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/alloc/alloc.h"
#include "manager/core.h"
#include "manager/host/fit.h"
#include "manager/job/jobs.h"
#include "manager/task/interpolate.h"
#include "manager/task/taskenv.h"
#include "shared/cleanup.h"
#include "shared/log.h"

/* ---- one constraint ---- */

/* ${env["NAME"]} and ${env.NAME}: of the environment that tasks inherit. */
static const char *find_env(const struct manager *m, const char *name)
{
    autofree char *copy = strdup(name + 4);
    char *inner = copy;

    if (!copy)
        abort();
    if (*inner == '"') {
        inner++;
        inner[strcspn(inner, "\"")] = '\0';
    }
    return taskenv_is_denied(m->config, inner) ? NULL : getenv(inner);
}

/* NULL: there is no such. */
static const char *value_of(const struct manager *m, const char *side)
{
    const struct interpolation in = {m->config, m->store.node_id, m->attributes, NULL};
    autofree char *name = constraint_reference(side);

    if (!name)
        return side;
    if (strncmp(name, "env.", 4) == 0 || strncmp(name, "env[", 4) == 0)
        return find_env(m, name);
    return interpolate_find(&in, name);
}

/* `e`: why that could not be told, if it could not. */
static char *explain(const struct job_constraint *c, const char *left, const char *right,
                     const char *owner, const struct err *e)
{
    bool follows = strncmp(c->right, "${", 2) == 0;
    char *text;

    if (asprintf(&text,
                 "the constraint \"%s %s%s%s\" of %s is not met: this host has %s%s%s%s%s%s%s",
                 c->left, c->op, *c->right ? " " : "", c->right, owner, left ? "\"" : "none",
                 left ? left : "", left ? "\"" : "", follows ? ", and to the right " : "",
                 !follows ? ""
                 : right  ? right
                          : "none",
                 e->code ? "; " : "", e->text) < 0)
        abort();
    return text;
}

/* Why one of them is not met, malloc'ed; NULL: all are. */
static char *first_unmet(const struct manager *m, const struct job_constraint *constraints,
                         size_t n, const char *owner)
{
    for (size_t i = 0; i < n; i++) {
        const struct job_constraint *c = &constraints[i];
        const char *left = value_of(m, c->left), *right = value_of(m, c->right);
        struct err e = ERR_INIT;

        if (constraint_met(c, left, right, &e) <= 0)
            return explain(c, left, right, owner, &e);
    }
    return NULL;
}

static long long least_limit(const struct job_constraint *constraints, size_t n)
{
    long long least = -1;

    for (size_t i = 0; i < n; i++) {
        long long limit = constraint_limit(&constraints[i]);

        if (limit >= 0 && (least < 0 || limit < least))
            least = limit;
    }
    return least;
}

/* ---- a job ---- */

static char *group_unmet(const struct manager *m, const struct job *job,
                         const struct job_group *group)
{
    char *why = fit_why_not(job, m->config);

    if (!why)
        why = first_unmet(m, job->constraints, job->n_constraints, "the job");
    if (!why)
        why = first_unmet(m, group->constraints, group->n_constraints, "the group");
    for (size_t t = 0; !why && t < group->n_tasks; t++) {
        autofree char *owner = NULL;

        if (asprintf(&owner, "task \"%s\"", group->tasks[t].name) < 0)
            abort();
        why = first_unmet(m, group->tasks[t].constraints, group->tasks[t].n_constraints, owner);
    }
    return why;
}

/* Of any version: what is placed has its room, and what replaces it and asks for no more has that.
 */
static int64_t count_placed(const struct manager *m, const struct job *job,
                            const struct job_group *group)
{
    int64_t n = 0;

    for (const struct alloc *a = m->allocs; a; a = a->next)
        n += a->desired == DESIRED_RUN && strcmp(a->job->job->id, job->id) == 0 &&
             strcmp(a->group->name, group->name) == 0 && !alloc_is_terminal(a) &&
             a->group->disk.size_mb >= group->disk.size_mb;
    return n;
}

/* `left`: how many more of the job there may be; -1: any number. */
static int64_t judge_group(const struct manager *m, const struct job *job,
                           const struct job_group *group, long long left, bool *ret_disk,
                           char **ret_why)
{
    long long limit = least_limit(group->constraints, group->n_constraints);
    char *why = group_unmet(m, job, group), *no_room = NULL;
    int64_t n = why ? 0 : group->count, placed;

    if (n)
        no_room = fit_disk_why_not(group, fit_free_mb(m->config), m->config);
    if (no_room && (placed = count_placed(m, job, group)) < n) {
        n = placed;
        why = take_ptr(no_room);
        *ret_disk = true;
    }
    free(no_room);

    if (left >= 0 && (limit < 0 || left < limit))
        limit = left;
    if (limit >= 0 && limit < n) {
        n = limit;
        free(why);
        *ret_disk = false;
        if (asprintf(&why, "a constraint on what is distinct lets one host run %lld of %lld",
                     (long long)n, (long long)group->count) < 0)
            abort();
    }
    *ret_why = why;
    return n;
}

/* As text of a record: what is in the environment need not be UTF-8. */
static json_t *text_of(char *why)
{
    json_t *text = json_string(why);

    for (char *p = why; !text && *p; p++)
        if (*p & 0x80)
            *p = '?';
    return text ? text : json_string(why);
}

json_t *feasible_judge(const struct manager *m, const struct job *job, int64_t *ret_counts)
{
    long long left = least_limit(job->constraints, job->n_constraints);
    json_t *blocked = NULL;

    for (size_t g = 0; g < job->n_groups; g++) {
        const struct job_group *group = &job->groups[g];
        autofree char *why = NULL;
        bool disk = false;
        int64_t n = judge_group(m, job, group, left, &disk, &why);

        ret_counts[g] = n;
        left -= left >= 0 ? n : 0;
        if (n >= group->count)
            continue;
        if (!blocked)
            blocked = json_object();
        (void)json_object_set_new(blocked, group->name,
                                  json_pack("{s:I, s:o, s:o*}", "Placed", (json_int_t)n, "Why",
                                            text_of(why), "DiskMB",
                                            disk ? json_integer(group->disk.size_mb) : NULL));
    }
    return blocked;
}

/* ---- what stays meanwhile ---- */

static int64_t placed_of(const json_t *blocked, const char *group)
{
    return json_integer_value(json_object_get(json_object_get(blocked, group), "Placed"));
}

bool feasible_keeps(const struct job *job, const json_t *blocked, const struct alloc *alloc)
{
    const char *name = alloc->group->name;

    return alloc->desired == DESIRED_RUN && json_object_get(blocked, name) &&
           alloc->index >= placed_of(blocked, name) &&
           alloc->index < job_find_group(job, name)->count;
}

static size_t count_kept(const struct manager *m, const struct job *job, const json_t *blocked,
                         const char *group)
{
    size_t n = 0;

    for (const struct alloc *a = m->allocs; a; a = a->next)
        n += a->job->job != job && strcmp(a->job->job->id, job->id) == 0 &&
             strcmp(a->group->name, group) == 0 && !alloc_is_terminal(a) &&
             feasible_keeps(job, blocked, a);
    return n;
}

json_t *feasible_told(const struct manager *m, const struct job *job, const json_t *blocked)
{
    json_t *told = json_deep_copy(blocked), *entry;
    const char *name;

    json_object_foreach(told, name, entry)
    {
        const char *why = json_string_value(json_object_get(entry, "Why"));
        size_t n = count_kept(m, job, blocked, name);

        if (n)
            (void)json_object_set_new(
                entry, "Why",
                json_sprintf("%s (%zu allocation%s of an older version run%s on instead)", why, n,
                             n > 1 ? "s" : "", n > 1 ? "" : "s"));
    }
    return told;
}

/* ---- when the node has changed ---- */

int64_t feasible_room_wanted(const struct manager *m)
{
    int64_t least = 0;

    for (const struct job_record *record = m->jobs; record; record = record->next) {
        const char *name;
        json_t *entry;

        json_object_foreach(record->stop ? NULL : record->blocked, name, entry)
        {
            int64_t mb = json_integer_value(json_object_get(entry, "DiskMB"));

            if (mb && (!least || mb < least))
                least = mb;
        }
    }
    return least;
}

/* Of what waited, what still does; groups that run are not taken into it. */
static json_t *still_blocked(const json_t *before, json_t *now)
{
    json_t *blocked = json_object();
    const char *name;
    json_t *entry;

    json_object_foreach((json_t *)before, name, entry)
    {
        json_t *again = json_object_get(now, name);

        if (!again)
            continue;
        if (placed_of(now, name) < placed_of(before, name))
            (void)json_object_set(again, "Placed", json_object_get(entry, "Placed"));
        (void)json_object_set(blocked, name, again);
    }
    if (json_object_size(blocked))
        return blocked;
    json_decref(blocked);
    return NULL;
}

/* Makes the allocations that were not before; true if there are any. */
static bool place_waiting(struct manager *m, struct job_record *record, const int64_t *counts)
{
    bool any = false;

    for (size_t g = 0; g < record->job->n_groups; g++) {
        const struct job_group *group = &record->job->groups[g];

        if (!json_object_get(record->blocked, group->name))
            continue;
        for (int64_t i = placed_of(record->blocked, group->name); i < counts[g]; i++, any = true)
            alloc_link(alloc_new(m, record, group, (unsigned int)i, NULL));
    }
    return any;
}

/* Others have taken their places. */
static void stop_kept(struct manager *m, const struct job_record *record)
{
    for (struct alloc *a = m->allocs; a; a = a->next)
        if (a->job != record && strcmp(a->job->job->id, record->job->id) == 0 &&
            a->desired == DESIRED_RUN && !feasible_keeps(record->job, record->blocked, a))
            alloc_stop(a);
}

static void unplace(struct alloc *first)
{
    for (struct alloc *a = first, *next; a; a = next) {
        next = a->next;
        alloc_unlink(a);
        alloc_free(a);
    }
}

static void reconsider(struct manager *m, struct job_record *record)
{
    autofree int64_t *counts = calloc(record->job->n_groups + 1, sizeof(*counts));
    struct alloc **end = m->allocs_end;
    json_t *before = record->blocked, *now;
    struct err e = ERR_INIT;

    if (!counts)
        abort();
    now = feasible_judge(m, record->job, counts);
    if (!place_waiting(m, record, counts)) {
        record->blocked = still_blocked(before, now);
        json_decref(before);
        json_decref(now);
        return;
    }
    record->blocked = still_blocked(before, now);
    json_decref(now);
    if (jobs_save_or_remove(m, record->job->id, &e)) {
        log_error("job \"%s\" could be placed now, but not on record: %s", record->job->id, e.text);
        unplace(*end);
        json_decref(record->blocked);
        record->blocked = before;
        return;
    }
    json_decref(before);
    log_info("job \"%s\": what it waited for is there now", record->job->id);
    stop_kept(m, record);
    for (struct alloc *a = *end; a; a = a->next) {
        alloc_queue(a);
        alloc_changed(a, false);
    }
}

void feasible_reconsider(struct manager *m)
{
    for (struct job_record *record = m->jobs, *next; record; record = next) {
        next = record->next;
        if (record->blocked && !record->stop)
            reconsider(m, record);
    }
}
