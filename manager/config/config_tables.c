/* SPDX-License-Identifier: MIT
 *
 * A configuration file as a whole, under Nomad's names. Of what Nomad has and a node of its own has
 * no use for (servers, clusters, service registration …) a warning tells; what would protect the
 * API, as acl and tls do, is refused unless it is switched off.
 */
#include "manager/config/config_tables.h"

#include <errno.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/job/value.h"

static int check_log_level(struct schema_context *ctx, const struct schema_field *field,
                           const void *obj, struct schema_source source)
{
    const struct config *config = obj;

    (void)field;
    if (log_level_parse(config->written.log_level) >= 0 ||
        strcasecmp(config->written.log_level, "trace") == 0)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"log_level\" is \"debug\", \"info\", \"warn\" or \"error\", not \"%.64s\"",
                       config->written.log_level);
}

static int fail_address(struct schema_context *ctx, struct hcl_pos pos, const char *text)
{
    return schema_fail(ctx, pos, -EINVAL,
                       "\"%.64s\" is no address; write addresses = [\"unix:///path/of/the.sock\", "
                       "\"http://127.0.0.1:4646\"]",
                       text);
}

/* Nomad's form: addresses { http = "127.0.0.1" }. What its servers listen at is nothing here. */
static int check_address_block(struct schema_context *ctx, const json_t *block, struct hcl_pos pos)
{
    static const struct schema here = {.what = "addresses block"};
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)block, key, value)
    {
        if (!json_is_string(value))
            return fail_address(ctx, pos, key);
        if (strcmp(key, "rpc") == 0 || strcmp(key, "serf") == 0)
            ctx->on_unused(ctx, &here, key, pos);
        else if (strcmp(key, "http") != 0)
            return schema_fail(ctx, pos, -EINVAL,
                               "unknown attribute \"%.64s\" in an addresses block; it has \"http\"",
                               key);
    }
    return 0;
}

static int check_addresses(struct schema_context *ctx, const struct schema_field *field,
                           const void *obj, struct schema_source source)
{
    const json_t *addresses = ((const struct config *)obj)->written.addresses;
    size_t i;
    json_t *item;

    (void)field;
    if (json_is_object(addresses))
        return check_address_block(ctx, addresses, source.pos);
    if (!json_is_array(addresses))
        return fail_address(ctx, source.pos,
                            json_is_string(addresses) ? json_string_value(addresses)
                                                      : value_kind_name(addresses));
    json_array_foreach(addresses, i, item)
    {
        const char *text = json_string_value(item);

        if (!text || (strncmp(text, "unix:///", 8) != 0 && strncmp(text, "http://", 7) != 0))
            return fail_address(ctx, source.pos, text ? text : value_kind_name(item));
    }
    return 0;
}

static const struct schema_field ports_fields[] = {
    OPTION(INT, config, written.http_port, "http", .min = 1, .max = 65535),
    SCHEMA_UNUSED("rpc"),
    SCHEMA_UNUSED("serf"),
};

static const struct schema ports_schema = {
    .what = "ports block",
    .fields = ports_fields,
    .n_fields = ARRAY_LEN(ports_fields),
};

static const struct schema_field telemetry_fields[] = {
    OPTION(BOOL, config_telemetry, prometheus_metrics, "prometheus_metrics", .def = "true"),
    OPTION(BOOL, config_telemetry, publish_allocation_metrics, "publish_allocation_metrics",
           .def = "true"),
    OPTION(BOOL, config_telemetry, publish_node_metrics, "publish_node_metrics", .def = "true"),
    SCHEMA_UNUSED("circonus_api_app"),
    SCHEMA_UNUSED("circonus_api_token"),
    SCHEMA_UNUSED("circonus_api_url"),
    SCHEMA_UNUSED("circonus_broker_id"),
    SCHEMA_UNUSED("circonus_broker_select_tag"),
    SCHEMA_UNUSED("circonus_check_display_name"),
    SCHEMA_UNUSED("circonus_check_force_metric_activation"),
    SCHEMA_UNUSED("circonus_check_id"),
    SCHEMA_UNUSED("circonus_check_instance_id"),
    SCHEMA_UNUSED("circonus_check_search_tag"),
    SCHEMA_UNUSED("circonus_check_tags"),
    SCHEMA_UNUSED("circonus_submission_interval"),
    SCHEMA_UNUSED("circonus_submission_url"),
    SCHEMA_UNUSED("collection_interval"),
    SCHEMA_UNUSED("datadog_address"),
    SCHEMA_UNUSED("datadog_tags"),
    SCHEMA_UNUSED("disable_allocation_hook_metrics"),
    SCHEMA_UNUSED("disable_dispatched_job_summary_metrics"),
    SCHEMA_UNUSED("disable_hostname"),
    SCHEMA_UNUSED("disable_quota_utilization_metrics"),
    SCHEMA_UNUSED("disable_rpc_rate_metrics_labels"),
    SCHEMA_UNUSED("filter_default"),
    SCHEMA_UNUSED("in_memory_collection_interval"),
    SCHEMA_UNUSED("in_memory_retention_period"),
    SCHEMA_UNUSED("include_alloc_metadata_in_metrics"),
    SCHEMA_UNUSED("allowed_metadata_keys_in_metrics"),
    SCHEMA_UNUSED("prefix_filter"),
    SCHEMA_UNUSED("statsd_address"),
    SCHEMA_UNUSED("statsite_address"),
    SCHEMA_UNUSED("use_node_name"),
};

