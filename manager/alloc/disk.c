/* SPDX-License-Identifier: MIT
 *
 * A directory is moved by one rename onto the new allocation's own, which is empty until then; so
 * it is in the one place or the other whenever the manager dies, and looking again does no harm:
 * what was moved is not there any more, and what a task has written meanwhile is not written over.
 * Tasks may write around what is renamed: it is reached by descriptors, a link is left where it is,
 * and neither allocation's own directory nor a task's can be replaced by them.
 *
 * Where each of the two is a project of its own for disk quotas, the kernel refuses the rename
 * (EXDEV) until the directory is the new one's: cleat-disk goes through it first. A crash leaves
 * some of it with the one project and some with the other, and it is gone through again.
 */
#include "manager/alloc/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/core.h"
#include "manager/task/task.h"
#include "manager/worker.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"
#include "shared/log.h"

static bool same_place(const struct alloc *a, const struct alloc *b)
{
    return a->index == b->index && strcmp(a->group->name, b->group->name) == 0 &&
           strcmp(a->job->job->id, b->job->job->id) == 0;
}

/* Who had the place before `alloc`: the newest that got as far as to have a directory, or that is
 * not done yet. A job that was stopped began anew. */
static const struct alloc *find_previous(const struct alloc *alloc)
{
    const struct alloc *found = NULL;

    for (const struct alloc *a = alloc->manager->allocs; a && a != alloc; a = a->next)
        if (same_place(a, alloc) && !a->doomed && !a->job->stop &&
            (!a->tidy || access(a->dir, F_OK) == 0))
            found = a;
    return found;
}

static bool is_pending(const struct alloc *alloc)
{
    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        if (alloc->tasks[i].status.state == TASK_STATE_PENDING)
            return true;
    return false;
}

static int by_place(const void *a, const void *b)
{
    const struct alloc *x = *(struct alloc *const *)a, *y = *(struct alloc *const *)b;
    int r = strcmp(x->job->job->id, y->job->job->id);

    if (!r)
        r = strcmp(x->group->name, y->group->name);
    return r ? r : (x->index > y->index) - (x->index < y->index);
}

void disk_find_waiting(const struct manager *m, struct disk_waiting *ret)
{
    size_t size = 0;

    *ret = (struct disk_waiting){0};
    for (struct alloc *a = m->allocs; a; a = a->next) {
        if (a->tidy || !a->group->disk.sticky || !is_pending(a))
            continue;
        if (ret->n == size) {
            size = size ? 2 * size : 16;
            ret->allocs = reallocarray(ret->allocs, size, sizeof(struct alloc *));
            if (!ret->allocs)
                abort();
        }
        ret->allocs[ret->n++] = a;
    }
    if (ret->n)
        qsort(ret->allocs, ret->n, sizeof(struct alloc *), by_place);
}

bool disk_is_awaited(const struct disk_waiting *waiting, const struct alloc *alloc)
{
    return waiting->n &&
           bsearch(&alloc, waiting->allocs, waiting->n, sizeof(struct alloc *), by_place);
}

