/* SPDX-License-Identifier: MIT
 *
 * cleat-payload STEP…: does one step after the other and exits with 0. A step is VERB[:ARG[:ARG]].
 * What it prints is one fact a line, "name=value", written with one write(2) each, so that what
 * arrived of it is exact.
 */
/* clang-format off
 *
 *   out | err | both           where the following steps print (out)
 *   print:TEXT                 the text and a newline
 *   lines:N:MS[:WIDTH]         N numbered lines (0: for ever), one each MS milliseconds, padded with
 *                              dots to WIDTH bytes, the newline included
 *   partial:TEXT               the text without a newline
 *   pause                      waits for ever
 *   wait:MS                    waits
 *   exit:N | die:SIGNAL        ends
 *   ignore:SIGNAL              ignores it
 *   handle:SIGNAL              prints "caught=SIGNAL" from its handler
 *   quit:SIGNAL:N              exits with N from its handler
 *   fork:N                     N children that ignore SIGINT and SIGTERM and wait for ever
 *   daemon                     a child of a child in a session of its own, waiting for ever
 *   hog:MIB                    touches that much memory
 *   ids | cwd | env | fds | signals   prints them
 *   argv:TEXT…                 prints this argument and all after it; ends the steps
 *   cat:PATH | ls:PATH         prints the content, the names
 *   write:PATH | mkdir:PATH | mknod:PATH | umount:PATH | chroot:PATH | kill:PID
 *                              tries it and prints "VERB PATH=ok" or "VERB PATH=ERRNAME"
 *   reopen                     opens /dev/stdout anew and prints "reopened=ok" through it
 *   once:PATH:N                the first time (PATH is not there): makes PATH and exits with N
 *   account:PATH               from here on appends its own account to PATH: "start", "exit N" (by the
 *                              steps exit, once and quit); "double" and the end if another one does
 *
 * clang-format on */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "payload.h"

extern char **environ;

static int outputs[2] = {STDOUT_FILENO, -1};
static int quit_code[NSIG];
static int account_fd = -1;

static void put(const char *data, size_t size)
{
    for (size_t i = 0; i < 2; i++) {
        size_t done = 0;

        while (outputs[i] >= 0 && done < size) {
            ssize_t n = write(outputs[i], data + done, size - done);

            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                _exit(120);
            done += (size_t)n;
        }
    }
}

void say(const char *format, ...)
{
    char line[16384];
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(line, sizeof(line) - 1, format, ap);
    va_end(ap);
    if (n > (int)sizeof(line) - 2)
        n = sizeof(line) - 2;
    line[n++] = '\n';
    put(line, (size_t)n);
}

void say_result(const char *verb, const char *arg, int r)
{
    say("%s %s=%s", verb, arg, r < 0 ? strerrorname_np(errno) : "ok");
}

static int signal_by_name(const char *name)
{
    for (int sig = 1; sig < NSIG; sig++) {
        const char *abbrev = sigabbrev_np(sig);

        if (abbrev && strcmp(abbrev, name) == 0)
            return sig;
    }
    return atoi(name);
}

static void wait_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

_Noreturn static void wait_for_ever(void)
{
    for (;;)
        pause();
}

static void on_signal(int sig)
{
    char line[32] = "caught=";

    strcat(line, sigabbrev_np(sig));
    strcat(line, "\n");
    put(line, strlen(line));
}

static void do_account(const char *path)
{
    account_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (account_fd < 0)
        _exit(123);
    if (flock(account_fd, LOCK_EX | LOCK_NB) < 0) {
        dprintf(account_fd, "double\n");
        _exit(124);
    }
    dprintf(account_fd, "start\n");
}

_Noreturn static void leave(int code)
{
    if (account_fd >= 0)
        dprintf(account_fd, "exit %d\n", code);
    _exit(code);
}

static void on_quit_signal(int sig)
{
    put("end\n", 4);
    leave(quit_code[sig]);
}

