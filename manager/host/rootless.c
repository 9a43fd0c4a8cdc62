/* SPDX-License-Identifier: MIT
 *
 * Whether a host lets its users have user namespaces hangs on half a dozen settings, some of which
 * let one be made and then forbid what it is for. So an isolated task is tried whose command is a
 * directory: if that is all that the executor has to say, everything before worked.
 */
#include "manager/host/rootless.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/task/driver.h"
#include "manager/task/spawn.h"
#include "shared/cleanup.h"
#include "shared/proto/exec.h"
#include "shared/proto/wire.h"
#include "shared/sys.h"

#define ROOT "root"

enum {
    TRIAL_LIMIT_MS = 10000,
};

/* ---- what there is ---- */

/* The first range of `name` or `uid` in /etc/subuid or its like (subuid(5)). */
static void find_range(const char *path, const char *name, uint32_t *ret_base, uint32_t *ret_size)
{
    autoclose FILE *f = fopen(path, "re");
    char line[256], owner[128], uid[12];
    uint32_t base, size;

    (void)snprintf(uid, sizeof(uid), "%u", geteuid());
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%127[^:]:%u:%u", owner, &base, &size) != 3 || !base || !size ||
            (strcmp(owner, name) != 0 && strcmp(owner, uid) != 0))
            continue;
        *ret_base = base;
        *ret_size = size;
        return;
    }
}

static void find_subids(struct rootless *rootless)
{
    uint32_t n_uids = 0, n_gids = 0;

    if (access("/usr/bin/newuidmap", X_OK) < 0 || access("/usr/bin/newgidmap", X_OK) < 0)
        return;
    find_range("/etc/subuid", rootless->user, &rootless->subuid, &n_uids);
    find_range("/etc/subgid", rootless->user, &rootless->subgid, &n_gids);
    rootless->n_subids = n_uids < n_gids ? n_uids : n_gids;
}

/* What the executor says on stderr until it ends; killed when it takes too long. */
static void hear(int fd, int pidfd, char *text, size_t size)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    size_t n = 0;
    ssize_t got;

    while (n + 1 < size) {
        if (poll(&poller, 1, TRIAL_LIMIT_MS) == 0)
            (void)sys_pidfd_send_signal(pidfd, SIGKILL);
        got = read(fd, text + n, size - n - 1);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    text[n] = '\0';
}

/* Returns the exit code, -1 for none, or a negative errno with `e`. */
static int try_isolation(const struct config *config, char *text, size_t size, struct err *e)
{
    char *argv[] = {config->executor, "run", "-isolation", "exec", "--", "/", NULL};
    autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC), out = -1, in = -1, pidfd = -1;
    siginfo_t info = {0};
    int ends[2];

    if (null < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(e, -errno, "try a user namespace");
    in = ends[0];
    out = ends[1];
    pidfd = spawn_executor(config->executor, argv, NULL, (int[]){null, null, out}, 3, e);
    if (pidfd < 0)
        return pidfd;
    close_fd(&out);
    hear(in, pidfd, text, size);
    if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0)
        return err_sys(e, -errno, "wait for the executor");
    return info.si_code == CLD_EXITED ? info.si_status : -1;
}

/* Of what the executor said: the failed stage and the rest of its line. */
static const char *failure_in(char *text)
{
    char *stage = strstr(text, "stage \"");

    if (!*text)
        return "the trial of one ended without a word";
    if (!stage)
        stage = text;
    stage[strcspn(stage, "\n")] = '\0';
    return stage;
}

