/* SPDX-License-Identifier: MIT
 *
 * Reading a job: decode by the tables, give each loose task its group, fill in restart policies,
 * check what holds between fields. A struct job that leaves this file is complete and valid.
 */
#include "shared/job/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/job/artifact.h"
#include "shared/job/job_schema.h"
#include "shared/job/schema.h"
#include "shared/job/template.h"
#include "shared/job/volume.h"

#define SECOND 1000000000LL
#define DEFAULT_COMPRESS_AFTER (60 * SECOND)

/* ---- loose tasks ---- */

/* Each becomes the only task of a group of its name, behind the groups written as such. */
static int group_loose_tasks(struct job *job)
{
    struct job_group *groups;

    if (job->n_loose_tasks == 0)
        return 0;
    groups = reallocarray(job->groups, job->n_groups + job->n_loose_tasks, sizeof(*groups));
    if (!groups)
        return -ENOMEM;
    job->groups = groups;
    while (job->n_loose_tasks > 0) {
        struct job_task *task = malloc(sizeof(*task));
        struct job_task *from = &job->loose_tasks[0];
        struct job_group *group = &groups[job->n_groups];

        if (!task)
            return -ENOMEM;
        *group = (struct job_group){.pos = from->pos,
                                    .count = 1,
                                    .disk = {.size_mb = JOB_DEFAULT_DISK_MB},
                                    .tasks = task,
                                    .n_tasks = 1};
        *task = *from;
        job->n_groups++;
        job->n_loose_tasks--;
        memmove(from, from + 1, job->n_loose_tasks * sizeof(*from));
        group->name = strdup(task->name);
        group->meta = json_object();
        group->restart = task->restart;
        group->restart.mode = strdup(task->restart.mode);
        if (!group->name || !group->meta || !group->restart.mode)
            return -ENOMEM;
    }
    free(take_ptr(job->loose_tasks));
    return 0;
}

/* ---- restart policies ---- */

static int fill_restart(struct job_restart *restart, const struct job_restart *defaults)
{
    if (restart->attempts < 0)
        restart->attempts = defaults->attempts;
    if (restart->interval_ns < 0)
        restart->interval_ns = defaults->interval_ns;
    if (restart->delay_ns < 0)
        restart->delay_ns = defaults->delay_ns;
    if (*restart->mode)
        return 0;
    free(restart->mode);
    restart->mode = strdup(defaults->mode);
    return restart->mode ? 0 : -ENOMEM;
}

static int check_restart(struct schema_context *ctx, struct hcl_pos pos,
                         const struct job_restart *restart)
{
    int64_t total;

    if (restart->interval_ns < 5 * SECOND)
        return schema_fail(ctx, pos, -EINVAL, "the restart interval is less than 5s; raise it");
    if (restart->attempts == 0 && strcmp(restart->mode, "fail") != 0)
        return schema_fail(ctx, pos, -EINVAL,
                           "0 restart attempts with mode \"delay\" say both never and forever; use "
                           "mode = \"fail\" or more attempts");
    if (__builtin_mul_overflow(restart->attempts, restart->delay_ns, &total) ||
        total > restart->interval_ns)
        return schema_fail(
            ctx, pos, -EINVAL,
            "%lld restart attempts %llds apart do not fit into the interval of %llds; "
            "raise the interval or lower attempts or delay",
            (long long)restart->attempts, (long long)(restart->delay_ns / SECOND),
            (long long)(restart->interval_ns / SECOND));
    return 0;
}

static int finish_restart(struct schema_context *ctx, struct hcl_pos pos,
                          struct job_restart *restart, const struct job_restart *defaults)
{
    size_t mark = schema_enter(ctx, "RestartPolicy");
    int r = fill_restart(restart, defaults);

    if (r == 0)
        r = check_restart(ctx, restart->pos.line ? restart->pos : pos, restart);
    schema_leave(ctx, mark);
    return r;
}

/* ---- logs ---- */

static int finish_logs(struct schema_context *ctx, struct job_logs *logs)
{
    size_t mark = schema_enter(ctx, "LogConfig");
    int r = 0;

    if (logs->compress_after_ns < 0)
        logs->compress_after_ns = logs->compress ? DEFAULT_COMPRESS_AFTER : 0;
    if (logs->max_age_ns && logs->compress_after_ns >= logs->max_age_ns)
        r = schema_fail(ctx, logs->pos, -EINVAL,
                        "log files are removed at \"max_age\", before \"compress_after\" comes; "
                        "raise the one or lower the other");
    schema_leave(ctx, mark);
    return r;
}

