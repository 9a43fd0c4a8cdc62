/* SPDX-License-Identifier: MIT
 *
 * Two processes: this one stays outside, holds the terminal if there is one, waits, and exits with
 * the command's code; its child joins the task and becomes the command (executor/launch.c), by the
 * stages that every task goes through.
 *
 * The task is taken to be hostile, and sees the child before it has become the command:
 *   - Neither process is dumpable, so nothing in the task can trace them or reach what they have
 *     open, whatever its ids and capabilities are.
 *   - What runs is a sealed copy of this program in memory. Otherwise a command that begins with
 *     "#!/proc/self/exe" would run the host's file inside the task, where root could get hold of it
 *     through /proc and write to it.
 *   - Every path is looked up before the namespaces are joined, but for those that the command's
 *     own user then looks up.
 *
 * Dies with its parent and with the task; the command dies with this process.
 */
#include "executor/run/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/isolation/cgroup.h"
#include "executor/launch.h"
#include "executor/report.h"
#include "executor/run/terminal.h"
#include "shared/cleanup.h"
#include "shared/procid.h"
#include "shared/proto/exec.h"
#include "shared/proto/wire.h"
#include "shared/statefile.h"
#include "shared/sys.h"

#ifndef MFD_EXEC /* glibc 2.36 does not have it */
#define MFD_EXEC 0x0010U
#endif

struct session {
    struct exec_spec *spec; /* of the task, with the command and its environment in place */
    char **args, **env;
    char *found;
    struct task_status status;
    int task_fd; /* pidfd of the task's main process */
    int root_fd; /* its root, under chroot isolation; else -1 */
    int ctl_fd;
    bool tty;
    struct terminal terminal;
    struct cgroup cgroup;
    struct launched command;
    bool started; /* the command was executed, or failed to be, and has said so */
    int failed;   /* the exit code when it could not be, else 0 */
};

/* For the handler; 0 while there is none. It is not waited for before the end, so the number is its
 * own. */
static volatile pid_t command_pid;

static void on_deadly_signal(int signo)
{
    if (command_pid)
        (void)kill(-command_pid, SIGKILL);
    _exit(128 + signo);
}

static void die_cleanly(void)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE};
    struct sigaction sa = {.sa_handler = on_deadly_signal};

    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        (void)sigaction(signals[i], &sa, NULL);
}

/* Becomes a sealed copy of itself in memory; returns at once in the copy. */
static int seal_self(char **argv, struct err *e)
{
    static const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    static const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    autofd int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    autofd int copy = -1;
    struct stat st;
    ssize_t n = 1;

    if (self < 0 || fstat(self, &st) < 0)
        return err_sys(e, -errno, "open /proc/self/exe");
    if (fcntl(self, F_GET_SEALS) == seals)
        return 0;
    copy = memfd_create("cleat-executor", flags | MFD_EXEC);
    if (copy < 0) /* before Linux 6.3 there is no such flag, and all are executable */
        copy = memfd_create("cleat-executor", flags);
    while (copy >= 0 && n > 0)
        n = sendfile(copy, self, NULL, (size_t)st.st_size);
    if (copy < 0 || n < 0 || fcntl(copy, F_ADD_SEALS, seals) < 0)
        return err_sys(e, -errno, "copy this program into memory");
    (void)fexecve(copy, argv, environ);
    return err_sys(e, -errno, "execute the copy of this program in memory");
}

/* The task */

static int read_state(struct session *s, const char *path, struct err *e)
{
    autofd int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    autofd int status = dir < 0 ? -1 : openat(dir, WIRE_STATUS, O_RDONLY | O_CLOEXEC);
    autofree char *data = NULL;
    uint32_t version;
    size_t size;
    int r;

    if (dir < 0)
        return err_sys(e, -errno, "open the task's state directory %s", path);
    if (status < 0)
        return err_sys(e, -errno, "open %s/" WIRE_STATUS ": the task does not run", path);
    r = status_read(status, &s->status, e);
    if (!r)
        r = statefile_read(dir, WIRE_SPEC, SPEC_MAX_BYTES, &version, &data, &size, e);
    return r ? r : spec_decode(data, size, &s->spec, e);
}

