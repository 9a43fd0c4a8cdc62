/* SPDX-License-Identifier: MIT
 *
 * The tables of the agent's configuration, for the modules that walk them.
 */
#pragma once

#include "manager/config/config.h"
#include "shared/job/schema.h"

/* A row whose name is the same in HCL and in JSON. */
#define OPTION(kind, s, member, name, ...) SCHEMA_FIELD(kind, s, member, name, name, __VA_ARGS__)
/* A block whose fields are members of the struct around it. */
#define OPTION_BLOCK(name, table)                                                                  \
    {                                                                                              \
        .kind = FIELD_BLOCK, .hcl = name, .json = name, .block = &(table)                          \
    }
#define OPTION_REFUSED(name, ...) SCHEMA_LATER(name, name, __VA_ARGS__)

/* What the checks of the tables find around their row. */
struct config_context {
    struct schema_context schema;
    struct config *config;
    const char *file;
    bool decoded; /* it could be read, and what it says is looked at */
};

extern const struct schema config_schema;    /* a whole file: struct config */
extern const struct schema config_client;    /* client { }: struct config */
extern const struct schema config_plugins;   /* plugin "…" { }: struct config */
extern const struct schema config_artifact;  /* client { artifact { } } */
extern const struct schema config_template;  /* client { template { } } */
extern const struct schema config_vault;     /* vault { }: struct config_server */
extern const struct schema config_consul;    /* consul { }: the same */
extern const struct schema config_telemetry; /* telemetry { } */

/* Checks that more than one table has. */
int config_check_absolute(struct schema_context *ctx, const struct schema_field *field,
                          const void *obj, struct schema_source source);
int config_check_options(struct schema_context *ctx, const struct schema_field *field,
                         const void *obj, struct schema_source source);

/* The options that are lists, by their names of today (new reference). */
json_t *config_options_in_effect(const struct config *config);

/* Numbers up to `max` and ranges of them: "0,2-3". */
bool config_is_ranges(const char *text, unsigned long max);

/* Whether a path has ".." among its parts. */
bool config_has_dotdot(const char *path);

/* Says where an option was set, for people: in the file of `ctx`, at `line` (0: it has none). */
void config_note_origin(const struct config_context *ctx, const char *path, unsigned int line);