static void look(struct rootless *rootless, const struct config *config)
{
    const struct passwd *pw = getpwuid(geteuid());
    struct err e = ERR_INIT;
    char text[4096] = "";
    int r;

    rootless->on = true;
    if ((pw ? asprintf((char **)&rootless->user, "%s", pw->pw_name)
            : asprintf((char **)&rootless->user, "%u", geteuid())) < 0)
        abort();
    r = try_isolation(config, text, sizeof(text), &e);
    if (r == EXEC_EXIT_NOT_EXECUTABLE) {
        rootless->hosts_proc = strstr(text, WIRE_NOTE_PROC) != NULL;
        find_subids(rootless);
        return;
    }
    if (asprintf(&rootless->problem,
                 "it needs user namespaces where the manager is not root: %s; or start "
                 "cleat-manager as root",
                 r < 0 && e.code ? e.text : failure_in(text)) < 0)
        abort();
}

const struct rootless *rootless_get(const struct config *config)
{
    static struct rootless rootless;

    if (!rootless.on && geteuid() != 0)
        look(&rootless, config);
    return &rootless;
}

/* ---- a task's user ---- */

/* Neither the manager's own user nor root, which is the same outside: needs ids of its own. */
static bool is_foreign(const struct rootless *rootless, const char *user, bool userns)
{
    return userns || (*user && strcmp(user, rootless->user) != 0 && strcmp(user, ROOT) != 0);
}

int rootless_check(const struct rootless *rootless, const char *user, bool isolated, bool userns,
                   struct err *e)
{
    if (!isolated) {
        if (!*user || strcmp(user, rootless->user) == 0)
            return 0;
        return err_set(e, -EINVAL,
                       "only root can run a raw_exec task as user \"%s\"; leave \"user\" out, for "
                       "the manager's own user %s, or start cleat-manager as root",
                       user, rootless->user);
    }
    if (!is_foreign(rootless, user, userns) || rootless->n_subids)
        return 0;
    return err_set(e, -EINVAL,
                   "%s%s%s needs further ids, which the manager's user %s has not; install "
                   "newuidmap (package uidmap) and give %s a range in /etc/subuid and /etc/subgid, "
                   "or leave it out: the task's user is then %s, or \"root\" inside the task alone",
                   userns ? "userns" : "user \"", userns ? "" : user, userns ? "" : "\"",
                   rootless->user, rootless->user, rootless->user);
}

int rootless_plan(const struct rootless *rootless, const char *user, bool userns, struct bag *bag,
                  struct exec_spec *spec, struct err *e)
{
    bool fits;
    int r;

    spec->rootless = true;
    if (!is_foreign(rootless, user, userns)) {
        bool root = strcmp(user, ROOT) == 0;

        spec->user = bag_strdup(bag, root ? ROOT : rootless->user);
        spec->uid = root ? 0 : geteuid();
        spec->gid = root ? 0 : getegid();
        return 0;
    }
    r = driver_set_user(*user ? user : "nobody", bag, spec, e);
    if (r)
        return r;
    spec->subuid = rootless->subuid;
    spec->subgid = rootless->subgid;
    spec->n_subids = rootless->n_subids;
    fits = spec->uid <= spec->n_subids && spec->gid <= spec->n_subids;
    for (size_t i = 0; fits && i < spec->n_groups; i++)
        fits = spec->groups[i] <= spec->n_subids;
    if (fits)
        return 0;
    return err_set(e, -EINVAL,
                   "the ids of user \"%s\" are beyond the %u that the manager's user %s has in "
                   "/etc/subuid and /etc/subgid; name another user, or make the ranges larger",
                   spec->user, rootless->n_subids, rootless->user);
}

/* ---- removing ---- */

void rootless_removal(const struct config *config, char *ret_argv[ROOTLESS_REMOVAL])
{
    static char numbers[3][12];
    const struct rootless *rootless = rootless_get(config);

    (void)snprintf(numbers[0], sizeof(numbers[0]), "%u", rootless->subuid);
    (void)snprintf(numbers[1], sizeof(numbers[1]), "%u", rootless->subgid);
    (void)snprintf(numbers[2], sizeof(numbers[2]), "%u", rootless->n_subids);
    ret_argv[0] = config->executor;
    ret_argv[1] = "remove";
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        ret_argv[2 + i] = numbers[i];
}
