/* SPDX-License-Identifier: MIT
 *
 * Tasks may do what they like to the way there: it is walked beneath the allocation's directory,
 * and only to be watched. What is missing is waited for at the nearest directory there is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/core.h"
#include "manager/task/templates_internal.h"
#include "shared/cleanup.h"
#include "shared/log.h"
#include "shared/sys.h"

static int open_path(int alloc, const char *path)
{
    if (*path == '/')
        return open(path, O_PATH | O_CLOEXEC);
    return sys_openat2(alloc, path, O_PATH | O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
}

/* The file, or the nearest directory above it that there is. */
static int open_nearest(int alloc, const char *path, bool *ret_is_it)
{
    autofree char *copy = strdup(path);
    int fd = copy ? open_path(alloc, copy) : -1;

    *ret_is_it = fd >= 0;
    while (copy && fd < 0) {
        char *slash = strrchr(copy, '/');

        if (!slash || slash == copy)
            return *path == '/' ? open("/", O_PATH | O_CLOEXEC) : -1;
        *slash = '\0';
        fd = open_path(alloc, copy);
    }
    return fd;
}

/* Whether it is as the renderer saw it. */
static bool is_as_read(int fd, bool is_it, const json_t *file)
{
    const json_t *ino = json_object_get(file, "ino");
    struct stat st;

    if (!is_it || !ino)
        return !is_it && !ino;
    return fstat(fd, &st) == 0 && (json_int_t)st.st_ino == json_integer_value(ino) &&
           (json_int_t)st.st_size == json_integer_value(json_object_get(file, "size")) &&
           (json_int_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec ==
               json_integer_value(json_object_get(file, "mtime"));
}

static bool watch_one(struct templates *t, int alloc, const json_t *file,
                      void (*changed)(void *arg))
{
    const char *path = json_string_value(json_object_get(file, "path"));
    struct file_watch *watch;
    autofd int fd = -1;
    bool is_it;

    fd = path ? open_nearest(alloc, path, &is_it) : -1;
    if (fd < 0)
        return false;
    watch = file_watch_new(templates_loop(t), fd, changed, t);
    if (watch)
        t->watches[t->n_watches++] = watch;
    else
        log_warn("alloc %s task %s: watch %s, which a template reads: %s", t->task->alloc->id,
                 t->task->def->name, path, strerror(errno));
    return !is_as_read(fd, is_it, file);
}

bool templates_watch(struct templates *t, const json_t *files, void (*changed)(void *arg))
{
    autofd int alloc = open(t->task->alloc->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct file_watch **before = take_ptr(t->watches);
    size_t n_before = t->n_watches;
    bool differs = false;
    json_t *file;
    size_t i;

    t->n_watches = 0;
    t->watches = calloc(json_array_size(files) + 1, sizeof(struct file_watch *));
    if (!t->watches)
        abort();
    json_array_foreach((json_t *)files, i, file) differs |= watch_one(t, alloc, file, changed);
    for (i = 0; i < n_before; i++) /* last: what is watched on keeps its number */
        file_watch_free(before[i]);
    free(before);
    return differs;
}

void templates_unwatch(struct templates *t)
{
    while (t->n_watches)
        file_watch_free(t->watches[--t->n_watches]);
    free(take_ptr(t->watches));
}
