/* SPDX-License-Identifier: MIT
 *
 * Read into one struct that has room for the fields of any of these blocks, and turned into JSON at
 * once (schema_decode.c): nothing else looks at them.
 */
#include "shared/job/inert.h"

#include <stdarg.h>
#include <stdio.h>

#include "shared/cleanup.h"

struct inert_target {
    char *value;
    int64_t percent;
};

struct inert_link {
    char *label;
    char *url;
};

struct inert {
    char *text[4];
    int64_t number[6];
    bool flag[3];
    char **list;
    json_t *any;
    void *blocks;
    size_t n_blocks;
};

#define ROW(k, m, hcl_name, json_name, ...)                                                        \
    SCHEMA_FIELD(k, inert, m, hcl_name, json_name, __VA_ARGS__)
#define SCHEMA(name, words, ...)                                                                   \
    const struct schema name##_schema = {.what = words,                                            \
                                         .size = sizeof(struct inert),                             \
                                         .fields = name##_fields,                                  \
                                         .n_fields = ARRAY_LEN(name##_fields),                     \
                                         __VA_ARGS__}

static const struct schema_field action_fields[] = {
    ROW(STRING, text[0], NULL, "Name", .required = true),
    ROW(STRING, text[1], "command", "Command", .required = true),
    ROW(STRINGS, list, "args", "Args"),
};
SCHEMA(action, "action block", .labelled = true);

static const struct schema_field affinity_fields[] = {
    ROW(STRING, text[0], "attribute", "LTarget"),
    ROW(STRING, text[1], "value", "RTarget"),
    ROW(STRING, text[2], "operator", "Operand", .def = "="),
    ROW(INT, number[0], "weight", "Weight", .def = "50", .min = -100, .max = 100),
};
SCHEMA(affinity, "affinity block");

static const struct schema_field disconnect_fields[] = {
    ROW(DURATION, number[0], "lost_after", "LostAfter"),
    ROW(DURATION, number[1], "stop_on_client_after", "StopOnClientAfter"),
    ROW(BOOL, flag[0], "replace", "Replace"),
    ROW(STRING, text[0], "reconcile", "Reconcile", .def = "best_score"),
};
SCHEMA(disconnect, "disconnect block");

static const struct schema_field migrate_fields[] = {
    ROW(INT, number[0], "max_parallel", "MaxParallel", .def = "1"),
    ROW(STRING, text[0], "health_check", "HealthCheck", .def = "checks"),
    ROW(DURATION, number[1], "min_healthy_time", "MinHealthyTime", .def = "10s"),
    ROW(DURATION, number[2], "healthy_deadline", "HealthyDeadline", .def = "5m"),
};
SCHEMA(migrate, "migrate block");

static const struct schema_field reschedule_fields[] = {
    ROW(INT, number[0], "attempts", "Attempts"),
    ROW(DURATION, number[1], "interval", "Interval"),
    ROW(DURATION, number[2], "delay", "Delay", .def = "30s"),
    ROW(STRING, text[0], "delay_function", "DelayFunction", .def = "exponential"),
    ROW(DURATION, number[3], "max_delay", "MaxDelay", .def = "1h"),
    ROW(BOOL, flag[0], "unlimited", "Unlimited"),
};
SCHEMA(reschedule, "reschedule block");

#define SCALING                                                                                    \
    ROW(BOOL, flag[0], "enabled", "Enabled", .def = "true"), ROW(INT, number[0], "min", "Min"),    \
        ROW(INT, number[1], "max", "Max"), ROW(FREE_MAP, any, "policy", "Policy")

static const struct schema_field scaling_fields[] = {
    SCALING,
};
SCHEMA(scaling, "scaling block");

static const struct schema_field task_scaling_fields[] = {
    ROW(STRING, text[0], NULL, "Type", .required = true),
    SCALING,
};
SCHEMA(task_scaling, "scaling block", .labelled = true);

static const struct schema_field target_fields[] = {
    SCHEMA_FIELD(STRING, inert_target, value, NULL, "Value", .required = true),
    SCHEMA_FIELD(INT, inert_target, percent, "percent", "Percent", .max = 100),
};
static const struct schema target_schema = {
    .what = "target block",
    .size = sizeof(struct inert_target),
    .labelled = true,
    .fields = target_fields,
    .n_fields = ARRAY_LEN(target_fields),
};

static const struct schema_field spread_fields[] = {
    ROW(STRING, text[0], "attribute", "Attribute"),
    ROW(INT, number[0], "weight", "Weight", .def = "50", .max = 100),
    ROW(BLOCKS, blocks, "target", "SpreadTarget", .count = offsetof(struct inert, n_blocks),
        .block = &target_schema),
};
SCHEMA(spread, "spread block");

static const struct schema_field link_fields[] = {
    SCHEMA_FIELD(STRING, inert_link, label, "label", "Label"),
    SCHEMA_FIELD(STRING, inert_link, url, "url", "URL"),
};
static const struct schema link_schema = {
    .what = "link block",
    .size = sizeof(struct inert_link),
    .fields = link_fields,
    .n_fields = ARRAY_LEN(link_fields),
};

static const struct schema_field ui_fields[] = {
    ROW(STRING, text[0], "description", "Description"),
    ROW(BLOCKS, blocks, "link", "Links", .count = offsetof(struct inert, n_blocks),
        .block = &link_schema),
};
SCHEMA(ui, "ui block");

static const struct schema_field update_fields[] = {
    ROW(DURATION, number[0], "stagger", "Stagger", .def = "30s"),
    ROW(INT, number[1], "max_parallel", "MaxParallel", .def = "1"),
    ROW(STRING, text[0], "health_check", "HealthCheck", .def = "checks"),
    ROW(DURATION, number[2], "min_healthy_time", "MinHealthyTime", .def = "10s"),
    ROW(DURATION, number[3], "healthy_deadline", "HealthyDeadline", .def = "5m"),
    ROW(DURATION, number[4], "progress_deadline", "ProgressDeadline", .def = "10m"),
    ROW(BOOL, flag[0], "auto_revert", "AutoRevert"),
    ROW(BOOL, flag[1], "auto_promote", "AutoPromote"),
    ROW(INT, number[5], "canary", "Canary"),
};
SCHEMA(update, "update block");

static void pass_on(void *arg, const struct schema_field *field)
{
    struct inert_walk *walk = arg;

    walk->each(walk->arg, walk->owner, field->hcl, field->why);
}

void inert_walk(struct inert_walk *walk, const struct schema *schema, const void *obj,
                const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(walk->owner, sizeof(walk->owner), fmt, ap);
    va_end(ap);
    schema_each_inert(schema, obj, pass_on, walk);
}
