/* SPDX-License-Identifier: MIT
 *
 * cleat alloc status, pause, fs; exec is in exec.c, logs in logs.c, restart and signal in order.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "tools/cleat/cli.h"
#include "tools/cleat/exec.h"
#include "tools/cleat/http.h"
#include "tools/cleat/ids.h"
#include "tools/cleat/logs.h"
#include "tools/cleat/order.h"
#include "tools/cleat/output.h"
#include "tools/cleat/progress.h"

enum {
    DISK_TEXT = 96,
    PAUSE_ROUNDS = 10 /* changes to the allocation, or seconds, until a pause has come about */
};

static int status_list(const struct cli *cli)
{
    json_t *allocs = NULL;
    int r = http_get(cli, &allocs, "/v1/allocations");

    if (r)
        return r;
    if (cli->json)
        print_json(allocs);
    else if (json_array_size(allocs))
        print_alloc_table(allocs);
    else
        (void)puts("No allocations");
    json_decref(allocs);
    return CLI_OK;
}

/* "12.0 MiB of 300 MiB", or the size alone where nobody has counted. */
static const char *disk_text(const json_t *stats, char buf[DISK_TEXT])
{
    const json_t *disk = json_object_get(stats, "EphemeralDisk");
    char used[SIZE_TEXT] = "";

    if (json_object_get(disk, "UsedBytes"))
        (void)format_size((uint64_t)get_int(disk, "UsedBytes"), used);
    (void)snprintf(buf, DISK_TEXT, "%s%s%s%lld MiB%s",
                   json_is_true(json_object_get(disk, "Partial")) ? "at least " : "", used,
                   *used ? " of " : "", (long long)get_int(disk, "SizeMB"),
                   json_is_true(json_object_get(disk, "Enforced")) ? "" : " (not enforced)");
    return buf;
}

static void print_alloc(const json_t *alloc, const json_t *stats)
{
    char disk[DISK_TEXT], created[TIME_TEXT], modified[TIME_TEXT], version[24];

    (void)snprintf(version, sizeof(version), "%lld", (long long)get_int(alloc, "JobVersion"));
    print_pairs(
        (const char *const[]){"ID",       get_text(alloc, "ID"),
                              "Name",     get_text(alloc, "Name"),
                              "Job",      get_text(alloc, "JobID"),
                              "Version",  version,
                              "Group",    get_text(alloc, "TaskGroup"),
                              "Desired",  get_text(alloc, "DesiredStatus"),
                              "Status",   get_text(alloc, "ClientStatus"),
                              "Created",  format_time(get_int(alloc, "CreateTime"), created),
                              "Modified", format_time(get_int(alloc, "ModifyTime"), modified),
                              "Disk",     disk_text(stats, disk)},
        10);
}

static void print_events(const json_t *events)
{
    char when[TIME_TEXT];
    const json_t *event;
    struct table t;
    size_t i;

    table_init(&t, 3, (const char *const[]){"Time", "Type", "Description"});
    json_array_foreach(events, i, event)
        TABLE_ROW(&t, format_time(get_int(event, "Time"), when), get_text(event, "Type"),
                  get_text(event, "DisplayMessage"));
    table_print(&t);
}

static void print_task(const char *name, const char *role, const json_t *task)
{
    char started[TIME_TEXT], finished[TIME_TEXT], pid[24], restarts[24], lost[24];
    char progress[PROGRESS_TEXT];
    json_int_t lost_bytes = get_int(task, "LogLostBytes");

    (void)snprintf(pid, sizeof(pid), "%lld", (long long)get_int(task, "Pid"));
    (void)snprintf(restarts, sizeof(restarts), "%lld", (long long)get_int(task, "Restarts"));
    (void)snprintf(lost, sizeof(lost), "%lld bytes", (long long)lost_bytes);
    (void)printf("\nTask \"%s\"%s is %s%s%s\n", name, role, get_text(task, "State"),
                 *get_text(task, "Paused") ? " (paused)" : "",
                 json_is_true(json_object_get(task, "Failed")) ? " (failed)" : "");
    print_pairs(
        (const char *const[]){"Pid", get_int(task, "Pid") ? pid : "-", "Restarts", restarts,
                              "Started", format_time_text(get_text(task, "StartedAt"), started),
                              "Finished", format_time_text(get_text(task, "FinishedAt"), finished),
                              "Log lost", lost},
        lost_bytes ? 5 : 4);
    if (progress_text(task, progress))
        (void)printf("Artifacts: %s\n", progress);
    (void)puts("Recent events");
    print_events(json_object_get(task, "Events"));
}

