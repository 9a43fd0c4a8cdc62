/* SPDX-License-Identifier: MIT
 *
 * Both return when the executors have their orders; the allocation's events tell the rest.
 */
#include "tools/cleat/order.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/cleanup.h"
#include "shared/units.h"
#include "tools/cleat/http.h"
#include "tools/cleat/ids.h"
#include "tools/cleat/output.h"

/* The allocation's id, and the task's name or NULL. */
static int find_whom(const struct cli *cli, char **ret_id, char **ret_task)
{
    const char *wanted = cli->n_args > 1 ? cli->args[1] : cli->task;
    int r = find_alloc_id(cli, cli->args[0], ret_id);

    return r || !wanted ? r : find_task_name(cli, *ret_id, wanted, ret_task);
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

    if (cli->all_tasks && (cli->n_args > 1 || cli->task))
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
