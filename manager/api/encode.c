/* SPDX-License-Identifier: MIT
 *
 * Field names and shapes are those of Nomad's api package (JobListStub, AllocationListStub,
 * Allocation, TaskState, TaskEvent). What this release has no notion of (evaluations, deployments,
 * rescheduling) is there with its empty value, because clients index it. Ours: TaskState.Pid,
 * LogLostBytes, LogLostStderrBytes, ExitCode, Signal and OOMKilled of the last attempt.
 *
 * Jansson's setters take NULL values and report -1; a lost field can only come from lack of memory,
 * so the object as a whole is what is checked (request_reply_json()).
 */
#include "manager/api/encode.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "manager/job/feasible.h"
#include "manager/task/artifacts.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"
#include "shared/units.h"

static const uint64_t second_ns = 1000000000;

static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new_nocheck(object, key, value);
}

static void set_int(json_t *object, const char *key, uint64_t value)
{
    set(object, key, json_integer((json_int_t)value));
}

static void set_text(json_t *object, const char *key, const char *value)
{
    set(object, key, encode_text(value));
}

/* Length of the UTF-8 sequence at `p`, 0 if it is none. (RFC 3629: no surrogates, no overlong
 * forms.) */
static size_t utf8_length(const unsigned char *p)
{
    size_t n = *p < 0x80                 ? 1
               : *p >= 0xc2 && *p < 0xe0 ? 2
               : (*p & 0xf0) == 0xe0     ? 3
               : *p >= 0xf0 && *p < 0xf5 ? 4
                                         : 0;

    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

json_t *encode_text(const char *text)
{
    static const char replacement[] = "\xef\xbf\xbd";
    json_t *json;

    text = text ? text : "";
    json = json_string(text);
    if (json)
        return json;
    autofree char *clean = malloc(strlen(text) * (sizeof(replacement) - 1) + 1);
    if (!clean)
        return NULL;
    char *out = clean;
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t n = utf8_length(p);

        out = n ? mempcpy(out, p, n) : mempcpy(out, replacement, sizeof(replacement) - 1);
        p += n ? n : 1;
    }
    *out = '\0';
    return json_string_nocheck(clean);
}

