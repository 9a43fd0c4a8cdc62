/* SPDX-License-Identifier: MIT
 *
 * Definitions are compared as JSON, with all defaults filled in: so a field that is new in a table
 * is compared without a line here, and replaces what it belongs to. Only those that need no restart
 * are listed; they are Nomad's.
 */
#include "manager/job/update.h"

#include <stdlib.h>
#include <string.h>

#include "manager/alloc/alloc.h"
#include "manager/core.h"
#include "manager/job/feasible.h"
#include "manager/task/task_redefine.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"

/* Fields without a say in what a task is when it runs. */
static const char *const task_live[] = {"Actions",
                                        "Affinities",
                                        "Constraints",
                                        "DispatchPayload",
                                        "KillSignal",
                                        "KillTimeout",
                                        "Leader",
                                        "LogConfig",
                                        "Meta",
                                        /* see combined_meta() */ "RestartPolicy",
                                        "Services",
                                        "ShutdownDelay",
                                        "ScalingPolicies",
                                        "Name"};
static const char *const group_live[] = {"Affinities",
                                         "Constraints",
                                         "Count",
                                         "Disconnect",
                                         "Meta",
                                         "Migrate",
                                         "Name",
                                         "PreventRescheduleOnLost",
                                         "ReschedulePolicy",
                                         "RestartPolicy",
                                         "Scaling",
                                         "Services",
                                         "ShutdownDelay",
                                         "Spreads",
                                         "StopAfterClientDisconnect",
                                         "Tasks",
                                         "Update"};

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

static bool is_nothing(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) ||
           (json_is_integer(value) && !json_integer_value(value)) ||
           (json_is_string(value) && !json_string_length(value)) ||
           (json_is_array(value) && !json_array_size(value)) ||
           (json_is_object(value) && !json_object_size(value));
}

/* … and without what is nothing: a sparse field is there or not by what others say. */
static json_t *without(const json_t *object, const char *const *keys, size_t n)
{
    json_t *copy = need(json_copy((json_t *)object)), *value;
    const char *key;
    void *next;

    for (size_t i = 0; i < n; i++)
        (void)json_object_del(copy, keys[i]);
    json_object_foreach_safe(copy, next, key, value) if (is_nothing(value))(void)
        json_object_del(copy, key);
    return copy;
}

static bool same_but_for(const json_t *a, const json_t *b, const char *const *keys, size_t n)
{
    autojson json_t *x = without(a, keys, n), *y = without(b, keys, n);

    return json_equal(x, y);
}

static const json_t *find_named(const json_t *array, const char *name)
{
    json_t *item;
    size_t i;

    json_array_foreach(array, i, item) if (strcmp(json_string_value(json_object_get(item, "Name")),
                                                  name) == 0) return item;
    return NULL;
}

/* What the task's environment has as NOMAD_META_…. */
static json_t *combined_meta(const json_t *job, const json_t *group, const json_t *task)
{
    json_t *meta = need(json_object());

    (void)json_object_update(meta, json_object_get(job, "Meta"));
    (void)json_object_update(meta, json_object_get(group, "Meta"));
    (void)json_object_update(meta, json_object_get(task, "Meta"));
    return meta;
}

static bool logs_anything(const json_t *task)
{
    return !json_is_true(json_object_get(json_object_get(task, "LogConfig"), "Disabled"));
}

/* A definition, and its groups by name. */
struct side {
    json_t *job, *groups;
};

static struct side side_new(const struct job *job)
{
    struct side side = {need(job_to_json(job)), need(json_object())};
    json_t *group;
    size_t i;

    json_array_foreach(json_object_get(side.job, "TaskGroups"), i, group)(void)
        json_object_set(side.groups, json_string_value(json_object_get(group, "Name")), group);
    return side;
}

static void side_free(struct side *side)
{
    json_decref(side->groups);
    json_decref(side->job);
}

