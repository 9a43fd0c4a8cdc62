/* SPDX-License-Identifier: MIT
 *
 * cleat job plan, history, revert, scale, inspect; where restart and eval are listed (order.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/job/job.h"
#include "shared/job/value.h"
#include "tools/cleat/cli.h"
#include "tools/cleat/http.h"
#include "tools/cleat/ids.h"
#include "tools/cleat/job.h"
#include "tools/cleat/job_diff.h"
#include "tools/cleat/jobfile.h"
#include "tools/cleat/order.h"
#include "tools/cleat/output.h"

enum {
    PLAN_CHANGES = 1,
    PLAN_FAILED = 255
};

/* ---- plan ---- */

/* True when allocations would be placed or stopped, or tasks started anew. */
static bool starts_or_stops(const json_t *plan)
{
    static const char *const keys[] = {"Place", "Stop", "Migrate", "DestructiveUpdate", "Canary"};
    const json_t *groups =
        json_object_get(json_object_get(plan, "Annotations"), "DesiredTGUpdates");
    const json_t *counts, *group, *task;
    const char *name;
    size_t g, t;

    json_object_foreach((json_t *)groups, name,
                        counts) for (size_t i = 0; i < ARRAY_LEN(keys);
                                     i++) if (get_int(counts, keys[i])) return true;
    json_array_foreach(json_object_get(json_object_get(plan, "Diff"), "TaskGroups"), g, group)
        json_array_foreach(json_object_get(group, "Tasks"), t, task)
    {
        const json_t *note = json_array_get(json_object_get(task, "Annotations"), 0);

        if (note && strcmp(json_string_value(note), "forces restart") == 0)
            return true;
    }
    return false;
}

static void print_failed(const json_t *failed)
{
    const json_t *metrics, *n;
    const char *group, *why;

    if (!json_object_size(failed)) {
        (void)puts("- All tasks successfully allocated.");
        return;
    }
    (void)puts("- WARNING: Failed to place all allocations.");
    json_object_foreach((json_t *)failed, group, metrics)
    {
        (void)printf("  Task Group \"%s\" (failed to place %lld allocation(s)):\n", group,
                     (long long)get_int(metrics, "CoalescedFailures") + 1);
        json_object_foreach((json_t *)json_object_get(metrics, "ConstraintFiltered"), why, n)(void)
            printf("    * Constraint %s\n", why);
    }
}

static void print_plan(const struct cli *cli, const json_t *plan)
{
    long long index = (long long)get_int(plan, "JobModifyIndex");
    const char *warnings = get_text(plan, "Warnings");

    print_job_diff(json_object_get(plan, "Diff"));
    (void)puts("Scheduler dry-run:");
    print_failed(json_object_get(plan, "FailedTGAllocs"));
    if (*warnings)
        (void)printf("\nJob Warnings:\n%s\n", warnings);
    (void)printf("\nJob Modify Index: %lld\nTo submit the job if nobody has changed it since:\n\n"
                 "cleat job run -check-index %lld %s\n",
                 index, index, cli->args[0]);
}

static int job_plan(struct cli *cli)
{
    struct job *job = NULL;
    autofree char *escaped = NULL;
    json_t *body, *plan = NULL;
    int r = job_file_read(cli, cli->args[0], &job);

    if (r)
        return PLAN_FAILED;
    escaped = http_escape(job->id);
    body = json_pack("{s:o, s:b}", "Job", job_to_json(job), "Diff", 1);
    r = http_send(cli, "PUT", body, &plan, "/v1/job/%s/plan", escaped ? escaped : "");
    json_decref(body);
    job_free(job);
    if (r)
        return PLAN_FAILED;
    if (cli->json)
        print_json(plan);
    else
        print_plan(cli, plan);
    r = starts_or_stops(plan) ? PLAN_CHANGES : CLI_OK;
    json_decref(plan);
    return r;
}

/* ---- versions ---- */

static bool read_number(const char *text, json_int_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoll(text, &end, 10);
    return !errno && *text >= '0' && *text <= '9' && !*end;
}

static int get_versions(const struct cli *cli, const char *id, bool diffs, json_t **ret_versions)
{
    autofree char *escaped = http_escape(id);

    return http_get(cli, ret_versions, "/v1/job/%s/versions%s", escaped ? escaped : "",
                    diffs ? "?diffs=true" : "");
}

/* The job's versions as -version asks: those that are not are taken out. */
static int pick_version(const struct cli *cli, json_t *versions)
{
    json_t *list = json_object_get(versions, "Versions"),
           *diffs = json_object_get(versions, "Diffs");
    json_int_t wanted;

    if (!cli->version)
        return CLI_OK;
    if (!read_number(cli->version, &wanted))
        return cli_usage(cli, "\"%s\" is no version: a number is", cli->version);
    for (size_t i = json_array_size(list); i > 0; i--)
        if (get_int(json_array_get(list, i - 1), "Version") != wanted) {
            (void)json_array_remove(list, i - 1);
            (void)json_array_remove(diffs, i - 1);
        }
    return json_array_size(list)
               ? CLI_OK
               : cli_fail(CLI_NOT_FOUND, "the job has no version %s on record", cli->version);
}

static void print_version(const json_t *job, const json_t *diff, bool last)
{
    char version[24], when[TIME_TEXT];

    (void)snprintf(version, sizeof(version), "%lld", (long long)get_int(job, "Version"));
    print_pairs((const char *const[]){"Version", version, "Stopped",
                                      json_is_true(json_object_get(job, "Stop")) ? "true" : "false",
                                      "Submit Date", format_time(get_int(job, "SubmitTime"), when)},
                3);
    if (diff)
        print_job_diff(diff);
    if (!last)
        (void)putchar('\n');
}

