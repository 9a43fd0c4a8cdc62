/* SPDX-License-Identifier: MIT
 *
 * What the helpers that make a task ready are told: client { artifact { } template { } }, and the
 * servers that templates ask, vault { } and consul { }.
 */
#include <errno.h>
#include <string.h>

#include "manager/config/config_tables.h"
#include "shared/cleanup.h"

/* ---- artifact ---- */

/* "[d|f]:[rwcx]:/path" */
static bool is_extra_path(const char *text)
{
    size_t n;

    if ((text[0] != 'd' && text[0] != 'f') || text[1] != ':')
        return false;
    n = strspn(text + 2, "rwcx");
    return n && text[2 + n] == ':' && text[3 + n] == '/' && !config_has_dotdot(text + 3 + n);
}

static int check_extra_paths(struct schema_context *ctx, const struct schema_field *field,
                             const void *obj, struct schema_source source)
{
    const struct config_artifact *artifact = obj;

    (void)field;
    for (char **path = artifact->filesystem_isolation_extra_paths; *path; path++)
        if (!is_extra_path(*path))
            return schema_fail(ctx, source.pos, -EINVAL,
                               "\"%.64s\" is no extra path; write \"f:r:/etc/ssl/my.pem\" or "
                               "\"d:rx:/opt/git\": f or d, some of rwcx, and an absolute path",
                               *path);
    return 0;
}

static int check_file_paths(struct schema_context *ctx, const struct schema_field *field,
                            const void *obj, struct schema_source source)
{
    const struct config_artifact *artifact = obj;

    (void)field;
    for (char **path = artifact->allow_file_paths; *path; path++)
        if (**path != '/' || config_has_dotdot(*path))
            return schema_fail(ctx, source.pos, -EINVAL,
                               "\"allow_file_paths\" lists absolute paths without \"..\", not "
                               "\"%.64s\"",
                               *path);
    return 0;
}

static const struct schema_field artifact_fields[] = {
    OPTION(DURATION, config_artifact, http_read_timeout_ns, "http_read_timeout", .def = "30m"),
    OPTION(SIZE, config_artifact, http_max_bytes, "http_max_size", .def = "100GB"),
    OPTION(DURATION, config_artifact, git_timeout_ns, "git_timeout", .def = "30m"),
    OPTION(DURATION, config_artifact, hg_timeout_ns, "hg_timeout", .def = "30m"),
    OPTION(DURATION, config_artifact, s3_timeout_ns, "s3_timeout", .def = "30m"),
    OPTION(INT, config_artifact, decompression_max_files, "decompression_file_count_limit",
           .def = "4096"),
    OPTION(SIZE, config_artifact, decompression_max_bytes, "decompression_size_limit",
           .def = "100GB"),
    OPTION(BOOL, config_artifact, disable_artifact_inspection, "disable_artifact_inspection"),
    OPTION(BOOL, config_artifact, disable_filesystem_isolation, "disable_filesystem_isolation"),
    OPTION(STRINGS, config_artifact, filesystem_isolation_extra_paths,
           "filesystem_isolation_extra_paths", .check = check_extra_paths),
    OPTION(STRING, config_artifact, set_environment_variables, "set_environment_variables"),
    OPTION(STRINGS, config_artifact, allow_file_paths, "allow_file_paths",
           .check = check_file_paths),
    SCHEMA_UNUSED("gcs_timeout"),
};

const struct schema config_artifact = {
    .what = "artifact block",
    .size = sizeof(struct config_artifact),
    .fields = artifact_fields,
    .n_fields = ARRAY_LEN(artifact_fields),
};

/* ---- template ---- */

static int check_wait(struct schema_context *ctx, const struct schema_field *field, const void *obj,
                      struct schema_source source)
{
    const struct config_wait *wait = obj;

    (void)field;
    if (!wait->max_ns || wait->min_ns <= wait->max_ns)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"min\" is more than \"max\" of these waits; exchange or mend them");
}