static bool task_changed(const struct side *from, const struct side *to,
                         const struct job_group *group, const char *name)
{
    const json_t *x = json_object_get(from->groups, group->name);
    const json_t *y = json_object_get(to->groups, group->name);
    const json_t *a = find_named(json_object_get(x, "Tasks"), name);
    const json_t *b = find_named(json_object_get(y, "Tasks"), name);
    autojson json_t *meta = combined_meta(from->job, x, a);
    autojson json_t *new_meta = combined_meta(to->job, y, b);

    return !same_but_for(a, b, task_live, ARRAY_LEN(task_live)) || !json_equal(meta, new_meta) ||
           logs_anything(a) != logs_anything(b);
}

static bool same_tasks(const json_t *a, const struct job_group *b)
{
    const json_t *tasks = json_object_get(a, "Tasks");

    if (json_array_size(tasks) != b->n_tasks)
        return false;
    for (size_t i = 0; i < b->n_tasks; i++)
        if (!find_named(tasks, b->tasks[i].name))
            return false;
    return true;
}

/* What runs to its end before or beside the main tasks cannot be started anew under them: the group
 * is, in its order. */
static bool has_its_time(const json_t *group, const struct job_task *task)
{
    const json_t *was = find_named(json_object_get(group, "Tasks"), task->name);
    enum job_hook hook = task->lifecycle.hook;
    bool before = json_is_object(json_object_get(was, "Lifecycle"));

    return before != task->lifecycle.set ||
           (!task->lifecycle.sidecar && (hook == JOB_HOOK_PRESTART || hook == JOB_HOOK_POSTSTART));
}

static enum update_action judge(const struct side *from, const struct side *to,
                                const struct job_group *group, bool *changed)
{
    const json_t *a = json_object_get(from->groups, group->name);
    const json_t *b = json_object_get(to->groups, group->name);
    size_t n = 0;

    if (!a || !same_tasks(a, group) || !same_but_for(a, b, group_live, ARRAY_LEN(group_live)))
        return UPDATE_REPLACE;
    for (size_t i = 0; i < group->n_tasks; i++) {
        changed[i] = task_changed(from, to, group, group->tasks[i].name);
        if (changed[i] && has_its_time(a, &group->tasks[i]))
            return UPDATE_REPLACE;
        n += changed[i];
    }
    if (n == group->n_tasks)
        return UPDATE_REPLACE;
    return n ? UPDATE_RESTART : UPDATE_IN_PLACE;
}

/* What is needed while an update is planned. */
struct planning {
    const struct job *job;
    struct update update;
    struct side to, from;            /* `from` of the version looked at last */
    const struct job_record *record; /* … which is this */
    json_t *numbers;                 /* name to place of each group of `job` */
    int64_t *counts;                 /* of each group, as far as it can be placed */
    size_t *first;                   /* … and where its slots begin */
    struct update_item *slots;       /* one for each allocation of the new version */
};

static const struct job_group *find_group(const struct planning *p, const char *name)
{
    const json_t *number = json_object_get(p->numbers, name);

    return number ? &p->job->groups[json_integer_value(number)] : NULL;
}

/* The allocations of one version share what is found out: usually there is one. */
static const struct group_change *find_change(struct planning *p, const struct job_record *record,
                                              const struct job_group *group)
{
    struct update_version *version = p->update.versions;
    struct group_change *change;
    size_t g = (size_t)(group - p->job->groups);

    while (version && version->from != record)
        version = version->next;
    if (!version) {
        version = need(calloc(1, sizeof(*version)));
        version->from = record;
        version->n_groups = p->job->n_groups;
        version->changes = need(calloc(p->job->n_groups, sizeof(struct group_change *)));
        version->next = p->update.versions;
        p->update.versions = version;
    }
    if (version->changes[g])
        return version->changes[g];
    if (p->record != record) {
        side_free(&p->from);
        p->from = side_new(record->job);
        p->record = record;
    }
    change = need(calloc(1, sizeof(*change) + group->n_tasks * sizeof(*change->changed)));
    change->from = record;
    change->group = group;
    change->action = judge(&p->from, &p->to, group, change->changed);
    version->changes[g] = change;
    return change;
}

/* A task that is dead, or about to be, is not started anew for itself: it may be one that was to
 * end before the others start. */
