/* SPDX-License-Identifier: MIT
 *
 * cleat job run, status, stop, validate.
 */
#include "tools/cleat/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/job/job.h"
#include "tools/cleat/dispatch.h"
#include "tools/cleat/follow.h"
#include "tools/cleat/http.h"
#include "tools/cleat/ids.h"
#include "tools/cleat/jobfile.h"
#include "tools/cleat/output.h"

/* The newest allocations of the version just registered. */
static int get_allocs(const struct cli *cli, const char *job_id, json_int_t version,
                      json_t **ret_allocs)
{
    autofree char *escaped = http_escape(job_id);
    json_t *all = NULL, *alloc;
    int r = http_get(cli, &all, "/v1/job/%s/allocations", escaped ? escaped : "");
    size_t i;

    if (r)
        return r;
    *ret_allocs = json_array();
    json_array_foreach(all, i, alloc) if (get_int(alloc, "JobVersion") == version &&
                                          !strcmp(get_text(alloc, "DesiredStatus"), "run"))(void)
        json_array_append(*ret_allocs, alloc);
    json_decref(all);
    return CLI_OK;
}

static int is_older(const struct cli *cli, const char *job_id, json_int_t than_ns, bool *ret_older)
{
    autofree char *escaped = http_escape(job_id);
    json_t *job = NULL;
    int r = http_get(cli, &job, "/v1/job/%s", escaped ? escaped : "");

    *ret_older = !r && get_int(job, "SubmitTime") < than_ns;
    json_decref(job);
    return r;
}

static bool has_ended(const json_t *allocs)
{
    const json_t *alloc;
    size_t i;

    json_array_foreach(allocs, i, alloc)
    {
        const char *status = get_text(alloc, "ClientStatus");

        if (strcmp(status, "pending") == 0 || strcmp(status, "running") == 0)
            return false;
    }
    return json_array_size(allocs) > 0;
}

static size_t count_since(const json_t *allocs, json_int_t since_ns)
{
    const json_t *alloc;
    size_t i, n = 0;

    json_array_foreach(allocs, i, alloc) n += get_int(alloc, "CreateTime") >= since_ns;
    return n;
}

static void print_registered(const char *job_id, json_int_t version, bool unchanged,
                             const json_t *allocs, json_int_t called_ns)
{
    const json_t *alloc;
    size_t i, n;

    if (unchanged && (n = count_since(allocs, called_ns)))
        (void)printf("Job \"%s\" is unchanged, %zu allocation%s that failed %s replaced\n", job_id,
                     n, n == 1 ? "" : "s", n == 1 ? "is" : "are");
    else if (unchanged && has_ended(allocs))
        (void)printf(
            "Job \"%s\" is unchanged and has ended, nothing is run; to run it again, enter "
            "\"cleat stop %s\", then this once more\n",
            job_id, job_id);
    else if (unchanged)
        (void)printf("Job \"%s\" is unchanged, nothing to do\n", job_id);
    else
        (void)printf("Job \"%s\" registered, version %lld\n", job_id, (long long)version);
    json_array_foreach(allocs, i, alloc)(void)
        printf("Allocation %s  %s%s\n", get_text(alloc, "ID"), get_text(alloc, "Name"),
               !unchanged && get_int(alloc, "CreateTime") < called_ns ? "  kept" : "");
    (void)fflush(stdout);
}

static void print_registered_json(const char *job_id, json_int_t version, bool unchanged,
                                  const char *warnings, json_t *allocs)
{
    json_t *shown = json_pack("{s:s,s:I,s:b,s:s,s:O}", "JobID", job_id, "JobVersion", version,
                              "Unchanged", unchanged, "Warnings", warnings, "Allocations", allocs);

    print_json(shown);
    json_decref(shown);
}

