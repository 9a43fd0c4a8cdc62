/* SPDX-License-Identifier: MIT
 *
 * The blocks "periodic", "parameterized" and "dispatch_payload". Times are computed with the C
 * library's time zone set to the job's for the moment: the programs have one thread.
 */
#include "shared/job/launch.h"

#include <errno.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/job/cron.h"
#include "shared/job/job.h"
#include "shared/job/schema.h"

#define ZONES "/usr/share/zoneinfo"

enum {
    ID_MAX_BYTES = 200 - LAUNCH_SUFFIX_BYTES, /* a job's name is 200 at most */
    ZONE_MAX_BYTES = 64,
};

/* ---- time zones ---- */

/* For TZ. The names are those of the tz database, and "Local" for the machine's own. */
static int zone_path(const char *name, char *buf, size_t size)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_/";

    if (!*name || strcmp(name, "UTC") == 0) {
        (void)snprintf(buf, size, "UTC0");
        return 0;
    }
    if (strcmp(name, "Local") == 0) {
        (void)snprintf(buf, size, ":/etc/localtime");
        return 0;
    }
    if (*name == '/' || name[strspn(name, letters)] || strlen(name) > ZONE_MAX_BYTES)
        return -EINVAL;
    (void)snprintf(buf, size, ":" ZONES "/%s", name);
    return access(buf + 1, R_OK) == 0 ? 0 : -ENOENT;
}

/* TZ as it was; NULL: not set. The caller frees. */
static char *enter_zone(const char *name)
{
    const char *before = getenv("TZ");
    char *kept = before ? strdup(before) : NULL, path[128] = "UTC0";

    (void)zone_path(name, path, sizeof(path));
    (void)setenv("TZ", path, 1);
    tzset();
    return kept;
}

static void leave_zone(char *kept)
{
    if (kept)
        (void)setenv("TZ", kept, 1);
    else
        (void)unsetenv("TZ");
    tzset();
    free(kept);
}

/* ---- periodic ---- */

static const struct schema_field periodic_fields[] = {
    SCHEMA_FIELD(PRESENT, job_periodic, set, NULL, NULL),
    SCHEMA_FIELD(POS, job_periodic, pos, NULL, NULL),
    SCHEMA_FIELD(BOOL, job_periodic, enabled, "enabled", "Enabled", .def = "true"),
    SCHEMA_FIELD(STRING, job_periodic, cron, "cron", "Spec"),
    SCHEMA_FIELD(STRINGS, job_periodic, crons, "crons", "Specs"),
    SCHEMA_FIELD(STRING, job_periodic, type, NULL, "SpecType", .def = "cron"),
    SCHEMA_FIELD(BOOL, job_periodic, prohibit_overlap, "prohibit_overlap", "ProhibitOverlap"),
    SCHEMA_FIELD(STRING, job_periodic, time_zone, "time_zone", "TimeZone", .def = "UTC"),
};

const struct schema periodic_schema = {
    .what = "periodic block",
    .size = sizeof(struct job_periodic),
    .fields = periodic_fields,
    .n_fields = ARRAY_LEN(periodic_fields),
};

static int check_cron(struct schema_context *ctx, struct hcl_pos pos, const char *text)
{
    struct err e = ERR_INIT;
    struct cron cron;
    int r = cron_parse(text, &cron, &e);

    return r == -EINVAL ? schema_fail(ctx, pos, r, "%s", e.text) : r;
}

static int check_periodic(struct schema_context *ctx, const struct job_periodic *p)
{
    char path[128];
    int r = 0;

    if (!p->enabled)
        return 0;
    if (strcmp(p->type, "cron") != 0)
        return schema_fail(ctx, p->pos, -EINVAL, "\"SpecType\" is \"cron\", not \"%.32s\"",
                           p->type);
    if (*p->cron && p->crons[0])
        return schema_fail(ctx, p->pos, -EINVAL,
                           "\"cron\" and \"crons\" both say when; put all into \"crons\"");
    if (!*p->cron && !p->crons[0])
        return schema_fail(ctx, p->pos, -EINVAL,
                           "this says that the job is periodic, but not when; add cron = \"30 4 * "
                           "* *\", for example");
    if (zone_path(p->time_zone, path, sizeof(path)))
        return schema_fail(ctx, p->pos, -EINVAL,
                           "this host knows no time zone \"%.64s\"; use a name such as "
                           "\"Europe/Berlin\" (see " ZONES ", from the package tzdata)",
                           p->time_zone);
    if (*p->cron)
        r = check_cron(ctx, p->pos, p->cron);
    for (char **cron = p->crons; r == 0 && *cron; cron++)
        r = check_cron(ctx, p->pos, *cron);
    return r;
}

bool job_is_periodic(const struct job *job)
{
    return job->periodic.set && !job_is_parameterized(job);
}

static int64_t earlier(int64_t a, const char *text, int64_t after)
{
    struct cron cron;
    int64_t b = cron_parse(text, &cron, NULL) ? -1 : cron_next(&cron, after);

    return a < 0 || (b >= 0 && b < a) ? b : a;
}

int64_t job_next_launch(const struct job *job, int64_t after)
{
    const struct job_periodic *p = &job->periodic;
    int64_t next = -1;
    char *kept;

    if (!job_is_periodic(job) || !p->enabled)
        return -1;
    kept = enter_zone(p->time_zone);
    if (*p->cron)
        next = earlier(next, p->cron, after);
    for (char **cron = p->crons; *cron; cron++)
        next = earlier(next, *cron, after);
    leave_zone(kept);
    return next;
}

