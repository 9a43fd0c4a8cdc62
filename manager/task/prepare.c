/* SPDX-License-Identifier: MIT
 *
 * One step after the other; a step that fails ends it. The end is told last, when nothing is under
 * way any more: who is told may begin anew at once.
 */
#include "manager/task/prepare.h"

#include <assert.h>
#include <errno.h>

#include "manager/alloc/alloc.h"
#include "shared/cleanup.h"
#include "shared/log.h"

bool prepare_may_pass(int code)
{
    static const int passing[] = {EAGAIN, EDQUOT, EMFILE, ENFILE, ENOENT,
                                  ENOMEM, ENOSPC, EROFS,  ETXTBSY};

    for (size_t i = 0; i < ARRAY_LEN(passing); i++)
        if (code == -passing[i])
            return true;
    return false;
}

static void end(struct task *task, const struct prepare_failure *failure)
{
    struct prepare *p = &task->prepare;

    p->at = NULL;
    p->data = NULL;
    p->done(task, failure);
}

static void go_on(struct task *task)
{
    struct prepare *p = &task->prepare;

    for (; *p->at; p->at++) {
        const struct prepare_step *step = *p->at;
        struct err e = ERR_INIT;
        int r;

        p->data = NULL;
        r = step->wanted(task) ? step->start(task, &e) : 0;
        if (r < 0) {
            end(task,
                &(struct prepare_failure){TASK_EVENT_SETUP_FAILURE, prepare_may_pass(r), e.text});
            return;
        }
        if (r == PREPARE_STARTED) {
            log_debug("alloc %s task %s: %s", task->alloc->id, task->def->name, step->name);
            return;
        }
    }
    end(task, NULL);
}

void prepare_start(struct task *task, const struct prepare_step *const *steps,
                   void (*done)(struct task *task, const struct prepare_failure *failure))
{
    assert(!task->prepare.at);
    task->prepare = (struct prepare){.at = steps, .done = done};
    go_on(task);
}

void prepare_done(struct task *task, const struct prepare_failure *failure)
{
    assert(task->prepare.at);
    if (failure) {
        end(task, failure);
        return;
    }
    task->prepare.at++;
    go_on(task);
}

void prepare_cancel(struct task *task)
{
    struct prepare *p = &task->prepare;
    const struct prepare_step *const *at = p->at;

    if (!at)
        return;
    p->at = NULL;
    if ((*at)->cancel)
        (*at)->cancel(task);
    p->data = NULL;
}
