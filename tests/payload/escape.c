/* SPDX-License-Identifier: MIT
 *
 * What a hostile task tries. Each verb tries one thing and prints how it went; nothing here does
 * harm where it succeeds.
 *
 *   mount:TYPE | bind:PATH | remount:PATH | pivot:PATH | mount-api:TYPE   mounts onto /tmp
 *   unshare:KIND                user, mnt, pid, net, ipc, uts, cgroup
 *   setns:PID                   joins the mount namespace of a process
 *   ptrace:PID | readmem:PID | openmem:PID | getfd:PID
 *   breakout:DIR                the classic way out of chroot(2), and stays where that leads
 *   by-handle:PATH              opens inode 2 of the file system of PATH by a guessed handle
 *   device:PATH                 makes /dev/mem there and opens it
 *   keyring:session             prints the session keyring's number
 *   connect:ADDRESS             a unix socket; "@name" is an abstract one
 *   hostname:NAME | module:x | sysctl:PATH | oom:SCORE
 *   link:TARGET>PATH | swap:PATH>TARGET    a link; moves PATH away and puts a link to TARGET there
 *   hard:FILE>PATH              a hard link
 *   bomb:processes | bomb:descriptors      as many as there are to be had; prints how many
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "payload.h"

static int try_unshare(const char *kind)
{
    static const struct {
        const char *name;
        int flag;
    } kinds[] = {{"user", CLONE_NEWUSER},    {"mnt", CLONE_NEWNS},  {"pid", CLONE_NEWPID},
                 {"net", CLONE_NEWNET},      {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS},
                 {"cgroup", CLONE_NEWCGROUP}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, kind) == 0)
            return unshare(kinds[i].flag);
    errno = EINVAL;
    return -1;
}

static int try_setns(const char *pid)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "/proc/%s/ns/mnt", pid);
    fd = open(path, O_RDONLY);
    return fd < 0 ? -1 : setns(fd, CLONE_NEWNS);
}

static int open_memory(const char *pid, int flags)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%s/mem", pid);
    return open(path, flags);
}

static int read_memory(const char *pid)
{
    char byte;
    struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};

    /* EFAULT: let through, and nothing was there */
    return process_vm_readv(atoi(pid), &local, 1, &remote, 1, 0) < 0 && errno != EFAULT ? -1 : 0;
}

static int take_descriptor(const char *pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);

    return pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, 0, 0);
}

static int try_device(const char *path)
{
    if (mknod(path, S_IFCHR | 0666, makedev(1, 1)) < 0)
        return -1;
    return open(path, O_RDONLY);
}

static int open_by_guess(const char *path)
{
    /* The root of an ext4: inode 2, generation 0. */
    struct {
        struct file_handle handle;
        uint32_t inode, generation;
    } guess = {.handle = {.handle_bytes = 8, .handle_type = 1}, .inode = 2};
    int fd = open(path, O_RDONLY);

    return fd < 0 ? -1 : open_by_handle_at(fd, &guess.handle, O_RDONLY);
}

static int try_connect(const char *address)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strncpy(un.sun_path, address, sizeof(un.sun_path) - 1);
    if (*address == '@')
        un.sun_path[0] = '\0';
    return fd < 0 ? -1
                  : connect(fd, (struct sockaddr *)&un,
                            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address)));
}

static int try_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);

    return fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

static int cut(char *pair, char **ret_second)
{
    char *at = strchr(pair, '>');

    if (!at)
        _exit(123);
    *at = '\0';
    *ret_second = at + 1;
    return 0;
}

static int swap(const char *path, const char *target)
{
    char away[4096];

    snprintf(away, sizeof(away), "%s.away", path);
    return rename(path, away) < 0 ? -1 : symlink(target, path);
}

