/* SPDX-License-Identifier: MIT
 *
 * In this order: the view of the file system, while still root; limits; the user; no new
 * privileges; landlock; system calls. Landlock's numbers stand here, for the headers may be older
 * than the kernel: rights of a later version are left out where the kernel has an earlier one.
 */
#include "manager/fetch/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/helper.h"
#include "shared/sys.h"

#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#define __NR_landlock_add_rule 445
#define __NR_landlock_restrict_self 446
#endif

#define DATA_MAX (1ULL << 30) /* memory: xz and zstd may ask for gigabytes */

enum {
    FILES_MAX = 512,
    FALLBACK_ID = 65534,
};

enum { /* landlock: what may be done beneath a path */
    LL_EXECUTE = 1 << 0,
    LL_WRITE_FILE = 1 << 1,
    LL_READ_FILE = 1 << 2,
    LL_READ_DIR = 1 << 3,
    LL_TRUNCATE = 1 << 14,
    LL_FILE = LL_EXECUTE | LL_WRITE_FILE | LL_READ_FILE | LL_TRUNCATE,
    LL_READ = LL_READ_FILE | LL_READ_DIR,
    LL_ALL = (1 << 13) - 1, /* of version 1 */
    LL_REFER = 1 << 13,
};

struct ll_ruleset {
    uint64_t fs, net, scoped;
};

struct ll_rule {
    uint64_t rights;
    int32_t fd;
} __attribute__((packed));

static const char *const readable[] = {
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/passwd",
    "/etc/group",
    "/etc/localtime",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/ssl",
    "/etc/ca-certificates",
    "/etc/pki",
    "/etc/crypto-policies",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/zoneinfo",
    "/usr/lib/locale",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager/resolv.conf",
    "/lib",
    "/lib64",
    "/lib32",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/dev/urandom",
    "/dev/random",
};

static const char *const of_programs[] = {
    "/bin",   "/usr/bin", "/usr/local/bin", "/usr/libexec", "/usr/local/libexec",  "/lib",
    "/lib64", "/usr/lib", "/usr/lib64",     "/nix/store",   "/run/current-system",
};

static const char *const read_by_programs[] = {
    "/etc/gitconfig",       "/etc/mercurial",     "/etc/ssh",         "/usr/share/git-core",
    "/usr/share/mercurial", "/usr/share/perl",    "/usr/share/perl5", "/usr/include/python3",
    "/etc/python3",         "/usr/share/python3",
};

/* ---- user and namespaces ---- */

void confine_find_user(struct confine *confine)
{
    const struct passwd *pw = getpwnam("cleat-fetch");

    confine->drop = geteuid() == 0;
    if (!pw)
        pw = getpwnam("nobody");
    confine->uid = !confine->drop ? geteuid() : pw ? pw->pw_uid : FALLBACK_ID;
    confine->gid = !confine->drop ? getegid() : pw ? pw->pw_gid : FALLBACK_ID;
}

/* The view is made here: of another namespace's directories nothing can be bound. */
pid_t confine_fork(struct confine *confine, int dir)
{
    struct clone_args args = {.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC,
                              .exit_signal = SIGCHLD};
    pid_t pid;

    confine->view =
        confine->drop ? sys_open_tree(dir, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)
                      : -1;
    pid = confine->view >= 0 ? sys_clone3(&args) : -1;
    if (pid < 0) {
        close_fd(&confine->view);
        pid = fork();
    }
    return pid;
}

/* ---- view ---- */

/* Everything read-only, but the directory, in the place of one that no download has a use for. */
static int make_view(const struct confine *confine, struct err *e)
{
    static const char *const points[] = {"/mnt", "/media", "/tmp"};
    int r = -1;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_sys(e, -errno, "make the mounts private");
    if (confine->isolated) /* some file systems cannot: landlock is there as well */
        (void)sys_mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID,
                                0);
    (void)sys_mount_setattr(confine->view, "", AT_EMPTY_PATH, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                            0);
    for (size_t i = 0; r < 0 && i < ARRAY_LEN(points); i++) {
        r = sys_move_mount(confine->view, "", AT_FDCWD, points[i], MOVE_MOUNT_F_EMPTY_PATH);
        if (r == 0)
            r = chdir(points[i]);
    }
    return r < 0 ? err_sys(e, -errno, "bind the directory it is got together in on /mnt") : 0;
}

