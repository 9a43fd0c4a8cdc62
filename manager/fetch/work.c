/* SPDX-License-Identifier: MIT
 *
 * A file that is the artifact itself is written where it belongs: under the first version of
 * landlock nothing can be renamed into another directory.
 */
#include "manager/fetch/work.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/fetch/download.h"
#include "manager/fetch/unpack.h"
#include "manager/fetch/vcs.h"
#include "shared/cleanup.h"

#define ARCHIVE "download"

static int get(const struct fetch_order *order, int netrc, int fd, struct err *e)
{
    return order->source.kind == ARTIFACT_FILE ? download_copy(order, fd, e)
                                               : download(order, netrc, fd, e);
}

static int get_file(const struct fetch_order *order, int netrc, struct err *e)
{
    mode_t mode = order->executable ? 0755 : 0644;
    autofd int fd = -1;

    if (chdir(WORK_TREE) < 0)
        return err_sys(e, -errno, "go to the artifact's directory");
    fd = open(order->source.filename, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return err_sys(e, -errno, "make the file \"%.200s\"", order->source.filename);
    return get(order, netrc, fd, e);
}

static int get_archive(const struct fetch_order *order, int netrc, struct err *e)
{
    autofd int fd = open(ARCHIVE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const struct unpack how = {
        .archive = order->source.archive,
        .filename = order->source.filename,
        .max_bytes = order->max_unpacked,
        .max_files = order->max_files,
        .inspected = order->inspected,
    };
    int r;

    if (fd < 0)
        return err_sys(e, -errno, "make a file for the archive");
    r = get(order, netrc, fd, e);
    if (r)
        return r;
    (void)unlink(ARCHIVE);
    if (chdir(WORK_TREE) < 0)
        return err_sys(e, -errno, "go to the artifact's directory");
    return unpack(fd, &how, e);
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

int work(const struct fetch_order *order, int netrc, struct err *e)
{
    enum artifact_kind kind = order->source.kind;
    int r;

    if (kind == ARTIFACT_GIT || kind == ARTIFACT_HG) {
        r = copy_netrc(netrc, e);
        return r ? r : vcs_get(order, WORK_TREE, e);
    }
    if (mkdir(WORK_TREE, 0755) < 0)
        return err_sys(e, -errno, "make the artifact's directory");
    return order->source.archive == ARCHIVE_NONE ? get_file(order, netrc, e)
                                                 : get_archive(order, netrc, e);
}