static bool is_alive(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    return poll(&p, 1, 0) == 0;
}

/* Takes hold of the task's main process. Its start time is read after the pidfd was opened: if that
 * is the one on record, the pidfd cannot be another's. */
static int open_task(struct session *s, struct err *e)
{
    const struct task_status *st = &s->status;
    char boot_id[BOOT_ID_BYTES], path[32];
    uint64_t start;

    if (st->state != TASK_STATE_RUNNING || !st->pid)
        return err_set(e, -ESRCH, "task \"%s\" is not running", s->spec->task);
    s->task_fd = sys_pidfd_open(st->pid, 0);
    if (s->task_fd < 0 || procid_start_time(st->pid, &start) < 0 || start != st->pid_start ||
        procid_boot_id(boot_id) < 0 || strcmp(boot_id, st->boot_id) != 0)
        return err_set(e, -ESRCH, "task \"%s\" is not running any more", s->spec->task);
    if (s->spec->isolation == SPEC_ISOLATION_CHROOT) {
        (void)snprintf(path, sizeof(path), "/proc/%d/root", st->pid);
        s->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (s->root_fd < 0)
            return err_sys(e, -errno, "open the root of task \"%s\"", s->spec->task);
    }
    return cgroup_adopt(&s->cgroup, s->spec, st->attempt, e);
}

/* The command */

static const char *get_env(char *const *env, const char *name)
{
    size_t size = strlen(name);

    for (; *env; env++)
        if (strncmp(*env, name, size) == 0 && (*env)[size] == '=')
            return *env + size + 1;
    return NULL;
}

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool find_in(struct session *s, const char *dir, size_t dir_size, const char *rest)
{
    free(s->found);
    if (asprintf(&s->found, "%.*s/%s%s", (int)dir_size, dir, rest, s->spec->args[0]) < 0)
        abort();
    return is_file(s->found);
}

/* As the raw_exec driver looks a task's own command up: in the task's directory, on the host, in
 * PATH. Under chroot isolation stage "exec" does it, inside the root. */
static int find_command(struct session *s, struct err *e)
{
    const struct exec_spec *spec = s->spec;
    const char *dir = spec->task_dir, *command = spec->args[0];
    const char *path = get_env(spec->env, "PATH");

    if (spec->isolation == SPEC_ISOLATION_CHROOT)
        return 0;
    if (find_in(s, dir, strlen(dir), "local/") || find_in(s, dir, strlen(dir), "")) {
        s->args[0] = s->found;
        return 0;
    }
    if (command[0] == '/')
        return 0;
    for (size_t n; path && !strchr(command, '/') && *path; path += n + (path[n] == ':')) {
        n = strcspn(path, ":");
        if (n && find_in(s, path, n, "") && access(s->found, X_OK) == 0) {
            s->args[0] = s->found;
            return 0;
        }
    }
    s->failed = EXEC_EXIT_NOT_FOUND;
    return err_set(e, -ENOENT,
                   "command \"%s\" could not be found in the task's directory or in its PATH",
                   command);
}

/* Puts the command in the place of the task's own. */
static int set_command(struct session *s, int argc, char **argv, struct err *e)
{
    static char term[] = "TERM=xterm";
    struct exec_spec *spec = s->spec;
    size_t n = 0;

    while (spec->env[n])
        n++;
    s->args = calloc((size_t)argc + 1, sizeof(*s->args));
    s->env = calloc(n + 2, sizeof(*s->env));
    if (!s->args || !s->env)
        return err_sys(e, -ENOMEM, "run the command");
    memcpy(s->args, argv, (size_t)argc * sizeof(*argv));
    memcpy(s->env, spec->env, n * sizeof(*spec->env));
    if (s->tty && !get_env(spec->env, "TERM"))
        s->env[n] = term;
    spec->args = s->args;
    spec->env = s->env;
    return find_command(s, e);
}

