/* SPDX-License-Identifier: MIT
 *
 * A line with an operator, one with what is to its left, and the rest to its right: as a constraint
 * on a node, and as versions.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/job/job.h"
#include "shared/job/version.h"
#include "tests/fuzz/fuzz.h"

static json_t *make_job(const char *op, const char *left, const char *right)
{
    return json_pack("{s:s, s:[{s:s, s:s, s:s}], s:[{s:s, s:[{s:s, s:s, s:{s:s}}]}]}", "ID", "j",
                     "Constraints", "Operand", op, "LTarget", left, "RTarget", right, "TaskGroups",
                     "Name", "g", "Tasks", "Name", "t", "Driver", "exec", "Config", "command", "c");
}

static void compare(const char *version, const char *demands)
{
    for (enum version_rules rules = VERSION_LENIENT; rules <= VERSION_SEMVER; rules++)
        if (version_meets(version, demands, rules) && !version_demands_valid(demands, rules))
            abort();
    if (version_demands_valid(demands, VERSION_SEMVER) &&
        !version_demands_valid(demands, VERSION_LENIENT))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size), *rest = text;
    const char *op = strsep(&rest, "\n"), *left = rest ? strsep(&rest, "\n") : "";
    const char *right = rest ? rest : "";
    json_t *json = make_job(op, left, right);
    struct job *job = NULL;
    struct err e = ERR_INIT;
    int r = json ? job_from_json(json, &job, &e) : 0;

    compare(left, right);
    if (r < 0 && e.text[0] == '\0')
        abort();
    if (job) {
        if (constraint_met(&job->constraints[0], left, right, &e) < 0 && !e.text[0])
            abort();
        (void)constraint_met(&job->constraints[0], NULL, NULL, NULL);
        (void)constraint_limit(&job->constraints[0]);
    }
    job_free(job);
    json_decref(json);
    free(text);
    return 0;
}