int job_registered(const struct cli *cli, const char *job_id, const json_t *reply,
                   json_int_t called_ns)
{
    json_int_t version = get_int(reply, "JobVersion");
    const char *warnings = get_text(reply, "Warnings");
    json_t *allocs = NULL;
    int r = get_allocs(cli, job_id, version, &allocs), followed = CLI_OK;
    bool unchanged = false;

    /* The manager says the same of a job it has already; but that one was submitted before. */
    if (!r)
        r = is_older(cli, job_id, called_ns, &unchanged);
    if (*warnings && !cli->json)
        (void)fprintf(stderr, "%s\n\n", warnings);
    if (!r && !cli->json)
        print_registered(job_id, version, unchanged, allocs, called_ns);
    if (!r && !cli->detach) {
        followed = follow_start(cli, job_id, version, called_ns);
        json_decref(allocs);
        allocs = NULL;
        if (cli->json) /* what they have become */
            r = get_allocs(cli, job_id, version, &allocs);
    }
    if (!r && cli->json)
        print_registered_json(job_id, version, unchanged, warnings, allocs);
    json_decref(allocs);
    return followed ? followed : r;
}

static int make_body(const struct cli *cli, const struct job *job, json_t **ret_body)
{
    char *end = NULL;
    json_int_t index;

    *ret_body = NULL;
    errno = 0;
    index = cli->check_index ? strtoll(cli->check_index, &end, 10) : 0;
    if (end && (errno || *end || end == cli->check_index || index < 0))
        return cli_usage(cli, "\"%s\" is no index: a number is", cli->check_index);
    *ret_body = json_pack("{s:o, s:b, s:I}", "Job", job_to_json(job), "EnforceIndex",
                          cli->check_index != NULL, "JobModifyIndex", index);
    return CLI_OK;
}

static int job_run(struct cli *cli)
{
    struct job *job = NULL;
    json_t *body, *reply = NULL;
    json_int_t called_ns;
    int r = job_file_read(cli, cli->args[0], &job);

    if (r)
        return r;
    r = make_body(cli, job, &body);
    if (r) {
        job_free(job);
        return r;
    }
    called_ns = (json_int_t)clock_now_ns(CLOCK_REALTIME);
    r = http_send(cli, "PUT", body, &reply, "/v1/jobs");
    json_decref(body);
    if (!r)
        r = job_registered(cli, job->id, reply, called_ns);
    if (!r && !cli->json)
        print_waiting(job);
    json_decref(reply);
    job_free(job);
    return r;
}

static int job_validate(struct cli *cli)
{
    struct job *job = NULL;
    int r = job_file_read(cli, cli->args[0], &job);

    if (!r && cli->json) {
        json_t *json = job_to_json(job);

        print_json(json);
        json_decref(json);
    } else if (!r)
        (void)printf("Job \"%s\" is valid\n", job->id);
    job_free(job);
    return r;
}

static int status_list(const struct cli *cli)
{
    json_t *jobs = NULL, *job;
    struct table t;
    char when[TIME_TEXT];
    size_t i;
    int r = http_get(cli, &jobs, "/v1/jobs");

    if (r)
        return r;
    if (cli->json)
        print_json(jobs);
    else if (!json_array_size(jobs))
        (void)puts("No jobs");
    else {
        table_init(&t, 4, (const char *const[]){"ID", "Type", "Status", "Submitted"});
        json_array_foreach(jobs, i, job)
            TABLE_ROW(&t, get_text(job, "ID"), get_text(job, "Type"), get_text(job, "Status"),
                      format_time(get_int(job, "SubmitTime"), when));
        table_print(&t);
    }
    json_decref(jobs);
    return CLI_OK;
}

static void print_job(const json_t *job)
{
    char when[TIME_TEXT], version[24];
    const char *why = get_text(job, "StatusDescription");

    (void)snprintf(version, sizeof(version), "%lld", (long long)get_int(job, "Version"));
    print_pairs((const char *const[]){"ID", get_text(job, "ID"), "Name", get_text(job, "Name"),
                                      "Type", get_text(job, "Type"), "Status",
                                      get_text(job, "Status"), "Version", version, "Submitted",
                                      format_time(get_int(job, "SubmitTime"), when)},
                6);
    if (*why)
        (void)printf("Why       = %s\n", why);
}