static int open_dir(const struct alloc *alloc, const char *name)
{
    autofd int top = open(alloc->dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int fd = top < 0 ? -1 : openat(top, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* 1: it was moved; 0: there was nothing to move, or the new one is in use already. */
static int move(const struct alloc *from, const struct alloc *to, const char *parent,
                const char *name)
{
    autofd int source = open_dir(from, parent), target = open_dir(to, parent);
    struct stat st;

    if (source == -ENOENT)
        return 0; /* a task that the other one did not have */
    if (source < 0 || target < 0)
        return source < 0 ? source : target;
    if (fstatat(source, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    if (renameat(source, name, target, name) == 0)
        return 1;
    return errno == ENOTEMPTY || errno == EEXIST ? 0 : -errno;
}

static void tell_moved(struct task *task, const char *from, const char *parent, const char *name)
{
    (void)task_note(task, TASK_EVENT_TASK_SETUP, 0, "Took over %s/%s of allocation %.8s", parent,
                    name, from);
}

static void tell_failed(struct task *task, const char *from, const char *parent, const char *name,
                        const char *why)
{
    log_warn("alloc %s task %s: take over %s/%s of allocation %s: %s", task->alloc->id,
             task->def->name, parent, name, from, why);
    (void)task_note(task, TASK_EVENT_TASK_SETUP, 0,
                    "Could not take over %s/%s of allocation %.8s: %s; the task starts without it",
                    parent, name, from, why);
}

/* ---- what a task takes over, one after the other ---- */

enum what {
    WHAT_DATA,
    WHAT_LOCAL,
    WHAT_N
};

/* A directory that is being made one of the task's project. */
struct labelling {
    struct task *task;
    enum what what;
    char from[37];
    struct worker *worker;
};

static const char *parent_of(const struct task *task, enum what what)
{
    return what == WHAT_DATA ? "alloc" : task->def->name;
}

static const char *name_of(enum what what)
{
    return what == WHAT_DATA ? "data" : "local";
}

static int take_over(struct task *task, const struct alloc *from, enum what what);

static void on_labelled(void *arg, const struct worker_end *end)
{
    autofree struct labelling *l = arg;
    struct task *task = l->task;
    const char *parent = parent_of(task, l->what), *name = name_of(l->what);
    const struct alloc *from = manager_find_alloc(task->alloc->manager, l->from);
    int r = end->code || !from ? 0 : move(from, task->alloc, parent, name);

    task->prepare.data = NULL;
    if (end->code)
        tell_failed(task, l->from, parent, name, end->text);
    else if (r < 0)
        tell_failed(task, l->from, parent, name, strerror(-r));
    else if (r == 1)
        tell_moved(task, l->from, parent, name);
    if (!from || take_over(task, from, l->what + 1) == 0)
        prepare_done(task, NULL);
}

static int label(struct task *task, const struct alloc *from, enum what what, struct err *e)
{
    autofd int parent = open_dir(from, parent_of(task, what)), dir = -1;
    autojson json_t *order = json_pack("{s:I}", "project", (json_int_t)task->alloc->project);
    struct labelling *l = calloc(1, sizeof(*l));
    char name[320], program[PATH_MAX];
    struct worker_plan plan = {.name = name,
                               .program = program,
                               .order = order,
                               .fds = &dir,
                               .n_fds = 1,
                               .lock = -1,
                               .on_end = on_labelled,
                               .arg = l};
    int r;

    if (!l)
        abort();
    *l = (struct labelling){.task = task, .what = what};
    (void)snprintf(l->from, sizeof(l->from), "%s", from->id);
    (void)snprintf(name, sizeof(name), "alloc %s task %s: ephemeral disk", task->alloc->id,
                   task->def->name);
    worker_program("cleat-disk", program, sizeof(program));
    if (parent >= 0)
        dir = openat(parent, name_of(what), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    r = dir < 0 ? err_sys(e, parent < 0 ? parent : -errno, "open it")
                : worker_new(task->alloc->manager->loop, &plan, &l->worker, e);
    if (r)
        free(l);
    else
        task->prepare.data = l;
    return r;
}

/* From `what` on. PREPARE_STARTED: on_labelled() goes on. */
static int take_over(struct task *task, const struct alloc *from, enum what what)
{
    for (; what < WHAT_N; what++) {
        const char *parent = parent_of(task, what), *name = name_of(what);
        int r = move(from, task->alloc, parent, name);
        struct err e = ERR_INIT;

        if (r == -EXDEV && task->alloc->project) {
            if (label(task, from, what, &e) == 0)
                return PREPARE_STARTED;
            tell_failed(task, from->id, parent, name, e.text);
        } else if (r < 0) {
            tell_failed(task, from->id, parent, name, strerror(-r));
        } else if (r == 1) {
            tell_moved(task, from->id, parent, name);
        }
    }
    return 0;
}

/* ---- the step ---- */

static bool wanted(const struct task *task)
{
    return task->alloc->group->disk.sticky;
}

static int start(struct task *task, struct err *e)
{
    const struct alloc *from = find_previous(task->alloc);

    (void)e;
    if (!from)
        return 0;
    if (!from->tidy) {
        (void)task_note(task, TASK_EVENT_TASK_SETUP, 0, "Waiting for allocation %.8s to end",
                        from->id);
        task->alloc->manager->n_disk_waits++;
        return PREPARE_STARTED;
    }
    return take_over(task, from, WHAT_DATA);
}

static void cancel(struct task *task)
{
    struct labelling *l = task->prepare.data;

    if (!l) {
        task->alloc->manager->n_disk_waits--;
        return;
    }
    (void)worker_free(l->worker);
    free(l);
}

const struct prepare_step disk_step = {
    .name = "ephemeral disk",
    .wanted = wanted,
    .start = start,
    .cancel = cancel,
};

static void go_on(struct task *task)
{
    struct err e = ERR_INIT;

    if (!task->prepare.at || *task->prepare.at != &disk_step || task->prepare.data)
        return;
    task->alloc->manager->n_disk_waits--;
    if (start(task, &e) == 0)
        prepare_done(task, NULL);
}

void disk_released(const struct alloc *alloc)
{
    for (struct alloc *a = alloc->next; a && alloc->manager->n_disk_waits; a = a->next)
        for (size_t i = 0; a->group->disk.sticky && i < a->group->n_tasks; i++)
            if (same_place(a, alloc))
                go_on(&a->tasks[i]);
}