static int start_command(struct session *s, struct err *e)
{
    int slave = s->terminal.slave;
    const int fds[3] = {s->tty ? slave : 0, s->tty ? slave : 1, s->tty ? slave : 2};
    const char *stage;
    int r;

    if (!is_alive(s->task_fd))
        return err_set(e, -ESRCH, "task \"%s\" is not running any more", s->spec->task);
    r = launch_beside(s->spec, &s->cgroup, s->task_fd, fds, s->tty, &s->command, &stage, e);
    if (r < 0) {
        const char *hint = plan_hint(stage, r, false);

        (void)err_wrap(e, "stage \"%s\"%s%s%s", stage, hint[0] ? " (" : "", hint,
                       hint[0] ? ")" : "");
        return r;
    }
    command_pid = s->command.pid;
    return 0;
}

/* Running */

/* The command has its own copies of 0 and 1: whoever is at their other ends must see it close them.
 */
static int let_go_of(int first, int last)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), r = null < 0 ? -errno : 0;

    for (int fd = first; !r && fd <= last; fd++)
        r = dup2(null, fd) < 0 ? -errno : 0;
    close_fd(&null);
    return r;
}

static void say_failure(struct session *s, const struct report *report)
{
    const char *stage = report->stage < n_stages ? stages[report->stage].name : "init";
    const char *hint = plan_hint(stage, report->value, false);

    s->failed = strcmp(stage, "exec") != 0 ? EXEC_EXIT_FAILED
                : report->value == -ENOENT ? EXEC_EXIT_NOT_FOUND
                                           : EXEC_EXIT_NOT_EXECUTABLE;
    (void)dprintf(STDERR_FILENO, "cleat-executor exec: stage \"%s\": %s%s%s%s%s%s\n", stage,
                  report->arg, report->arg[0] ? ": " : "", strerrordesc_np(-report->value),
                  hint[0] ? " (" : "", hint, hint[0] ? ")" : "");
}

/* The report socket ends when the command is executed. */
static void on_report(struct session *s)
{
    struct report report;
    pid_t pid;
    int pidfd, r = report_receive(s->command.report_fd, &report, &pidfd, &pid);

    close_fd(&pidfd);
    if (r == -EAGAIN)
        return;
    if (r > 0 && report.kind == REPORT_FAILED)
        say_failure(s, &report);
    close_fd(&s->command.report_fd);
    s->started = true;
    if (!s->tty)
        (void)let_go_of(STDERR_FILENO, STDERR_FILENO);
}

static void kill_command(struct session *s)
{
    (void)kill(-s->command.pid, SIGKILL); /* it has a session, and so a group, of its own … */
    (void)sys_pidfd_send_signal(s->command.pidfd, SIGKILL); /* … unless it got no further */
}

static void on_control(struct session *s)
{
    unsigned char buf[EXEC_SIZE_BYTES];
    struct exec_size size;
    ssize_t n = read(s->ctl_fd, buf, sizeof(buf));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == sizeof(buf)) {
        exec_size_decode(buf, &size);
        terminal_resize(&s->terminal, &size);
        return;
    }
    close_fd(&s->ctl_fd);
    kill_command(s);
}

enum {
    POLL_DEAD,
    POLL_TASK,
    POLL_REPORT,
    POLL_CTL,
    POLL_TERMINAL,
    POLL_N = POLL_TERMINAL + TERMINAL_POLLS
};