/* ---- parameterized ---- */

static const char *const payload_names[JOB_PAYLOAD_N + 1] = {"optional", "required", "forbidden"};

static const struct schema_field parameterized_fields[] = {
    SCHEMA_FIELD(PRESENT, job_parameterized, set, NULL, NULL),
    SCHEMA_FIELD(POS, job_parameterized, pos, NULL, NULL),
    SCHEMA_FIELD(ENUM, job_parameterized, payload, "payload", "Payload", .def = "optional",
                 .names = payload_names),
    SCHEMA_FIELD(STRINGS, job_parameterized, meta_required, "meta_required", "MetaRequired"),
    SCHEMA_FIELD(STRINGS, job_parameterized, meta_optional, "meta_optional", "MetaOptional"),
};

const struct schema parameterized_schema = {
    .what = "parameterized block",
    .size = sizeof(struct job_parameterized),
    .fields = parameterized_fields,
    .n_fields = ARRAY_LEN(parameterized_fields),
};

static int check_parameterized(struct schema_context *ctx, const struct job_parameterized *p)
{
    for (char **a = p->meta_required; *a; a++)
        for (char **b = p->meta_optional; *b; b++)
            if (strcmp(*a, *b) == 0)
                return schema_fail(ctx, p->pos, -EINVAL,
                                   "\"%.64s\" is in \"meta_required\" and in \"meta_optional\"; "
                                   "take it out of one",
                                   *a);
    return 0;
}

bool job_is_parameterized(const struct job *job)
{
    return job->parameterized.set && !job->dispatched;
}

int launch_payload(const char *base64, unsigned char **ret_data, size_t *ret_size)
{
    unsigned char *data = malloc(LAUNCH_PAYLOAD_MAX + 3);
    int n;

    if (!data)
        return -ENOMEM;
    n = b64_pton(base64, data, LAUNCH_PAYLOAD_MAX + 3);
    if (n < 0 || n > LAUNCH_PAYLOAD_MAX) {
        free(data);
        return -EINVAL;
    }
    *ret_data = data;
    *ret_size = (size_t)n;
    return 0;
}

/* ---- dispatch_payload ---- */

static bool leads_out(const char *path)
{
    if (*path == '/')
        return true;
    for (; *path; path += strcspn(path, "/")) {
        path += strspn(path, "/");
        if (strncmp(path, "..", 2) == 0 && (path[2] == '/' || !path[2]))
            return true;
    }
    return false;
}

static int check_file(struct schema_context *ctx, const struct schema_field *field, const void *obj,
                      struct schema_source source)
{
    const struct job_dispatch_payload *p = obj;
    size_t n = strlen(p->file);

    (void)field;
    if (leads_out(p->file))
        return schema_fail(ctx, source.pos, -EINVAL,
                           "\"file\" is a path below the task's local/, without \"..\", not "
                           "\"%.64s\"",
                           p->file);
    if (n && (p->file[n - 1] == '/' || strcmp(p->file, ".") == 0))
        return schema_fail(ctx, source.pos, -EINVAL, "\"%.64s\" is a directory, not a file",
                           p->file);
    return 0;
}

static const struct schema_field dispatch_payload_fields[] = {
    SCHEMA_FIELD(PRESENT, job_dispatch_payload, set, NULL, NULL),
    SCHEMA_FIELD(POS, job_dispatch_payload, pos, NULL, NULL),
    SCHEMA_FIELD(STRING, job_dispatch_payload, file, "file", "File", .required = true,
                 .check = check_file),
};

const struct schema dispatch_payload_schema = {
    .what = "dispatch_payload block",
    .size = sizeof(struct job_dispatch_payload),
    .fields = dispatch_payload_fields,
    .n_fields = ARRAY_LEN(dispatch_payload_fields),
};

/* ---- both kinds ---- */

bool job_is_parent(const struct job *job)
{
    return job_is_parameterized(job) || job_is_periodic(job);
}

static int check_parent(struct schema_context *ctx, const struct job *job)
{
    const char *what = job_is_parameterized(job) ? "parameterized" : "periodic";
    struct hcl_pos pos = job_is_parameterized(job) ? job->parameterized.pos : job->periodic.pos;

    if (job->type != JOB_TYPE_BATCH && job->type != JOB_TYPE_SYSBATCH)
        return schema_fail(ctx, pos, -EINVAL,
                           "a %s job is of the type \"batch\" or \"sysbatch\", not \"%s\"", what,
                           job_type_name(job->type));
    if (strlen(job->id) > ID_MAX_BYTES)
        return schema_fail(ctx, pos, -EINVAL,
                           "the name of a %s job has %d bytes at most, for those of its children "
                           "begin with it; shorten it",
                           what, ID_MAX_BYTES);
    return 0;
}

int launch_check(struct schema_context *ctx, const struct job *job)
{
    unsigned char *data = NULL;
    size_t size;
    int r = 0;

    if (job_is_parent(job))
        r = check_parent(ctx, job);
    if (r == 0 && job->periodic.set)
        r = check_periodic(ctx, &job->periodic);
    if (r == 0 && job->parameterized.set)
        r = check_parameterized(ctx, &job->parameterized);
    if (r == 0 && *job->payload) {
        r = launch_payload(job->payload, &data, &size);
        if (r == -EINVAL)
            r = schema_fail(ctx, job->pos, r, "the payload is not base64 of at most %d bytes",
                            LAUNCH_PAYLOAD_MAX);
    }
    free(data);
    return r;
}
