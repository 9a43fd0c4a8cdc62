/* SPDX-License-Identifier: MIT
 *
 * The configuration that is in effect, under the names of Nomad's /v1/agent/self. Secrets are no
 * part of it.
 */
#include "manager/api/agent_config.h"

#include "manager/api/encode.h"

static json_t *text(const char *text)
{
    return encode_text(text ? text : "");
}

static void set_int(json_t *object, const char *name, int64_t value)
{
    (void)json_object_set_new(object, name, json_integer(value));
}

static json_t *list(char *const *strings)
{
    json_t *all = json_array();

    for (; strings && *strings; strings++)
        (void)json_array_append_new(all, encode_text(*strings));
    return all;
}

static json_t *chroot_env(const struct config *c)
{
    json_t *all = json_object();

    for (size_t i = 0; i < c->n_chroot_env; i++)
        (void)json_object_set_new(all, c->chroot_env[i].source, text(c->chroot_env[i].target));
    return all;
}

static json_t *client(const struct config *c)
{
    json_t *all =
        json_pack("{s:b,s:o,s:o,s:o,s:o,s:o,s:b,s:o,s:I}", "Enabled", true, "AllocDir",
                  text(c->alloc_dir), "NodeClass", text(c->node_class), "NodePool",
                  text(c->node_pool), "ChrootEnv", chroot_env(c), "CgroupParent",
                  text(c->cgroup_parent), "DisableRemoteExec", c->disable_remote_exec, "Options",
                  json_pack("{s:o,s:o,s:o,s:o,s:o}", "env.denylist", text(c->env_denylist),
                            "user.denylist", text(c->user_denylist), "user.checked_drivers",
                            text(c->user_checked_drivers), "driver.allowlist",
                            text(c->driver_allowlist), "driver.denylist", text(c->driver_denylist)),
                  "MaxKillTimeout", (json_int_t)c->max_kill_timeout_ns);

    set_int(all, "GCInterval", c->gc.interval_ns);
    set_int(all, "GCDiskUsageThreshold", c->gc.disk_percent);
    set_int(all, "GCInodeUsageThreshold", c->gc.inode_percent);
    set_int(all, "GCMaxAllocs", c->gc.max_allocs);
    set_int(all, "GCParallelDestroys", c->gc.parallel_destroys);
    set_int(all, "GCMaxAge", c->gc.max_age_ns);
    (void)json_object_set_new(
        all, "Reserved",
        json_pack("{s:I,s:I,s:I,s:o,s:o}", "CPU", (json_int_t)c->reserved.cpu_mhz, "MemoryMB",
                  (json_int_t)c->reserved.memory_mb, "DiskMB", (json_int_t)c->reserved.disk_mb,
                  "Cores", text(c->reserved.cores), "ReservedPorts", text(c->reserved.ports)));
    (void)json_object_set(all, "Meta", c->meta);
    return all;
}

json_t *agent_config_json(const struct config *c)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:b,s:o,s:{s:s},s:{s:b,s:b,s:b}}", "DataDir",
                     text(c->data_dir), "Name", text(c->name), "Datacenter", text(c->datacenter),
                     "Region", text(c->region), "Addresses", list(c->addresses), "DevMode", c->dev,
                     "Client", client(c), "Version", "Version", CLEAT_VERSION, "Telemetry",
                     "PrometheusMetrics", c->telemetry.prometheus_metrics,
                     "PublishAllocationMetrics", c->telemetry.publish_allocation_metrics,
                     "PublishNodeMetrics", c->telemetry.publish_node_metrics);
}
