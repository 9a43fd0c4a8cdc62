/* SPDX-License-Identifier: MIT
 *
 * The modules of the manager that only touch the machine: records on disk, directories, cgroups.
 * They take the place of the real ones when the simulator is linked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/alloc/allocdir.h"
#include "manager/host/fingerprint.h"
#include "manager/host/strays.h"
#include "manager/store.h"
#include "shared/cgroup_layout.h"
#include "shared/cgroupfs.h"
#include "shared/log.h"
#include "shared/procid.h"
#include "shared/statefile.h"
#include "tests/sim/sim.h"

enum {
    RECORDS_MAX = 1024
};

struct record {
    char id[64];
    char *now, *before; /* JSON; `before`: what a power cut may bring back */
    bool job;
};

static struct record records[RECORDS_MAX];
static unsigned int n_records, n_uuids;

static struct record *find(const char *id, bool job)
{
    for (unsigned int i = 0; i < n_records; i++)
        if (records[i].job == job && strcmp(records[i].id, id) == 0)
            return &records[i];
    return NULL;
}

static void replace(struct record *r, char *text)
{
    free(r->before);
    r->before = r->now;
    r->now = text;
}

static int write_record(const char *id, bool job, const json_t *json, struct err *e)
{
    struct record *r = find(id, job);
    struct proc *before = current;

    sys_enter();
    if (job && !world.calm && one_in(60)) /* what is lost with an allocation's may be lost */
        return err_set(e, -ENOSPC, "the disk is full");
    if (!r) {
        r = &records[n_records++];
        world.full |= n_records > RECORDS_MAX - 32;
        *r = (struct record){.job = job};
        (void)snprintf(r->id, sizeof(r->id), "%s", id);
    }
    current = NULL; /* it outlives the process */
    replace(r, json_dumps(json, JSON_COMPACT));
    current = before;
    sys_enter();
    return 0;
}

void store_reset(void)
{
    while (n_records) {
        free(records[--n_records].now);
        free(records[n_records].before);
    }
    n_uuids = 0;
}

void store_power_cut(void)
{
    for (unsigned int i = 0; i < n_records; i++)
        if (!records[i].job && one_in(2))
            replace(&records[i], one_in(2) ? NULL : strdup(records[i].before ?: "{}"));
}

int store_open(struct store *store, const char *data_dir, struct err *e)
{
    (void)data_dir;
    (void)e;
    *store = (struct store)STORE_INIT;
    (void)snprintf(store->node_id, sizeof(store->node_id), "node");
    return 0;
}

void store_close(struct store *store)
{
    (void)store;
}

int store_write_job(struct store *store, const char *id, const json_t *json, struct err *e)
{
    (void)store;
    return write_record(id, true, json, e);
}

int store_remove_job(struct store *store, const char *id, struct err *e)
{
    (void)store;
    (void)e;
    sys_enter();
    check_job_removed(id);
    replace(find(id, true), NULL);
    sys_enter();
    return 0;
}

int store_write_alloc(struct store *store, const char *id, const json_t *json, struct err *e)
{
    (void)store;
    return write_record(id, false, json, e);
}

int store_read_alloc(struct store *store, const char *id, json_t **ret_json, struct err *e)
{
    const struct record *r = find(id, false);

    (void)store;
    (void)e;
    sys_enter();
    if (!r || !r->now)
        return -ENOENT;
    *ret_json = json_loads(r->now, 0, NULL);
    return 0;
}

bool store_has_alloc(const struct store *store, const char *id)
{
    const struct record *r = find(id, false);

    (void)store;
    return r && r->now;
}

void store_remove_alloc(struct store *store, const char *id)
{
    struct record *r = find(id, false);

    (void)store;
    sys_enter();
    if (r)
        replace(r, NULL);
}

void store_prune(struct store *store, bool (*is_known)(void *arg, const char *id), void *arg)
{
    for (unsigned int i = 0; i < n_records; i++)
        if (!records[i].job && records[i].now && !is_known(arg, records[i].id))
            store_remove_alloc(store, records[i].id);
}

