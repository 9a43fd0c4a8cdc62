/* SPDX-License-Identifier: MIT
 *
 * An archive is unpacked by another thread while it comes in. What that makes is worth nothing
 * until the download has ended well: the parent takes nothing before.
 */
#include "manager/fetch/work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/fetch/download.h"
#include "manager/fetch/part.h"
#include "manager/fetch/s3.h"
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

struct work {
    const struct fetch_order *order;
    struct download *download; /* NULL: of a file of this host */
    const char *url;
    const char *key;
};

static int get(const struct work *w, struct part *part, struct err *e)
{
    return w->download ? download_get(w->download, w->url, &w->order->source.checksum, part, e)
                       : download_copy(w->order, part, e);
}

static int get_file(const struct work *w, struct part *part, struct err *e)
{
    int r = get(w, part, e);

    if (!r && fchmod(part->fd, w->order->executable ? 0755 : 0644) < 0)
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

static int get_archive(const struct work *w, struct part *part, struct err *e)
{
    const struct fetch_order *order = w->order;
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
    r = get(w, part, e);
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

static int get_part(const struct work *w, struct err *e)
{
    struct part part;
    int r = part_open(w->key, &part, e);

    if (r)
        return r;
    r = w->order->source.archive == ARCHIVE_NONE ? get_file(w, &part, e) : get_archive(w, &part, e);
    part_deinit(&part);
    return r;
}

/* Objects whose keys go on after the place's; `e` has why there is none with just that key. */
static int get_tree(const struct work *w, const struct s3_place *place, struct err *e)
{
    struct err why = ERR_INIT, none = *e;
    size_t n = 0;
    int r;

    (void)unlink(PART_FILE);
    if (chdir(WORK_TREE) < 0)
        return err_sys(e, -errno, "go to the artifact's directory");
    r = s3_get_tree(w->download, w->order, place, &n, &why);
    if (r)
        *e = why;
    if (r && !n)
        return err_set(e, r, "%.200s; what may be beneath it cannot be listed: %.200s", none.text,
                       why.text);
    return r || n ? r : none.code;
}

/* An object comes before a directory of that name, as in Nomad. */
static int get_s3(struct work *w, const struct s3_place *place, struct err *e)
{
    const struct artifact_source *source = &w->order->source;
    bool tree = source->archive == ARCHIVE_NONE && w->order->mode != FETCH_MODE_FILE &&
                !source->checksum.type;
    size_t len = strlen(place->key);
    int r;

    if (len && place->key[len - 1] != '/')
        r = get_part(w, e);
    else if (tree)
        r = err_set(e, -ENOENT, "there is no object beneath \"%.200s\"", source->url);
    else
        return err_set(
            e, -EINVAL,
            "\"%.200s\" is a directory of objects: it has no checksum, cannot be unpacked, "
            "and needs the mode \"any\" or \"dir\"",
            source->url);
    return r == -ENOENT && tree ? get_tree(w, place, e) : r;
}

static int get_from_s3(struct work *w, struct err *e)
{
    struct s3_place place;
    char *url;
    int r = s3_place_parse(w->order->source.url, &place, e);

    if (r)
        return r;
    url = s3_object_url(&place, place.key);
    w->url = url;
    r = get_s3(w, &place, e);
    free(url);
    s3_place_deinit(&place);
    return r;
}

int work(const struct fetch_order *order, int netrc, const char *key, struct err *e)
{
    enum artifact_kind kind = order->source.kind;
    struct work w = {.order = order, .url = order->source.url, .key = key};
    int r;

    if (kind == ARTIFACT_GIT || kind == ARTIFACT_HG) {
        r = copy_netrc(netrc, e);
        return r ? r : vcs_get(order, WORK_TREE, e);
    }
    if (mkdir(WORK_TREE, 0755) < 0)
        return err_sys(e, -errno, "make the artifact's directory");
    if (kind != ARTIFACT_FILE)
        w.download = download_new(order, netrc);
    r = kind == ARTIFACT_S3 ? get_from_s3(&w, e) : get_part(&w, e);
    if (w.download)
        w.download = download_free(w.download);
    return r;
}
