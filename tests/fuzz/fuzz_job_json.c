/* SPDX-License-Identifier: MIT
 *
 * Any bytes as Nomad's JSON job. A job that is accepted must come back the same from its own JSON,
 * and its tasks' configs must be readable; one that is refused must say why.
 */
#include <stdlib.h>

#include "shared/job/driver_config.h"
#include "shared/job/job.h"
#include "tests/fuzz/fuzz.h"

static void check_again(const struct job *job)
{
    json_t *first = job_to_json(job), *second;
    struct job *again = NULL;

    if (job_from_json(first, &again, NULL) < 0)
        abort();
    second = job_to_json(again);
    if (!json_equal(first, second))
        abort();
    json_decref(first);
    json_decref(second);
    (void)job_free(again);
}

static void read_configs(const struct job *job)
{
    for (size_t i = 0; i < job->n_groups; i++) {
        for (size_t j = 0; j < job->groups[i].n_tasks; j++) {
            struct driver_config config;

            if (driver_config_read(&job->groups[i].tasks[j], NULL, &config, NULL) < 0)
                abort();
            driver_config_deinit(&config);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *json = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
    struct job *job = NULL;
    struct err e = ERR_INIT;
    int r = job_from_json(json, &job, &e);

    if (r < 0 ? e.code != r || e.text[0] == '\0' : job == NULL)
        abort();
    if (r == 0) {
        check_again(job);
        read_configs(job);
    }
    (void)job_free(job);
    json_decref(json);
    return 0;
}