/* ---- what holds between fields ---- */

static int finish_task(struct schema_context *ctx, const struct job_group *group,
                       struct job_task *task)
{
    struct job_resources *res = &task->resources;
    int r = finish_restart(ctx, task->pos, &task->restart, &group->restart);

    if (res->cpu_mhz < 0)
        res->cpu_mhz = res->cores ? 0 : JOB_DEFAULT_CPU_MHZ;
    if (r == 0)
        r = finish_logs(ctx, &task->logs);
    if (r == 0)
        r = constraints_finish(ctx, task->constraints, task->n_constraints, true);
    if (r == 0)
        r = volume_check_mounts(ctx, group, task);
    if (r == 0)
        r = artifact_check_all(ctx, task);
    return r ? r : template_finish_task(ctx, task);
}

static int check_leader(struct schema_context *ctx, const struct job_group *group)
{
    const struct job_task *leader = NULL;

    for (size_t i = 0; i < group->n_tasks; i++) {
        const struct job_task *task = &group->tasks[i];

        if (!task->leader)
            continue;
        if (leader)
            return schema_fail(ctx, task->pos, -EINVAL,
                               "the group \"%.64s\" has a leader already, task \"%.64s\"; a group "
                               "ends with one task, so remove one \"leader\"",
                               group->name, leader->name);
        if (task->lifecycle.hook == JOB_HOOK_POSTSTOP)
            return schema_fail(ctx, task->pos, -EINVAL,
                               "task \"%.64s\" starts when all others have ended, so its end "
                               "cannot end them; remove \"leader\" or the poststop hook",
                               task->name);
        leader = task;
    }
    return 0;
}

static int finish_group(struct schema_context *ctx, const struct job *job, struct job_group *group)
{
    static const struct job_restart of_service = {.attempts = 2,
                                                  .interval_ns = 1800 * SECOND,
                                                  .delay_ns = 15 * SECOND,
                                                  .mode = (char *)"fail"},
                                    of_batch = {.attempts = 3,
                                                .interval_ns = 86400 * SECOND,
                                                .delay_ns = 15 * SECOND,
                                                .mode = (char *)"fail"};
    int r = finish_restart(ctx, group->pos, &group->restart,
                           job_type_is_batch(job->type) ? &of_batch : &of_service);

    if (r == 0 && job_type_is_system(job->type) && group->count > 1)
        r = schema_fail(ctx, group->pos, -EINVAL,
                        "the group \"%.64s\" has a count of %lld, and those of a %s job have one "
                        "allocation on each host; remove the count, or make the job a %s job",
                        group->name, (long long)group->count, job_type_name(job->type),
                        job_type_is_batch(job->type) ? "batch" : "service");

    if (r == 0 && group->n_tasks == 0)
        return schema_fail(ctx, group->pos, -EINVAL,
                           "the group \"%.64s\" has no task; add a task block", group->name);
    if (schema_goes_on(ctx, r)) {
        int bad = constraints_finish(ctx, group->constraints, group->n_constraints, false);

        r = r ? r : bad;
    }
    group->disk.sticky |= group->disk.migrate;
    if (schema_goes_on(ctx, r)) {
        int bad = check_leader(ctx, group);

        r = r ? r : bad;
    }
    for (size_t i = 0; schema_goes_on(ctx, r) && i < group->n_tasks; i++) {
        size_t mark = schema_enter(ctx, "Tasks[%zu]", i);
        int bad = finish_task(ctx, group, &group->tasks[i]);

        r = r ? r : bad;
        schema_leave(ctx, mark);
    }
    return r;
}

static int check_group_names(struct schema_context *ctx, const struct job *job)
{
    for (size_t i = 0; i < job->n_groups; i++)
        if (job_find_group(job, job->groups[i].name) != &job->groups[i])
            return schema_fail(
                ctx, job->groups[i].pos, -EINVAL,
                "there is a group \"%.64s\" already (a task directly in the job makes "
                "a group of its name); rename one",
                job->groups[i].name);
    return 0;
}

