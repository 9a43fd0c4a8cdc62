/* SPDX-License-Identifier: MIT
 *
 * A task's environment, the ${…} in its definition, and the paths it may name.
 *
 * Who wins, from the weakest: the built-in NOMAD_* variables, NOMAD_META_*, the manager's own
 * environment (only names not set yet; those that config->env_denylist matches are left out), the
 * task's `env`, what its templates rendered with env = true.
 */
#pragma once

#include <jansson.h>

#include "manager/bag.h"
#include "manager/config/config.h"
#include "manager/state.h"
#include "manager/task/interpolate.h"
#include "shared/cgroup_layout.h"
#include "shared/err.h"

struct taskenv_input {
    const struct config *config;
    const struct cgroup_layout *cgroup; /* NULL: none */
    const char *node_id;
    const json_t *attributes; /* of the node: string to string */
    const struct task *task;
    const char *alloc_dir; /* as the task sees them */
    const char *task_dir;
    const char *secrets_dir;
    char *const *host_env; /* "KEY=value", NULL-terminated */
};

struct taskenv {
    struct taskenv_input in;
    json_t *vars; /* string to string */
    struct bag bag;
};

/* Builds `env`; what `in` points to must outlive it. */
void taskenv_init(struct taskenv *env, const struct taskenv_input *in);

/* The same for a task as it is about to be started. */
void taskenv_of(struct taskenv *env, const struct task *task);

/* Whether no task inherits that variable of the manager's environment. */
bool taskenv_is_denied(const struct config *config, const char *name);
void taskenv_deinit(struct taskenv *env);

/* NULL if unset. */
const char *taskenv_get(const struct taskenv *env, const char *name);

/* Sets `name`, unless the task's own `env` has it. */
void taskenv_default(struct taskenv *env, const char *name, const char *value);

/* `text` with each ${…} replaced (manager/task/interpolate.h). */
char *taskenv_expand(const struct taskenv *env, const char *text, struct bag *bag);

/* The same for other forms; valid as long as `env`. */
struct interpolation taskenv_interpolation(const struct taskenv *env);

/* Where the file is that the task's definition calls `text` (an artifact's destination, a
 * template's source …): expanded, what the task sees as /alloc, /local or /secrets mapped back, all
 * else taken from the task's directory. Relative to the allocation's directory, without "." and
 * "..", and beneath "alloc" or the task's directory; links may still lead elsewhere, so open it
 * with openat2(2), RESOLVE_BENEATH. NULL, and -EINVAL in `e`: it leads out of both. */
char *taskenv_path(const struct taskenv *env, const char *text, struct bag *bag, struct err *e);

/* Takes out those whose names match one of the patterns (NULL: none). */
void taskenv_drop(struct taskenv *env, char *const *patterns);

/* The variables as a NULL-terminated list of "KEY=value". */
char **taskenv_list(const struct taskenv *env, struct bag *bag);
