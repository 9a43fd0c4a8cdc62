/* SPDX-License-Identifier: MIT
 *
 * The manager lists what begins with the prefix; an exact id wins over longer ones.
 */
#include "tools/cleat/ids.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "tools/cleat/http.h"
#include "tools/cleat/output.h"

/* The one entry of `list` that `prefix` stands for, or NULL. */
static const json_t *pick(const json_t *list, const char *prefix)
{
    const json_t *entry;
    size_t i;

    json_array_foreach(list, i, entry) if (!strcmp(get_text(entry, "ID"), prefix)) return entry;
    return json_array_size(list) == 1 ? json_array_get(list, 0) : NULL;
}

static void list_entry(const json_t *entry)
{
    const char *job = get_text(entry, "JobID"), *status = get_text(entry, "ClientStatus");

    (void)fprintf(stderr, "  %s  %s%s%s\n", get_text(entry, "ID"), job, *job ? "  " : "",
                  *status ? status : get_text(entry, "Status"));
}

static int fail_ambiguous(const json_t *list, const char *kind, const char *prefix)
{
    const json_t *entry;
    size_t i;

    (void)cli_fail(0, "several %ss begin with \"%s\":", kind, prefix);
    json_array_foreach(list, i, entry) list_entry(entry);
    return CLI_NOT_FOUND;
}

static int find_id(const struct cli *cli, const char *kind, const char *path, const char *prefix,
                   char **ret_id)
{
    autofree char *escaped = http_escape(prefix);
    json_t *list = NULL;
    const json_t *entry;
    int r = http_get(cli, &list, "%s?prefix=%s", path, escaped ? escaped : "");

    if (r)
        return r;
    entry = pick(list, prefix);
    if (entry) {
        *ret_id = strdup(get_text(entry, "ID"));
        r = *ret_id ? CLI_OK : cli_fail(CLI_FAILED, "out of memory");
    } else if (!json_array_size(list))
        r = cli_fail(CLI_NOT_FOUND, "no %s begins with \"%s\"", kind, prefix);
    else
        r = fail_ambiguous(list, kind, prefix);
    json_decref(list);
    return r;
}

int find_job_id(const struct cli *cli, const char *prefix, char **ret_id)
{
    return find_id(cli, "job", "/v1/jobs", prefix, ret_id);
}

/* For those who named a job where an allocation is meant. */
static void list_allocs_of(const struct cli *cli, const char *job)
{
    json_t *list = NULL, *entry;
    bool found = false;
    size_t i;

    if (http_get(cli, &list, "/v1/allocations"))
        return;
    json_array_foreach(list, i, entry)
    {
        if (strcmp(get_text(entry, "JobID"), job) != 0)
            continue;
        if (!found)
            (void)fprintf(stderr, "the job \"%s\" has these allocations; name one:\n", job);
        found = true;
        list_entry(entry);
    }
    json_decref(list);
}

int find_alloc_id(const struct cli *cli, const char *prefix, char **ret_id)
{
    int r = find_id(cli, "allocation", "/v1/allocations", prefix, ret_id);

    if (r == CLI_NOT_FOUND)
        list_allocs_of(cli, prefix);
    return r;
}

int find_task_name(const struct cli *cli, const char *id, const char *wanted, char **ret_task)
{
    const char *name, *chosen = NULL;
    json_t *alloc = NULL, *tasks, *task;
    int r = http_get(cli, &alloc, "/v1/allocation/%s", id);

    if (r)
        return r;
    tasks = json_object_get(alloc, "TaskStates");
    json_object_foreach(tasks, name, task) if (wanted ? !strcmp(name, wanted)
                                                      : json_object_size(tasks) == 1) chosen = name;
    if (chosen) {
        *ret_task = strdup(chosen);
        r = *ret_task ? CLI_OK : cli_fail(CLI_FAILED, "out of memory");
    } else {
        r = wanted
                ? cli_fail(CLI_NOT_FOUND, "allocation %s has no task \"%s\"; it has:", id, wanted)
                : cli_fail(CLI_USAGE, "allocation %s has several tasks; name one:", id);
        json_object_foreach(tasks, name, task)(void) fprintf(stderr, "  %s\n", name);
    }
    json_decref(alloc);
    return r;
}

int find_task(const struct cli *cli, const char *id, const char *wanted, char **ret_task)
{
    autofree char *name = NULL;
    int r = find_task_name(cli, id, wanted, &name);

    if (r)
        return r;
    *ret_task = http_escape(name);
    return *ret_task ? CLI_OK : cli_fail(CLI_FAILED, "out of memory");
}
