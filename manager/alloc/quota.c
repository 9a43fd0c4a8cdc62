/* SPDX-License-Identifier: MIT
 *
 * The project is in the allocation's record before the directory has it, and the directory has it
 * before there is anything in that; so whatever dies in between, doing it again completes it.
 * Records are not synced: a power cut may take a project out of one and leave the directory with
 * it, which is where it is taken from then. Nor is a project given out that anything on the file
 * system belongs to still, whoever forgot it there.
 *
 * ext4 and XFS both have the generic commands of quotactl_fd(2), which Linux 5.14 brought.
 */
#include "manager/alloc/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/alloc/alloc.h"
#include "manager/core.h"
#include "shared/cleanup.h"
#include "shared/log.h"
#include "shared/sys.h"

enum {
    FIRST_PROJECT = 0x10000, /* those below are likely to be in /etc/projid */
    BLOCKS_PER_MB = (1 << 20) / QIF_DQBLKSIZE,
};

static int control(int fd, unsigned int command, uint32_t project, void *data)
{
    return sys_quotactl_fd(fd, QCMD(command, PRJQUOTA), project, data) < 0 ? -errno : 0;
}

static int open_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

bool quota_is_on(const char *dir)
{
    struct fs_quota_statv state = {.qs_version = FS_QSTATV_VERSION1};
    autofd int fd = open_dir(dir);

    /* Limits are set and projects given by root of the first user namespace only. */
    return fd >= 0 && geteuid() == 0 && control(fd, Q_XGETQSTATV, 0, &state) == 0 &&
           (state.qs_flags & FS_QUOTA_PDQ_ENFD);
}

static int set_limit(int fd, uint32_t project, int64_t size_mb)
{
    struct if_dqblk limits = {.dqb_bhardlimit = (uint64_t)size_mb * BLOCKS_PER_MB,
                              .dqb_valid = QIF_BLIMITS};

    return control(fd, Q_SETQUOTA, project, &limits);
}

int quota_set(int fd, uint32_t project, int64_t size_mb)
{
    struct fsxattr attr;
    int r = set_limit(fd, project, size_mb);

    if (r)
        return r;
    if (ioctl(fd, FS_IOC_FSGETXATTR, &attr) < 0)
        return -errno;
    if (attr.fsx_projid == project && (attr.fsx_xflags & FS_XFLAG_PROJINHERIT))
        return 0;
    attr.fsx_projid = project;
    attr.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    return ioctl(fd, FS_IOC_FSSETXATTR, &attr) < 0 ? -errno : 0;
}

int quota_get(int fd, uint32_t project, struct quota_usage *ret_usage)
{
    struct if_dqblk usage = {0};
    int r = control(fd, Q_GETQUOTA, project, &usage);

    if (r && r != -ENOENT) /* XFS, of one that never was */
        return r;
    *ret_usage = (struct quota_usage){.bytes = usage.dqb_curspace,
                                      .files = usage.dqb_curinodes,
                                      .limit_bytes = usage.dqb_bhardlimit * QIF_DQBLKSIZE};
    return 0;
}

static bool node_has_quotas(const struct manager *m)
{
    const char *text = json_string_value(json_object_get(m->attributes, "cleat.disk.quota"));

    return text && strcmp(text, "true") == 0;
}

static bool is_taken(const struct manager *m, uint32_t project)
{
    for (const struct alloc *a = m->allocs; a; a = a->next)
        if (a->project == project)
            return true;
    return false;
}

/* Beyond all that allocations have, and not one that files belong to. 0: there is none. */
static uint32_t unused_project(const struct manager *m, int fd)
{
    uint32_t project = FIRST_PROJECT;
    struct quota_usage usage;

    for (const struct alloc *a = m->allocs; a; a = a->next)
        if (a->project >= project)
            project = a->project + 1;
    for (; project >= FIRST_PROJECT && project != UINT32_MAX; project++)
        if (quota_get(fd, project, &usage) || (!usage.bytes && !usage.files))
            return project;
    return 0;
}

/* Of the allocation's directory, where that is there already; 0: none that we gave out. */
static uint32_t project_on_disk(const struct alloc *alloc, int fd)
{
    struct fsxattr attr;

    if (ioctl(fd, FS_IOC_FSGETXATTR, &attr) < 0 || !(attr.fsx_xflags & FS_XFLAG_PROJINHERIT) ||
        attr.fsx_projid < FIRST_PROJECT || is_taken(alloc->manager, attr.fsx_projid))
        return 0;
    return attr.fsx_projid;
}

static uint32_t choose_project(const struct alloc *alloc)
{
    autofree char *all = config_alloc_dir(alloc->manager->config, NULL);
    autofd int fd = open_dir(alloc->dir);

    if (fd >= 0)
        return project_on_disk(alloc, fd);
    fd = open_dir(all);
    return fd >= 0 ? unused_project(alloc->manager, fd) : 0;
}

int quota_assign(struct alloc *alloc, struct err *e)
{
    if (alloc->project || !node_has_quotas(alloc->manager))
        return 0;
    alloc->project = choose_project(alloc);
    if (!alloc->project)
        return 0;
    alloc->unsaved = true;
    alloc_save(alloc);
    if (!alloc->unsaved)
        return 0;
    alloc->project = 0;
    return err_set(e, -EIO, "the project of its disk quota could not be written to its record");
}

int quota_apply(const struct alloc *alloc, struct err *e)
{
    autofd int fd = -1;
    int r;

    if (!alloc->project || !node_has_quotas(alloc->manager))
        return 0;
    fd = open_dir(alloc->dir);
    r = fd < 0 ? fd : quota_set(fd, alloc->project, alloc->group->disk.size_mb);
    if (r == -ESRCH) /* they were switched off since: as on a file system without */
        r = 0;
    return r ? err_sys(e, r, "set the disk quota of %s", alloc->dir) : 0;
}

int quota_look(const struct alloc *alloc, struct quota_usage *ret_usage)
{
    autofd int fd = alloc->project ? open_dir(alloc->dir) : -ENODATA;

    return fd < 0 ? fd : quota_get(fd, alloc->project, ret_usage);
}

void quota_release(struct alloc *alloc)
{
    autofree char *dir = config_alloc_dir(alloc->manager->config, NULL);
    autofd int fd = -1;
    int r;

    if (!alloc->project)
        return;
    fd = open_dir(dir);
    r = fd < 0 ? fd : set_limit(fd, alloc->project, 0);
    if (r && r != -ESRCH) /* ESRCH: quotas were switched off */
        log_warn("alloc %s: remove the disk quota of project %u: %s", alloc->id, alloc->project,
                 strerror(-r));
    alloc->project = 0;
}
