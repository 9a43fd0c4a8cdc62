/* SPDX-License-Identifier: MIT
 *
 * An allocation's record as JSON. Integers of 64 bits are JSON integers (jansson keeps them whole).
 * Keys are only ever added: an older manager skips what it does not know, a newer one keeps its
 * defaults for what an older one did not write.
 */
#include <string.h>

#include "manager/alloc/alloc.h"
#include "manager/task/task.h"

static json_t *event_to_json(const struct task_event *event)
{
    return json_pack("{s:I, s:I, s:s, s:i, s:i, s:b, s:I, s:s%}", "Seq", (json_int_t)event->seq,
                     "Time", (json_int_t)event->time_ns, "Type", task_event_type_name(event->type),
                     "ExitCode", event->exit_code, "Signal", event->signal, "OOMKilled",
                     event->oom_killed, "Delay", (json_int_t)event->delay_ns, "Message",
                     event->message, strnlen(event->message, sizeof(event->message)));
}

static bool event_from_json(const json_t *json, struct task_event *ret_event)
{
    struct task_event event = {0};
    json_int_t seq = 0, time_ns = 0, delay_ns = 0;
    const char *type = "", *message = "";
    int oom = 0, t;

    if (json_unpack((json_t *)json, "{s:I, s:I, s:s, s?i, s?i, s?b, s?I, s?s}", "Seq", &seq, "Time",
                    &time_ns, "Type", &type, "ExitCode", &event.exit_code, "Signal", &event.signal,
                    "OOMKilled", &oom, "Delay", &delay_ns, "Message", &message) < 0)
        return false;
    for (t = 0; t < TASK_EVENT_TYPE_N && strcmp(task_event_type_name(t), type) != 0; t++)
        ;
    if (t == TASK_EVENT_TYPE_N)
        return false; /* of a newer release */
    event.seq = (uint64_t)seq;
    event.time_ns = (uint64_t)time_ns;
    event.type = (enum task_event_type)t;
    event.oom_killed = oom;
    event.delay_ns = (uint64_t)delay_ns;
    strncpy(event.message, message, sizeof(event.message) - 1);
    *ret_event = event;
    return true;
}

static json_t *task_to_json(const struct task *task)
{
    const struct task_summary *s = &task->status;
    json_t *events = json_array();

    for (size_t i = 0; i < task->n_events; i++)
        (void)json_array_append_new(events, event_to_json(&task->events[i]));
    return json_pack(
        "{s:I, s:s, s:b, s:b, s:i, s:i, s:I, s:I, s:I, s:i, s:i, s:b, s:I, s:i, s:i, "
        "s:I, s:b, s:b, s:b, s:I, s:o}",
        "Seq", (json_int_t)s->seq, "State", task_state_name(s->state), "Failed", s->failed, "Lost",
        task->machine.lost, "Attempt", (int)s->attempt, "Restarts", (int)s->restarts, "StartedAt",
        (json_int_t)s->started_ns, "FinishedAt", (json_int_t)s->finished_ns, "LastRestart",
        (json_int_t)s->last_restart_ns, "ExitCode", s->exit_code, "ExitSignal", s->exit_signal,
        "OOMKilled", s->oom_killed, "LogLostBytes", (json_int_t)s->log_lost_bytes, "OwnRestarts",
        (int)task->own_restarts, "WindowCount", (int)task->machine.window_count, "Window",
        (json_int_t)task->machine.window_ns, "Waiting", task->machine.phase == TASK_PHASE_WAITING,
        "Unheard", task->machine.unheard, "Paused", s->paused, "LogLostStderrBytes",
        (json_int_t)s->log_lost_stderr_bytes, "Events", events);
}

static uint64_t number(const json_t *json, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(json, key));
}

static bool flag(const json_t *json, const char *key)
{
    return json_is_true(json_object_get(json, key));
}

static void task_apply_json(struct task *task, const json_t *json)
{
    const char *state = json_string_value(json_object_get(json, "State"));
    struct task_summary *s = &task->status;
    const json_t *events = json_object_get(json, "Events");

    for (int i = 0; state && i < TASK_STATE_N; i++)
        if (strcmp(state, task_state_name(i)) == 0)
            s->state = (enum task_state)i;
    s->seq = number(json, "Seq");
    s->failed = flag(json, "Failed");
    s->attempt = (uint32_t)number(json, "Attempt");
    s->restarts = (uint32_t)number(json, "Restarts");
    s->started_ns = number(json, "StartedAt");
    s->finished_ns = number(json, "FinishedAt");
    s->last_restart_ns = number(json, "LastRestart");
    s->exit_code = (int)json_integer_value(json_object_get(json, "ExitCode"));
    s->exit_signal = (int)number(json, "ExitSignal");
    s->oom_killed = flag(json, "OOMKilled");
    s->paused = flag(json, "Paused");
    s->log_lost_bytes = number(json, "LogLostBytes");
    s->log_lost_stderr_bytes = number(json, "LogLostStderrBytes");
    task->machine.unheard = flag(json, "Unheard");
    task->machine.lost = flag(json, "Lost");
    task->own_restarts = (uint32_t)number(json, "OwnRestarts");
    task->machine.window_count = (uint32_t)number(json, "WindowCount");
    task->machine.window_ns = number(json, "Window");
    for (size_t i = 0; i < json_array_size(events); i++) {
        struct task_event event;

        if (event_from_json(json_array_get(events, i), &event))
            task_append_event(task, &event);
    }
    if (s->state == TASK_STATE_DEAD) {
        task->machine.phase = TASK_PHASE_DONE;
        task->planned = task->definition; /* what is dead is not defined anew */
    } else if (flag(json, "Waiting")) {
        task->machine.phase = TASK_PHASE_WAITING;
    }
}

json_t *alloc_to_json(const struct alloc *alloc)
{
    json_t *tasks = json_object();

    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        (void)json_object_set_new(tasks, alloc->tasks[i].def->name, task_to_json(&alloc->tasks[i]));
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:b, s:b, s:I, s:I, s:o}", "ID", alloc->id, "JobID",
                     alloc->job->job->id, "Name", alloc->name, "ModifyTime",
                     (json_int_t)alloc->modify_ns, "ModifyIndex", (json_int_t)alloc->modify_index,
                     "Tidy", alloc->tidy, "Collected", alloc->collected, "DelayFrom",
                     (json_int_t)alloc->delay_from_ns, "ProjectID", (json_int_t)alloc->project,
                     "Tasks", tasks);
}

void alloc_apply_json(struct alloc *alloc, const json_t *json)
{
    const json_t *tasks = json_object_get(json, "Tasks");

    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        task_apply_json(&alloc->tasks[i], json_object_get(tasks, alloc->tasks[i].def->name));
    alloc->modify_ns = number(json, "ModifyTime");
    alloc->modify_index = number(json, "ModifyIndex");
    alloc->tidy = flag(json, "Tidy");
    alloc->delay_from_ns = number(json, "DelayFrom");
    alloc->project = (uint32_t)number(json, "ProjectID");
    alloc->collected = alloc->tidy && flag(json, "Collected");
    alloc->manager->n_collected += alloc->collected;
}