static const json_t *definitions_of(const json_t *alloc)
{
    const json_t *groups = json_object_get(json_object_get(alloc, "Job"), "TaskGroups"), *group;
    size_t i;

    json_array_foreach(groups, i, group)
    {
        if (strcmp(get_text(group, "Name"), get_text(alloc, "TaskGroup")) == 0)
            return json_object_get(group, "Tasks");
    }
    return NULL;
}

/* In the order in which they start. */
static void print_tasks(const json_t *alloc)
{
    static const char *const hooks[] = {"prestart", "", "poststart", "poststop"};
    const json_t *task;
    size_t i;

    for (size_t h = 0; h < ARRAY_LEN(hooks); h++)
        json_array_foreach(definitions_of(alloc), i, task)
        {
            const json_t *lifecycle = json_object_get(task, "Lifecycle");
            const char *name = get_text(task, "Name"), *hook = get_text(lifecycle, "Hook");
            bool sidecar = json_is_true(json_object_get(lifecycle, "Sidecar"));
            char role[48] = "";

            if (strcmp(hook, hooks[h]) != 0)
                continue;
            if (*hook)
                (void)snprintf(role, sizeof(role), " (%s%s)", hook, sidecar ? " sidecar" : "");
            print_task(name, role, json_object_get(json_object_get(alloc, "TaskStates"), name));
        }
}

/* `text`, unless `stats` names nothing that is measured. */
static const char *if_measured(const json_t *stats, const char *text)
{
    const json_t *measured = json_object_get(stats, "Measured");

    return json_is_array(measured) && !json_array_size(measured) ? "unknown" : text;
}

static void print_usage(const char *name, const json_t *task)
{
    const json_t *usage = json_object_get(task, "ResourceUsage");
    const json_t *memory = json_object_get(usage, "MemoryStats");
    const json_t *cpu = json_object_get(usage, "CpuStats");
    const json_t *io = json_object_get(usage, "IoStats");
    char percent[48], throttled[64], rss[SIZE_TEXT], cache[SIZE_TEXT], now[SIZE_TEXT];
    char most[SIZE_TEXT], in[SIZE_TEXT], out[SIZE_TEXT], pids[24] = "unknown";
    long long n_pids = get_int(json_object_get(usage, "PidsStats"), "Current");

    (void)snprintf(percent, sizeof(percent), "%.1f %% (%.0f MHz)",
                   json_number_value(json_object_get(cpu, "Percent")),
                   json_number_value(json_object_get(cpu, "TotalTicks")));
    (void)snprintf(throttled, sizeof(throttled), "%lld periods, %.3f s",
                   (long long)get_int(cpu, "ThrottledPeriods"),
                   (double)get_int(cpu, "ThrottledTime") / 1e9);
    if (n_pids)
        (void)snprintf(pids, sizeof(pids), "%lld", n_pids);
    (void)printf("\nTask \"%s\" uses\n", name);
    (void)format_size((uint64_t)get_int(memory, "Usage"), now);
    (void)format_size((uint64_t)get_int(memory, "MaxUsage"), most);
    (void)format_size((uint64_t)get_int(memory, "RSS"), rss);
    (void)format_size((uint64_t)get_int(memory, "Cache"), cache);
    (void)format_size((uint64_t)get_int(io, "ReadBytes"), in);
    (void)format_size((uint64_t)get_int(io, "WriteBytes"), out);
    print_pairs((const char *const[]){"CPU", if_measured(cpu, percent), "Throttled",
                                      if_measured(cpu, throttled), "Memory",
                                      if_measured(memory, now), "Memory, most",
                                      if_measured(memory, most), "RSS", if_measured(memory, rss),
                                      "Cache", if_measured(memory, cache), "Processes", pids,
                                      "Read", if_measured(io, in), "Written", if_measured(io, out)},
                9);
}

static int alloc_usage(const struct cli *cli, const char *id)
{
    json_t *stats = NULL, *task;
    char disk[DISK_TEXT];
    const char *name;
    int r = http_get(cli, &stats, "/v1/client/allocation/%s/stats?disk=true", id);

    if (!r && cli->json)
        print_json(stats);
    else if (!r) {
        (void)printf("Disk: %s\n", disk_text(stats, disk));
        if (!json_object_size(json_object_get(stats, "Tasks")))
            (void)puts("No task is running");
        json_object_foreach(json_object_get(stats, "Tasks"), name, task) print_usage(name, task);
    }
    json_decref(stats);
    return r;
}

