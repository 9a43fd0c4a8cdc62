/* SPDX-License-Identifier: MIT
 *
 * cleat job dispatch, cleat job periodic force, and what `job status` shows of jobs that are
 * launched as others.
 */
#include "tools/cleat/dispatch.h"

#include <errno.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/cleanup.h"
#include "shared/job/job.h"
#include "tools/cleat/follow.h"
#include "tools/cleat/http.h"
#include "tools/cleat/ids.h"
#include "tools/cleat/output.h"

/* Its allocations, once they run or have failed. */
static int follow_child(const struct cli *cli, const char *id, const char *verb)
{
    autofree char *escaped = http_escape(id);
    json_t *allocs = NULL, *shown;
    int r = CLI_OK, got;

    if (!cli->json) {
        (void)printf("Job \"%s\" %s\n", id, verb);
        (void)fflush(stdout);
    }
    if (!cli->detach)
        r = follow_start(cli, id, 0, 0);
    if (!cli->json)
        return r;
    got = http_get(cli, &allocs, "/v1/job/%s/allocations", escaped ? escaped : "");
    if (got)
        return got;
    shown = json_pack("{s:s, s:o}", "JobID", id, "Allocations", allocs);
    print_json(shown);
    json_decref(shown);
    return r;
}

/* ---- dispatch ---- */

/* The file, or "-", in base64. */
static int read_payload(const char *path, char **ret_base64)
{
    autoclose FILE *file = strcmp(path, "-") == 0 ? NULL : fopen(path, "re");
    unsigned char data[LAUNCH_PAYLOAD_MAX + 1];
    size_t size, room = sizeof(data) / 3 * 4 + 8;

    if (!file && strcmp(path, "-") != 0)
        return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    size = fread(data, 1, sizeof(data), file ? file : stdin);
    if (ferror(file ? file : stdin))
        return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    if (size > LAUNCH_PAYLOAD_MAX)
        return cli_fail(CLI_FAILED, "%s: a payload has %d bytes at most; have the task fetch more",
                        path, LAUNCH_PAYLOAD_MAX);
    *ret_base64 = malloc(room);
    if (!*ret_base64 || b64_ntop(data, size, *ret_base64, room) < 0)
        return cli_fail(CLI_FAILED, "out of memory");
    return CLI_OK;
}

static int read_meta(const struct cli *cli, json_t *meta)
{
    for (int i = 0; i < cli->n_meta; i++) {
        const char *equals = strchr(cli->meta[i], '=');
        autofree char *key = equals ? strndup(cli->meta[i], (size_t)(equals - cli->meta[i])) : NULL;

        if (!key || !*key)
            return cli_usage(cli, "-meta %s: write KEY=VALUE", cli->meta[i]);
        if (json_object_set_new(meta, key, json_string(equals + 1)))
            return cli_usage(cli, "-meta %s: the value is not UTF-8", key);
    }
    return CLI_OK;
}

static int dispatch_body(const struct cli *cli, json_t **ret_body)
{
    autofree char *payload = NULL;
    json_t *meta = json_object();
    char *end = NULL;
    long priority = cli->priority ? strtol(cli->priority, &end, 10) : 0;
    int r = read_meta(cli, meta);

    if (!r && end && (*end || priority < 1))
        r = cli_usage(cli, "-priority %s: a priority is 1 to 100", cli->priority);
    if (!r && cli->n_args > 1)
        r = read_payload(cli->args[1], &payload);
    if (r)
        json_decref(meta);
    else
        *ret_body =
            json_pack("{s:o, s:s, s:s, s:s, s:I}", "Meta", meta, "Payload", payload ? payload : "",
                      "IdempotencyToken", cli->token ? cli->token : "", "IdPrefixTemplate",
                      cli->id_prefix ? cli->id_prefix : "", "Priority", (json_int_t)priority);
    return r;
}

static int job_dispatch(struct cli *cli)
{
    autofree char *id = NULL, *escaped = NULL;
    json_t *body = NULL, *reply = NULL;
    int r = dispatch_body(cli, &body);

    if (!r)
        r = find_job_id(cli, cli->args[0], &id);
    if (!r) {
        escaped = http_escape(id);
        r = http_send(cli, "PUT", body, &reply, "/v1/job/%s/dispatch", escaped ? escaped : "");
    }
    if (!r)
        r = follow_child(cli, get_text(reply, "DispatchedJobID"), "dispatched");
    json_decref(body);
    json_decref(reply);
    return r;
}

/* ---- periodic force ---- */

