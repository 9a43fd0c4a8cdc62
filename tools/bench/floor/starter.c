/* SPDX-License-Identifier: MIT
 *
 * bench-starter [OPTION…] -- CMD [ARG…] [--then CMD [ARG…]]
 *
 * Starts CMD time after time and prints, a line for each time, the nanoseconds from just before its
 * start to the first instruction of the bench-task that it runs sooner or later.
 *
 *   -n N      so many times (1)
 *   -o FILE   the task's line arrives in FILE; else on CMD's standard output
 *   -p ROOT   no posix_spawn: clone3, pivot_root into ROOT and exec CMD in this one process
 *   -s        CMD is conmon: wait for its word on _OCI_SYNCPIPE before --then
 *   -k        start all, leave them running, print the one time until the last has begun, kill them
 *
 * "%d" in an argument or in FILE is replaced by the number of the start, from 0. --then is a second
 * command that is part of the start. It runs until the end of its input tells that it ended.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/sys.h"

enum {
    ARGS_MAX = 256,
    PATIENCE_MS = 20000
};

struct options {
    int count;
    const char *file;
    const char *root;
    bool sync, keep;
    char **cmd, **then;
};

/* One start: the pipe its report comes through, and what has to be waited for. */
struct start {
    int report; /* -1: in a file */
    int sync;   /* -1 without -s */
    pid_t pid;
    int64_t begun_ns;
};

extern char **environ;

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static char *number_in(const char *text, int number)
{
    const char *mark = strstr(text, "%d");
    char *result;

    if (!mark)
        result = strdup(text);
    else if (asprintf(&result, "%.*s%d%s", (int)(mark - text), text, number, mark + 2) < 0)
        result = NULL;
    if (!result)
        err(1, "cannot allocate an argument");
    return result;
}

static void numbered_args(char *const *args, int number, char **ret_args)
{
    int n = 0;

    for (; args[n]; n++) {
        if (n == ARGS_MAX - 1)
            errx(1, "more than %d arguments", ARGS_MAX - 1);
        ret_args[n] = number_in(args[n], number);
    }
    ret_args[n] = NULL;
}

static void free_args(char **args)
{
    for (; *args; args++)
        free(*args);
}

static pid_t spawn(char **args, int out, int sync)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int r;

    (void)posix_spawn_file_actions_init(&actions);
    if (out >= 0)
        (void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (sync >= 0)
        (void)posix_spawn_file_actions_adddup2(&actions, sync, 3);
    r = posix_spawnp(&pid, args[0], &actions, NULL, args, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    errno = r;
    if (r != 0)
        err(1, "cannot start %s", args[0]);
    return pid;
}

static void enter_root_and_exec(const char *root, char **args, int out)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount(root, root, NULL, MS_BIND | MS_REC, NULL) == 0 && chdir(root) == 0 &&
        sys_pivot_root(".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0 &&
        dup2(out, STDOUT_FILENO) >= 0)
        (void)execv(args[0], args);
    err(127, "cannot run %s in %s", args[0], root);
}

static pid_t clone_into_root(const char *root, char **args, int out)
{
    struct clone_args clone = {
        .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC,
        .exit_signal = SIGCHLD,
    };
    pid_t pid = sys_clone3(&clone);

    if (pid < 0)
        err(1, "cannot clone into new namespaces: run this as root");
    if (pid == 0)
        enter_root_and_exec(root, args, out);
    return pid;
}

static void wait_for(pid_t pid, const char *what)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            err(1, "cannot wait for %s", what);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        errx(1, "%s failed with wait status 0x%x", what, status);
}

/* Reads one line from a pipe, or from a file that is still to be written. */
static void read_line(int fd, const char *file, char *line, size_t size)
{
    int64_t until = now_ns() + PATIENCE_MS * INT64_C(1000000);
    size_t len = 0;

    line[0] = '\0';
    while (!strchr(line, '\n')) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        ssize_t n = 0;

        if (now_ns() > until || len == size - 1)
            errx(1, "no report from the task within %d s", PATIENCE_MS / 1000);
        if (file) {
            autofd int open_fd = open(file, O_RDONLY | O_CLOEXEC);

            if (open_fd >= 0)
                n = pread(open_fd, line + len, size - 1 - len, (off_t)len);
            if (n <= 0)
                (void)poll(NULL, 0, 1);
        } else if (poll(&poll_fd, 1, PATIENCE_MS) > 0) {
            n = read(fd, line + len, 1); /* a byte: several tasks may share the pipe */
            if (n == 0)
                errx(1, "the command ended without a report from the task");
        }
        if (n > 0)
            len += (size_t)n;
        line[len] = '\0';
    }
}

