/* SPDX-License-Identifier: MIT
 *
 * Blocks that Nomad has for many hosts and a job runs as well without on one: they are checked,
 * kept and shown, and whoever registers the job is told that they have no effect. What would change
 * what a task finds is not among them: that is refused (FIELD_LATER in job_schema.c).
 */
#pragma once

#include "shared/job/schema.h"

#define NO_SECOND_HOST "there is no second host"
#define NO_RESCHEDULING NO_SECOND_HOST ", the restart policy is all there is"
#define NO_SERVER "there is no server to lose the connection to"
#define NO_AUTOSCALER "there is no autoscaler"
#define ALL_AT_ONCE                                                                                \
    "a changed job stops all it replaces at once, however many run, and none is waited for or "    \
    "gone back to"
#define NO_CONSUL "there is no Consul here; remove it"
#define NO_VAULT "read Vault with a template's \"secret\" instead"
#define NO_SERVICES "no services are registered; remove it"

extern const struct schema action_schema;
extern const struct schema affinity_schema;
extern const struct schema disconnect_schema;
extern const struct schema migrate_schema;
extern const struct schema reschedule_schema;
extern const struct schema scaling_schema;
extern const struct schema task_scaling_schema;
extern const struct schema spread_schema;
extern const struct schema ui_schema;
extern const struct schema update_schema;

struct inert_walk {
    void (*each)(void *arg, const char *owner, const char *name, const char *why);
    void *arg;
    char owner[256];
};

/* Calls walk->each for what is there of them in `obj`, whose name the format makes. */
void inert_walk(struct inert_walk *walk, const struct schema *schema, const void *obj,
                const char *fmt, ...) __attribute__((format(printf, 4, 5)));