json_t *encode_time(uint64_t ns)
{
    time_t seconds = (time_t)(ns / second_ns);
    char date[32], fraction[12] = "";
    struct tm tm;

    if (!ns || !gmtime_r(&seconds, &tm))
        return json_string("0001-01-01T00:00:00Z");
    (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    if (ns % second_ns) {
        size_t n =
            (size_t)snprintf(fraction, sizeof(fraction), ".%09u", (unsigned)(ns % second_ns));

        while (fraction[n - 1] == '0')
            fraction[--n] = '\0';
    }
    return json_sprintf("%s%sZ", date, fraction);
}

const char *encode_go_mode(mode_t mode, char buf[GO_MODE_BYTES])
{
    const struct {
        mode_t kind;
        const char *letters;
    } kinds[] = {{S_IFDIR, "d"},  {S_IFLNK, "L"}, {S_IFBLK, "D"},
                 {S_IFCHR, "Dc"}, {S_IFIFO, "p"}, {S_IFSOCK, "S"}};
    char *out = buf;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if ((mode & S_IFMT) == kinds[i].kind)
            out = stpcpy(out, kinds[i].letters);
    if (mode & S_ISUID)
        *out++ = 'u';
    if (mode & S_ISGID)
        *out++ = 'g';
    if (mode & S_ISVTX)
        *out++ = 't';
    if (out == buf)
        *out++ = '-';
    for (int bit = 8; bit >= 0; bit--)
        *out++ = mode & (1u << bit) ? "xwr"[bit % 3] : '-';
    *out = '\0';
    return buf;
}

/* The line a person reads for an event; `event->message` where the type has nothing better. */
static json_t *display_message(const struct task_event *event)
{
    char delay[32], signal[24] = "";

    switch (event->type) {
    case TASK_EVENT_STARTED:
        return json_string("Task started by client");
    case TASK_EVENT_RECEIVED:
        return json_string("Task received by client");
    case TASK_EVENT_TERMINATED:
        if (event->signal)
            (void)snprintf(signal, sizeof(signal), ", Signal: %d", event->signal);
        return json_sprintf("Exit Code: %d%s%s%s%s", event->exit_code, signal,
                            event->oom_killed ? ", OOM Killed" : "",
                            *event->message ? ", Exit Message: " : "", event->message);
    case TASK_EVENT_RESTARTING:
        return json_sprintf("%s%sTask restarting in %s", event->message,
                            *event->message ? " - " : "",
                            duration_format(event->delay_ns, delay, sizeof(delay)));
    case TASK_EVENT_SHUTDOWN_DELAY:
        return json_sprintf("Waiting for shutdown_delay of %s before killing the %s.",
                            duration_format(event->delay_ns, delay, sizeof(delay)),
                            *event->message ? "group's tasks" : "task");
    case TASK_EVENT_SIGNALING:
        return json_sprintf("Task being sent signal %s", signal_name(event->signal));
    default:
        return encode_text(*event->message ? event->message : task_event_type_name(event->type));
    }
}

static json_t *event_details(const struct task_event *event)
{
    json_t *details = json_object();

    switch (event->type) {
    case TASK_EVENT_TERMINATED:
        set(details, "exit_code", json_sprintf("%d", event->exit_code));
        set(details, "signal", json_sprintf("%d", event->signal));
        set_text(details, "oom_killed", event->oom_killed ? "true" : "false");
        break;
    case TASK_EVENT_RESTARTING:
        set(details, "start_delay", json_sprintf("%llu", (unsigned long long)event->delay_ns));
        set_text(details, "restart_reason", event->message);
        break;
    case TASK_EVENT_NOT_RESTARTING:
        set_text(details, "restart_reason", event->message);
        break;
    case TASK_EVENT_KILLING:
        set_text(details, "kill_reason", event->message);
        break;
    case TASK_EVENT_SIGNALING:
        set_text(details, "task_signal", signal_name(event->signal));
        break;
    case TASK_EVENT_DRIVER_FAILURE:
        set_text(details, "driver_error", event->message);
        break;
    case TASK_EVENT_SETUP_FAILURE:
        set_text(details, "setup_error", event->message);
        break;
    case TASK_EVENT_SHUTDOWN_DELAY:
        set(details, "start_delay", json_sprintf("%llu", (unsigned long long)event->delay_ns));
        break;
    case TASK_EVENT_DOWNLOAD_FAILED:
        set_text(details, "download_error", event->message);
        break;
    default:
        break;
    }
    return details;
}

json_t *encode_event(const struct task_event *event)
{
    json_t *json = json_object();
    enum task_event_type type = event->type;

    set_text(json, "Type", task_event_type_name(type));
    set_int(json, "Time", event->time_ns);
    set(json, "DisplayMessage", display_message(event));
    set_text(json, "Message", event->message);
    set(json, "Details", event_details(event));
    set(json, "ExitCode", json_integer(event->exit_code));
    set(json, "Signal", json_integer(event->signal));
    set_int(json, "StartDelay", event->delay_ns);
    set(json, "FailsTask", json_boolean(type == TASK_EVENT_SETUP_FAILURE));
    set_text(json, "KillReason", type == TASK_EVENT_KILLING ? event->message : "");
    set_text(json, "RestartReason",
             type == TASK_EVENT_RESTARTING || type == TASK_EVENT_NOT_RESTARTING ? event->message
                                                                                : "");
    set_text(json, "DriverError", type == TASK_EVENT_DRIVER_FAILURE ? event->message : "");
    set_text(json, "DownloadError", type == TASK_EVENT_DOWNLOAD_FAILED ? event->message : "");
    set_text(json, "SetupError", type == TASK_EVENT_SETUP_FAILURE ? event->message : "");
    set_text(json, "TaskSignal", type == TASK_EVENT_SIGNALING ? signal_name(event->signal) : "");
    return json;
}

const char *encode_pause(const struct task *task)
{
    return task->status.paused ? "force_pause" : "";
}

/* Not in Nomad. */
static void set_progress(json_t *json, const struct task *task)
{
    struct artifacts_progress progress;
    json_t *artifacts;

    if (!artifacts_progress(task, &progress))
        return;
    artifacts = json_object();
    set_int(artifacts, "Bytes", progress.bytes);
    set_int(artifacts, "Total", progress.total);
    set_int(artifacts, "Rate", progress.rate);
    set(json, "Artifacts", artifacts);
}

static json_t *encode_task_state(const struct task *task)
{
    const struct task_summary *status = &task->status;
    json_t *json = json_object(), *events = json_array();

    for (size_t i = 0; i < task->n_events; i++)
        (void)json_array_append_new(events, encode_event(&task->events[i]));
    set_text(json, "State", task_state_name(status->state));
    set(json, "Failed", json_boolean(status->state == TASK_STATE_DEAD && status->failed));
    set_int(json, "Restarts", status->restarts);
    set(json, "LastRestart", encode_time(status->last_restart_ns));
    set(json, "StartedAt", encode_time(status->started_ns));
    set(json, "FinishedAt", encode_time(status->finished_ns));
    set(json, "Pid", json_integer(status->state == TASK_STATE_RUNNING ? status->pid : 0));
    set(json, "ExitCode", json_integer(status->exit_code));
    set(json, "Signal", json_integer(status->exit_signal));
    set_text(json, "Paused", encode_pause(task));
    set(json, "OOMKilled", json_boolean(status->oom_killed));
    set_int(json, "LogLostBytes", status->log_lost_bytes);
    set_int(json, "LogLostStderrBytes", status->log_lost_stderr_bytes);
    set(json, "Events", events);
    set_progress(json, task);
    return json;
}

json_t *encode_task_states(const struct alloc *alloc)
{
    json_t *json = json_object();

    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        (void)json_object_set_new(json, alloc->tasks[i].def->name,
                                  encode_task_state(&alloc->tasks[i]));
    return json;
}

void encode_eval_id(const struct manager *m, const struct job_record *record, char ret_id[37])
{
    (void)snprintf(ret_id, 37, "%.24s%012llx", manager_node_id(m),
                   (unsigned long long)record->modify_index & 0xffffffffffff);
}

json_t *encode_alloc_stub(const struct alloc *alloc)
{
    char eval_id[37];
    const struct job *job = alloc->job->job;
    json_t *json = json_object();

    set_text(json, "ID", alloc->id);
    encode_eval_id(alloc->manager, alloc->job, eval_id);
    set_text(json, "EvalID", eval_id);
    set_text(json, "Name", alloc->name);
    set_text(json, "Namespace", job->namespace_);
    set_text(json, "NodeID", manager_node_id(alloc->manager));
    set_text(json, "NodeName", manager_config(alloc->manager)->name);
    set_text(json, "JobID", job->id);
    set_text(json, "JobType", job_type_name(job->type));
    set_int(json, "JobVersion", alloc->job->version);
    set_text(json, "TaskGroup", alloc->group->name);
    set_text(json, "DesiredStatus", desired_status_name(alloc->desired));
    set_text(json, "DesiredDescription", "");
    set_text(json, "ClientStatus", client_status_name(alloc->client));
    set_text(json, "ClientDescription", "");
    set(json, "TaskStates", encode_task_states(alloc));
    set(json, "DeploymentStatus", json_null());
    set(json, "RescheduleTracker", json_null());
    set_int(json, "CreateIndex", alloc->create_index);
    set_int(json, "ModifyIndex", alloc->modify_index);
    set_int(json, "CreateTime", alloc->create_ns);
    set_int(json, "ModifyTime", alloc->modify_ns);
    return json;
}

/* Nomad's older form, of which clients of the newest take their sums: a task's, or a group's. */
static json_t *encode_sum(int64_t cpu, int64_t memory_mb, int64_t memory_max_mb, int64_t disk_mb)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:i, s:n, s:n}", "CPU", (json_int_t)cpu, "MemoryMB",
                     (json_int_t)memory_mb, "MemoryMaxMB", (json_int_t)memory_max_mb, "DiskMB",
                     (json_int_t)disk_mb, "IOPS", 0, "Networks", "Devices");
}