/* The time is the last word of the line: some loggers put their own in front. */
static int64_t read_report(int fd, const char *file)
{
    char line[256], *word, *end;
    long long ns;

    read_line(fd, file, line, sizeof(line));
    *strchr(line, '\n') = '\0';
    word = strrchr(line, ' ');
    word = word ? word + 1 : line;
    ns = strtoll(word, &end, 10);
    if (end == word || *end || ns <= 0)
        errx(1, "the task's report is no time: '%s'", line);
    return ns;
}

static void run_then(const struct options *opt, const struct start *start, int number)
{
    char *args[ARGS_MAX], said[256];

    if (opt->sync) {
        read_line(start->sync, NULL, said, sizeof(said));
        if (strstr(said, "\"pid\": -"))
            errx(1, "conmon: %s", said);
    }
    numbered_args(opt->then, number, args);
    wait_for(spawn(args, -1, -1), args[0]);
    free_args(args);
}

static void begin(const struct options *opt, int number, int out, struct start *ret_start)
{
    int sync[2] = {-1, -1};
    char *args[ARGS_MAX];

    if (opt->sync && pipe2(sync, O_CLOEXEC) < 0)
        err(1, "cannot make a pipe");
    numbered_args(opt->cmd, number, args);
    ret_start->sync = sync[0];
    ret_start->begun_ns = now_ns();
    ret_start->pid = opt->root ? clone_into_root(opt->root, args, out) : spawn(args, out, sync[1]);
    free_args(args);
    close_fd(&sync[1]);
    if (opt->then)
        run_then(opt, ret_start, number);
}

static void start_and_wait(const struct options *opt, int number)
{
    autofree char *file = opt->file ? number_in(opt->file, number) : NULL;
    struct start start;
    int report[2];
    int64_t ns;

    if (pipe2(report, O_CLOEXEC) < 0)
        err(1, "cannot make a pipe");
    begin(opt, number, report[1], &start);
    close_fd(&report[1]);
    ns = read_report(report[0], file);
    wait_for(start.pid, opt->cmd[0]);
    close_fd(&report[0]);
    close_fd(&start.sync);
    printf("%lld\n", (long long)(ns - start.begun_ns));
}

static void start_and_keep(const struct options *opt)
{
    struct start *starts = calloc((size_t)opt->count, sizeof(*starts));
    int64_t last = 0;
    int report[2];

    if (!starts || pipe2(report, O_CLOEXEC) < 0)
        err(1, "cannot prepare %d starts", opt->count);
    for (int i = 0; i < opt->count; i++)
        begin(opt, i, report[1], &starts[i]);
    close_fd(&report[1]);
    for (int i = 0; i < opt->count; i++) {
        int64_t ns = read_report(report[0], NULL);

        last = ns > last ? ns : last;
    }
    printf("%lld\n", (long long)(last - starts[0].begun_ns));
    for (int i = 0; i < opt->count; i++)
        (void)kill(starts[i].pid, SIGKILL);
    free(starts);
}

static struct options parse(int argc, char **argv)
{
    struct options opt = {.count = 1};
    int c;

    while ((c = getopt(argc, argv, "+n:o:p:sk")) != -1) {
        switch (c) {
        case 'n':
            opt.count = atoi(optarg);
            break;
        case 'o':
            opt.file = optarg;
            break;
        case 'p':
            opt.root = optarg;
            break;
        case 's':
            opt.sync = true;
            break;
        case 'k':
            opt.keep = true;
            break;
        default:
            exit(2);
        }
    }
    opt.cmd = argv + optind;
    for (char **arg = opt.cmd; *arg; arg++)
        if (strcmp(*arg, "--then") == 0) {
            *arg = NULL;
            opt.then = arg + 1;
            break;
        }
    if (!opt.cmd[0] || (opt.then && !opt.then[0]) || opt.count < 1)
        errx(2, "usage: bench-starter [-n N] [-o FILE] [-p ROOT] [-s] [-k] -- CMD… [--then CMD…]");
    return opt;
}

int main(int argc, char **argv)
{
    struct options opt = parse(argc, argv);

    if (opt.sync && setenv("_OCI_SYNCPIPE", "3", 1) < 0)
        err(1, "cannot set the environment");
    if (opt.keep)
        start_and_keep(&opt);
    else
        for (int i = 0; i < opt.count; i++)
            start_and_wait(&opt, i);
    return 0;
}
