/* SPDX-License-Identifier: MIT
 *
 * cleat operator metrics, system gc, system stop-all, system upgrade-executors, version.
 */
#include <stdio.h>
#include <string.h>

#include "tools/cleat/cli.h"
#include "tools/cleat/http.h"
#include "tools/cleat/output.h"

/* Nomad prints the reply as it comes; -json differs in its line breaks. */
static int operator_metrics(struct cli *cli)
{
    json_t *reply = NULL;
    int r;

    if (cli->format && strcmp(cli->format, "prometheus") != 0)
        return cli_usage(cli, "-format must be prometheus, not \"%s\"", cli->format);
    if (cli->format && cli->json)
        return cli_usage(cli, "-json and -format exclude each other");
    if (!cli->json)
        return http_copy(cli, "/v1/metrics%s", cli->format ? "?format=prometheus" : "");
    r = http_get(cli, &reply, "/v1/metrics");
    if (!r)
        print_json(reply);
    json_decref(reply);
    return r;
}

static int system_gc(struct cli *cli)
{
    json_t *reply = NULL;
    int r = http_send(cli, "PUT", NULL, &reply, "/v1/system/gc");

    if (!r && cli->json)
        print_json(reply);
    else if (!r)
        (void)printf("Finished allocations: %lld removed, %lld left\n",
                     (long long)get_int(reply, "Removed"), (long long)get_int(reply, "Left"));
    json_decref(reply);
    return r;
}

static int system_stop_all(struct cli *cli)
{
    json_t *reply = NULL;
    int r = http_send(cli, "PUT", NULL, &reply, "/v1/system/stop-all");

    if (!r && cli->json)
        print_json(reply);
    else if (!r)
        (void)puts("All jobs are stopped");
    json_decref(reply);
    return r;
}

static int system_upgrade_executors(struct cli *cli)
{
    static const char *const heading[] = {"Allocation", "Task", "Before", "After", "Error"};
    json_t *reply = NULL, *one;
    struct table table;
    size_t i, failed = 0;
    int r = http_send(cli, "PUT", NULL, &reply, "/v1/system/upgrade-executors");

    if (r)
        return r;
    table_init(&table, 5, heading);
    json_array_foreach(reply, i, one)
    {
        const char *before = get_text(one, "Before"), *after = get_text(one, "After");
        const char *error = get_text(one, "Error");

        failed += *error != '\0';
        TABLE_ROW(&table, get_text(one, "AllocID"), get_text(one, "Task"), before,
                  !*error && !strcmp(before, after) ? "the same" : after, error);
    }
    if (cli->json)
        print_json(reply);
    else
        table_print(&table);
    json_decref(reply);
    return failed ? CLI_FAILED : CLI_OK;
}

static int version(struct cli *cli)
{
    (void)printf(cli->json ? "{\"Version\": \"%s\"}\n" : "cleat %s\n", CLEAT_VERSION);
    return CLI_OK;
}

const struct command system_commands[] = {
    {"operator metrics", NULL, "", 0, 0, " format ",
     "Show figures of the manager, its allocations and their tasks",
     "\nWhat tasks use, how often they were restarted, what their logs lost; as JSON, or as\n"
     "Prometheus reads it from the API: /v1/metrics?format=prometheus.\n",
     "-json\n-format prometheus", operator_metrics},
    {"system gc", NULL, "", 0, 0, "", "Remove finished allocations and jobs",
     "\nWith their directories: logs and data are gone then. Waits for that, and says how many it\n"
     "were, and how many are left: those that were only just ending, and directories in which\n"
     "something is mounted. By itself the manager keeps the newest: gc_max_allocs in "
     "cleat.hcl(5).\n",
     "", system_gc},
    {"system stop-all", NULL, "", 0, 0, "", "Stop every job, and wait until all tasks are dead",
     "\nThe manager goes on. (Stopping the manager alone leaves tasks running.)\n", "",
     system_stop_all},
    {"system upgrade-executors", NULL, "", 0, 0, "",
     "Have every executor become the installed cleat-executor, under its running task",
     "\nOne after another; shows the releases before and after. A binary that fails its self-check "
     "is\n"
     "not switched to, and the executor goes on as it was. Exit code 1 if any could not be "
     "upgraded.\n",
     "\n-json", system_upgrade_executors},
    {"version", NULL, "", 0, 0, " local ", "Show the version of this program", "", "\n-json",
     version},
    {0},
};