static void set_sums(json_t *json, const struct job_group *group)
{
    int64_t cpu = 0, memory_mb = 0, memory_max_mb = 0;
    json_t *tasks = json_object();

    for (size_t i = 0; i < group->n_tasks; i++) {
        const struct job_resources *res = &group->tasks[i].resources;

        cpu += res->cpu_mhz;
        memory_mb += res->memory_mb;
        memory_max_mb += res->memory_max_mb > 0 ? res->memory_max_mb : res->memory_mb;
        set(tasks, group->tasks[i].name,
            encode_sum(res->cpu_mhz, res->memory_mb, res->memory_max_mb, 0));
    }
    set(json, "Resources", encode_sum(cpu, memory_mb, memory_max_mb, group->disk.size_mb));
    set(json, "TaskResources", tasks);
}

json_t *encode_resources(const struct job_group *group)
{
    json_t *tasks = json_object();

    for (size_t i = 0; i < group->n_tasks; i++) {
        const struct job_resources *res = &group->tasks[i].resources;

        (void)json_object_set_new(tasks, group->tasks[i].name,
                                  json_pack("{s:{s:I},s:{s:I,s:I}}", "Cpu", "CpuShares",
                                            (json_int_t)res->cpu_mhz, "Memory", "MemoryMB",
                                            (json_int_t)res->memory_mb, "MemoryMaxMB",
                                            (json_int_t)res->memory_max_mb));
    }
    return json_pack("{s:o, s:{s:I, s:n, s:n}}", "Tasks", tasks, "Shared", "DiskMB",
                     (json_int_t)group->disk.size_mb, "Networks", "Ports");
}