/* ---- limits and user ---- */

static void set_limit(int resource, uint64_t value)
{
    struct rlimit limit;

    if (getrlimit(resource, &limit) < 0)
        return;
    if (limit.rlim_max > value)
        limit.rlim_max = value;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(resource, &limit);
}

static void set_limits(const struct confine *confine)
{
    set_limit(RLIMIT_CORE, 0);
    set_limit(RLIMIT_NOFILE, FILES_MAX);
    set_limit(RLIMIT_FSIZE, confine->max_file);
#ifndef __SANITIZE_ADDRESS__ /* which reserves terabytes */
    set_limit(RLIMIT_DATA, DATA_MAX);
#endif
}

static int drop(const struct confine *confine, struct err *e)
{
    if (confine->drop &&
        (setgroups(0, NULL) < 0 || setresgid(confine->gid, confine->gid, confine->gid) < 0 ||
         setresuid(confine->uid, confine->uid, confine->uid) < 0))
        return err_sys(e, -errno, "become user %u", confine->uid);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(e, -errno, "give up new privileges");
    helper_die_with_parent();
    return 0;
}

/* ---- landlock ---- */

int confine_parse_path(const char *text, bool *ret_dir, unsigned *ret_rights, const char **ret_path)
{
    unsigned rights = 0;
    const char *p = text + 2;

    if ((text[0] != 'd' && text[0] != 'f') || text[1] != ':')
        return -EINVAL;
    for (; *p && *p != ':'; p++)
        if (*p == 'r')
            rights |= LL_READ;
        else if (*p == 'w')
            rights |= LL_WRITE_FILE | LL_TRUNCATE;
        else if (*p == 'c')
            rights |= LL_ALL & ~(LL_EXECUTE | LL_READ | LL_WRITE_FILE);
        else if (*p == 'x')
            rights |= LL_EXECUTE;
        else
            return -EINVAL;
    if (!rights || p[0] != ':' || p[1] != '/')
        return -EINVAL;
    *ret_dir = text[0] == 'd';
    *ret_rights = rights;
    *ret_path = p + 1;
    return 0;
}

/* What is not there needs no rule. */
static void allow(int ruleset, uint64_t handled, const char *path, uint64_t rights)
{
    autofd int fd = open(path, O_PATH | O_CLOEXEC);
    struct ll_rule rule = {.rights = rights & handled, .fd = fd};
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return;
    if (!S_ISDIR(st.st_mode))
        rule.rights &= LL_FILE;
    (void)syscall(__NR_landlock_add_rule, ruleset, 1, &rule, 0);
}

static void allow_extra(const struct confine *confine, int ruleset, uint64_t handled)
{
    const json_t *value;
    size_t i;

    json_array_foreach(confine->extra_paths, i, value)
    {
        const char *path;
        unsigned rights;
        bool dir;

        if (confine_parse_path(json_string_value(value), &dir, &rights, &path) == 0)
            allow(ruleset, handled, path, rights);
    }
}