static bool any_changed_is_dead(const struct alloc *alloc, const struct group_change *change)
{
    for (size_t i = 0; i < change->group->n_tasks; i++)
        for (size_t t = 0; change->changed[i] && t < alloc->group->n_tasks; t++)
            if (strcmp(alloc->tasks[t].def->name, change->group->tasks[i].name) == 0 &&
                alloc->tasks[t].status.state == TASK_STATE_DEAD)
                return true;
    return false;
}

static bool is_ending(const struct alloc *alloc)
{
    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        if (alloc_ends(alloc, &alloc->tasks[i]))
            return true;
    return false;
}

static void judge_alloc(struct planning *p, struct alloc *alloc)
{
    const struct job_group *group = find_group(p, alloc->group->name);
    struct update_item item = {.alloc = alloc, .group = group, .index = alloc->index}, *slot = NULL;

    if (group && alloc->index < p->counts[group - p->job->groups])
        slot = &p->slots[p->first[group - p->job->groups] + alloc->index];
    if (alloc_is_terminal(alloc) || is_ending(alloc)) {
        item.action = UPDATE_FORGET;
    } else if (group && feasible_keeps(p->job, p->update.blocked, alloc)) {
        item.action = UPDATE_IGNORE; /* until what is to take its place can be placed */
    } else if (!slot || slot->alloc) {
        item.action = UPDATE_STOP;
    } else {
        item.change = find_change(p, alloc->job, group);
        item.action = item.change->action;
        if (item.action == UPDATE_RESTART && any_changed_is_dead(alloc, item.change))
            item.action = UPDATE_REPLACE;
        *slot = item;
        return;
    }
    p->update.items[p->update.n_items++] = item;
}

static void planning_init(struct planning *p, const struct manager *m, const struct job *job)
{
    size_t n_slots = 0, n_allocs = 0;

    *p = (struct planning){.job = job, .to = side_new(job), .numbers = need(json_object())};
    p->first = need(calloc(job->n_groups + 1, sizeof(*p->first)));
    p->counts = need(calloc(job->n_groups + 1, sizeof(*p->counts)));
    if (!job_is_parent(job)) /* what is run of a parent are its children */
        p->update.blocked = feasible_judge(m, job, p->counts);
    for (size_t g = 0; g < job->n_groups; g++) {
        (void)json_object_set_new(p->numbers, job->groups[g].name, json_integer((json_int_t)g));
        p->first[g] = n_slots;
        n_slots += (size_t)p->counts[g];
    }
    for (const struct alloc *a = m->allocs; a; a = a->next)
        n_allocs += strcmp(a->job->job->id, job->id) == 0;
    p->slots = need(calloc(n_slots + 1, sizeof(*p->slots)));
    p->update.items = need(calloc(n_slots + n_allocs + 1, sizeof(*p->update.items)));
}

void update_plan(const struct manager *m, const struct job *job, struct update *ret_update)
{
    struct planning p;
    size_t slot = 0;

    planning_init(&p, m, job);
    for (struct alloc *a = m->allocs; a; a = a->next)
        if (strcmp(a->job->job->id, job->id) == 0 && a->desired == DESIRED_RUN)
            judge_alloc(&p, a);
    for (size_t g = 0; g < job->n_groups; g++)
        for (unsigned int i = 0; i < p.counts[g]; i++, slot++) {
            if (!p.slots[slot].alloc)
                p.slots[slot] = (struct update_item){
                    .action = UPDATE_PLACE, .group = &job->groups[g], .index = i};
            p.update.items[p.update.n_items++] = p.slots[slot];
        }
    side_free(&p.to);
    side_free(&p.from);
    json_decref(p.numbers);
    free(p.first);
    free(p.counts);
    free(p.slots);
    *ret_update = p.update;
}

void update_ignore(struct update *update)
{
    for (size_t i = 0; i < update->n_items; i++)
        update->items[i].action = UPDATE_IGNORE;
}