json_t *encode_alloc(const struct alloc *alloc)
{
    json_t *json = encode_alloc_stub(alloc);

    set_sums(json, alloc->group);
    set(json, "AllocatedResources", encode_resources(alloc->group));
    set(json, "Metrics",
        json_pack("{s:i, s:i, s:i, s:{s:i}}", "NodesEvaluated", 1, "NodesInPool", 1,
                  "NodesFiltered", 0, "NodesAvailable", manager_config(alloc->manager)->datacenter,
                  1));
    set(json, "Job", encode_job(alloc->manager, alloc->job));
    return json;
}

/* What waits for the node to change, and why. */
static json_t *encode_blocked(const json_t *blocked)
{
    json_t *text = json_string(""), *entry;
    const char *name;

    json_object_foreach((json_t *)blocked, name, entry)
    {
        const char *before = json_string_value(text);
        json_t *longer = json_sprintf(
            "%s%sgroup \"%s\" is %s placed: %s", before, *before ? "; " : "", name,
            json_integer_value(json_object_get(entry, "Placed")) ? "only in part" : "not",
            json_string_value(json_object_get(entry, "Why")));

        json_decref(text);
        text = longer;
    }
    return text;
}

json_t *encode_failed_groups(const json_t *blocked, const struct job *job)
{
    json_t *failed, *entry;
    const char *name;

    if (!blocked)
        return json_null();
    failed = json_object();
    json_object_foreach((json_t *)blocked, name, entry)
    {
        const struct job_group *group = job_find_group(job, name);
        json_int_t placed = json_integer_value(json_object_get(entry, "Placed"));

        (void)json_object_set_new(
            failed, name,
            json_pack("{s:i, s:i, s:i, s:{s:i}, s:I}", "NodesEvaluated", 1, "NodesInPool", 1,
                      "NodesFiltered", 1, "ConstraintFiltered",
                      json_string_value(json_object_get(entry, "Why")), 1, "CoalescedFailures",
                      (json_int_t)(group->count - placed - 1)));
    }
    return failed;
}

/* The fields of the record that a job and its stub both show. */
static void set_record(json_t *json, const struct job_record *record, const char *status,
                       const json_t *blocked)
{
    set_text(json, "ParentID", record->job->parent_id);
    set(json, "Stop", json_boolean(record->stop));
    set(json, "Stable", json_false()); /* no deployment tells */
    set_text(json, "Status", status);
    set(json, "StatusDescription", encode_blocked(blocked));
    set_int(json, "Version", record->version);
    set_int(json, "SubmitTime", record->submit_ns);
    set_int(json, "CreateIndex", record->create_index);
    set_int(json, "ModifyIndex", record->modify_index);
    set_int(json, "JobModifyIndex", record->modify_index);
}

json_t *encode_job(const struct manager *m, const struct job_record *record)
{
    json_t *json = job_to_json(record->job);
    autojson json_t *told = feasible_told(m, record->job, record->blocked);

    set_record(json, record, job_record_status(m, record), told);
    return json;
}

static const char *const summary_names[CLIENT_STATUS_N] = {[CLIENT_PENDING] = "Starting",
                                                           [CLIENT_RUNNING] = "Running",
                                                           [CLIENT_COMPLETE] = "Complete",
                                                           [CLIENT_FAILED] = "Failed",
                                                           [CLIENT_LOST] = "Lost"};

/* The group's counts in `groups`, all 0 if they are new. Borrowed. */
static json_t *group_counts(json_t *groups, const char *name)
{
    json_t *counts = json_object_get(groups, name);

    if (counts)
        return counts;
    counts = json_pack("{s:i}", "Queued", 0);
    for (size_t status = 0; status < CLIENT_STATUS_N; status++)
        set_int(counts, summary_names[status], 0);
    return json_object_set_new(groups, name, counts) ? NULL : counts;
}