static void do_lines(unsigned long count, long interval_ms, size_t width)
{
    static char line[1 << 20];

    if (width > sizeof(line))
        width = sizeof(line);
    for (unsigned long i = 0; count == 0 || i < count; i++) {
        size_t n = (size_t)snprintf(line, 32, "%lu", i);

        while (n + 1 < width)
            line[n++] = '.';
        line[n++] = '\n';
        put(line, n);
        if (interval_ms > 0)
            wait_ms(interval_ms);
    }
}

static void do_fork(int count)
{
    for (int i = 0; i < count; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            signal(SIGINT, SIG_IGN);
            signal(SIGTERM, SIG_IGN);
            wait_for_ever();
        }
        say("child=%d", (int)pid);
    }
}

static void do_daemon(void)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0)
            wait_for_ever();
        _exit(0);
    }
}

static void do_hog(size_t mib)
{
    for (size_t i = 0; i < mib; i++) {
        char *block = malloc(1 << 20);

        if (!block)
            _exit(121);
        memset(block, 'x', 1 << 20);
        __asm__ volatile("" ::"r"(block) : "memory"); /* else the compiler drops both lines */
    }
}

static void do_ids(void)
{
    gid_t groups[256];
    int n = getgroups(256, groups);

    say("pid=%d", (int)getpid());
    say("ppid=%d", (int)getppid());
    say("sid=%d", (int)getsid(0));
    say("uid=%d", (int)getuid());
    say("gid=%d", (int)getgid());
    say("euid=%d", (int)geteuid());
    say("egid=%d", (int)getegid());
    for (int i = 0; i < n; i++)
        say("group=%d", (int)groups[i]);
}

static void do_signals(void)
{
    sigset_t blocked;

    sigprocmask(SIG_SETMASK, NULL, &blocked);
    for (int sig = 1; sig < NSIG; sig++) {
        struct sigaction sa;

        if (sigismember(&blocked, sig) == 1)
            say("blocked=%d", sig);
        if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
            say("ignored=%d", sig);
    }
}

static void do_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char path[300], target[4096];
        ssize_t n;

        if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(dir))
            continue;
        snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
        n = readlink(path, target, sizeof(target) - 1);
        target[n < 0 ? 0 : n] = '\0';
        say("fd %s=%s", entry->d_name, target);
    }
    closedir(dir);
}

static void do_cat(const char *path)
{
    char buf[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 0;

    while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0)
        put(buf, (size_t)n);
    if (n < 0)
        say_result("cat", path, -1);
    if (fd >= 0)
        close(fd);
}

static void do_ls(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (!dir) {
        say_result("ls", path, -1);
        return;
    }
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            say("entry=%s", entry->d_name);
    closedir(dir);
}

static int try_write(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    ssize_t n = fd < 0 ? -1 : write(fd, "written by the task\n", 20);

    if (fd >= 0)
        close(fd);
    return n < 0 ? -1 : 0;
}

static int try_listen(const char *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = fd < 0 || inet_pton(AF_INET, address, &in.sin_addr) != 1 ||
                    bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 || listen(fd, 1) < 0
                ? -1
                : 0;

    if (fd >= 0)
        close(fd);
    return r;
}

static void do_once(const char *path, int code)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    if (fd >= 0)
        leave(code);
}

static void do_reopen(void)
{
    int fd = open("/dev/stdout", O_WRONLY | O_CLOEXEC);

    if (fd < 0) {
        say_result("reopen", "/dev/stdout", -1);
        return;
    }
    dprintf(fd, "reopened=ok\n");
    close(fd);
}

/* Steps that try something on `path` and say how it went. */
static bool try_step(const char *verb, const char *path)
{
    int r;

    if (strcmp(verb, "write") == 0)
        r = try_write(path);
    else if (strcmp(verb, "mkdir") == 0)
        r = mkdir(path, 0777);
    else if (strcmp(verb, "mknod") == 0)
        r = mknod(path, S_IFBLK | 0666, makedev(7, 0));
    else if (strcmp(verb, "umount") == 0)
        r = umount2(path, MNT_DETACH);
    else if (strcmp(verb, "chroot") == 0)
        r = chroot(path);
    else if (strcmp(verb, "kill") == 0)
        r = kill(atoi(path), SIGKILL);
    else if (strcmp(verb, "listen") == 0)
        r = try_listen(path);
    else
        return false;
    say_result(verb, path, r);
    return true;
}