#define WAIT_SCHEMA(table, least, most)                                                            \
    static const struct schema_field table##_fields[] = {                                          \
        OPTION(DURATION, config_wait, min_ns, "min", .def = least),                                \
        OPTION(DURATION, config_wait, max_ns, "max", .def = most, .check = check_wait),            \
    };                                                                                             \
    static const struct schema table = {                                                           \
        .what = "wait block",                                                                      \
        .size = sizeof(struct config_wait),                                                        \
        .fields = table##_fields,                                                                  \
        .n_fields = ARRAY_LEN(table##_fields),                                                     \
    }

WAIT_SCHEMA(wait_schema, "5s", "4m");
WAIT_SCHEMA(wait_bounds_schema, "0s", "0s");

static const struct schema_field retry_fields[] = {
    OPTION(INT, config_retry, attempts, "attempts", .def = "12"),
    OPTION(DURATION, config_retry, backoff_ns, "backoff", .def = "250ms"),
    OPTION(DURATION, config_retry, max_backoff_ns, "max_backoff", .def = "1m"),
};

static const struct schema retry_schema = {
    .what = "retry block",
    .size = sizeof(struct config_retry),
    .fields = retry_fields,
    .n_fields = ARRAY_LEN(retry_fields),
};

static int check_variables_dir(struct schema_context *ctx, const struct schema_field *field,
                               const void *obj, struct schema_source source)
{
    const struct config_template *template = obj;

    return *template->variables_dir ? config_check_absolute(ctx, field, obj, source) : 0;
}

static const struct schema_field template_fields[] = {
    OPTION(STRINGS, config_template, function_denylist, "function_denylist"),
    OPTION(BOOL, config_template, disable_file_sandbox, "disable_file_sandbox"),
    OPTION(STRING, config_template, variables_dir, "variables_dir", .check = check_variables_dir),
    OPTION(DURATION, config_template, max_stale_ns, "max_stale", .def = "87600h"),
    OPTION(DURATION, config_template, block_query_wait_ns, "block_query_wait", .def = "5m"),
    OPTION(BLOCK, config_template, wait, "wait", .block = &wait_schema),
    OPTION(BLOCK, config_template, wait_bounds, "wait_bounds", .block = &wait_bounds_schema),
    OPTION(BLOCK, config_template, consul_retry, "consul_retry", .block = &retry_schema),
    OPTION(BLOCK, config_template, vault_retry, "vault_retry", .block = &retry_schema),
    OPTION(BLOCK, config_template, nomad_retry, "nomad_retry", .block = &retry_schema),
};

const struct schema config_template = {
    .what = "template block",
    .size = sizeof(struct config_template),
    .fields = template_fields,
    .n_fields = ARRAY_LEN(template_fields),
};

/* ---- vault, consul ---- */

static int check_url(struct schema_context *ctx, const struct schema_field *field, const void *obj,
                     struct schema_source source)
{
    const struct config_server *server = obj;

    (void)field;
    if (strncmp(server->address, "http://", 7) == 0 || strncmp(server->address, "https://", 8) == 0)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"%.64s\" is no address of a Vault server; write "
                       "\"https://vault.example.org:8200\"",
                       server->address);
}

#define SERVER_FIELDS                                                                              \
    OPTION(STRING, config_server, token, "token", .secret = true),                                 \
        OPTION(STRING, config_server, name_space, "namespace"),                                    \
        OPTION(STRING, config_server, ca_file, "ca_file", .check = config_check_absolute),         \
        OPTION(STRING, config_server, cert_file, "cert_file", .check = config_check_absolute),     \
        OPTION(STRING, config_server, key_file, "key_file", .check = config_check_absolute)

static const struct schema_field vault_fields[] = {
    OPTION(BOOL, config_server, enabled, "enabled"),
    OPTION(STRING, config_server, address, "address", .check = check_url),
    SERVER_FIELDS,
    OPTION(STRING, config_server, ca_path, "ca_path", .check = config_check_absolute),
    OPTION(STRING, config_server, tls_server_name, "tls_server_name"),
    OPTION(BOOL, config_server, tls_skip_verify, "tls_skip_verify"),
    SCHEMA_UNUSED("allow_unauthenticated"),
    SCHEMA_UNUSED("connection_retry_interval"),
    SCHEMA_UNUSED("create_from_role"),
    SCHEMA_UNUSED("default_identity"),
    SCHEMA_UNUSED("jwt_auth_backend_path"),
    SCHEMA_UNUSED("name"),
    SCHEMA_UNUSED("task_token_ttl"),
};

const struct schema config_vault = {
    .what = "vault block",
    .size = sizeof(struct config_server),
    .fields = vault_fields,
    .n_fields = ARRAY_LEN(vault_fields),
};

static const struct schema_field consul_fields[] = {
    OPTION(BOOL, config_server, enabled, "enabled", .def = "true"),
    OPTION(STRING, config_server, address, "address", .def = "127.0.0.1:8500"),
    OPTION(BOOL, config_server, ssl, "ssl"),
    OPTION(BOOL, config_server, verify_ssl, "verify_ssl", .def = "true"),
    SERVER_FIELDS,
    SCHEMA_UNUSED("allow_unauthenticated"),
    SCHEMA_UNUSED("auth"),
    SCHEMA_UNUSED("auto_advertise"),
    SCHEMA_UNUSED("checks_use_advertise"),
    SCHEMA_UNUSED("client_auto_join"),
    SCHEMA_UNUSED("client_failures_before_critical"),
    SCHEMA_UNUSED("client_failures_before_warning"),
    SCHEMA_UNUSED("client_http_check_name"),
    SCHEMA_UNUSED("client_service_name"),
    SCHEMA_UNUSED("grpc_address"),
    SCHEMA_UNUSED("grpc_ca_file"),
    SCHEMA_UNUSED("name"),
    SCHEMA_UNUSED("server_auto_join"),
    SCHEMA_UNUSED("server_failures_before_critical"),
    SCHEMA_UNUSED("server_failures_before_warning"),
    SCHEMA_UNUSED("server_http_check_name"),
    SCHEMA_UNUSED("server_rpc_check_name"),
    SCHEMA_UNUSED("server_serf_check_name"),
    SCHEMA_UNUSED("server_service_name"),
    SCHEMA_UNUSED("service_auth_method"),
    SCHEMA_UNUSED("service_identity"),
    SCHEMA_UNUSED("share_ssl"),
    SCHEMA_UNUSED("tags"),
    SCHEMA_UNUSED("task_auth_method"),
    SCHEMA_UNUSED("task_identity"),
    SCHEMA_UNUSED("timeout"),
};

const struct schema config_consul = {
    .what = "consul block",
    .size = sizeof(struct config_server),
    .fields = consul_fields,
    .n_fields = ARRAY_LEN(consul_fields),
};
