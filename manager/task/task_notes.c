/* SPDX-License-Identifier: MIT
 *
 * What is told of a task: its events, merged from executor and manager.
 */
#include "manager/task/task.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/alloc/alloc.h"
#include "manager/alloc/allocdir.h"
#include "manager/core.h"
#include "shared/log.h"

enum {
    SUM_LEAST = 32, /* digits of the shortest checksum */
    SUM_SHOWN = 12,
};

/* A text that was cut, or that quotes bytes of a file name, need not be UTF-8; JSON wants it. */
static void make_utf8(char *text)
{
    json_t *probe = json_string(text);

    for (; !probe && *text; text++)
        if ((unsigned char)*text >= 0x80)
            *text = '?';
    json_decref(probe);
}

/* A text that fills its place was cut. */
static void mark_cut(char text[STATUS_TEXT_BYTES])
{
    static const char mark[] = "…";
    size_t end = STATUS_TEXT_BYTES - sizeof(mark);

    if (strlen(text) < STATUS_TEXT_BYTES - 1 || !strcmp(text + end, mark))
        return;
    while (end && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    (void)memcpy(text + end, mark, sizeof(mark));
}

void task_append_event(struct task *task, const struct task_event *event)
{
    if (task->n_events == STATUS_EVENTS) {
        memmove(task->events, task->events + 1, (STATUS_EVENTS - 1) * sizeof(*event));
        task->n_events--;
    } else {
        struct task_event *grown =
            reallocarray(task->events, task->n_events + 1, sizeof(*task->events));

        if (!grown)
            abort();
        task->events = grown;
    }
    task->events[task->n_events] = *event;
    mark_cut(task->events[task->n_events].message);
    make_utf8(task->events[task->n_events].message);
    task->n_events++;
}

/* An earlier manager may have said so already. */
static bool is_noted(const struct task *task, enum task_event_type type)
{
    for (size_t i = 0; i < task->n_events; i++)
        if (task->events[i].type == type)
            return true;
    return false;
}

struct task_event *task_note(struct task *task, enum task_event_type type, uint64_t delay_ns,
                             const char *fmt, ...)
{
    struct task_event event = {.time_ns = manager_now_ns(), .type = type, .delay_ns = delay_ns};
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(event.message, sizeof(event.message), fmt, ap);
    va_end(ap);
    task_append_event(task, &event);
    alloc_changed(task->alloc, true);
    return &task->events[task->n_events - 1];
}

/* Of each long hexadecimal number its beginning: two checksums are longer than an event. */
static void shorten_sums(const char *text, char *buf, size_t size)
{
    size_t used = 0;

    while (*text && used < size) {
        size_t n = strspn(text, "0123456789abcdef");
        bool is_sum = n >= SUM_LEAST;
        int shown = is_sum ? SUM_SHOWN : n ? (int)n : 1;

        used += (size_t)snprintf(buf + used, size - used, is_sum ? "%.*s…" : "%.*s", shown, text);
        text += n ? n : 1;
    }
}

void task_note_failure(struct task *task, enum task_event_type type, const char *text)
{
    char shortened[STATUS_TEXT_BYTES] = "";
    bool fits = strlen(text) < sizeof(shortened);

    log_error("alloc %s task %s: %s", task->alloc->id, task->def->name, text);
    if (!fits)
        shorten_sums(text, shortened, sizeof(shortened));
    task_note(task, type, 0, "%s", fits ? text : shortened);
}

/* What people should read in executor.out as well. */
static void tell(const struct task *task, const char *text)
{
    log_error("alloc %s task %s: %s", task->alloc->id, task->def->name, text);
    allocdir_say(task->alloc->dir, task->def->name, text);
}

static void note_loss(struct task *task, enum task_event_type type, const char *detail)
{
    bool ran = type == TASK_EVENT_TERMINATED;
    struct task_event *event = task_note(task, type, 0, "executor died%s; %s", detail,
                                         ran ? "what was left of the task was killed"
                                             : "by its record the task did not run then");

    if (ran)
        event->exit_code = task->status.exit_code = -1;
    tell(task, event->message);
}

static bool is_said_once(enum task_event_type type)
{
    return type == TASK_EVENT_SIBLING_FAILED || type == TASK_EVENT_LEADER_DEAD ||
           type == TASK_EVENT_MAIN_DEAD;
}

void task_take_notes(struct task *task, const struct machine_output *out, const char *detail)
{
    for (size_t i = 0; i < out->n_notes; i++) {
        const struct machine_note *n = &out->notes[i];

        if (is_said_once(n->type) && is_noted(task, n->type))
            continue;
        if (*n->message)
            task_note(task, n->type, n->delay_ns, "%s", n->message);
        else if (n->type == TASK_EVENT_SIBLING_FAILED)
            task_note(task, n->type, 0, "Task's sibling \"%s\" failed", detail);
        else
            note_loss(task, n->type, detail);
    }
}
