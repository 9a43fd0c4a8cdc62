/* SPDX-License-Identifier: MIT
 *
 * Defaults, then each file over what is there: a value replaces, client { meta } is merged key by
 * key and host_volume name by name, chroot_env replaces the default map as a whole (as in Nomad). A
 * file that is refused changes nothing.
 */
#include "manager/config/config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/config/capabilities.h"
#include "manager/config/config_file.h"
#include "shared/cleanup.h"
#include "shared/hcl/hcl.h"
#include "shared/job/value.h"
#include "shared/place.h"

/* Above the ranges that systemd and distributions hand out. */
#define DEFAULT_USERNS_BASE 2000000000
#define DEFAULT_MAX_KILL_TIMEOUT_NS 30000000000ULL

/* Nomad's default map; sources that the host lacks are skipped when a root is built. */
static const char *const default_chroot_env[] = {
    "/bin", "/etc", "/lib", "/lib32", "/lib64", "/run/resolvconf", "/sbin", "/run/systemd/resolve",
    "/usr",
};

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

static int default_binds(struct config *config)
{
    size_t n = ARRAY_LEN(default_chroot_env);

    config->chroot_env = calloc(n, sizeof(*config->chroot_env));
    if (!config->chroot_env)
        return -ENOMEM;
    config->n_chroot_env = n;
    for (size_t i = 0; i < n; i++) {
        config->chroot_env[i].source = strdup(default_chroot_env[i]);
        config->chroot_env[i].target = strdup(default_chroot_env[i]);
        if (!config->chroot_env[i].source || !config->chroot_env[i].target)
            return -ENOMEM;
    }
    return 0;
}

static void cleanup_config(struct config **config)
{
    (void)config_free(*config);
}

