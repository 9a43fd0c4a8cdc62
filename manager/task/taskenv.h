/* SPDX-License-Identifier: MIT
 *
 * A task's environment, and the ${…} in its definition.
 *
 * Who wins, from the weakest: the built-in NOMAD_* variables, NOMAD_META_*, the manager's own
 * environment (only names not set yet; those that config->env_denylist matches are left out), the
 * task's `env`.
 */
#pragma once

#include <jansson.h>

#include "manager/bag.h"
#include "manager/config/config.h"
#include "manager/state.h"

struct taskenv_input {
    const struct config *config;
    const char *node_id;
    const json_t *attributes; /* of the node: string to string */
    const struct task *task;
    const char *alloc_dir; /* as the task sees them */
    const char *task_dir;
    const char *secrets_dir;
    char *const *host_env; /* "KEY=value", NULL-terminated */
};

struct taskenv {
    const struct taskenv_input *in;
    json_t *vars; /* string to string */
};

/* Builds `env`; `in` must outlive it. */
void taskenv_init(struct taskenv *env, const struct taskenv_input *in);
void taskenv_deinit(struct taskenv *env);

/* NULL if unset. */
const char *taskenv_get(const struct taskenv *env, const char *name);

/* Sets `name`, unless the task's own `env` has it. */
void taskenv_default(struct taskenv *env, const char *name, const char *value);

/* `text` with each ${NAME}, ${env["NAME"]}, ${attr.*}, ${meta.*} and ${node.*} replaced; unknown
 * ones stay as they are, and "$${" is a literal "${". */
char *taskenv_expand(const struct taskenv *env, const char *text, struct bag *bag);

/* The variables as a NULL-terminated list of "KEY=value". */
char **taskenv_list(const struct taskenv *env, struct bag *bag);