static int alloc_status(struct cli *cli)
{
    autofree char *id = NULL;
    json_t *alloc = NULL, *stats = NULL;
    int r;

    if (!cli->n_args)
        return status_list(cli);
    r = find_alloc_id(cli, cli->args[0], &id);
    if (!r && cli->stats)
        return alloc_usage(cli, id);
    if (!r)
        r = http_get(cli, &alloc, "/v1/allocation/%s", id);
    if (!r && cli->json)
        print_json(alloc);
    else if (!r)
        r = http_get(cli, &stats, "/v1/client/allocation/%s/stats", id);
    if (!r && !cli->json) {
        print_alloc(alloc, stats);
        print_tasks(alloc);
    }
    json_decref(stats);
    json_decref(alloc);
    return r;
}

/* Whether the executor has said since that it cannot. */
static bool pause_failed(const json_t *task, json_int_t since_ns)
{
    const json_t *event;
    bool failed = false;
    size_t i;

    json_array_foreach(json_object_get(task, "Events"), i, event)
    {
        if (strcmp(get_text(event, "Type"), "Pause Failed") != 0 ||
            get_int(event, "Time") < since_ns)
            continue;
        (void)cli_fail(CLI_FAILED, "%s", get_text(event, "DisplayMessage"));
        failed = true;
    }
    return failed;
}

/* Waits until the executor has done it. */
static int follow_pause(const struct cli *cli, const char *id, const char *name, bool paused,
                        json_int_t since_ns)
{
    unsigned long long index = 0;

    for (int rounds = 0; rounds < PAUSE_ROUNDS; rounds++) {
        json_t *alloc = NULL;
        const json_t *task;
        bool done, failed;
        int r =
            http_get_index(cli, &alloc, &index, "/v1/allocation/%s?index=%llu&wait=1s", id, index);

        if (r)
            return r;
        task = json_object_get(json_object_get(alloc, "TaskStates"), name);
        done = (*get_text(task, "Paused") != '\0') == paused;
        failed = !done && pause_failed(task, since_ns);
        json_decref(alloc);
        if (done || failed)
            return failed ? CLI_FAILED : CLI_OK;
    }
    return cli_fail(CLI_FAILED, "its executor does not answer; one that is older than this command "
                                "does not know it: cleat system upgrade-executors");
}

static int show_pause(const struct cli *cli, const char *id, const char *name)
{
    autofree char *escaped = http_escape(name);
    json_t *state = NULL;
    int r =
        http_get(cli, &state, "/v1/client/allocation/%s/pause?task=%s", id, escaped ? escaped : "");

    if (!r && cli->json)
        print_json(state);
    else if (!r)
        (void)printf("Task \"%s\" of %.8s %s\n", name, id,
                     *get_text(state, "ScheduleState") ? "is paused" : "is not paused");
    json_decref(state);
    return r;
}

static int alloc_pause(struct cli *cli)
{
    const char *state = cli->state ? cli->state : "pause";
    autofree char *id = NULL, *name = NULL;
    json_int_t since_ns = (json_int_t)clock_now_ns(CLOCK_REALTIME);
    json_t *body;
    int r;

    if (strcmp(state, "pause") != 0 && strcmp(state, "run") != 0)
        return cli_usage(cli, "-state is pause or run, not \"%s\"", state);
    r = find_alloc_id(cli, cli->args[0], &id);
    if (!r)
        r = find_task_name(cli, id, cli->task, &name);
    if (r || cli->status)
        return r ? r : show_pause(cli, id, name);
    body = json_pack("{s:s, s:s}", "Task", name, "ScheduleState", state);
    r = http_send(cli, "PUT", body, NULL, "/v1/client/allocation/%s/pause", id);
    json_decref(body);
    if (!r)
        r = follow_pause(cli, id, name, strcmp(state, "pause") == 0, since_ns);
    return r ? r : show_pause(cli, id, name);
}

static void add_file(struct table *t, const json_t *file)
{
    bool dir = json_is_true(json_object_get(file, "IsDir"));
    const char *name = get_text(file, "Name");
    char size[SIZE_TEXT], when[TIME_TEXT];
    autofree char *shown = NULL;

    if (asprintf(&shown, "%s%s", name, dir && strcmp(name, "/") != 0 ? "/" : "") < 0)
        abort();
    TABLE_ROW(t, get_text(file, "FileMode"), format_size((uint64_t)get_int(file, "Size"), size),
              format_time_text(get_text(file, "ModTime"), when), shown);
}

static void print_files(const json_t *files)
{
    const json_t *file;
    struct table t;
    size_t i;

    table_init(&t, 4, (const char *const[]){"Mode", "Size", "Modified Time", "Name"});
    if (json_is_array(files)) {
        json_array_foreach(files, i, file) add_file(&t, file);
    } else
        add_file(&t, files);
    table_print(&t);
}