static int finish_job(struct schema_context *ctx, struct job *job)
{
    int r = group_loose_tasks(job);

    if (r < 0)
        return r;
    if (!*job->name) {
        free(job->name);
        job->name = strdup(job->id);
        if (!job->name)
            return -ENOMEM;
    }
    if (!job->datacenters[0])
        return schema_fail(ctx, job->pos, -EINVAL,
                           "the list of datacenters is empty; name one, or leave it out for all");
    if (job->n_groups == 0)
        return schema_fail(ctx, job->pos, -EINVAL,
                           "the job \"%.64s\" has nothing to run; add a group or a task block",
                           job->id);
    r = check_group_names(ctx, job);
    if (schema_goes_on(ctx, r)) {
        int bad = launch_check(ctx, job);

        if (!bad)
            bad = constraints_finish(ctx, job->constraints, job->n_constraints, false);

        r = r ? r : bad;
    }
    for (size_t i = 0; schema_goes_on(ctx, r) && i < job->n_groups; i++) {
        size_t mark = schema_enter(ctx, "TaskGroups[%zu]", i);
        int bad = finish_group(ctx, job, &job->groups[i]);

        r = r ? r : bad;
        schema_leave(ctx, mark);
    }
    return r;
}

/* ---- interface ---- */

/* Takes `job` over: to the caller if `r` is 0, else to its end. */
static int hand_over(int r, struct job *job, struct job **ret_job, struct err *e)
{
    if (r == -ENOMEM)
        (void)err_sys(e, r, "reading a job");
    if (r < 0)
        job_free(job);
    else
        *ret_job = job;
    return r;
}

int job_from_hcl(const struct hcl_file *file, struct job **ret_job, struct err *e)
{
    return job_from_hcl_all(file, ret_job, NULL, e);
}

int job_from_json(const json_t *json, struct job **ret_job, struct err *e)
{
    return job_from_json_all(json, ret_job, NULL, e);
}

int job_from_hcl_all(const struct hcl_file *file, struct job **ret_job,
                     struct schema_problems *problems, struct err *e)
{
    struct schema_context ctx = {.file = file, .e = e, .problems = problems};
    struct schema_source source = {.body = file->body, .pos = {.line = 1, .col = 1}};
    struct job_root root;
    int r = schema_init(&job_root_schema, &root);

    if (r == 0)
        r = schema_decode(&ctx, &job_root_schema, source, &root);
    if (r == 0 && root.n_jobs == 0)
        r = schema_fail(&ctx, source.pos, -EINVAL,
                        "there is no job in this file; write job \"name\" { … }");
    if (r == 0 && root.n_jobs > 1)
        r = schema_fail(&ctx, root.jobs[1].pos, -EINVAL,
                        "a job file holds one job; put the second into a file of its own");
    if (r == 0)
        r = finish_job(&ctx, root.jobs);
    if (r < 0) {
        schema_deinit(&job_root_schema, &root);
        return hand_over(r, NULL, ret_job, e);
    }
    return hand_over(0, root.jobs, ret_job, e);
}

int job_from_json_all(const json_t *json, struct job **ret_job, struct schema_problems *problems,
                      struct err *e)
{
    struct schema_context ctx = {.e = e, .problems = problems};
    struct job *job;
    int r;

    if (!json_is_object(json))
        return err_set(e, -EINVAL, "the job must be a JSON object");
    job = malloc(sizeof(*job));
    r = job ? schema_init(&job_schema, job) : -ENOMEM;
    if (r == 0)
        r = schema_decode(&ctx, &job_schema, (struct schema_source){.json = json}, job);
    if (r == 0)
        r = finish_job(&ctx, job);
    return hand_over(r, job, ret_job, e);
}

json_t *job_to_json(const struct job *job)
{
    return schema_encode(&job_schema, job);
}

struct job *job_free(struct job *job)
{
    if (!job)
        return NULL;
    schema_deinit(&job_schema, job);
    free(job);
    return NULL;
}

int64_t job_secrets_mb(const struct job_task *task)
{
    int64_t mb = task->resources.secrets_mb;

    return mb ? mb : JOB_DEFAULT_SECRETS_MB;
}

const struct job_group *job_find_group(const struct job *job, const char *name)
{
    for (size_t i = 0; i < job->n_groups; i++)
        if (strcmp(job->groups[i].name, name) == 0)
            return &job->groups[i];
    return NULL;
}

const struct job_task *job_group_find_task(const struct job_group *group, const char *name)
{
    for (size_t i = 0; i < group->n_tasks; i++)
        if (strcmp(group->tasks[i].name, name) == 0)
            return &group->tasks[i];
    return NULL;
}

const struct job_volume *job_group_find_volume(const struct job_group *group, const char *name)
{
    for (size_t i = 0; i < group->n_volumes; i++)
        if (strcmp(group->volumes[i].name, name) == 0)
            return &group->volumes[i];
    return NULL;
}
