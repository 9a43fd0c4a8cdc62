/* SPDX-License-Identifier: MIT
 *
 * cleat node status.
 */
#include <stdio.h>

#include "tools/cleat/cli.h"
#include "tools/cleat/http.h"
#include "tools/cleat/output.h"

static void print_drivers(const json_t *drivers)
{
    const json_t *driver;
    const char *name;
    struct table t;

    table_init(&t, 3, (const char *const[]){"Driver", "Usable", "Description"});
    json_object_foreach((json_t *)drivers, name, driver)
        TABLE_ROW(&t, name,
                  !json_is_true(json_object_get(driver, "Detected")) ? "no"
                  : json_is_true(json_object_get(driver, "Healthy")) ? "yes"
                                                                     : "unhealthy",
                  get_text(driver, "HealthDescription"));
    table_print(&t);
}

static void print_volumes(const json_t *volumes)
{
    const json_t *volume;
    const char *name;
    struct table t;

    if (json_object_size(volumes) == 0)
        return;
    (void)putchar('\n');
    table_init(&t, 3, (const char *const[]){"Host Volume", "Read Only", "Path"});
    json_object_foreach((json_t *)volumes, name, volume)
        TABLE_ROW(&t, name, json_is_true(json_object_get(volume, "ReadOnly")) ? "yes" : "no",
                  get_text(volume, "Path"));
    table_print(&t);
}

static const char *or_none(const char *text)
{
    return *text ? text : "(none)";
}

static void print_resources(const json_t *all, const json_t *reserved)
{
    static const char *const rows[][3] = {
        {"CPU", "CPU", "MHz"}, {"Memory", "MemoryMB", "MiB"}, {"Disk", "DiskMB", "MiB"}};
    struct table t;

    table_init(&t, 3, (const char *const[]){"Resource", "Total", "Reserved"});
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char total[40], kept[40];

        (void)snprintf(total, sizeof(total), "%lld %s", (long long)get_int(all, rows[i][1]),
                       rows[i][2]);
        (void)snprintf(kept, sizeof(kept), "%lld %s", (long long)get_int(reserved, rows[i][1]),
                       rows[i][2]);
        TABLE_ROW(&t, rows[i][0], total, kept);
    }
    table_print(&t);
    (void)putchar('\n');
}

static void print_meta(const json_t *meta)
{
    const json_t *value;
    const char *name;
    struct table t;

    if (json_object_size(meta) == 0)
        return;
    table_init(&t, 2, (const char *const[]){"Meta", "Value"});
    json_object_foreach((json_t *)meta, name, value)
        TABLE_ROW(&t, name, json_is_string(value) ? json_string_value(value) : "");
    table_print(&t);
    (void)putchar('\n');
}

/* What became of the configuration that was read last. */
static void print_config(const json_t *node)
{
    const json_t *pending = json_object_get(node, "ConfigPending"), *name;
    const char *error = get_text(node, "ConfigError");
    size_t i;

    if (json_array_size(pending))
        (void)puts("\nOptions that count when the manager is started next");
    json_array_foreach(pending, i, name)(void) puts(json_string_value(name));
    if (*error)
        (void)printf("\nThe new configuration was refused, and the old one stays\n%s\n", error);
}

static void print_node(const json_t *node)
{
    const json_t *attributes = json_object_get(node, "Attributes");
    const json_t *damaged = json_object_get(node, "DamagedStateFiles"), *path;
    size_t i;

    print_pairs((const char *const[]){"ID", get_text(node, "ID"), "Name", get_text(node, "Name"),
                                      "Class", or_none(get_text(node, "NodeClass")), "Datacenter",
                                      get_text(node, "Datacenter"), "Status",
                                      get_text(node, "Status"), "Kernel",
                                      get_text(attributes, "kernel.version"), "Cleat",
                                      get_text(attributes, "cleat.version")},
                7);
    (void)putchar('\n');
    print_resources(json_object_get(node, "Resources"), json_object_get(node, "Reserved"));
    print_meta(json_object_get(node, "Meta"));
    print_drivers(json_object_get(node, "Drivers"));
    print_volumes(json_object_get(node, "HostVolumes"));
    print_config(node);
    if (json_array_size(damaged))
        (void)puts("\nState files that could not be read and were set aside");
    json_array_foreach(damaged, i, path)(void) puts(json_string_value(path));
}

static int node_status(struct cli *cli)
{
    json_t *nodes = NULL, *node = NULL;
    int r = http_get(cli, &nodes, "/v1/nodes");

    if (!r)
        r = http_get(cli, &node, "/v1/node/%s", get_text(json_array_get(nodes, 0), "ID"));
    if (!r && cli->json)
        print_json(node);
    else if (!r)
        print_node(node);
    json_decref(nodes);
    json_decref(node);
    return r;
}

const struct command node_commands[] = {
    {"node status", NULL, "", 0, 0, " self ",
     "Show this host: drivers, host volumes, and what is wrong with it", "", "\n-json",
     node_status},
    {0},
};