int store_load_jobs(struct store *store, int (*each)(void *arg, const json_t *json, struct err *e),
                    void *arg, struct err *e)
{
    (void)store;
    for (unsigned int i = 0; i < n_records; i++) {
        json_t *json;

        sys_enter();
        if (!records[i].job || !records[i].now)
            continue;
        json = json_loads(records[i].now, 0, NULL);
        if (each(arg, json, e))
            violated("the record of job %s is refused: %s", records[i].id, e->text);
        json_decref(json);
    }
    return 0;
}

void store_check_spec(struct store *store, const char *alloc_id, const char *task)
{
    (void)store;
    (void)alloc_id;
    (void)task;
}

void store_remove_task_dirs(const struct store *store, const char *alloc_id,
                            void (*each)(const char *dir))
{
    (void)store;
    for (int i = 0; i < world.n_dirs; i++) {
        struct dir *dir = &world.dirs[i];

        if (!dir->made || strncmp(dir->path + strlen("/sim/"), alloc_id, strlen(alloc_id)) != 0)
            continue;
        if (each)
            each(dir->path);
        sys_enter();
        dir->made = false;
        if (!dir->lock) /* who has it open goes on reading it */
            dir->status = dir->synced = (struct status_file){0};
    }
}

void store_task_dir(const struct store *store, const char *alloc_id, const char *task, char *buf,
                    size_t size)
{
    (void)store;
    (void)snprintf(buf, size, "/sim/%s/%s", alloc_id, task);
}

int store_make_task_dir(const struct store *store, const char *alloc_id, const char *task)
{
    char path[sizeof(world.dirs[0].path)];

    store_task_dir(store, alloc_id, task, path, sizeof(path));
    sys_enter();
    (void)dir_make(path);
    return 0;
}

void uuid_make(char ret_id[37])
{
    (void)snprintf(ret_id, 37, "00000000-0000-4000-8000-%012u", ++n_uuids);
}

/* State files: there is but one, the spec of a task. */

int statefile_write_unsynced(int dirfd, const char *name, uint32_t version, const char *data,
                             size_t size, struct err *e)
{
    struct dir *dir = fd_dir(dirfd);
    struct proc *before = current;

    (void)name;
    (void)version;
    sys_enter();
    if (!world.calm && one_in(60))
        return err_set(e, -ENOSPC, "the disk is full");
    current = NULL;
    free(dir->spec);
    dir->spec = memcpy(malloc(size), data, size);
    dir->spec_size = size;
    current = before;
    return 0;
}

int statefile_read(int dirfd, const char *name, size_t max, uint32_t *ret_version, char **ret_data,
                   size_t *ret_size, struct err *e)
{
    struct dir *dir = fd_dir(dirfd);

    (void)name;
    (void)max;
    sys_enter();
    if (!dir->spec)
        return err_set(e, -ENOENT, "no spec");
    *ret_version = SPEC_VERSION;
    *ret_data = memcpy(malloc(dir->spec_size), dir->spec, dir->spec_size);
    *ret_size = dir->spec_size;
    return 0;
}

/* Directories */

int allocdir_make_all(const char *allocs_dir, struct err *e)
{
    (void)allocs_dir;
    (void)e;
    return 0;
}

int allocdir_make(const char *alloc_dir, struct err *e)
{
    (void)alloc_dir;
    (void)e;
    return 0;
}

int allocdir_build(const char *alloc_dir, struct err *e)
{
    (void)alloc_dir;
    sys_enter();
    return !world.calm && one_in(60) ? err_set(e, -ENOSPC, "the disk is full") : 0;
}

int allocdir_build_task(const char *alloc_dir, const char *task, int64_t secrets_mb, struct err *e)
{
    (void)task;
    (void)secrets_mb;
    return allocdir_build(alloc_dir, e);
}

int allocdir_unmount_task(const char *alloc_dir, const char *task)
{
    (void)alloc_dir;
    (void)task;
    sys_enter();
    return 0;
}

void allocdir_say(const char *alloc_dir, const char *task, const char *text)
{
    (void)alloc_dir;
    (void)task;
    (void)text;
}

