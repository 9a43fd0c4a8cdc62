/* SPDX-License-Identifier: MIT
 *
 * A destination is looked at as written: with variables in it, it is looked at again when the task
 * starts, and the renderer leaves the allocation's directory in no case.
 */
#include "shared/job/template.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/tmpl/tmpl.h"
#include "shared/units.h"

enum {
    DELIMITER_MAX_BYTES = 16,
    PATH_STEPS_MAX = 128,
};

/* ---- one field ---- */

static int check_signal(struct schema_context *ctx, const struct schema_field *field,
                        const void *obj, struct schema_source source)
{
    const struct job_template *t = obj;

    (void)field;
    if (!*t->change_signal || signal_parse(t->change_signal) > 0)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "there is no signal \"%.64s\"; use a name such as \"SIGHUP\" or \"SIGUSR1\"",
                       t->change_signal);
}

static int check_perms(struct schema_context *ctx, const struct schema_field *field,
                       const void *obj, struct schema_source source)
{
    const struct job_template *t = obj;
    char *end;
    unsigned long mode = strtoul(t->perms, &end, 8);

    (void)field;
    if (!*t->perms || (isdigit((unsigned char)*t->perms) && !*end && mode <= 07777))
        return 0;
    return schema_fail(
        ctx, source.pos, -EINVAL,
        "\"%.64s\" are no permissions; write up to four octal digits, as in \"0644\"", t->perms);
}

static int check_delimiter(struct schema_context *ctx, const struct schema_field *field,
                           const void *obj, struct schema_source source)
{
    const char *text = *(char *const *)((const char *)obj + field->offset);

    if (strlen(text) <= DELIMITER_MAX_BYTES && !strpbrk(text, " \t\r\n"))
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"%.64s\" is no delimiter; write up to %d characters without white space",
                       text, DELIMITER_MAX_BYTES);
}

/* ---- the block ---- */

static const struct schema_field script_fields[] = {
    SCHEMA_FIELD(PRESENT, job_change_script, set, NULL, NULL),
    SCHEMA_FIELD(STRING, job_change_script, command, "command", "Command"),
    SCHEMA_FIELD(STRINGS, job_change_script, args, "args", "Args"),
    SCHEMA_FIELD(DURATION, job_change_script, timeout_ns, "timeout", "Timeout", .def = "5s"),
    SCHEMA_FIELD(BOOL, job_change_script, fail_on_error, "fail_on_error", "FailOnError"),
    SCHEMA_LATER("run_on_first_render", "RunOnFirstRender"),
};

static const struct schema script_schema = {
    .what = "change_script block",
    .size = sizeof(struct job_change_script),
    .fields = script_fields,
    .n_fields = ARRAY_LEN(script_fields),
};

static const struct schema_field wait_fields[] = {
    SCHEMA_FIELD(PRESENT, job_template_wait, set, NULL, NULL),
    SCHEMA_FIELD(DURATION, job_template_wait, min_ns, "min", "Min"),
    SCHEMA_FIELD(DURATION, job_template_wait, max_ns, "max", "Max"),
};

static const struct schema wait_schema = {
    .what = "wait block",
    .size = sizeof(struct job_template_wait),
    .fields = wait_fields,
    .n_fields = ARRAY_LEN(wait_fields),
};

static const char *const change_modes[JOB_CHANGE_N + 1] = {"restart", "noop", "signal", "script"};

static const struct schema_field template_fields[] = {
    SCHEMA_FIELD(POS, job_template, pos, NULL, NULL),
    SCHEMA_FIELD(STRING, job_template, source, "source", "SourcePath"),
    SCHEMA_FIELD(STRING, job_template, destination, "destination", "DestPath", .required = true),
    SCHEMA_FIELD(STRING, job_template, data, "data", "EmbeddedTmpl"),
    SCHEMA_FIELD(ENUM, job_template, change_mode, "change_mode", "ChangeMode", .def = "restart",
                 .names = change_modes),
    SCHEMA_FIELD(STRING, job_template, change_signal, "change_signal", "ChangeSignal",
                 .check = check_signal),
    SCHEMA_FIELD(BLOCK, job_template, change_script, "change_script", "ChangeScript",
                 .block = &script_schema, .optional = true),
    SCHEMA_FIELD(DURATION, job_template, splay_ns, "splay", "Splay", .def = "5s"),
    SCHEMA_FIELD(STRING, job_template, perms, "perms", "Perms", .def = "0644",
                 .check = check_perms),
    SCHEMA_FIELD(INT, job_template, uid, "uid", "Uid", .def = "-1", .min = -1,
                 .max = UINT32_MAX - 1),
    SCHEMA_FIELD(INT, job_template, gid, "gid", "Gid", .def = "-1", .min = -1,
                 .max = UINT32_MAX - 1),
    SCHEMA_FIELD(STRING, job_template, left, "left_delimiter", "LeftDelim", .def = "{{",
                 .check = check_delimiter),
    SCHEMA_FIELD(STRING, job_template, right, "right_delimiter", "RightDelim", .def = "}}",
                 .check = check_delimiter),
    SCHEMA_FIELD(BOOL, job_template, env, "env", "Envvars"),
    SCHEMA_FIELD(BOOL, job_template, error_on_missing_key, "error_on_missing_key", "ErrMissingKey"),
    SCHEMA_FIELD(BOOL, job_template, once, "once", "Once"),
    SCHEMA_FIELD(BLOCK, job_template, wait, "wait", "Wait", .block = &wait_schema,
                 .optional = true),
    SCHEMA_FIELD(DURATION, job_template, vault_grace_ns, "vault_grace", "VaultGrace"),
};

