/* SPDX-License-Identifier: MIT
 *
 * Defaults, then each file read over what is there: a value replaces; client { meta, options,
 * chroot_env } are merged key by key, host_volume name by name; the first chroot_env takes the
 * place of the default map (all as in Nomad). What several options make together is made at the
 * end, by config_finish().
 */
#include "manager/config/config.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/config/capabilities.h"
#include "manager/config/config_tables.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"
#include "shared/place.h"

/* Nomad's default map; sources that the host lacks are skipped when a root is built. */
static const char *const default_chroot_env[] = {
    "/bin", "/etc", "/lib", "/lib32", "/lib64", "/run/resolvconf", "/sbin", "/run/systemd/resolve",
    "/usr",
};

static char *const default_function_denylist[] = {"executeTemplate", "plugin", "writeToFile", NULL};

/* ---- defaults ---- */

static char **copy_strings(char *const *strings)
{
    size_t n = 0;
    char **copy;

    while (strings[n])
        n++;
    copy = calloc(n + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = strdup(strings[i]);
        if (!copy[i]) {
            value_free_strings(copy);
            return NULL;
        }
    }
    return copy;
}

static char *executor_beside_manager(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *slash, *result;

    if (n < 0)
        return strdup("/usr/bin/cleat-executor");
    path[n] = '\0';
    slash = strrchr(path, '/');
    *slash = '\0';
    return asprintf(&result, "%s/cleat-executor", path) < 0 ? NULL : result;
}

static char *host_name(void)
{
    char name[HOST_NAME_MAX + 1] = "";

    if (gethostname(name, sizeof(name)) < 0 || !*name)
        return strdup("localhost");
    return strdup(name);
}

static char *from_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return strdup(value && *value ? value : otherwise);
}

/* Stores `text`, which is taken over. -ENOMEM if it is NULL. */
static int set(char **to, char *text)
{
    if (!text)
        return -ENOMEM;
    free(*to);
    *to = text;
    return 0;
}

static int set_strings(char ***to, char **strings)
{
    if (!strings)
        return -ENOMEM;
    value_free_strings(*to);
    *to = strings;
    return 0;
}

/* Those that no table can say. */
static int set_defaults(struct config *config)
{
    bool failed = set(&config->data_dir, place_data_dir()) < 0 ||
                  set(&config->name, host_name()) < 0 ||
                  set(&config->executor, executor_beside_manager()) < 0 ||
                  set(&config->vault.token, from_environment("VAULT_TOKEN", "")) < 0 ||
                  set(&config->consul.token, from_environment("CONSUL_HTTP_TOKEN", "")) < 0 ||
                  set(&config->env_denylist, strdup(CONFIG_ENV_DENYLIST)) < 0 ||
                  set(&config->user_denylist, strdup("root,Administrator")) < 0 ||
                  set(&config->user_checked_drivers, strdup("exec,qemu,java")) < 0 ||
                  set(&config->driver_allowlist, strdup("")) < 0 ||
                  set(&config->driver_denylist, strdup("")) < 0 ||
                  set_strings(&config->exec.allow_caps, copy_strings(capabilities_default)) < 0 ||
                  set_strings(&config->template.function_denylist,
                              copy_strings(default_function_denylist)) < 0;

    config->unused = json_array();
    config->origin = json_object();
    return failed || !config->unused || !config->origin ? -ENOMEM : 0;
}

int config_new(struct config **ret_config, struct err *e)
{
    struct config *config = calloc(1, sizeof(*config));
    int r = config ? schema_init(&config_schema, config) : -ENOMEM;

    if (!r)
        r = set_defaults(config);
    if (r) {
        config_free(config);
        return err_sys(e, r, "making the configuration");
    }
    *ret_config = config;
    return 0;
}

static void free_binds(struct config_bind *binds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(binds[i].source);
        free(binds[i].target);
    }
    free(binds);
}

struct config *config_free(struct config *config)
{
    if (!config)
        return NULL;
    free_binds(config->chroot_env, config->n_chroot_env);
    value_free_strings(config->addresses);
    free(config->env_denylist);
    free(config->user_denylist);
    free(config->user_checked_drivers);
    free(config->driver_allowlist);
    free(config->driver_denylist);
    json_decref(config->unused);
    json_decref(config->origin);
    schema_deinit(&config_schema, config);
    free(config);
    return NULL;
}