static bool print_step(const char *verb, const char *a)
{
    char cwd[4096];

    if (strcmp(verb, "out") == 0) {
        outputs[0] = STDOUT_FILENO;
        outputs[1] = -1;
    } else if (strcmp(verb, "err") == 0) {
        outputs[0] = STDERR_FILENO;
        outputs[1] = -1;
    } else if (strcmp(verb, "both") == 0) {
        outputs[0] = STDOUT_FILENO;
        outputs[1] = STDERR_FILENO;
    } else if (strcmp(verb, "print") == 0) {
        say("%s", a);
    } else if (strcmp(verb, "partial") == 0) {
        put(a, strlen(a));
    } else if (strcmp(verb, "ids") == 0) {
        do_ids();
    } else if (strcmp(verb, "signals") == 0) {
        do_signals();
    } else if (strcmp(verb, "fds") == 0) {
        do_fds();
    } else if (strcmp(verb, "cwd") == 0) {
        say("cwd=%s", getcwd(cwd, sizeof(cwd)) ? cwd : "?");
    } else if (strcmp(verb, "env") == 0) {
        for (char **e = environ; *e; e++)
            say("%s", *e);
    } else if (strcmp(verb, "cat") == 0) {
        do_cat(a);
    } else if (strcmp(verb, "ls") == 0) {
        do_ls(a);
    } else if (strcmp(verb, "reopen") == 0) {
        do_reopen();
    } else {
        return false;
    }
    return true;
}

static bool process_step(const char *verb, const char *a, const char *b, const char *c)
{
    if (strcmp(verb, "lines") == 0) {
        do_lines(strtoul(a, NULL, 10), atol(b), strtoul(c, NULL, 10));
    } else if (strcmp(verb, "pause") == 0) {
        wait_for_ever();
    } else if (strcmp(verb, "wait") == 0) {
        wait_ms(atol(a));
    } else if (strcmp(verb, "exit") == 0) {
        leave(atoi(a));
    } else if (strcmp(verb, "die") == 0) {
        signal(signal_by_name(a), SIG_DFL);
        raise(signal_by_name(a));
    } else if (strcmp(verb, "ignore") == 0) {
        signal(signal_by_name(a), SIG_IGN);
    } else if (strcmp(verb, "handle") == 0) {
        signal(signal_by_name(a), on_signal);
    } else if (strcmp(verb, "quit") == 0) {
        quit_code[signal_by_name(a)] = atoi(b);
        signal(signal_by_name(a), on_quit_signal);
    } else if (strcmp(verb, "fork") == 0) {
        do_fork(atoi(a));
    } else if (strcmp(verb, "daemon") == 0) {
        do_daemon();
    } else if (strcmp(verb, "hog") == 0) {
        do_hog(strtoul(a, NULL, 10));
    } else if (strcmp(verb, "once") == 0) {
        do_once(a, atoi(b));
    } else if (strcmp(verb, "account") == 0) {
        do_account(a);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *verb, *a, *b, *c;

        if (strncmp(argv[i], "argv:", 5) == 0) {
            for (; i < argc; i++)
                say("argv=%s", argv[i]);
            return 0;
        }
        verb = strdup(argv[i]);
        a = verb + strcspn(verb, ":");
        if (*a != '\0')
            *a++ = '\0';
        if (print_step(verb, a) || try_step(verb, a) || escape_step(verb, a))
            continue;
        b = a + strcspn(a, ":");
        if (*b != '\0')
            *b++ = '\0';
        c = b + strcspn(b, ":");
        if (*c != '\0')
            *c++ = '\0';
        if (!process_step(verb, a, b, c)) {
            say("unknown step: %s", argv[i]);
            return 122;
        }
    }
    return 0;
}