const struct schema config_telemetry = {
    .what = "telemetry block",
    .size = sizeof(struct config_telemetry),
    .fields = telemetry_fields,
    .n_fields = ARRAY_LEN(telemetry_fields),
};

#define NOBODY_ELSE                                                                                \
    "the API is for those whom the socket's directory lets in, and nothing more is checked; "      \
    "remove the block"

static const struct schema_field file_fields[] = {
    OPTION(STRING, config, data_dir, "data_dir", .check = config_check_absolute),
    OPTION(STRING, config, name, "name"),
    OPTION(STRING, config, datacenter, "datacenter", .def = "dc1"),
    OPTION(STRING, config, region, "region", .def = "global"),
    OPTION(STRING, config, executor, "executor", .check = config_check_absolute),
    OPTION(STRING, config, written.log_level, "log_level", .def = "info", .check = check_log_level),
    OPTION(ANY, config, written.addresses, "addresses", .block_too = true,
           .check = check_addresses),
    OPTION(STRING, config, written.bind_addr, "bind_addr"),
    OPTION_BLOCK("ports", ports_schema),
    OPTION_BLOCK("client", config_client),
    {.kind = FIELD_NAMED, .hcl = "plugin", .json = "plugin", .block = &config_plugins},
    OPTION(BLOCK, config, vault, "vault", .block = &config_vault),
    OPTION(BLOCK, config, consul, "consul", .block = &config_consul),
    OPTION(BLOCK, config, telemetry, "telemetry", .block = &config_telemetry),
    OPTION_REFUSED("acl", .why = NOBODY_ELSE),
    OPTION_REFUSED("audit"),
    OPTION_REFUSED("sentinel"),
    OPTION_REFUSED("tls", .why = NOBODY_ELSE),
    SCHEMA_UNUSED("advertise"),
    SCHEMA_UNUSED("autopilot"),
    SCHEMA_UNUSED("disable_anonymous_signature"),
    SCHEMA_UNUSED("disable_update_check"),
    SCHEMA_UNUSED("enable_debug"),
    SCHEMA_UNUSED("enable_syslog"),
    SCHEMA_UNUSED("http_api_response_headers"),
    SCHEMA_UNUSED("keyring"),
    SCHEMA_UNUSED("leave_on_interrupt"),
    SCHEMA_UNUSED("leave_on_terminate"),
    SCHEMA_UNUSED("limits"),
    SCHEMA_UNUSED("log_file"),
    SCHEMA_UNUSED("log_include_location"),
    SCHEMA_UNUSED("log_json"),
    SCHEMA_UNUSED("log_rotate_bytes"),
    SCHEMA_UNUSED("log_rotate_duration"),
    SCHEMA_UNUSED("log_rotate_max_files"),
    SCHEMA_UNUSED("plugin_dir"),
    SCHEMA_UNUSED("reporting"),
    SCHEMA_UNUSED("rpc"),
    SCHEMA_UNUSED("server"),
    SCHEMA_UNUSED("syslog_facility"),
    SCHEMA_UNUSED("ui"),
};

const struct schema config_schema = {
    .what = "configuration",
    .size = sizeof(struct config),
    .fields = file_fields,
    .n_fields = ARRAY_LEN(file_fields),
};