/* ---- what follows from all files together ---- */

static int make_binds(struct config *config)
{
    const json_t *map = config->written.chroot_env;
    size_t n = json_object_size(map) ? json_object_size(map) : ARRAY_LEN(default_chroot_env), i = 0;
    struct config_bind *binds = calloc(n, sizeof(*binds));
    const char *source;
    json_t *target;
    bool whole = binds != NULL;

    if (!binds)
        return -ENOMEM;
    json_object_foreach((json_t *)map, source, target) binds[i++] =
        (struct config_bind){strdup(source), strdup(json_string_value(target))};
    for (; i < n; i++)
        binds[i] =
            (struct config_bind){strdup(default_chroot_env[i]), strdup(default_chroot_env[i])};
    for (i = 0; i < n; i++)
        whole = whole && binds[i].source && binds[i].target;
    free_binds(config->chroot_env, config->n_chroot_env);
    config->chroot_env = binds;
    config->n_chroot_env = n;
    return whole ? 0 : -ENOMEM;
}

/* The list as it is; or the socket, and the port that Nomad's bind_addr, addresses { http } and
 * ports { http } ask for. */
static int make_addresses(struct config *config)
{
    const struct config_written *w = &config->written;
    const char *http = json_string_value(json_object_get(w->addresses, "http"));
    char **addresses = NULL;

    if (json_is_array(w->addresses))
        return value_strings(w->addresses, &addresses) < 0
                   ? -ENOMEM
                   : set_strings(&config->addresses, addresses);
    addresses = calloc(3, sizeof(*addresses));
    if (!addresses || !(addresses[0] = place_address())) {
        free(addresses);
        return -ENOMEM;
    }
    if (!http)
        http = *w->bind_addr ? w->bind_addr : "127.0.0.1";
    if ((w->http_port || *w->bind_addr || json_object_get(w->addresses, "http")) &&
        asprintf(&addresses[1], strchr(http, ':') ? "http://[%s]:%d" : "http://%s:%d", http,
                 w->http_port ? (int)w->http_port : 4646) < 0) {
        addresses[1] = NULL;
        value_free_strings(addresses);
        return -ENOMEM;
    }
    return set_strings(&config->addresses, addresses);
}

/* With its scheme, and without a "/" at its end. */
static int make_url(char **address, const char *scheme)
{
    size_t len = strlen(*address);
    char *url;

    while (len && (*address)[len - 1] == '/')
        (*address)[--len] = '\0';
    if (!len || strstr(*address, "://"))
        return 0;
    return asprintf(&url, "%s%s", scheme, *address) < 0 ? -ENOMEM : set(address, url);
}

int config_finish(struct config *config, struct err *e)
{
    struct config_server *consul = &config->consul;
    int level = log_level_parse(config->written.log_level), r;

    config->log_level = level < 0 ? LOG_LEVEL_DEBUG : (enum log_level)level; /* "trace" */
    consul->tls_skip_verify = !consul->verify_ssl;
    r = make_binds(config);
    if (!r)
        r = make_addresses(config);
    if (!r)
        r = make_url(&consul->address, consul->ssl ? "https://" : "http://");
    if (!r)
        r = make_url(&config->vault.address, "https://");
    if (r)
        return err_sys(e, r, "making the configuration");
    if (config->reserved.memory_mb && config->memory_total_mb &&
        config->reserved.memory_mb >= config->memory_total_mb)
        return err_set(e, -EINVAL,
                       "client { reserved { memory = %lld } } leaves nothing of memory_total_mb = "
                       "%lld; lower it",
                       (long long)config->reserved.memory_mb, (long long)config->memory_total_mb);
    return 0;
}

char *config_unused(const struct config *config)
{
    char *all = NULL;
    size_t i, size;
    json_t *item;
    FILE *out;

    if (!json_array_size(config->unused))
        return NULL;
    out = open_memstream(&all, &size);
    if (!out)
        return NULL;
    (void)fputs("of these options of Nomad there is nothing to do here, they have no effect: ",
                out);
    json_array_foreach(config->unused, i, item)(void)
        fprintf(out, "%s%s", i ? ", " : "", json_string_value(item));
    return fclose(out) == 0 ? all : NULL;
}
