/* SPDX-License-Identifier: MIT
 *
 * The environment's values first, so that those of the command line win, the later over the
 * earlier.
 */
#include "tools/cleat/jobfile.h"

#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/hcl/eval.h"
#include "shared/hcl/inputs.h"
#include "shared/job/schema.h"

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

int job_file_read(const struct cli *cli, const char *path, struct job **ret_job)
{
    struct schema_problems problems = {0};
    struct hcl_inputs inputs = {0};
    struct hcl_eval_options options = {.files = true};
    struct hcl_file *file = NULL;
    struct err e = ERR_INIT;
    int r = collect(cli, &inputs, &e);

    if (!r)
        r = hcl_parse_file(path, true, &file, &e);
    options.inputs = inputs.list;
    options.n_inputs = inputs.n;
    if (!r)
        r = hcl_eval(file, &options, &e);
    if (!r)
        r = job_from_hcl_all(file, ret_job, &problems, &e);
    if (r)
        (void)cli_fail(CLI_FAILED, "%s", e.text);
    say(&problems);
    hcl_file_free(file);
    hcl_inputs_deinit(&inputs);
    schema_problems_deinit(&problems);
    return r ? CLI_FAILED : CLI_OK;
}