static void allow_all(const struct confine *confine, int ruleset, uint64_t handled)
{
    const char *const trust[] = {getenv("SSL_CERT_FILE"), getenv("SSL_CERT_DIR"), confine->file};

    for (size_t i = 0; i < ARRAY_LEN(readable); i++)
        allow(ruleset, handled, readable[i], LL_READ);
    for (size_t i = 0; i < ARRAY_LEN(trust); i++)
        if (trust[i])
            allow(ruleset, handled, trust[i], LL_READ);
    allow(ruleset, handled, "/dev/null", LL_READ_FILE | LL_WRITE_FILE | LL_TRUNCATE);
    allow(ruleset, handled, ".", handled & ~(confine->programs ? 0ULL : (uint64_t)LL_EXECUTE));
    for (size_t i = 0; confine->programs && i < ARRAY_LEN(of_programs); i++)
        allow(ruleset, handled, of_programs[i], LL_READ | LL_EXECUTE);
    for (size_t i = 0; confine->programs && i < ARRAY_LEN(read_by_programs); i++)
        allow(ruleset, handled, read_by_programs[i], LL_READ);
    allow_extra(confine, ruleset, handled);
}

static int lock_land(const struct confine *confine, struct err *e)
{
    long version = syscall(__NR_landlock_create_ruleset, NULL, 0, 1);
    struct ll_ruleset rules = {.fs = LL_ALL};
    autofd int ruleset = -1;

    if (version <= 0) /* a kernel without it, or where it is not switched on */
        return 0;
    if (version >= 2)
        rules.fs |= LL_REFER;
    if (version >= 3)
        rules.fs |= LL_TRUNCATE;
    if (version >= 4)
        rules.net = 1; /* to bind to a port */
    if (version >= 6)
        rules.scoped = 3; /* abstract sockets of, and signals to, others */
    ruleset = (int)syscall(__NR_landlock_create_ruleset, &rules,
                           version >= 6   ? 24
                           : version >= 4 ? 16
                                          : 8,
                           0);
    if (ruleset < 0)
        return err_sys(e, -errno, "make landlock rules");
    allow_all(confine, ruleset, rules.fs);
    if (syscall(__NR_landlock_restrict_self, ruleset, 0) < 0)
        return err_sys(e, -errno, "be held by landlock");
    return 0;
}

/* ---- system calls ---- */

/* None of them is of use to a download, and each was a way out for somebody. */
static int lock_calls(struct err *e)
{
    static const int refused[] = {
        SCMP_SYS(ptrace),
        SCMP_SYS(process_vm_readv),
        SCMP_SYS(process_vm_writev),
        SCMP_SYS(mount),
        SCMP_SYS(umount2),
        SCMP_SYS(pivot_root),
        SCMP_SYS(chroot),
        SCMP_SYS(open_tree),
        SCMP_SYS(move_mount),
        SCMP_SYS(fsopen),
        SCMP_SYS(fsmount),
        SCMP_SYS(mount_setattr),
        SCMP_SYS(unshare),
        SCMP_SYS(setns),
        SCMP_SYS(bpf),
        SCMP_SYS(perf_event_open),
        SCMP_SYS(userfaultfd),
        SCMP_SYS(keyctl),
        SCMP_SYS(add_key),
        SCMP_SYS(request_key),
        SCMP_SYS(kexec_load),
        SCMP_SYS(init_module),
        SCMP_SYS(finit_module),
        SCMP_SYS(io_uring_setup),
        SCMP_SYS(mknod),
        SCMP_SYS(mknodat),
        SCMP_SYS(open_by_handle_at),
        SCMP_SYS(personality),
        SCMP_SYS(quotactl),
        SCMP_SYS(swapon),
    };
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int r = ctx ? 0 : -ENOMEM;

    for (size_t i = 0; !r && i < ARRAY_LEN(refused); i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
    if (!r)
        r = seccomp_load(ctx);
    if (ctx)
        seccomp_release(ctx);
    return r ? err_sys(e, r, "give up system calls") : 0;
}

int confine_enter(const struct confine *confine, int dir, struct err *e)
{
    int r = 0;

    if (confine->view >= 0)
        r = make_view(confine, e);
    else if (fchdir(dir) < 0)
        r = err_sys(e, -errno, "go to the directory it is got together in");
    if (r)
        return r;
    set_limits(confine);
    r = drop(confine, e);
    if (!r && confine->isolated)
        r = lock_land(confine, e);
    return r ? r : lock_calls(e);
}
