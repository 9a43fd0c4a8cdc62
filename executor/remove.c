/* SPDX-License-Identifier: MIT
 *
 * Removes directories with all that tasks left in them, and nothing that is mounted there: every
 * directory is opened by the kernel's word that it is on the same mount as the one it is in, which
 * says more than its device does, since bind mounts share that. A file or directory on which
 * something is mounted cannot be unlinked. Links are removed, never followed. What is nested too
 * deeply to be kept open is moved up first, so no tree is too deep. What goes meanwhile is as good
 * as removed: a manager that was killed may have left one of us at work on the same directory.
 *
 * For a manager whose user is not root, what tasks of further ids (spec.n_subids) have left behind
 * belongs to users that only a user namespace with these ids has power over: the work is done in
 * one, as its root.
 */
#include "executor/remove.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/isolation/rootless.h"
#include "executor/report.h"
#include "shared/cleanup.h"
#include "shared/proto/exec.h"
#include "shared/sys.h"

enum {
    FIRST_DIR = 5,
    DEPTH_MAX = 100, /* directories open at one time */
};

struct removal {
    const char *top; /* for messages */
    int top_fd;
    unsigned int n_moved;
    bool told;
};

/* True: it is not there any more. */
static bool complain(struct removal *r, const char *name, int error)
{
    if (error == ENOENT)
        return true;
    if (!r->told)
        (void)fprintf(stderr, "cleat-executor: remove %s: %s: %s\n", r->top, name,
                      error == EXDEV || error == EBUSY ? "something is mounted there; unmount it"
                                                       : strerror(error));
    r->told = true;
    return false;
}

static int open_dir(int parent, const char *name)
{
    const uint64_t flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    const uint64_t resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
    int fd = sys_openat2(parent, name, flags, 0, resolve);

    /* Its own user may take every right from a directory. */
    if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
        fd = sys_openat2(parent, name, flags, 0, resolve);
    return fd;
}

static bool empty(struct removal *r, int fd, unsigned int depth);

/* Over no other one of that name, which may be there from an earlier try. */
static bool move_up(struct removal *r, int parent, const char *name)
{
    char moved[32];

    do
        (void)snprintf(moved, sizeof(moved), ".deep-%u", r->n_moved++);
    while (renameat(parent, name, r->top_fd, moved) < 0 &&
           (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR));
    return faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
}

/* `name` of the directory `parent`, which is at `depth` below the top. */
static bool remove_entry(struct removal *r, int parent, const char *name, unsigned int depth)
{
    int fd;

    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR && errno != EPERM) /* POSIX has the second for directories */
        return complain(r, name, errno);
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
        return true;
    if (depth >= DEPTH_MAX)
        return move_up(r, parent, name) || complain(r, name, errno);
    fd = open_dir(parent, name);
    if (fd < 0)
        return complain(r, name, errno);
    return empty(r, fd, depth + 1) &&
           (unlinkat(parent, name, AT_REMOVEDIR) == 0 || complain(r, name, errno));
}

/* Takes `fd` over. Goes on behind what cannot be removed. */
static bool empty(struct removal *r, int fd, unsigned int depth)
{
    DIR *dir = fdopendir(fd);
    struct dirent *entry;
    bool all = dir != NULL;
    struct stat st;

    if (!dir) {
        (void)close(fd);
        return complain(r, "a directory", errno);
    }
    if (fstat(fd, &st) == 0 && (st.st_mode & 0300) != 0300)
        (void)fchmod(fd, 0700);
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            all = remove_entry(r, fd, entry->d_name, depth) && all;
    (void)closedir(dir);
    return all;
}

static bool remove_tree(char *path)
{
    char *slash = strrchr(path, '/');
    autofd int parent = -1, fd = -1;
    struct removal r = {.top = path};
    unsigned int before;
    bool all;

    if (!slash || slash == path)
        return complain(&r, path, EINVAL);
    *slash = '\0';
    parent = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *slash = '/';
    if (parent >= 0)
        r.top_fd = fd = open_dir(parent, slash + 1);
    if (fd < 0)
        return complain(&r, slash + 1, errno);
    do { /* what was moved up may have been listed already, or not */
        int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        before = r.n_moved;
        all = again >= 0 ? empty(&r, again, 0) : complain(&r, ".", errno);
    } while (r.n_moved != before);
    return all && (rmdir(path) == 0 || complain(&r, path, errno));
}

static int remove_all(char **dirs)
{
    bool all = true;

    for (; *dirs; dirs++)
        all = remove_tree(*dirs) && all;
    return all ? 0 : EXEC_EXIT_FAILED;
}

__attribute__((noreturn)) static void remove_as_root(int report_fd, char **dirs)
{
    unsigned char error;

    _exit(recv(report_fd, &error, 1, 0) == 1 && error == 0 ? remove_all(dirs) : EXEC_EXIT_FAILED);
}

int remove_main(int argc, char **argv)
{
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    autofd int ours = -1, theirs = -1;
    struct exec_spec spec = {0};
    int status = 0, r;
    pid_t pid;

    if (argc <= FIRST_DIR)
        return EXEC_EXIT_FAILED;
    spec.subuid = (uint32_t)strtoul(argv[2], NULL, 10);
    spec.subgid = (uint32_t)strtoul(argv[3], NULL, 10);
    spec.n_subids = (uint32_t)strtoul(argv[4], NULL, 10);
    if (!spec.n_subids)
        return remove_all(argv + FIRST_DIR);
    r = report_pair(&ours, &theirs);
    if (r < 0)
        return EXEC_EXIT_FAILED;
    pid = sys_clone3(&args);
    if (pid == 0)
        remove_as_root(theirs, argv + FIRST_DIR);
    if (pid < 0)
        return EXEC_EXIT_FAILED;
    rootless_map(&spec, pid, ours);
    return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : EXEC_EXIT_FAILED;
}
