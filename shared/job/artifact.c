/* SPDX-License-Identifier: MIT */
#include "shared/job/artifact.h"

#include <errno.h>
#include <string.h>

#include "shared/artifact.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"

static const char *const mode_names[JOB_ARTIFACT_N + 1] = {"any", "file", "dir"};

const char *job_artifact_mode_name(enum job_artifact_mode mode)
{
    return mode_names[mode];
}

/* Counted from the task's directory, above which the one that all tasks share can be reached. */
static int check_destination(struct schema_context *ctx, const struct schema_field *field,
                             const void *obj, struct schema_source source)
{
    const char *path = ((const struct job_artifact *)obj)->destination;
    int depth = 1;

    (void)field;
    if (strstr(path, "${"))
        return 0; /* looked at when the task starts */
    for (const char *part = path; *part;) {
        size_t n = strcspn(part, "/");

        if (n == 2 && strncmp(part, "..", 2) == 0)
            depth--;
        else if (n > 0 && !(n == 1 && *part == '.'))
            depth++;
        if (depth < 0)
            return schema_fail(
                ctx, source.pos, -EINVAL,
                "the artifact's destination \"%.100s\" leads out of the allocation's "
                "directory; write a path such as \"local/\"",
                path);
        part += n + (part[n] == '/');
    }
    return 0;
}

static const struct schema_field artifact_fields[] = {
    SCHEMA_FIELD(POS, job_artifact, pos, NULL, NULL),
    SCHEMA_FIELD(STRING, job_artifact, source, "source", "GetterSource", .required = true),
    SCHEMA_FIELD(STRING, job_artifact, destination, "destination", "RelativeDest", .def = "local/",
                 .check = check_destination),
    SCHEMA_FIELD(ENUM, job_artifact, mode, "mode", "GetterMode", .def = "any", .names = mode_names),
    SCHEMA_FIELD(STRING_MAP, job_artifact, options, "options", "GetterOptions"),
    SCHEMA_FIELD(STRING_MAP, job_artifact, headers, "headers", "GetterHeaders"),
    SCHEMA_FIELD(BOOL, job_artifact, insecure, "insecure", "GetterInsecure"),
    SCHEMA_FIELD(BOOL, job_artifact, chown, "chown", "Chown"),
};

const struct schema artifact_schema = {
    .what = "artifact",
    .size = sizeof(struct job_artifact),
    .fields = artifact_fields,
    .n_fields = ARRAY_LEN(artifact_fields),
};

/* Without what hangs on variables. */
static int check_source(const char *text, const json_t *options, struct err *e)
{
    autojson json_t *known = json_object();
    struct artifact_source source;
    struct artifact_checksum sum;
    const char *key;
    json_t *value;
    int r;

    if (!known)
        return -ENOMEM;
    json_object_foreach((json_t *)options, key, value)
    {
        if (!strstr(json_string_value(value), "${") && json_object_set(known, key, value) < 0)
            return -ENOMEM;
    }
    if (strstr(text, "${")) {
        const char *checksum = json_string_value(json_object_get(known, "checksum"));

        return checksum ? artifact_checksum_parse(checksum, &sum, e) : 0;
    }
    /* Of two that go together, one may be known now. */
    if (json_object_size(known) != json_object_size(options)) {
        (void)json_object_del(known, "aws_access_key_id");
        (void)json_object_del(known, "aws_access_key_secret");
    }
    r = artifact_source_parse(text, known, &source, e);
    if (!r)
        artifact_source_deinit(&source);
    return r;
}

static int check_headers(const json_t *headers, struct err *e)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)headers, name, value)
    {
        if (!*name || strpbrk(name, ": \r\n\t") || strpbrk(json_string_value(value), "\r\n"))
            return err_set(e, -EINVAL,
                           "\"%.60s\" is no name and value of an HTTP header; write headers { "
                           "X-Name = \"value\" }",
                           name);
    }
    return 0;
}

int artifact_check_all(struct schema_context *ctx, const struct job_task *task)
{
    for (size_t i = 0; i < task->n_artifacts; i++) {
        const struct job_artifact *artifact = &task->artifacts[i];
        size_t mark = schema_enter(ctx, "Artifacts[%zu]", i);
        struct err e = ERR_INIT;
        int r = check_source(artifact->source, artifact->options, &e);

        if (!r)
            r = check_headers(artifact->headers, &e);
        if (r == -ENOMEM)
            return r;
        if (r)
            return schema_fail(ctx, artifact->pos, r, "%s", e.text);
        schema_leave(ctx, mark);
    }
    return 0;
}

int artifact_check_legacy(const char *source, const char *checksum, struct err *e)
{
    autojson json_t *options = *checksum ? json_pack("{s:s}", "checksum", checksum) : json_object();

    if (!options)
        return -ENOMEM;
    if (!*source && *checksum)
        return err_set(e, -EINVAL,
                       "\"checksum\" is that of \"artifact_source\", which is missing; add it, or "
                       "remove the checksum");
    return *source ? check_source(source, options, e) : 0;
}