int config_new(struct config **ret_config, struct err *e)
{
    __attribute__((cleanup(cleanup_config))) struct config *config = calloc(1, sizeof(*config));

    if (!config)
        return err_sys(e, -ENOMEM, "making the configuration");
    config->log_level = LOG_LEVEL_INFO;
    config->max_kill_timeout_ns = DEFAULT_MAX_KILL_TIMEOUT_NS;
    config->data_dir = place_data_dir();
    config->name = host_name();
    config->datacenter = strdup("dc1");
    config->region = strdup("global");
    config->executor = executor_beside_manager();
    config->cgroup_parent = strdup("cleat");
    config->exec.userns_base = DEFAULT_USERNS_BASE;
    config->exec.allow_devices = calloc(1, sizeof(*config->exec.allow_devices));
    config->exec.allow_caps = copy_strings(capabilities_default);
    config->meta = json_object();
    config->addresses = calloc(2, sizeof(*config->addresses));
    if (config->addresses)
        config->addresses[0] = place_address();
    if (default_binds(config) < 0 || !config->data_dir || !config->name || !config->datacenter ||
        !config->region || !config->executor || !config->cgroup_parent ||
        !config->exec.allow_caps || !config->exec.allow_devices || !config->meta ||
        !config->addresses || !config->addresses[0])
        return err_sys(e, -ENOMEM, "making the configuration");
    *ret_config = take_ptr(config);
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

static void free_volume(struct config_volume *volume)
{
    free(volume->name);
    free(volume->path);
}

struct config *config_free(struct config *config)
{
    if (!config)
        return NULL;
    free(config->data_dir);
    value_free_strings(config->addresses);
    free(config->name);
    free(config->datacenter);
    free(config->region);
    free(config->executor);
    free_binds(config->chroot_env, config->n_chroot_env);
    for (size_t i = 0; i < config->n_volumes; i++)
        free_volume(&config->volumes[i]);
    free(config->volumes);
    json_decref(config->meta);
    value_free_strings(config->exec.allow_caps);
    value_free_strings(config->exec.allow_devices);
    free(config->cgroup_parent);
    free(config->env_denylist);
    free(config);
    return NULL;
}

/* ---- merging ---- */

/* Moves *from to *to unless it is empty. */
static void merge_text(char **to, char **from)
{
    if (!**from)
        return;
    free(*to);
    *to = take_ptr(*from);
}

static int merge_binds(struct config *config, const json_t *map)
{
    size_t n = 0;
    struct config_bind *binds;
    const char *source;
    json_t *target;

    if (json_object_size(map) == 0)
        return 0;
    binds = calloc(json_object_size(map), sizeof(*binds));
    if (!binds)
        return -ENOMEM;
    json_object_foreach((json_t *)map, source, target)
    {
        binds[n].source = strdup(source);
        binds[n].target = strdup(json_string_value(target));
        n++;
        if (!binds[n - 1].source || !binds[n - 1].target) {
            free_binds(binds, n);
            return -ENOMEM;
        }
    }
    free_binds(config->chroot_env, config->n_chroot_env);
    config->chroot_env = binds;
    config->n_chroot_env = n;
    return 0;
}

static int merge_volume(struct config *config, struct config_volume *from)
{
    struct config_volume *volumes = config->volumes;
    size_t at = 0;

    while (at < config->n_volumes && strcmp(volumes[at].name, from->name) != 0)
        at++;
    if (at < config->n_volumes) {
        free_volume(&volumes[at]);
    } else {
        volumes = reallocarray(volumes, at + 1, sizeof(*volumes));
        if (!volumes)
            return -ENOMEM;
        config->volumes = volumes;
        config->n_volumes++;
    }
    volumes[at] = *from;
    *from = (struct config_volume){0};
    return 0;
}

static void merge_raw_exec(struct config *config, const struct config_file *file)
{
    const json_t *option = json_object_get(file->client.options, CONFIG_OPTION_RAW_EXEC);
    const char *text = json_string_value(option);

    if (text)
        config->raw_exec_enabled = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
    for (size_t i = 0; i < file->n_plugins; i++)
        if (strcmp(file->plugins[i].name, "raw_exec") == 0)
            (void)value_bool(json_object_get(file->plugins[i].config, "enabled"),
                             &config->raw_exec_enabled);
}

static void merge_pids_limits(struct config *config, const struct config_file *file)
{
    for (size_t i = 0; i < file->n_plugins; i++) {
        const struct config_plugin *plugin = &file->plugins[i];
        int64_t limit;

        if (value_int(json_object_get(plugin->config, "pids_limit"), &limit) < 0)
            continue;
        if (strcmp(plugin->name, "raw_exec") == 0)
            config->raw_exec_pids_limit = (unsigned long long)limit;
        else
            config->exec_pids_limit = (unsigned long long)limit;
    }
}

static int merge_list(char ***to, const json_t *list)
{
    char **strings;
    int r = list ? value_strings(list, &strings) : 0;

    if (r || !list)
        return r;
    value_free_strings(*to);
    *to = strings;
    return 0;
}

static void merge_mode(bool *host, const json_t *mode)
{
    if (mode)
        *host = strcmp(json_string_value(mode), "host") == 0;
}

static int merge_exec(struct config_exec *to, const struct config_file *file)
{
    for (size_t i = 0; i < file->n_plugins; i++) {
        const json_t *from = file->plugins[i].config;
        int r;

        if (strcmp(file->plugins[i].name, "exec") != 0)
            continue;
        (void)value_bool(json_object_get(from, "allow_unconfined_seccomp"),
                         &to->allow_unconfined_seccomp);
        (void)value_bool(json_object_get(from, "no_pivot_root"), &to->no_pivot_root);
        (void)value_int(json_object_get(from, "userns_base"), &to->userns_base);
        merge_mode(&to->default_pid_host, json_object_get(from, "default_pid_mode"));
        merge_mode(&to->default_ipc_host, json_object_get(from, "default_ipc_mode"));
        r = merge_list(&to->allow_caps, json_object_get(from, "allow_caps"));
        if (!r)
            r = merge_list(&to->allow_devices, json_object_get(from, "allow_devices"));
        if (r)
            return r;
    }
    return 0;
}

static int merge_denylist(struct config *config, const struct config_file *file)
{
    const json_t *option = json_object_get(file->client.options, CONFIG_OPTION_DENYLIST);
    char *text = option ? strdup(json_string_value(option)) : NULL;

    if (!option)
        return 0;
    if (!text)
        return -ENOMEM;
    free(config->env_denylist);
    config->env_denylist = text;
    return 0;
}

static int merge(struct config *config, struct config_file *file)
{
    int r = merge_binds(config, file->client.chroot_env);

    if (!r)
        r = merge_exec(&config->exec, file);
    if (!r)
        r = merge_denylist(config, file);
    for (size_t i = 0; !r && i < file->client.n_volumes; i++)
        r = merge_volume(config, &file->client.volumes[i]);
    if (r < 0)
        return r;
    if (json_object_update(config->meta, file->client.meta) < 0)
        return -ENOMEM;
    merge_text(&config->data_dir, &file->data_dir);
    merge_text(&config->name, &file->name);
    merge_text(&config->datacenter, &file->datacenter);
    merge_text(&config->region, &file->region);
    merge_text(&config->executor, &file->executor);
    merge_text(&config->cgroup_parent, &file->client.cgroup_parent);
    if (*file->log_level)
        config->log_level = (enum log_level)log_level_parse(file->log_level);
    if (file->addresses[0]) {
        value_free_strings(config->addresses);
        config->addresses = take_ptr(file->addresses);
    }
    config->disable_remote_exec |= file->client.disable_remote_exec;
    if (file->client.max_kill_timeout_ns >= 0)
        config->max_kill_timeout_ns = (unsigned long long)file->client.max_kill_timeout_ns;
    merge_raw_exec(config, file);
    merge_pids_limits(config, file);
    return 0;
}

static bool same_strings(char *const *a, char *const *b)
{
    while (*a && *b && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return !*a && !*b;
}

#define SWAP(a, b)                                                                                 \
    do {                                                                                           \
        __typeof__(a) swap_ = (a);                                                                 \
        (a) = (b);                                                                                 \
        (b) = swap_;                                                                               \
    } while (0)

size_t config_replace(struct config *config, struct config *fresh,
                      const char *ret_fixed[CONFIG_FIXED_MAX])
{
    size_t n = 0;

    if (strcmp(config->data_dir, fresh->data_dir) != 0)
        ret_fixed[n++] = "data_dir";
    if (!same_strings(config->addresses, fresh->addresses))
        ret_fixed[n++] = "addresses";
    if (strcmp(config->cgroup_parent, fresh->cgroup_parent) != 0)
        ret_fixed[n++] = "cgroup_parent";
    SWAP(*config, *fresh);
    SWAP(config->data_dir, fresh->data_dir);
    SWAP(config->addresses, fresh->addresses);
    SWAP(config->cgroup_parent, fresh->cgroup_parent);
    return n;
}

/* ---- files ---- */

static int load_file(struct config *config, const char *path, struct err *e)
{
    struct hcl_file *hcl = NULL;
    struct schema_context ctx = {.e = e};
    struct config_file file;
    int r = hcl_parse_file(path, &hcl, e);

    if (r < 0)
        return r;
    ctx.file = hcl;
    r = schema_init(&config_file_schema, &file);
    if (r == 0)
        r = schema_decode(&ctx, &config_file_schema,
                          (struct schema_source){.body = hcl->body, .pos = {.line = 1, .col = 1}},
                          &file);
    if (r == 0)
        r = merge(config, &file);
    if (r == -ENOMEM)
        (void)err_sys(e, r, "reading %s", path);
    schema_deinit(&config_file_schema, &file);
    (void)hcl_file_free(hcl);
    return r;
}

static int is_hcl(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return entry->d_name[0] != '.' && len > 4 && strcmp(entry->d_name + len - 4, ".hcl") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_directory(struct config *config, const char *path, struct err *e)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_hcl, by_name), r = 0;

    if (n < 0)
        return err_sys(e, -errno, "reading the configuration directory %s", path);
    if (n == 0)
        r = err_set(e, -ENOENT, "there is no *.hcl file in %s; add one or name a file", path);
    for (int i = 0; i < n; i++) {
        autofree char *file = NULL;

        if (r == 0 && asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0)
            r = err_sys(e, -ENOMEM, "reading %s", path);
        if (r == 0)
            r = load_file(config, file, e);
        free(entries[i]);
    }
    free(entries);
    return r;
}

int config_load(struct config *config, const char *path, struct err *e)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_sys(e, -errno, "reading the configuration %s", path);
    return S_ISDIR(st.st_mode) ? load_directory(config, path, e) : load_file(config, path, e);
}
