/* SPDX-License-Identifier: MIT
 *
 * Opened once, closed when the manager ends. Invariants: no record is read or written by two
 * managers (the lock, a POSIX one, so that the holder can be named); a record that cannot be read
 * is renamed to <name>.damaged and stops nothing else, but one of a newer release stops the start
 * before anything is changed, and one of an older release is read as if it were of this one
 * (record_format.h).
 */
#include "manager/store.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/log.h"
#include "shared/place.h"
#include "shared/proto/spec.h"
#include "shared/proto/wire.h"
#include "shared/statefile.h"

enum {
    RECORD_MAX = 64 << 20,
    NAME_LENGTH_MAX = 240, /* leaves room for ".damaged" and ".tmp" */
};

#define NODE_ID_FILE "node-id"
#define ASIDE ".damaged"

void uuid_make(char ret_id[37])
{
    unsigned char b[16];
    ssize_t n = getrandom(b, sizeof(b), 0);

    assert(n == sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    (void)snprintf(ret_id, 37,
                   "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
}

/* Escapes what a file name may not hold as %XX; dots too, so that no id looks like one of our
 * suffixes. */
static int escape_id(const char *id, char *buf, size_t size)
{
    size_t used = 0;

    for (const char *p = id; *p; p++) {
        bool plain = isalnum((unsigned char)*p) || *p == '-' || *p == '_';

        if (used + 4 > size)
            return -ENAMETOOLONG;
        used +=
            (size_t)snprintf(buf + used, size - used, plain ? "%c" : "%%%02X", (unsigned char)*p);
    }
    return used ? 0 : -EINVAL;
}

static int make_dir(int parent, const char *name, mode_t mode)
{
    int fd;

    if (mkdirat(parent, name, mode) < 0 && errno != EEXIST)
        return -errno;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int take_lock(struct store *store, struct err *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    store->lock_fd = openat(store->state_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0)
        return err_sys(e, -errno, "open %s/state/lock", store->data_dir);
    if (fcntl(store->lock_fd, F_SETLK, &lock) == 0)
        return 0;
    if (errno != EAGAIN && errno != EACCES)
        return err_sys(e, -errno, "lock %s/state/lock", store->data_dir);
    lock.l_pid = 0;
    (void)fcntl(store->lock_fd, F_GETLK, &lock);
    return err_set(
        e, -EBUSY,
        "data directory %s is in use by another manager (pid %d); stop that one, or give "
        "this one its own -data-dir",
        store->data_dir, lock.l_pid);
}

bool store_is_abandoned(const char *data_dir)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    autofd int dir = open(data_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), fd = -1;
    struct stat st;

    if (dir < 0 || fstat(dir, &st) < 0 || st.st_uid != geteuid())
        return false;
    fd = openat(dir, "state/lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

typedef int statefile_write_fn(int, const char *, uint32_t, const char *, size_t, struct err *);

static int dir_of(const struct store *store, enum record_kind kind)
{
    return kind == RECORD_JOB     ? store->jobs_fd
           : kind == RECORD_ALLOC ? store->allocs_fd
                                  : store->state_fd;
}

static int write_json(const struct store *store, enum record_kind kind, const char *name,
                      const json_t *json, struct err *e)
{
    statefile_write_fn *write_fn =
        kind == RECORD_ALLOC ? statefile_write_unsynced : statefile_write;
    autofree char *text = json_dumps(json, JSON_COMPACT);

    if (!text)
        return err_sys(e, -ENOMEM, "write record %s", name);
    return write_fn(dir_of(store, kind), name, record_format_newest(store->format), text,
                    strlen(text), e);
}

static int read_json(const struct store *store, enum record_kind kind, const char *name,
                     json_t **ret_json, struct err *e)
{
    autofree char *text = NULL;
    json_error_t error;
    uint32_t version;
    json_t *json;
    size_t size;
    int r = statefile_read(dir_of(store, kind), name, RECORD_MAX, &version, &text, &size, e);

    if (r)
        return r;
    json = json_loadb(text, size, 0, &error);
    r = record_format_raise(store->format, version, kind, name, json, e);
    if (!r && !json)
        r = err_set(e, -EBADMSG, "record \"%s\": %s", name, error.text);
    if (r)
        json_decref(json);
    else
        *ret_json = json;
    return r;
}

static void move_aside(const char *aside)
{
    autofree char *path = strndup(aside, strlen(aside) - strlen(ASIDE));

    if (rename(path, aside) < 0)
        log_error("set %s aside: %s", path, strerror(errno));
    else
        log_error("what could not be read is kept as %s", aside);
}

/* Lists and renames the record `name` of `dir` below state/. While records are loaded nothing is
 * renamed: a newer one among them may end that, and then all has to be as it was. */
static void set_aside(struct store *store, const char *dir, const char *name, const struct err *why)
{
    char **grown = reallocarray(store->damaged, store->n_damaged + 1, sizeof(*grown));
    char **path;

    assert(grown);
    store->damaged = grown;
    path = &grown[store->n_damaged++];
    if (asprintf(path, "%s/state/%s/%s" ASIDE, store->data_dir, dir, name) < 0)
        abort();
    log_error("%s", why->text);
    if (!store->loading)
        move_aside(*path);
}

static int load_node_id(struct store *store, struct err *e)
{
    json_t *json = NULL;
    const char *id;
    int r = read_json(store, RECORD_NODE_ID, NODE_ID_FILE, &json, e);

    if (r && r != -ENOENT && r != -EBADMSG)
        return r;
    if (r == -EBADMSG)
        set_aside(store, ".", NODE_ID_FILE, e);
    id = json_string_value(json_object_get(json, "ID"));
    if (id && strlen(id) == sizeof(store->node_id) - 1) {
        memcpy(store->node_id, id, sizeof(store->node_id));
        json_decref(json);
        return 0;
    }
    uuid_make(store->node_id);
    json_decref(json);
    json = json_pack("{s:s}", "ID", store->node_id);
    r = write_json(store, RECORD_NODE_ID, NODE_ID_FILE, json, e);
    json_decref(json);
    return r;
}

static int open_dirs(struct store *store)
{
    autofd int data_fd = -1, allocs_fd = -1, tasks_fd = -1;
    bool root = geteuid() == 0;
    int r = place_make_parents(store->data_dir);

    if (r)
        return r;
    if ((data_fd = make_dir(AT_FDCWD, store->data_dir, root ? 0755 : 0700)) < 0)
        return data_fd;
    /* Tasks of any user pass through allocs/; they need no list of it. Without root there are none,
     * and what tasks may all write to is nobody else's. */
    if ((allocs_fd = make_dir(data_fd, "allocs", root ? 0711 : 0700)) < 0)
        return allocs_fd;
    if ((store->state_fd = make_dir(data_fd, "state", 0700)) < 0)
        return store->state_fd;
    if ((store->jobs_fd = make_dir(store->state_fd, "jobs", 0700)) < 0)
        return store->jobs_fd;
    if ((store->allocs_fd = make_dir(store->state_fd, "allocs", 0700)) < 0)
        return store->allocs_fd;
    tasks_fd = make_dir(store->state_fd, "tasks", 0700);
    return tasks_fd < 0 ? tasks_fd : 0;
}

int store_open(struct store *store, const char *data_dir, struct err *e)
{
    int r;

    *store = (struct store)STORE_INIT;
    store->data_dir = strdup(data_dir);
    if (!store->data_dir)
        return err_sys(e, -ENOMEM, "open data directory %s", data_dir);
    r = open_dirs(store);
    if (r)
        err_sys(e, r, "make the data directory %s (it must be writable; see -data-dir)", data_dir);
    if (!r)
        r = take_lock(store, e);
    if (!r)
        r = load_node_id(store, e);
    if (r)
        store_close(store);
    return r;
}

void store_close(struct store *store)
{
    close_fd(&store->state_fd);
    close_fd(&store->jobs_fd);
    close_fd(&store->allocs_fd);
    close_fd(&store->lock_fd);
    for (size_t i = 0; i < store->n_damaged; i++)
        free(store->damaged[i]);
    free(store->damaged);
    free(store->data_dir);
    *store = (struct store)STORE_INIT;
}

int store_write_job(struct store *store, const char *id, const json_t *json, struct err *e)
{
    char name[NAME_LENGTH_MAX];
    int r = escape_id(id, name, sizeof(name));

    if (r)
        return err_sys(e, r, "make a file name of job id \"%.40s\"", id);
    r = write_json(store, RECORD_JOB, name, json, e);
    if (r)
        err_wrap(e, "record job \"%.100s\" in %s", id, store->data_dir);
    return r;
}

int store_remove_job(struct store *store, const char *id, struct err *e)
{
    char name[NAME_LENGTH_MAX];
    int r = escape_id(id, name, sizeof(name));

    if (!r && unlinkat(store->jobs_fd, name, 0) < 0 && errno != ENOENT)
        r = -errno;
    if (!r && fsync(store->jobs_fd) < 0)
        r = -errno;
    return r ? err_sys(e, r, "remove the record of job \"%.100s\"", id) : 0;
}

int store_write_alloc(struct store *store, const char *id, const json_t *json, struct err *e)
{
    return write_json(store, RECORD_ALLOC, id, json, e);
}

/* What a power cut makes of a file that was not synced: nothing was lost that could be kept. */
static bool is_empty(int dirfd, const char *name)
{
    struct stat st;

    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_size == 0;
}

int store_read_alloc(struct store *store, const char *id, json_t **ret_json, struct err *e)
{
    int r = read_json(store, RECORD_ALLOC, id, ret_json, e);

    if (r == -EBADMSG && is_empty(store->allocs_fd, id))
        return err_sys(e, -ENOENT, "read the record of allocation %s", id);
    if (r && r != -ENOENT && r != -ENOTSUP)
        set_aside(store, "allocs", id, e);
    return r;
}

bool store_has_alloc(const struct store *store, const char *id)
{
    return faccessat(store->allocs_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void store_remove_alloc(struct store *store, const char *id)
{
    if (unlinkat(store->allocs_fd, id, 0) < 0 && errno != ENOENT)
        log_warn("alloc %s: remove its record: %s", id, strerror(errno));
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), k = strlen(suffix);

    return n >= k && strcmp(name + n - k, suffix) == 0;
}

static int load_job(struct store *store, const char *name,
                    int (*each)(void *arg, const json_t *json, struct err *e), void *arg,
                    struct err *e)
{
    json_t *json = NULL;
    int r = read_json(store, RECORD_JOB, name, &json, e);

    if (!r)
        r = each(arg, json, e);
    json_decref(json);
    if (!r || r == -ENOTSUP)
        return r;
    set_aside(store, "jobs", name, e);
    return 0;
}

static DIR *list_records(int dirfd)
{
    autofd int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir)
        (void)take_fd(&fd);
    return dir;
}

int store_load_jobs(struct store *store, int (*each)(void *arg, const json_t *json, struct err *e),
                    void *arg, struct err *e)
{
    autodir DIR *dir = list_records(store->jobs_fd);
    size_t listed = store->n_damaged;
    struct dirent *entry;
    int r = 0;

    if (!dir)
        return err_sys(e, -errno, "list %s/state/jobs", store->data_dir);
    store->loading = true;
    while (!r && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && !has_suffix(entry->d_name, ".tmp") &&
            !has_suffix(entry->d_name, ASIDE))
            r = load_job(store, entry->d_name, each, arg, e);
    store->loading = false;
    for (; !r && listed < store->n_damaged; listed++)
        move_aside(store->damaged[listed]);
    return r;
}

static void remove_unfinished(int dirfd)
{
    autodir DIR *dir = list_records(dirfd);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (has_suffix(entry->d_name, ".tmp"))
            (void)unlinkat(dirfd, entry->d_name, 0);
}

/* True if the record is of a finished allocation, and its job is not one that was set aside. */
static bool is_done_with(struct store *store, const char *alloc_id)
{
    char name[NAME_LENGTH_MAX], aside[NAME_MAX + 1];
    json_t *json = NULL;
    const char *job_id;
    struct err e;
    bool done;

    if (store_read_alloc(store, alloc_id, &json, &e))
        return false;
    job_id = json_string_value(json_object_get(json, "JobID"));
    done = json_is_true(json_object_get(json, "Tidy")) && job_id &&
           escape_id(job_id, name, sizeof(name)) == 0;
    if (done) {
        (void)snprintf(aside, sizeof(aside), "%s" ASIDE, name);
        done = faccessat(store->jobs_fd, aside, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
    }
    json_decref(json);
    return done;
}

void store_prune(struct store *store, bool (*is_known)(void *arg, const char *id), void *arg)
{
    autodir DIR *dir = NULL;
    struct dirent *entry;

    remove_unfinished(store->state_fd);
    remove_unfinished(store->jobs_fd);
    remove_unfinished(store->allocs_fd);
    dir = list_records(store->allocs_fd);
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && !has_suffix(entry->d_name, ASIDE) &&
            !is_known(arg, entry->d_name) &&
            (is_empty(store->allocs_fd, entry->d_name) || is_done_with(store, entry->d_name)))
            store_remove_alloc(store, entry->d_name);
}

void store_check_spec(struct store *store, const char *alloc_id, const char *task)
{
    autofree char *data = NULL;
    char dir[PATH_MAX];
    autofd int fd = -1;
    uint32_t version;
    size_t size;
    struct err e;

    (void)snprintf(dir, sizeof(dir), "tasks/%s/%s", alloc_id, task);
    fd = openat(store->state_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 &&
        statefile_read(fd, WIRE_SPEC, SPEC_MAX_BYTES, &version, &data, &size, &e) == -EBADMSG &&
        !is_empty(fd, WIRE_SPEC))
        set_aside(store, dir, WIRE_SPEC, &e);
}

static void remove_task_dir(int alloc_fd, const char *task)
{
    static const char *const files[] = {WIRE_SPEC, WIRE_STATUS, WIRE_CTL, WIRE_EVT,
                                        WIRE_SPEC ".tmp"};
    autofd int fd = openat(alloc_fd, task, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(files); i++)
        (void)unlinkat(fd, files[i], 0);
    (void)unlinkat(alloc_fd, task, AT_REMOVEDIR);
}

void store_remove_task_dirs(const struct store *store, const char *alloc_id,
                            void (*each)(const char *dir))
{
    char path[PATH_MAX];
    autodir DIR *dir = NULL;
    struct dirent *entry;

    store_task_dir(store, alloc_id, NULL, path, sizeof(path));
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        char task_dir[PATH_MAX];

        if (entry->d_name[0] == '.')
            continue;
        store_task_dir(store, alloc_id, entry->d_name, task_dir, sizeof(task_dir));
        if (each)
            each(task_dir);
        remove_task_dir(dirfd(dir), entry->d_name);
    }
    (void)rmdir(path);
}

void store_task_dir(const struct store *store, const char *alloc_id, const char *task, char *buf,
                    size_t size)
{
    (void)snprintf(buf, size, "%s/state/tasks/%s%s%s", store->data_dir, alloc_id, task ? "/" : "",
                   task ? task : "");
}

int store_make_task_dir(const struct store *store, const char *alloc_id, const char *task)
{
    char path[PATH_MAX];

    store_task_dir(store, alloc_id, NULL, path, sizeof(path));
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    store_task_dir(store, alloc_id, task, path, sizeof(path));
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}
