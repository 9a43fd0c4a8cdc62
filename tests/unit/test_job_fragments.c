/* SPDX-License-Identifier: MIT
 *
 * Blocks as Nomad's pages on drivers and the file system show them, in our words, one file each in
 * the corpus of the HCL fuzz driver: all are HCL, and as (part of) a job each has the outcome given
 * here. Those that belong in an agent's configuration are in test_config.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/cleanup.h"
#include "shared/job/job.h"

enum wrap {
    AS_JOB,
    IN_JOB,       /* in job { } */
    IN_EXEC_TASK, /* in job { task { driver = "exec" } } */
    IN_NSPAWN_TASK,
    IN_DOCKER_TASK,
    ONLY_HCL, /* an agent's configuration */
    WRAP_N
};

static const char *const heads[WRAP_N] = {
    [AS_JOB] = "",
    [IN_JOB] = "job \"j\" {\n",
    [IN_EXEC_TASK] = "job \"j\" {\n task \"t\" {\n driver = \"exec\"\n",
    [IN_NSPAWN_TASK] = "job \"j\" {\n task \"t\" {\n driver = \"nspawn\"\n",
    [IN_DOCKER_TASK] = "job \"j\" {\n task \"t\" {\n driver = \"docker\"\n",
    [ONLY_HCL] = "",
};

static const char *const tails[WRAP_N] = {
    [AS_JOB] = "",
    [IN_JOB] = "\n}",
    [IN_EXEC_TASK] = "\n} }",
    [IN_NSPAWN_TASK] = "\n} }",
    [IN_DOCKER_TASK] = "\n} }",
    [ONLY_HCL] = "",
};

static const struct {
    const char *name;
    enum wrap wrap;
    int result;
    const char *message;
} fragments[] = {
    {"exec-args-number", IN_EXEC_TASK, 0, NULL},
    {"exec-artifact-source", IN_EXEC_TASK, -EINVAL,
     "a checksum of the type sha256 has 64 hex digits"},
    {"nspawn-task", IN_JOB, -ENOTSUP, "the driver \"nspawn\" is known to Nomad"},
    {"nspawn-command", IN_NSPAWN_TASK, -ENOTSUP, "the driver \"nspawn\" is known to Nomad"},
    {"nspawn-bind", IN_NSPAWN_TASK, -ENOTSUP, "the driver \"nspawn\" is known to Nomad"},
    {"nspawn-bind-read-only", IN_NSPAWN_TASK, -ENOTSUP, "the driver \"nspawn\" is known to Nomad"},
    {"nspawn-environment", IN_NSPAWN_TASK, -ENOTSUP, "the driver \"nspawn\" is known to Nomad"},
    {"nspawn-port-map", IN_NSPAWN_TASK, -ENOTSUP, "the driver \"nspawn\" is known to Nomad"},
    {"nspawn-plugin", ONLY_HCL, 0, NULL},
    {"docker-task", AS_JOB, -ENOTSUP, "the driver \"docker\" is known to Nomad"},
    {"docker-template-in-config", AS_JOB, -ENOTSUP, "the driver \"docker\" is known to Nomad"},
    {"exec-service", AS_JOB, 0, NULL},
    {"raw-exec-service", AS_JOB, 0, NULL},
    {"docker-plugin", ONLY_HCL, 0, NULL},
    {"docker-logging", IN_DOCKER_TASK, -ENOTSUP, "the driver \"docker\" is known to Nomad"},
    {"docker-client-options", ONLY_HCL, 0, NULL},
    {"docker-constraint", AS_JOB, -EINVAL, "the job \"cache\" has nothing to run"},
};

static void read_fragment(const char *name, char *buf, size_t size)
{
    char path[512];
    autoclose FILE *file = NULL;

    (void)snprintf(path, sizeof(path), "%s/%s.hcl", CLEAT_HCL_CORPUS, name);
    file = fopen(path, "re");
    if (!file)
        fail_msg("%s", path);
    buf[fread(buf, 1, size - 1, file)] = '\0';
}

static void test_fragments(void **state)
{
    char text[4096], wrapped[4600];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fragments); i++) {
        struct hcl_file *file = NULL;
        struct job *job = NULL;
        struct err e = ERR_INIT;
        int r;

        read_fragment(fragments[i].name, text, sizeof(text));
        (void)snprintf(wrapped, sizeof(wrapped), "%s%s%s", heads[fragments[i].wrap], text,
                       tails[fragments[i].wrap]);
        if (hcl_parse(fragments[i].name, wrapped, strlen(wrapped), &file, &e) < 0)
            fail_msg("%s", e.text);
        r = fragments[i].wrap == ONLY_HCL ? 0 : job_from_hcl(file, &job, &e);
        if (r != fragments[i].result || (r < 0 && !strstr(e.text, fragments[i].message)))
            fail_msg("%s gave %d: %s", fragments[i].name, r, e.text);
        (void)job_free(job);
        (void)hcl_file_free(file);
    }
}

/* Spot checks that the trees say what the files say. */
static void test_contents(void **state)
{
    char text[4096];
    struct hcl_file *file = NULL;
    const struct hcl_body *config;
    const struct hcl_value *mounts;

    (void)state;
    read_fragment("docker-template-in-config", text, sizeof(text));
    assert_int_equal(hcl_parse("x", text, strlen(text), &file, NULL), 0);
    config = file->body->blocks[0].body->blocks[0].body->blocks[0].body;
    mounts = &config->attrs[1].value;
    assert_int_equal(mounts->n_items, 1);
    assert_string_equal(mounts->items[0].keys[3], "readonly");
    assert_string_equal(config->blocks[0].body->attrs[0].value.string,
                        "${NOMAD_SECRETS_DIR}/cache.conf");
    assert_string_equal(config->blocks[0].body->attrs[1].value.string,
                        "{{ with secret \"kv/data/cache\" }}\n"
                        "password={{- .Data.data.password -}}{{end}}\n");
    (void)hcl_file_free(file);

    read_fragment("nspawn-bind", text, sizeof(text));
    assert_int_equal(hcl_parse("x", text, strlen(text), &file, NULL), 0);
    config = file->body->blocks[0].body->blocks[0].body;
    assert_string_equal(config->attrs[0].name, "/srv/data");
    assert_string_equal(config->attrs[0].value.string, "/data");
    (void)hcl_file_free(file);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_contents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
