/* SPDX-License-Identifier: MIT
 *
 * Restart and signal return when the executors have their orders; the allocations' events tell the
 * rest.
 */
#include "tools/cleat/order.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/job/value.h"
#include "shared/units.h"
#include "tools/cleat/http.h"
#include "tools/cleat/ids.h"
#include "tools/cleat/output.h"

/* The allocation's id, and the task's name or NULL. */
static int find_whom(const struct cli *cli, char **ret_id, char **ret_task)
{
    int r = find_alloc_id(cli, cli->args[0], ret_id);

    return r || !cli->task ? r : find_task_name(cli, *ret_id, cli->task, ret_task);
}

/* Takes over `body`. */
static int send_order(const struct cli *cli, const char *id, const char *verb, json_t *body)
{
    json_t *reply = NULL;
    int r = http_send(cli, "PUT", body, &reply, "/v1/client/allocation/%s/%s", id, verb);

    json_decref(body);
    if (!r && cli->json)
        print_json(reply);
    json_decref(reply);
    return r;
}

static void say_done(const struct cli *cli, const char *what, const char *id, const char *task,
                     const char *all)
{
    if (cli->json)
        return;
    if (task)
        (void)printf("%s task \"%s\" of %.8s\n", what, task, id);
    else
        (void)printf("%s %s of %.8s\n", what, all, id);
}

int alloc_restart(struct cli *cli)
{
    autofree char *id = NULL, *task = NULL;
    int r;

    if (cli->all_tasks && cli->task)
        return cli_usage(cli, "-all-tasks leaves no choice of a task");
    r = find_whom(cli, &id, &task);
    if (!r)
        r = send_order(cli, id, "restart",
                       json_pack("{s:s*, s:b}", "TaskName", task, "AllTasks", cli->all_tasks));
    if (!r)
        say_done(cli, "Restarting", id, task, cli->all_tasks ? "all tasks" : "the tasks that run");
    return r;
}

int alloc_signal(struct cli *cli)
{
    const char *name = cli->signal ? cli->signal : "SIGKILL"; /* Nomad's default */
    autofree char *id = NULL, *task = NULL, *what = NULL;
    int signo = signal_parse(name), r;

    if (signo <= 0)
        return cli_usage(cli, "-s is a signal such as SIGHUP, not \"%s\"", name);
    r = find_whom(cli, &id, &task);
    if (!r)
        r = send_order(cli, id, "signal", json_pack("{s:s*, s:s}", "Task", task, "Signal", name));
    if (asprintf(&what, "%s was sent to", signal_name(signo)) < 0)
        abort();
    if (!r)
        say_done(cli, what, id, task, "the tasks that run");
    return r;
}

/* Until its tasks are dead. */
static int follow_end(const struct cli *cli, const char *id)
{
    unsigned long long index = 0;
    bool alive = true;
    int r = CLI_OK;

    while (!r && alive) {
        autojson json_t *alloc = NULL;
        const char *status;

        r = http_get_index(cli, &alloc, &index, "/v1/allocation/%s?index=%llu", id, index);
        status = get_text(alloc, "ClientStatus");
        alive = !strcmp(status, "pending") || !strcmp(status, "running");
    }
    return r;
}

/* What runs under the name that the allocation `id` has. */
static int say_stopped(const struct cli *cli, const char *id)
{
    autojson json_t *all = NULL, *one = NULL;
    const json_t *alloc;
    size_t i;
    int r = http_get(cli, &one, "/v1/allocation/%s", id);

    if (!r)
        r = http_get(cli, &all, "/v1/allocations");
    if (r)
        return r;
    (void)printf("Allocation %.8s is %s\n", id, cli->detach ? "told to stop" : "stopped");
    json_array_foreach(all, i,
                       alloc) if (strcmp(get_text(alloc, "ID"), id) != 0 &&
                                  !strcmp(get_text(alloc, "DesiredStatus"), "run") &&
                                  !strcmp(get_text(alloc, "Name"), get_text(one, "Name")) &&
                                  !strcmp(get_text(alloc, "JobID"), get_text(one, "JobID")))(void)
        printf("Allocation %.8s takes its place\n", get_text(alloc, "ID"));
    return CLI_OK;
}

int alloc_stop(struct cli *cli)
{
    autofree char *id = NULL;
    autojson json_t *reply = NULL;
    int r = find_alloc_id(cli, cli->args[0], &id);

    if (!r)
        r = http_send(cli, "PUT", NULL, &reply, "/v1/allocation/%s/stop", id);
    if (!r && !cli->detach)
        r = follow_end(cli, id);
    if (!r && cli->json)
        print_json(reply);
    else if (!r)
        r = say_stopped(cli, id);
    return r;
}

static bool has_task(const json_t *alloc, const char *task)
{
    return !task || json_object_get(json_object_get(alloc, "TaskStates"), task);
}

/* One allocation after the other, in their order. */
int job_restart(struct cli *cli)
{
    autofree char *id = NULL, *escaped = NULL;
    autojson json_t *allocs = NULL;
    const json_t *alloc;
    size_t i, n = 0;
    int r;

    if (cli->all_tasks && cli->task)
        return cli_usage(cli, "-all-tasks leaves no choice of a task");
    r = find_job_id(cli, cli->args[0], &id);
    if (r)
        return r;
    escaped = http_escape(id);
    r = http_get(cli, &allocs, "/v1/job/%s/allocations", escaped ? escaped : "");
    json_array_foreach(allocs, i, alloc)
    {
        const char *alloc_id = get_text(alloc, "ID");

        if (r || strcmp(get_text(alloc, "ClientStatus"), "running") != 0 ||
            strcmp(get_text(alloc, "DesiredStatus"), "run") != 0 || !has_task(alloc, cli->task))
            continue;
        r = send_order(cli, alloc_id, "restart",
                       json_pack("{s:s*, s:b}", "TaskName", cli->task, "AllTasks", cli->all_tasks));
        if (!r)
            say_done(cli, "Restarting", alloc_id, cli->task,
                     cli->all_tasks ? "all tasks" : "the tasks that run");
        n++;
    }
    return r || n ? r
                  : cli_fail(CLI_FAILED, "nothing of job \"%s\" runs%s%s", id,
                             cli->task ? " with a task " : "", cli->task ? cli->task : "");
}

int job_eval(struct cli *cli)
{
    autofree char *id = NULL, *escaped = NULL;
    autojson json_t *body = NULL, *reply = NULL;
    int r = find_job_id(cli, cli->args[0], &id);

    if (r)
        return r;
    escaped = http_escape(id);
    body = json_pack("{s:s, s:{s:b}}", "JobID", id, "EvalOptions", "ForceReschedule", cli->force);
    r = http_send(cli, "PUT", body, &reply, "/v1/job/%s/evaluate", escaped ? escaped : "");
    if (!r && cli->json)
        print_json(reply);
    else if (!r)
        (void)printf("Job \"%s\" was evaluated%s\n", id,
                     cli->force ? "; what had failed of it is started anew" : "");
    return r;
}
