/* SPDX-License-Identifier: MIT
 *
 * An archive is unpacked by another thread while it comes in. What that makes is worth nothing
 * until the download has ended well: the parent takes nothing before.
 */
#include "manager/fetch/work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/fetch/download.h"
#include "manager/fetch/part.h"
#include "manager/fetch/tree.h"
#include "manager/fetch/unpack.h"
#include "manager/fetch/vcs.h"
#include "shared/cleanup.h"

struct unpacking {
    struct unpack how;
    struct part *part;
    bool checked; /* there is a checksum: if that is wrong, it is what matters, not what came of it
                   */
    int r;
    struct err e;
};

static int get(const struct fetch_order *order, int netrc, struct part *part, struct err *e)
{
    return order->source.kind == ARTIFACT_FILE ? download_copy(order, part, e)
                                               : download(order, netrc, part, e);
}

static int get_file(const struct fetch_order *order, int netrc, struct part *part, struct err *e)
{
    int r = get(order, netrc, part, e);

    if (!r && fchmod(part->fd, order->executable ? 0755 : 0644) < 0)
        r = err_sys(e, -errno, "change the file's mode");
    return r;
}

/* Of every beginning of the download, until one has come to an end. */
static void *unpack_along(void *arg)
{
    struct unpacking *u = arg;
    struct part_reader reader;

    do {
        u->e = (struct err)ERR_INIT;
        reader = part_reader(u->part);
        u->r = tree_empty(".");
        if (u->r)
            (void)err_sys(&u->e, u->r, "unpack it anew");
        else
            u->r = unpack(u->part, &reader, &u->how, &u->e);
        if (u->r && !u->checked)
            part_refuse(u->part, &reader);
    } while (part_wait(u->part, &reader) > 0);
    return NULL;
}

static int get_archive(const struct fetch_order *order, int netrc, struct part *part, struct err *e)
{
    struct unpacking u = {
        .how = {.archive = order->source.archive,
                .filename = order->source.filename,
                .max_bytes = order->max_unpacked,
                .max_files = order->max_files,
                .inspected = order->inspected},
        .part = part,
        .checked = order->source.checksum.type,
    };
    pthread_t thread;
    int r;

    if (chdir(WORK_TREE) < 0)
        return err_sys(e, -errno, "go to the artifact's directory");
    r = -pthread_create(&thread, NULL, unpack_along, &u);
    if (r)
        return err_sys(e, r, "start to unpack");
    r = get(order, netrc, part, e);
    part_end(part, !r);
    (void)pthread_join(thread, NULL);
    if ((r && r != -ECANCELED) || !u.r)
        return r;
    *e = u.e;
    return u.r;
}

/* For git and hg, which look for it at home. */
static int copy_netrc(int netrc, struct err *e)
{
    autofd int fd = -1;

    if (mkdir("home", 0700) < 0)
        return err_sys(e, -errno, "make a home directory");
    if (netrc < 0)
        return 0;
    fd = open("home/.netrc", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 || sendfile(fd, netrc, NULL, 1 << 20) < 0 ? err_sys(e, -errno, "make a .netrc")
                                                            : 0;
}

static int get_part(const struct fetch_order *order, int netrc, const char *key, struct err *e)
{
    struct part part;
    int r = part_open(key, &part, e);

    if (r)
        return r;
    r = order->source.archive == ARCHIVE_NONE ? get_file(order, netrc, &part, e)
                                              : get_archive(order, netrc, &part, e);
    part_deinit(&part);
    return r;
}

int work(const struct fetch_order *order, int netrc, const char *key, struct err *e)
{
    enum artifact_kind kind = order->source.kind;
    int r;

    if (kind == ARTIFACT_GIT || kind == ARTIFACT_HG) {
        r = copy_netrc(netrc, e);
        return r ? r : vcs_get(order, WORK_TREE, e);
    }
    if (mkdir(WORK_TREE, 0755) < 0)
        return err_sys(e, -errno, "make the artifact's directory");
    return get_part(order, netrc, key, e);
}