static int alloc_fs(struct cli *cli)
{
    autofree char *id = NULL;
    autofree char *path = http_escape(cli->n_args > 1 ? cli->args[1] : "/");
    json_t *info = NULL, *list = NULL;
    int r = path ? find_alloc_id(cli, cli->args[0], &id) : cli_fail(CLI_FAILED, "out of memory");

    if (!r)
        r = http_get(cli, &info, "/v1/client/fs/stat/%s?path=%s", id, path);
    bool dir = json_is_true(json_object_get(info, "IsDir")) && !cli->stat;
    if (!r && dir)
        r = http_get(cli, &list, "/v1/client/fs/ls/%s?path=%s", id, path);
    if (!r && !dir && !cli->stat && !cli->json)
        r = http_copy(cli, "/v1/client/fs/cat/%s?path=%s", id, path);
    else if (!r && cli->json)
        print_json(dir ? list : info);
    else if (!r)
        print_files(dir ? list : info);
    json_decref(info);
    json_decref(list);
    return r;
}

const struct command alloc_commands[] = {
    {"alloc status", NULL, "[ID]", 0, 1, " stats ",
     "Show all allocations, or one with its tasks and events",
     "\nID may be shortened as long as it is unique. With -stats, shows what its tasks use; CPU is "
     "over the\ntime since the last such question.\n",
     "\n3f2a\n-stats 3f2a\n-json 3f2a", alloc_status},
    {"alloc logs", "logs", "ID [TASK]", 1, 2, " stdout stderr f tail n c since task ",
     "Show what a task wrote",
     "\nWrites the task's bytes and nothing else, over all log segments that are kept: standard "
     "output,\nor with -stderr standard error. With both, and with -f alone, shows both streams, "
     "the task's\nstandard error on standard error; where their order is not known, in the order "
     "in which\nsegments were last written (see the manual). -f goes on over a restart of the "
     "manager, and ends\nwhen the task is dead and all is shown. TASK may be left out where there "
     "is only one. With -json,\nprints frames {\"Offset\", \"Data\" (base64), \"File\"} "
     "instead.\n",
     "3f2a\n-stderr 3f2a web\n-f -n 20 3f2a\n-since 10m 3f2a", alloc_logs},
    {"alloc exec", "exec", "ID COMMAND [ARG ...]", 2, ARGS_ANY, " task i t ",
     "Run a command inside a running task",
     "\nThe command runs where the task runs: its root, namespaces and cgroup, as its user. All "
     "options\n"
     "stand before ID; what follows COMMAND is COMMAND's. The exit code is the command's, 128+N "
     "when\n"
     "signal N ended it, 127 when it was not found. With -json, prints the manager's messages "
     "instead.\n",
     "3f2a /bin/sh\n-task web 3f2a cat /local/app.conf\n-i=false 3f2a sh -c 'ps; df'", alloc_exec},
    {"alloc pause", NULL, "ID [TASK]", 1, 2, " state status task ",
     "Pause a running task, or let it go on",
     "\nEvery process of the task is frozen where it is: it keeps its memory, files and "
     "connections, "
     "and\nuses no processor time. Stopping a paused task lets it go on first. TASK may be left "
     "out "
     "where\nthere is only one.\n",
     "3f2a\n-state=run 3f2a web\n-status 3f2a", alloc_pause},
    {"alloc restart", NULL, "ID [TASK]", 1, 2, " all-tasks task ",
     "Restart the running tasks of an allocation, or one",
     "\nA task gets its kill_signal, SIGKILL after its kill_timeout, and is started again at once. "
     "That does\nnot count against its restart policy.\n",
     "3f2a\n3f2a web\n-all-tasks 3f2a", alloc_restart},
    {"alloc stop", NULL, "ID", 1, 1, " detach ", "Stop an allocation for another in its place",
     "\nIts tasks get their kill_signal, and SIGKILL after their kill_timeout; another allocation "
     "of "
     "the\njob is started. Waits until the one that stops is dead. To stop all for good: cleat job "
     "stop.\n",
     "3f2a\n-detach 3f2a", alloc_stop},
    {"alloc signal", NULL, "ID [TASK]", 1, 2, " s task ",
     "Send a signal to the running tasks of an allocation, or to one",
     "\nThe task's main process gets it. What ends by it is restarted by the task's restart "
     "policy.\n",
     "-s HUP 3f2a\n-s SIGUSR1 3f2a web", alloc_signal},
    {"alloc fs", NULL, "ID [PATH]", 1, 2, " stat ",
     "List an allocation's directory, or show a file",
     "\nPATH begins at the allocation's directory: alloc/ is shared by the tasks, each task has "
     "its\n"
     "own. The content of secrets/ is never shown. With -json, a file is described, not shown.\n",
     "3f2a\n3f2a alloc/logs\n3f2a web/executor.out\n-stat 3f2a web/local", alloc_fs},
    {0},
};