static int status_one(const struct cli *cli, const char *id)
{
    autofree char *escaped = http_escape(id);
    json_t *job = NULL, *allocs = NULL, *children = NULL;
    int r = http_get(cli, &job, "/v1/job/%s", escaped ? escaped : "");

    if (!r)
        r = http_get(cli, &allocs, "/v1/job/%s/allocations", escaped);
    if (!r && is_parent(job))
        r = get_children(cli, id, &children);
    if (!r && cli->json) {
        (void)json_object_set(job, "Allocations", allocs);
        if (children)
            (void)json_object_set(job, "Children", children);
        print_json(job);
    } else if (!r && children) {
        print_job(job);
        print_children(job, children);
    } else if (!r) {
        print_job(job);
        (void)puts("\nAllocations");
        if (json_array_size(allocs))
            print_alloc_table(allocs);
        else
            (void)puts("none");
    }
    json_decref(job);
    json_decref(allocs);
    json_decref(children);
    return r;
}

static int job_status(struct cli *cli)
{
    autofree char *id = NULL;
    int r;

    if (!cli->n_args)
        return status_list(cli);
    r = find_job_id(cli, cli->args[0], &id);
    return r ? r : status_one(cli, id);
}

/* Forgotten only when all of it has ended, so that its end can be waited for. */
static int purge(const struct cli *cli, const char *escaped, json_t **ret_reply)
{
    json_decref(*ret_reply);
    *ret_reply = NULL;
    return http_send(cli, "DELETE", NULL, ret_reply, "/v1/job/%s?purge=true", escaped);
}

static int job_stop(struct cli *cli)
{
    autofree char *id = NULL, *escaped = NULL;
    json_t *before = NULL, *reply = NULL;
    int r = find_job_id(cli, cli->args[0], &id);
    const char *done = cli->detach ? "is being stopped" : "stopped";

    if (r)
        return r;
    escaped = http_escape(id);
    r = http_get(cli, &before, "/v1/job/%s", escaped ? escaped : "");
    if (!r && json_is_true(json_object_get(before, "Stop")) &&
        !strcmp(get_text(before, "Status"), "dead"))
        done = "was stopped before";
    json_decref(before);
    if (!r)
        r = http_send(cli, "DELETE", NULL, &reply, "/v1/job/%s", escaped ? escaped : "");
    if (!r && !cli->detach)
        r = follow_stop(cli, id);
    if (!r && cli->purge)
        r = purge(cli, escaped, &reply);
    if (!r && cli->json)
        print_json(reply);
    else if (!r)
        (void)printf("Job \"%s\" %s%s\n", id, done, cli->purge ? " and purged" : "");
    json_decref(reply);
    return r;
}

const struct command job_commands[] = {
    {"job run", "run", "FILE|-", 1, 1, " detach check-index var var-file ",
     "Run the job of a job file",
     "\nReads the job file (HCL, or the API's JSON; \"-\": standard input), registers the job and\n"
     "prints the ids of its allocations. Then waits until every allocation is complete, or runs:\n"
     "what comes before its main tasks (downloads, templates, prestart tasks) is done, and all of\n"
     "them have run for a second. If one fails, says why and exits with 1. Ctrl-C ends the wait,\n"
     "not the job.\n",
     "web.hcl\n-detach web.hcl\n-var port=8080 web.hcl\n-json web.hcl\n-check-index 7 web.hcl\n- "
     "<web.hcl",
     job_run},
    {"job status", "status", "[ID]", 0, 1, "", "Show all jobs, or one with its allocations", "",
     "\nweb\n-json web", job_status},
    {"job stop", "stop", "ID", 1, 1, " detach purge ", "Stop a job",
     "\nEvery task gets its kill_signal, and SIGKILL after its kill_timeout. Waits until all are\n"
     "dead.\n",
     "web\n-detach web\n-purge web", job_stop},
    {"job validate", NULL, "FILE|-", 1, 1, " local var var-file ", "Check a job file",
     "\nNeeds no manager. With -json, prints the job as the API takes it, all defaults filled "
     "in.\n",
     "web.hcl\n-json web.hcl", job_validate},
    {0},
};