static bool is_live(const struct alloc *alloc)
{
    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        if (alloc->tasks[i].status.state != TASK_STATE_DEAD)
            return true;
    return false;
}

json_t *encode_summaries(const struct manager *m)
{
    json_t *jobs = json_object();

    for (const struct alloc *a = manager_allocs(m); a; a = a->next) {
        const char *id = a->job->job->id;

        if (!json_object_get(jobs, id))
            (void)json_object_set_new(jobs, id, json_pack("{s:b, s:{}}", "Live", false, "Groups"));
        json_t *job = json_object_get(jobs, id);
        json_t *counts = group_counts(json_object_get(job, "Groups"), a->group->name);
        json_t *count = json_object_get(counts, summary_names[a->client]);
        (void)json_integer_set(count, json_integer_value(count) + 1);
        if (is_live(a))
            set(job, "Live", json_true());
    }
    return jobs;
}

static const char *status_of(const struct job_record *record, const json_t *summaries)
{
    const json_t *of_job = json_object_get(summaries, record->job->id);

    return job_record_status_of(record, of_job, json_is_true(json_object_get(of_job, "Live")));
}

/* The counts of the groups the job has now; queued is what waits to be placed. */
static json_t *encode_summary(const struct job_record *record, const json_t *summaries)
{
    const struct job *job = record->job;
    json_t *all = json_object_get(json_object_get(summaries, job->id), "Groups");
    json_t *groups = json_object();

    for (size_t i = 0; i < job->n_groups; i++) {
        const char *name = job->groups[i].name;
        const json_t *waits = json_object_get(record->blocked, name);
        json_t *counts = json_object_get(all, name);

        if (counts)
            (void)json_object_set(groups, name, counts);
        else
            counts = group_counts(groups, name);
        if (waits)
            set(counts, "Queued",
                json_integer(job->groups[i].count -
                             json_integer_value(json_object_get(waits, "Placed"))));
    }
    return groups;
}

/* How many jobs it was launched as; null for one that is not launched so. */
static json_t *encode_children(const struct manager *m, const struct job *job,
                               const json_t *summaries)
{
    enum {
        PENDING,
        RUNNING,
        DEAD
    };
    int n[] = {0, 0, 0};

    if (!job_is_parent(job))
        return json_null();
    for (const struct job_record *child = manager_jobs(m); child; child = child->next) {
        const char *status;

        if (strcmp(child->job->parent_id, job->id) != 0)
            continue;
        status = status_of(child, summaries);
        n[!strcmp(status, "dead") ? DEAD : !strcmp(status, "running") ? RUNNING : PENDING]++;
    }
    return json_pack("{s:i, s:i, s:i}", "Pending", n[PENDING], "Running", n[RUNNING], "Dead",
                     n[DEAD]);
}

static json_t *encode_counts(const struct manager *m, const struct job_record *record,
                             const json_t *summaries)
{
    const struct job *job = record->job;

    return json_pack("{s:o,s:o,s:o,s:o}", "JobID", encode_text(job->id), "Namespace",
                     encode_text(job->namespace_), "Summary", encode_summary(record, summaries),
                     "Children", encode_children(m, job, summaries));
}

json_t *encode_job_stub(const struct manager *m, const struct job_record *record,
                        const json_t *summaries)
{
    const struct job *job = record->job;
    json_t *json = json_object(), *datacenters = json_array();

    for (char **dc = job->datacenters; *dc; dc++)
        (void)json_array_append_new(datacenters, encode_text(*dc));
    set_text(json, "ID", job->id);
    set_text(json, "Name", job->name);
    set_text(json, "Namespace", job->namespace_);
    set(json, "Datacenters", datacenters);
    set_text(json, "Type", job_type_name(job->type));
    set(json, "Priority", json_integer(job->priority));
    set(json, "Periodic", json_boolean(job_is_periodic(job)));
    set(json, "ParameterizedJob", json_boolean(job_is_parameterized(job)));
    set_record(json, record, status_of(record, summaries), record->blocked);
    set(json, "JobSummary", encode_counts(m, record, summaries));
    return json;
}

json_t *encode_job_summary(const struct manager *m, const struct job_record *record)
{
    autojson json_t *summaries = encode_summaries(m);
    json_t *json = encode_counts(m, record, summaries);

    set_int(json, "CreateIndex", record->create_index);
    set_int(json, "ModifyIndex", record->modify_index);
    return json;
}