const struct schema template_schema = {
    .what = "template",
    .size = sizeof(struct job_template),
    .fields = template_fields,
    .n_fields = ARRAY_LEN(template_fields),
};

/* ---- what holds between fields ---- */

/* From the task's directory: beneath it, or beneath the shared one, "../alloc". */
static bool leads_out(const char *path, const char *task)
{
    autofree char *copy = strdup(path);
    const char *steps[PATH_STEPS_MAX] = {task};
    size_t n = 1;
    char *rest = NULL;

    if (!copy)
        return true;
    for (char *step = strtok_r(copy, "/", &rest); step; step = strtok_r(NULL, "/", &rest)) {
        if (strcmp(step, ".") == 0)
            continue;
        if (strcmp(step, "..") == 0 ? n-- == 0 : n == PATH_STEPS_MAX)
            return true;
        if (strcmp(step, "..") != 0)
            steps[n++] = step;
    }
    return n < 2 || (strcmp(steps[0], task) != 0 && strcmp(steps[0], "alloc") != 0);
}

static int check_destination(struct schema_context *ctx, const struct job_task *task,
                             const struct job_template *t)
{
    if (!strstr(t->destination, "${") && leads_out(t->destination, task->name))
        return schema_fail(ctx, t->pos, -EINVAL,
                           "the destination \"%.64s\" names no file beneath the task's directory; "
                           "write one beneath local/ or secrets/",
                           t->destination);
    for (const struct job_template *before = task->templates; before < t; before++)
        if (strcmp(before->destination, t->destination) == 0)
            return schema_fail(
                ctx, t->pos, -EINVAL,
                "two templates of the task \"%.64s\" have the destination \"%.64s\"; "
                "rename one",
                task->name, t->destination);
    return 0;
}

static int check_change(struct schema_context *ctx, const struct job_template *t)
{
    if (t->change_mode == JOB_CHANGE_SIGNAL && !*t->change_signal)
        return schema_fail(ctx, t->pos, -EINVAL,
                           "change_mode = \"signal\" does not say which; add change_signal");
    if (t->env && t->change_mode == JOB_CHANGE_SIGNAL)
        return schema_fail(ctx, t->pos, -EINVAL,
                           "a signal cannot bring a running task new environment variables, as env "
                           "= true asks for; use change_mode = \"restart\" or \"noop\"");
    if (t->change_mode == JOB_CHANGE_SCRIPT && !*t->change_script.command)
        return schema_fail(ctx, t->pos, -EINVAL,
                           "change_mode = \"script\" does not say what to run; add change_script { "
                           "command = … }");
    if (t->wait.max_ns && t->wait.min_ns > t->wait.max_ns)
        return schema_fail(ctx, t->pos, -EINVAL,
                           "the wait block's \"min\" is more than its \"max\"; exchange them");
    return 0;
}

static int check_text(struct schema_context *ctx, const struct job_template *t)
{
    const struct tmpl_options options = {.left = t->left, .right = t->right};
    struct tmpl *tmpl = NULL;
    struct err e = ERR_INIT;
    int r = tmpl_parse(t->destination, t->data, strlen(t->data), &options, &tmpl, &e);

    tmpl_free(tmpl);
    return r && r != -ENOMEM ? schema_fail(ctx, t->pos, r, "%s", e.text) : r;
}

static int check_one(struct schema_context *ctx, const struct job_task *task,
                     const struct job_template *t)
{
    int r;

    if (!*t->source == !*t->data)
        return schema_fail(ctx, t->pos, -EINVAL,
                           "a template has either \"source\" (a file) or \"data\" (its text); %s",
                           *t->source ? "remove one" : "add one");
    r = check_destination(ctx, task, t);
    if (!r)
        r = check_change(ctx, t);
    if (!r && t->once != task->templates->once)
        r = schema_fail(ctx, t->pos, -EINVAL,
                        "\"once\" is true for some templates of the task and false for others; "
                        "make them agree");
    return r || !*t->data ? r : check_text(ctx, t);
}

int template_finish_task(struct schema_context *ctx, struct job_task *task)
{
    int r = 0;

    for (size_t i = 0; i < task->n_templates && !r; i++) {
        size_t mark = schema_enter(ctx, "Templates[%zu]", i);
        struct job_template *t = &task->templates[i];

        /* Records of 0.1.0 have both blocks, without content, where the job has none. */
        t->wait.set = t->wait.min_ns || t->wait.max_ns;
        t->change_script.set = *t->change_script.command;
        r = check_one(ctx, task, t);
        schema_leave(ctx, mark);
    }
    return r;
}