static int job_history(struct cli *cli)
{
    autofree char *id = NULL;
    json_t *versions = NULL, *list, *job;
    size_t i;
    int r = find_job_id(cli, cli->args[0], &id);

    if (!r)
        r = get_versions(cli, id, cli->diffs, &versions);
    if (!r)
        r = pick_version(cli, versions);
    list = json_object_get(versions, "Versions");
    if (!r && cli->json)
        print_json(cli->diffs ? versions : list);
    else if (!r)
        json_array_foreach(list, i, job)
            print_version(job, json_array_get(json_object_get(versions, "Diffs"), i),
                          i + 1 == json_array_size(list));
    json_decref(versions);
    return r;
}

static int job_inspect(struct cli *cli)
{
    autofree char *id = NULL, *escaped = NULL;
    json_t *versions = NULL, *shown;
    int r = find_job_id(cli, cli->args[0], &id);

    if (!r)
        r = get_versions(cli, id, false, &versions);
    if (!r)
        r = pick_version(cli, versions);
    if (!r) {
        shown = json_pack("{s:O}", "Job", json_array_get(json_object_get(versions, "Versions"), 0));
        print_json(shown);
        json_decref(shown);
    }
    json_decref(versions);
    return r;
}

static int change(struct cli *cli, const char *id, const char *what, json_t *body)
{
    json_int_t called_ns = (json_int_t)clock_now_ns(CLOCK_REALTIME);
    autofree char *escaped = http_escape(id);
    json_t *reply = NULL;
    int r = http_send(cli, "PUT", body, &reply, "/v1/job/%s/%s", escaped ? escaped : "", what);

    json_decref(body);
    if (!r)
        r = job_registered(cli, id, reply, called_ns);
    json_decref(reply);
    return r;
}

static int job_revert(struct cli *cli)
{
    autofree char *id = NULL;
    json_int_t version;
    int r;

    if (!read_number(cli->args[1], &version))
        return cli_usage(cli, "\"%s\" is no version: a number is", cli->args[1]);
    r = find_job_id(cli, cli->args[0], &id);
    return r ? r
             : change(cli, id, "revert",
                      json_pack("{s:s, s:I, s:n}", "JobID", id, "JobVersion", version,
                                "EnforcePriorVersion"));
}

/* The name of the job's only group; NULL after saying that there are several. */
static char *only_group(const struct cli *cli, const char *id)
{
    autofree char *escaped = http_escape(id);
    autojson json_t *job = NULL;
    const json_t *groups;

    if (http_get(cli, &job, "/v1/job/%s", escaped ? escaped : ""))
        return NULL;
    groups = json_object_get(job, "TaskGroups");
    if (json_array_size(groups) == 1)
        return strdup(get_text(json_array_get(groups, 0), "Name"));
    (void)cli_fail(0, "job \"%s\" has several groups: name one before the count", id);
    return NULL;
}

static int job_scale(struct cli *cli)
{
    const char *number = cli->args[cli->n_args - 1];
    autofree char *id = NULL, *group = NULL;
    json_int_t count;
    int r;

    if (!read_number(number, &count))
        return cli_usage(cli, "\"%s\" is no count: a number is", number);
    r = find_job_id(cli, cli->args[0], &id);
    if (r)
        return r;
    group = cli->n_args == 3 ? strdup(cli->args[1]) : only_group(cli, id);
    return !group ? CLI_FAILED
                  : change(cli, id, "scale",
                           json_pack("{s:I, s:{s:s}}", "Count", count, "Target", "Group", group));
}

const struct command version_commands[] = {
    {"job plan", "plan", "FILE|-", 1, 1, " var var-file ",
     "Show what running a job file would change",
     "\nNothing is changed. Exits with 0 if no allocation and no task would be started or "
     "stopped,\n"
     "1 if some would, 255 on errors.\n",
     "web.hcl\n-json web.hcl", job_plan},
    {"job history", NULL, "ID", 1, 1, " p version ", "Show a job's versions",
     "\nThe newest one and up to five before it are kept, newest first.\n",
     "web\n-p web\n-version 3 web", job_history},
    {"job revert", NULL, "ID VERSION", 2, 2, " detach ", "Make a job what it was",
     "\nIts newest version is then as that one was. Waits as \"job run\" does.\n",
     "web 3\n-detach web 3", job_revert},
    {"job scale", NULL, "ID [GROUP] COUNT", 2, 3, " detach ",
     "Change how many allocations a group has",
     "\nThe group may be left out where there is only one. Waits as \"job run\" does.\n",
     "web 5\nweb frontend 5", job_scale},
    {"job restart", NULL, "ID", 1, 1, " all-tasks task ", "Restart the tasks of a job that run",
     "\nThose of each allocation, as \"alloc restart\" does.\n", "web\n-task nginx web",
     job_restart},
    {"job eval", NULL, "ID", 1, 1, " force-reschedule ", "Have a job looked at again",
     "\nWith -force-reschedule, allocations that failed are replaced by new ones.\n",
     "-force-reschedule web", job_eval},
    {"job inspect", NULL, "ID", 1, 1, " version ", "Show a job as the API has it",
     "\nThe JSON is one that \"job run\" reads.\n", "web\n-version 3 web", job_inspect},
    {0},
};