void update_deinit(struct update *update)
{
    for (size_t i = 0; i < update->n_items; i++)
        free(update->items[i].was);
    for (struct update_version *version; (version = update->versions);) {
        update->versions = version->next;
        for (size_t g = 0; g < version->n_groups; g++)
            free(version->changes[g]);
        free(version->changes);
        free(version);
    }
    json_decref(update->blocked);
    free(update->items);
    *update = (struct update){0};
}

size_t update_new_tasks(const struct update *update)
{
    size_t n = 0;

    for (size_t i = 0; i < update->n_items; i++)
        if (update->items[i].action == UPDATE_PLACE || update->items[i].action == UPDATE_REPLACE)
            n += update->items[i].group->n_tasks;
    return n;
}

json_t *update_replaced(const struct update *update)
{
    json_t *replaced = NULL;

    for (size_t i = 0; i < update->n_items; i++) {
        const struct update_item *item = &update->items[i];
        const char *name;

        if (item->action != UPDATE_REPLACE && item->action != UPDATE_RESTART)
            continue;
        if (!replaced)
            replaced = need(json_object());
        name = item->group->name;
        (void)json_object_set_new(
            replaced, name, json_integer(json_integer_value(json_object_get(replaced, name)) + 1));
    }
    return replaced;
}

/* The tasks that are to be started anew; a crash from here on finds that in the job's file. */
static void redefine(struct update_item *item, uint64_t version)
{
    const struct group_change *change = item->change;

    item->was = need(calloc(change->group->n_tasks, sizeof(*item->was)));
    for (size_t i = 0; i < change->group->n_tasks; i++) {
        struct task *task = &item->alloc->tasks[i];

        item->was[i] = task->definition;
        for (size_t k = 0; k < change->group->n_tasks; k++)
            if (change->changed[k] && task->def == &change->group->tasks[k])
                task->definition = version;
    }
}

void update_apply(const struct update *update, struct manager *m, struct job_record *record)
{
    for (size_t i = 0; i < update->n_items; i++) {
        struct update_item *item = &update->items[i];

        if (item->action == UPDATE_PLACE || item->action == UPDATE_REPLACE) {
            item->placed = alloc_new(m, record, item->group, item->index, NULL);
            alloc_link(item->placed);
        } else if (item->action == UPDATE_IN_PLACE || item->action == UPDATE_RESTART) {
            alloc_move(item->alloc, record, item->group);
            if (item->action == UPDATE_RESTART)
                redefine(item, record->version);
        }
    }
}

void update_undo(const struct update *update)
{
    for (size_t i = 0; i < update->n_items; i++) {
        const struct update_item *item = &update->items[i];
        struct alloc *alloc = item->alloc;

        if (item->placed) {
            alloc_unlink(item->placed);
            alloc_free(item->placed);
        } else if (item->action == UPDATE_IN_PLACE || item->action == UPDATE_RESTART) {
            alloc_move(alloc, (struct job_record *)item->change->from,
                       job_find_group(item->change->from->job, alloc->group->name));
            for (size_t t = 0; item->was && t < alloc->group->n_tasks; t++)
                alloc->tasks[t].definition = item->was[t];
        }
    }
}

static void start(const struct update_item *item)
{
    struct alloc *alloc = item->placed ? item->placed : item->alloc;

    switch (item->action) {
    case UPDATE_PLACE:
    case UPDATE_REPLACE:
        alloc_queue(alloc);
        alloc_changed(alloc, false);
        break;
    case UPDATE_IN_PLACE:
    case UPDATE_RESTART:
        for (size_t t = 0; t < alloc->group->n_tasks; t++)
            task_redefine(&alloc->tasks[t]);
        alloc_changed(alloc, false);
        break;
    default:
        break;
    }
}

/* What stops comes first, the highest index before the others, and makes room. */
void update_start(const struct update *update)
{
    for (size_t i = update->n_items; i > 0; i--) {
        const struct update_item *item = &update->items[i - 1];

        if (item->action == UPDATE_STOP || item->action == UPDATE_FORGET ||
            item->action == UPDATE_REPLACE)
            alloc_stop(item->alloc);
    }
    for (size_t i = 0; i < update->n_items; i++)
        start(&update->items[i]);
}
