/* SPDX-License-Identifier: MIT
 *
 * Tasks may do what they like to the way there: it is walked beneath the allocation's directory,
 * and only to be watched. What is missing is waited for at the nearest directory there is.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/core.h"
#include "manager/task/templates_internal.h"
#include "shared/cleanup.h"
#include "shared/sys.h"

/* All zero: there is none. */
struct file_state {
    uint64_t ino;
    int64_t size, mtime_ns;
};

struct template_file {
    struct watch watch;
    struct templates *templates;
    char *path; /* below the allocation's directory, unless absolute */
    struct file_state seen;
    void (*changed)(struct templates *t);
};

static int open_path(int alloc, const char *path)
{
    if (*path == '/')
        return open(path, O_PATH | O_CLOEXEC);
    return sys_openat2(alloc, path, O_PATH | O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
}

/* Opens the file, or the nearest directory above it that there is. */
static int open_nearest(const struct template_file *file, bool *ret_is_it)
{
    autofd int alloc = open(file->templates->task->alloc->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    autofree char *copy = strdup(file->path);
    int fd = copy ? open_path(alloc, copy) : -1;

    *ret_is_it = fd >= 0;
    while (copy && fd < 0) {
        char *slash = strrchr(copy, '/');

        if (!slash || slash == copy)
            return *file->path == '/' ? open("/", O_PATH | O_CLOEXEC) : -1;
        *slash = '\0';
        fd = open_path(alloc, copy);
    }
    return fd;
}

/* Takes what there is for seen. */
static bool differs(struct template_file *file, int fd, bool is_it)
{
    struct file_state now = {0}, seen = file->seen;
    struct stat st;

    if (is_it && fstat(fd, &st) == 0)
        now = (struct file_state){st.st_ino, st.st_size,
                                  (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
    file->seen = now;
    return now.ino != seen.ino || now.size != seen.size || now.mtime_ns != seen.mtime_ns;
}

static void on_changed(struct watch *w)
{
    struct template_file *file = container_of(w, struct template_file, watch);

    if (w->wd < 0) { /* called each second */
        bool is_it;
        autofd int fd = open_nearest(file, &is_it);

        if (fd < 0 || !differs(file, fd, is_it))
            return;
    }
    file->changed(file->templates);
}

static bool watch_one(struct template_file *file)
{
    bool is_it;
    autofd int fd = open_nearest(file, &is_it);

    if (fd < 0)
        return false;
    watch_start(&file->watch, file->templates->task->alloc->manager->watches, fd, on_changed);
    return differs(file, fd, is_it); /* only now, so that no change falls between */
}

static void stop(struct template_file *files, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        watch_stop(&files[i].watch);
        free(files[i].path);
    }
    free(files);
}

bool templates_watch(struct templates *t, const json_t *files, void (*changed)(struct templates *t))
{
    struct template_file *before = t->files;
    size_t n_before = t->n_files, i;
    bool different = false;
    json_t *seen;

    t->n_files = json_array_size(files);
    t->files = calloc(t->n_files + 1, sizeof(*t->files));
    if (!t->files)
        abort();
    json_array_foreach((json_t *)files, i, seen)
    {
        struct template_file *file = &t->files[i];
        const char *path = json_string_value(json_object_get(seen, "path"));

        *file = (struct template_file){
            .templates = t,
            .path = strdup(path ? path : ""),
            .seen = {(uint64_t)json_integer_value(json_object_get(seen, "ino")),
                     json_integer_value(json_object_get(seen, "size")),
                     json_integer_value(json_object_get(seen, "mtime"))},
            .changed = changed,
        };
        if (!file->path)
            abort();
        different |= watch_one(file);
    }
    stop(before, n_before); /* last: what is watched on keeps its number */
    return different;
}

void templates_unwatch(struct templates *t)
{
    stop(take_ptr(t->files), t->n_files);
    t->n_files = 0;
}