/* Waits for the end of the command; returns the exit code. */
static int keep(struct session *s)
{
    struct pollfd polls[POLL_N];
    int status = 0;

    do {
        polls[POLL_DEAD] = (struct pollfd){.fd = s->command.pidfd, .events = POLLIN};
        polls[POLL_TASK] = (struct pollfd){.fd = s->task_fd, .events = POLLIN};
        polls[POLL_REPORT] = (struct pollfd){.fd = s->command.report_fd, .events = POLLIN};
        polls[POLL_CTL] = (struct pollfd){.fd = s->ctl_fd, .events = POLLIN};
        terminal_poll(&s->terminal, polls + POLL_TERMINAL);
        if (poll(polls, s->tty ? POLL_N : POLL_TERMINAL, -1) < 0)
            continue;
        if (polls[POLL_REPORT].revents)
            on_report(s);
        if (polls[POLL_TASK].revents) {
            close_fd(&s->task_fd);
            kill_command(s);
        }
        if (polls[POLL_CTL].revents)
            on_control(s);
        if (s->tty)
            terminal_relay(&s->terminal, polls + POLL_TERMINAL);
    } while (!(polls[POLL_DEAD].revents & POLLIN));
    while (!s->started)
        on_report(s);
    terminal_finish(&s->terminal);
    (void)waitpid(s->command.pid, &status, 0);
    if (s->failed)
        return s->failed;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(struct session *s, const char *state_dir, int argc, char **argv, struct err *e)
{
    int r = read_state(s, state_dir, e);

    if (!r)
        r = open_task(s, e);
    if (!r)
        r = set_command(s, argc, argv, e);
    if (!r && s->tty)
        r = terminal_open(&s->terminal, s->spec, s->root_fd, e);
    close_fd(&s->root_fd);
    if (!r)
        r = start_command(s, e);
    if (r)
        return r;
    if (!s->tty)
        (void)let_go_of(STDIN_FILENO, STDOUT_FILENO);
    return keep(s);
}

static const char usage[] =
    "usage: cleat-executor exec [-tty] [-control] STATE_DIR -- COMMAND [ARG …]\n"
    "\n"
    "Runs COMMAND inside the running task whose state directory is STATE_DIR, as the task's user,\n"
    "and exits with its code (128+N when signal N ended it; 127 not found, 126 not executable,\n"
    "125 any other failure).\n"
    "\n"
    "  -tty       give it a terminal\n"
    "  -control   descriptor 3 carries window sizes, and ends when the command is to be killed\n";

/* `argv` is the program's. Returns the index of STATE_DIR; 0 when the arguments are wrong. */
static int parse(struct session *s, int argc, char **argv)
{
    int i = 2;

    for (; i < argc && argv[i][0] == '-'; i++) {
        const char *name = argv[i] + strspn(argv[i], "-");

        if (strcmp(name, "tty") == 0)
            s->tty = true;
        else if (strcmp(name, "control") == 0)
            s->ctl_fd = EXEC_CTL_FD;
        else
            return 0;
    }
    return i + 2 < argc && strcmp(argv[i + 1], "--") == 0 ? i : 0;
}

int exec_main(int argc, char **argv)
{
    static struct session s = {.task_fd = -1,
                               .root_fd = -1,
                               .ctl_fd = -1,
                               .terminal = TERMINAL_INIT,
                               .command = {.pidfd = -1, .report_fd = -1}};
    struct err e = ERR_INIT;
    int at = parse(&s, argc, argv), r;

    if (!at) {
        (void)fputs(usage, stderr);
        return EXEC_EXIT_FAILED;
    }
    (void)sys_close_range(s.ctl_fd < 0 ? EXEC_CTL_FD : EXEC_CTL_FD + 1, ~0U, 0);
    cgroup_init(&s.cgroup);
    die_cleanly();
    (void)prctl(PR_SET_NAME, "cleat-exec");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        r = err_sys(&e, -errno, "set up this process");
    else
        r = seal_self(argv, &e);
    if (!r && s.ctl_fd >= 0 && fcntl(s.ctl_fd, F_SETFD, FD_CLOEXEC) < 0)
        r = err_sys(&e, -errno, "-control: descriptor %d", s.ctl_fd);
    if (!r)
        r = run(&s, argv[at], argc - at - 2, argv + at + 2, &e);
    if (r < 0) {
        (void)dprintf(STDERR_FILENO, "cleat-executor exec: %s\n", e.text);
        r = s.failed ? s.failed : EXEC_EXIT_FAILED;
    }
    /* Without exit handlers, as all of them are a checker's: having joined a pid namespace, this
     * process can start no thread. The kernel frees what it holds. */
    _exit(r);
}
