/* SPDX-License-Identifier: MIT
 *
 * The environment's values first, so that those of the command line win, the later over the
 * earlier. No HCL begins with a brace: what does is JSON, with the job itself or {"Job": …} as the
 * API has it.
 */
#include "tools/cleat/jobfile.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/hcl/eval.h"
#include "shared/hcl/inputs.h"
#include "shared/job/schema.h"
#include "shared/job/value.h"

static int collect(const struct cli *cli, struct hcl_inputs *inputs, struct err *e)
{
    int r = hcl_inputs_add_environment(inputs, environ, e);

    for (int i = 0; r == 0 && i < cli->n_inputs; i++) {
        struct hcl_file *file;

        if (!cli->inputs[i].is_file) {
            r = hcl_inputs_add(inputs, cli->inputs[i].text, e);
            continue;
        }
        r = hcl_parse_file(cli->inputs[i].text, true, &file, e);
        if (r == 0)
            r = hcl_inputs_add_file(inputs, file, true, "-var-file", e);
    }
    return r;
}

static void say(const struct schema_problems *problems)
{
    for (size_t i = 1; i < problems->n; i++)
        (void)cli_fail(CLI_FAILED, "%s", problems->texts[i]);
    if (problems->n == SCHEMA_PROBLEMS_MAX)
        (void)cli_fail(CLI_FAILED, "there may be more; these are the first %d",
                       SCHEMA_PROBLEMS_MAX);
}

static bool is_json(const char *text, size_t size)
{
    size_t at = 0;

    while (at < size && text[at] && strchr(" \t\r\n", text[at]))
        at++;
    return at < size && text[at] == '{';
}

static int from_json(const char *name, const char *text, size_t size, struct job **ret_job,
                     struct schema_problems *problems, struct err *e)
{
    json_error_t error;
    autojson json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    const json_t *inner = json_object_get(json, "Job");

    if (!json)
        return err_set(e, -EINVAL, "%s:%d:%d: no JSON: %s", name, error.line, error.column,
                       error.text);
    return job_from_json_all(json_is_object(inner) ? inner : json, ret_job, problems, e);
}

static void on_error(void *arg, const char *text)
{
    schema_problems_add(arg, text);
}

static int from_hcl(const struct cli *cli, const char *name, const char *text, size_t size,
                    struct job **ret_job, struct schema_problems *problems, struct err *e)
{
    struct hcl_inputs inputs = {0};
    autofree char *dir = strdup(name); /* what a file is called by that file() reads starts there */
    struct hcl_eval_options options = {.files = true,
                                       .base_dir = dir ? dirname(dir) : NULL,
                                       .on_error = on_error,
                                       .arg = problems};
    struct hcl_file *file = NULL;
    int r = dir ? collect(cli, &inputs, e) : -ENOMEM;

    if (!r)
        r = hcl_parse_expr(name, text, size, &file, e);
    options.inputs = inputs.list;
    options.n_inputs = inputs.n;
    if (!r)
        r = hcl_eval(file, &options, e);
    if (!r)
        r = job_from_hcl_all(file, ret_job, problems, e);
    hcl_file_free(file);
    hcl_inputs_deinit(&inputs);
    return r;
}

int job_file_read(const struct cli *cli, const char *path, struct job **ret_job)
{
    const char *name = hcl_file_name(path);
    struct schema_problems problems = {0};
    autofree char *text = NULL;
    struct err e = ERR_INIT;
    size_t size;
    int r = hcl_read_file(path, &text, &size, &e);

    if (!r)
        r = is_json(text, size) ? from_json(name, text, size, ret_job, &problems, &e)
                                : from_hcl(cli, name, text, size, ret_job, &problems, &e);
    if (r)
        (void)cli_fail(CLI_FAILED, "%s", e.text);
    say(&problems);
    schema_problems_deinit(&problems);
    return r ? CLI_FAILED : CLI_OK;
}