/* Keeps a descriptor of the root, changes root below it, and walks up from the kept one. */
static int break_out(const char *dir)
{
    int root = open("/", O_RDONLY | O_DIRECTORY);

    (void)mkdir(dir, 0777);
    if (root < 0 || chroot(dir) < 0 || fchdir(root) < 0)
        return -1;
    for (int i = 0; i < 64; i++)
        if (chdir("..") < 0)
            return -1;
    return chroot(".");
}

static int count_processes(void)
{
    int n = 0;
    pid_t pid;

    while ((pid = fork()) > 0)
        n++;
    if (pid == 0)
        for (;;)
            pause();
    return n;
}

static int count_descriptors(void)
{
    int n = 0;

    while (dup(0) >= 0)
        n++;
    return n;
}

static bool pair_step(const char *verb, const char *arg)
{
    char *first = strdup(arg), *second;
    int r;

    if (strcmp(verb, "link") == 0 && cut(first, &second) == 0)
        r = symlink(first, second);
    else if (strcmp(verb, "hard") == 0 && cut(first, &second) == 0)
        r = link(first, second);
    else if (strcmp(verb, "swap") == 0 && cut(first, &second) == 0)
        r = swap(first, second);
    else
        return false;
    say_result(verb, arg, r);
    return true;
}

bool escape_step(const char *verb, const char *arg)
{
    int r;

    if (strcmp(verb, "bomb") == 0) {
        bool processes = strcmp(arg, "processes") == 0;

        r = processes ? count_processes() : count_descriptors();
        say("%s=%d %s", arg, r, strerrorname_np(errno));
        return true;
    }
    if (strcmp(verb, "mount") == 0)
        r = mount(arg, "/tmp", arg, 0, NULL);
    else if (strcmp(verb, "bind") == 0)
        r = mount(arg, "/tmp", NULL, MS_BIND | MS_REC, NULL);
    else if (strcmp(verb, "remount") == 0)
        r = mount(NULL, arg, NULL, MS_REMOUNT | MS_BIND, NULL);
    else if (strcmp(verb, "pivot") == 0)
        r = (int)syscall(SYS_pivot_root, arg, arg);
    else if (strcmp(verb, "mount-api") == 0)
        r = (int)syscall(SYS_fsopen, arg, 0);
    else if (strcmp(verb, "unshare") == 0)
        r = try_unshare(arg);
    else if (strcmp(verb, "setns") == 0)
        r = try_setns(arg);
    else if (strcmp(verb, "ptrace") == 0)
        r = (int)ptrace(PTRACE_SEIZE, atoi(arg), NULL, NULL);
    else if (strcmp(verb, "readmem") == 0)
        r = read_memory(arg);
    else if (strcmp(verb, "openmem") == 0)
        r = open_memory(arg, O_RDWR);
    else if (strcmp(verb, "getfd") == 0)
        r = take_descriptor(arg);
    else if (strcmp(verb, "breakout") == 0)
        r = break_out(arg);
    else if (strcmp(verb, "by-handle") == 0)
        r = open_by_guess(arg);
    else if (strcmp(verb, "device") == 0)
        r = try_device(arg);
    else if (strcmp(verb, "keyring") == 0)
        r = (int)syscall(SYS_keyctl, 0 /* get id */, -3 /* of the session's */, 0);
    else if (strcmp(verb, "connect") == 0)
        r = try_connect(arg);
    else if (strcmp(verb, "hostname") == 0)
        r = sethostname(arg, strlen(arg));
    else if (strcmp(verb, "module") == 0)
        r = (int)syscall(SYS_init_module, arg, 0, "");
    else if (strcmp(verb, "sysctl") == 0)
        r = try_write(arg, "1");
    else if (strcmp(verb, "oom") == 0)
        r = try_write("/proc/self/oom_score_adj", arg);
    else
        return pair_step(verb, arg);
    if (strcmp(verb, "keyring") == 0 && r >= 0)
        say("keyring=%d", r);
    else
        say_result(verb, arg, r);
    return true;
}