void allocdir_unmount_others(const char *allocs_dir, bool (*keep)(void *arg, const char *id),
                             void *arg)
{
    (void)allocs_dir;
    (void)keep;
    (void)arg;
}

/* cgroups */

void cgroup_layout_init(struct cgroup_layout *layout, const char *parent, const char *node_id)
{
    (void)parent;
    (void)node_id;
    *layout = (struct cgroup_layout){.version = "v2"};
}

void cgroup_layout_deinit(struct cgroup_layout *layout)
{
    (void)layout;
}

void cgroup_layout_protect(const struct cgroup_layout *layout, uint64_t shared, uint64_t own)
{
    (void)layout;
    (void)shared;
    (void)own;
}

void cgroup_layout_share(const struct cgroup_layout *layout, const char *cpus)
{
    (void)layout;
    (void)cpus;
}

void cgroup_layout_remove(const struct cgroup_layout *layout)
{
    (void)layout;
}

int cgroup_layout_kill_task(const struct cgroup_layout *layout, const char *alloc_id,
                            const char *task)
{
    char path[sizeof(world.dirs[0].path)];
    const struct dir *dir;
    int r = 0;

    (void)layout;
    store_task_dir(NULL, alloc_id, task, path, sizeof(path));
    dir = dir_find(path);
    sys_enter();
    for (int i = 0; dir && i < world.n_procs; i++) {
        struct proc *p = &world.procs[i];

        if (p->kind != PROC_TASK || !p->alive || p->dir != dir)
            continue;
        if (p->executor->alive)
            violated("the manager kills pid %d of %s, whose executor lives", p->pid, dir->path);
        p->killed = true;
        r = -EAGAIN;
    }
    return r;
}

int cgroup_layout_reap(const struct cgroup_layout *layout,
                       bool (*keep)(void *arg, const char *leaf), void *arg)
{
    int r = 0;

    (void)layout;
    sys_enter();
    for (int i = 0; i < world.n_procs; i++) {
        struct proc *p = &world.procs[i];
        char leaf[128], *slash;

        if (p->kind != PROC_TASK || !p->alive)
            continue;
        (void)snprintf(leaf, sizeof(leaf), "%s.%u", p->dir->path + strlen("/sim/"), p->attempt);
        slash = strchr(leaf, '/');
        *slash = '.';
        if (keep(arg, leaf))
            continue;
        p->killed = true;
        r = -EAGAIN;
    }
    return r;
}

int cgroupfs_write(int dir, const char *name, const char *value)
{
    (void)dir;
    (void)name;
    (void)value;
    return 0;
}

int strays_kill(const char *alloc_id, const char *task)
{
    (void)alloc_id;
    (void)task;
    return 0;
}

/* What kind of machine it is */

json_t *fingerprint_attributes(const struct config *config, const struct cgroup_layout *cgroup)
{
    (void)config;
    (void)cgroup;
    return json_object();
}

uint64_t fingerprint_core_mhz(const json_t *attributes)
{
    (void)attributes;
    return 1000;
}

json_t *fingerprint_node(const struct config *config, const struct cgroup_layout *cgroup,
                         const char *node_id, json_t *attributes)
{
    (void)config;
    (void)cgroup;
    (void)node_id;
    return json_incref(attributes);
}

int procid_boot_id(char ret_boot_id[BOOT_ID_BYTES])
{
    (void)snprintf(ret_boot_id, BOOT_ID_BYTES, "00000000-0000-4000-9000-%012d", world.boot);
    return 0;
}

bool procid_is_dying(pid_t pid)
{
    const struct proc *p = proc_find(pid);

    return !p || !p->alive || p->killed;
}

int procid_start_time(pid_t pid, uint64_t *ret_start)
{
    const struct proc *p = proc_find(pid);

    if (!p || !p->alive)
        return -ESRCH;
    *ret_start = (uint64_t)pid;
    return 0;
}

void log_message(enum log_level level, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    (void)level;
    if (!world.trace)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    trace("log: %s", text);
}
