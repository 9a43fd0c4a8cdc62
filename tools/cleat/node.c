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

static void print_node(const json_t *node)
{
    const json_t *attributes = json_object_get(node, "Attributes");
    const json_t *damaged = json_object_get(node, "DamagedStateFiles"), *path;
    size_t i;

    print_pairs((const char *const[]){"ID", get_text(node, "ID"), "Name", get_text(node, "Name"),
                                      "Datacenter", get_text(node, "Datacenter"), "Status",
                                      get_text(node, "Status"), "Kernel",
                                      get_text(attributes, "kernel.version"), "Cleat",
                                      get_text(attributes, "cleat.version")},
                6);
    (void)putchar('\n');
    print_drivers(json_object_get(node, "Drivers"));
    print_volumes(json_object_get(node, "HostVolumes"));
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
    {"node status", NULL, "", 0, 0, "",
     "Show this host: drivers, host volumes, and what is wrong with it", "", "\n-json",
     node_status},
    {0},
};