static int job_periodic(struct cli *cli)
{
    autofree char *id = NULL, *escaped = NULL;
    json_t *reply = NULL;
    int r;

    if (strcmp(cli->args[0], "force") != 0)
        return cli_usage(cli, "cleat job periodic can \"force\", not \"%s\"", cli->args[0]);
    r = find_job_id(cli, cli->args[1], &id);
    if (r)
        return r;
    escaped = http_escape(id);
    r = http_send(cli, "PUT", NULL, &reply, "/v1/job/%s/periodic/force", escaped ? escaped : "");
    if (!r)
        r = follow_child(cli, get_text(reply, "JobID"), "launched");
    json_decref(reply);
    return r;
}

/* ---- status ---- */

static json_t *join_texts(const json_t *list)
{
    json_t *text = json_string(""), *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        json_t *longer =
            json_sprintf("%s%s%s", json_string_value(text), i ? ", " : "", json_string_value(item));

        json_decref(text);
        text = longer;
    }
    return text;
}

static void print_parameters(const json_t *parameterized)
{
    json_t *required = join_texts(json_object_get(parameterized, "MetaRequired"));
    json_t *optional = join_texts(json_object_get(parameterized, "MetaOptional"));

    print_pairs((const char *const[]){"Payload", get_text(parameterized, "Payload"),
                                      "Required meta", json_string_value(required), "Optional meta",
                                      json_string_value(optional)},
                3);
    json_decref(required);
    json_decref(optional);
}

static void print_next_launch(const struct job *job)
{
    int64_t next = job_next_launch(job, time(NULL));
    char when[TIME_TEXT];

    print_pairs(
        (const char *const[]){"Next launch", format_time(next < 0 ? 0 : next * 1000000000, when)},
        1);
}

static void print_times(const json_t *json)
{
    struct job *job = NULL;

    if (json_is_true(json_object_get(json, "Stop")) || job_from_json(json, &job, NULL))
        return;
    print_next_launch(job);
    job_free(job);
}

bool is_parent(const json_t *job)
{
    return (json_is_object(json_object_get(job, "ParameterizedJob")) &&
            !json_is_true(json_object_get(job, "Dispatched"))) ||
           json_is_object(json_object_get(job, "Periodic"));
}

void print_waiting(const struct job *job)
{
    if (job_is_parameterized(job))
        (void)printf("It waits to be dispatched: cleat job dispatch %s\n", job->id);
    else if (job_is_periodic(job))
        print_next_launch(job);
}

int get_children(const struct cli *cli, const char *id, json_t **ret_children)
{
    autofree char *escaped = http_escape(id);
    json_t *jobs = NULL, *job;
    int r = http_get(cli, &jobs, "/v1/jobs?prefix=%s%%2F", escaped ? escaped : "");
    size_t i;

    if (r)
        return r;
    *ret_children = json_array();
    json_array_foreach(jobs, i, job) if (!strcmp(get_text(job, "ParentID"), id))(void)
        json_array_append(*ret_children, job);
    json_decref(jobs);
    return CLI_OK;
}

void print_children(const json_t *job, const json_t *children)
{
    const json_t *parameterized = json_object_get(job, "ParameterizedJob"), *child;
    struct table t;
    char when[TIME_TEXT];
    size_t i;

    if (json_is_object(parameterized))
        print_parameters(parameterized);
    else
        print_times(job);
    (void)puts("\nChildren");
    if (!json_array_size(children)) {
        (void)puts("none");
        return;
    }
    table_init(&t, 3, (const char *const[]){"ID", "Status", "Submitted"});
    json_array_foreach(children, i, child)
        TABLE_ROW(&t, get_text(child, "ID"), get_text(child, "Status"),
                  format_time(get_int(child, "SubmitTime"), when));
    table_print(&t);
}

const struct command dispatch_commands[] = {
    {"job dispatch", NULL, "ID [FILE|-]", 1, 2,
     " detach meta idempotency-token id-prefix-template priority ", "Launch a parameterized job",
     "\nRegisters a job of its own, a child of the parameterized one, with the meta given here,\n"
     "and FILE (\"-\": standard input) as its payload of at most 16 KiB. Then waits for its\n"
     "allocations as \"job run\" does.\n",
     "encode input.json\n-meta user=anna -meta size=3 encode\n-detach encode - <input.json",
     job_dispatch},
    {"job periodic", NULL, "force ID", 2, 2, " detach ", "Launch a periodic job now",
     "\nWhatever its times are, and even if it prohibits overlap. Then waits for the allocations\n"
     "of the launched job as \"job run\" does.\n",
     "force backup\n-detach force backup", job_periodic},
    {0},
};
