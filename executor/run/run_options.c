/* SPDX-License-Identifier: MIT
 *
 * What cannot be is refused before anything is made; what an option would do without another that
 * it needs is refused too, not ignored.
 */
#include "executor/run/run_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "executor/run/run_user.h"
#include "shared/cgroup_layout.h"
#include "shared/cleanup.h"
#include "shared/units.h"

enum {
    MEMORY_MIN = 1 << 20, /* with less no program gets as far as its own first line */
    FILE_SIZE_MIN = 1024,
};

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char help[] =
    "usage: cleat-executor run [options] -- COMMAND [ARG …]\n"
    "\n"
    "Runs COMMAND supervised, in the foreground, and exits with its code (128+N when signal N\n"
    "ended it; 127 not found, 126 not executable, 125 any other failure). SIGINT, SIGTERM and\n"
    "SIGHUP (unless ignored, as under nohup) run the stop sequence; one more SIGINT kills.\n"
    "\n"
    "  -isolation exec|none   exec (default as root): own root, mount, pid and ipc namespaces;\n"
    "                         none (default otherwise): a plain process\n"
    "  -root DIR              with exec: a prepared root directory instead of the host's /bin,\n"
    "                         /etc, /lib*, /sbin and /usr, read-only, on a fresh tmpfs;\n"
    "                         mount points are made in it (dev, proc, sys …) and stay\n"
    "  -log-dir DIR           rotate the output into TASK.stdout.N and TASK.stderr.N in this\n"
    "                         existing directory, which this program must be able to write to\n"
    "                         (default: this program's own stdout and stderr)\n"
    "  -name TASK             task name, for log files (default: task)\n"
    "  -max-files N           log files kept per stream (10)\n"
    "  -max-file-size SIZE    of one log file (10MiB)\n"
    "  -max-log-size SIZE     of the log files of both streams together\n"
    "  -max-age TIME          finished log files older than this go\n"
    "  -compress gzip|none    compress finished log files, -compress-after TIME (1m)\n"
    "  -on-full drop|block    when a log file cannot be written: drop output and count it (drop),\n"
    "                         or let the task wait until it can\n"
    "  -cpu MHZ, -memory SIZE limits, kept by a cgroup of the task's own;\n"
    "                         sizes as in 64MiB; 0 is no limit\n"
    "  -pids N                at most N processes and threads, likewise\n"
    "  -cpus LIST             run on these CPUs only, such as 0-3,5, likewise\n"
    "  -cgroup V2DIR          make that cgroup in this directory of cgroup v2; default, for root:\n"
    "                         at the root of the hierarchies, v1 or v2\n"
    "  -user USER[:GROUP]     run as USER, names or numbers (default with exec as root: nobody; "
    "else\n"
    "                         the caller)\n"
    "  -env K=V               set a variable; nothing but PATH is set otherwise\n"
    "  -work-dir DIR          directory to start in\n"
    "  -mount FROM:TO[:OPTIONS]   with exec: show a file or directory of the host; options: ro,\n"
    "                         and rslave or rshared for what is mounted below it later\n"
    "  -seccomp default|unconfined   with exec: the filter of system calls (default)\n"
    "  -restart N             start again after failures, up to N times\n"
    "  -kill-signal SIG, -kill-timeout TIME   for the stop sequence (SIGINT, 5s)\n"
    "\n"
    "  cleat-executor run -- /bin/sh -c 'id; ls /'\n"
    "  cleat-executor run -log-dir /var/log/web -name web -restart 3 -- /usr/bin/server\n";

/* The host's chroot_env by default, as the manager has it. */
static struct spec_bind default_binds[] = {
    {"/bin", "/bin"},
    {"/etc", "/etc"},
    {"/lib", "/lib"},
    {"/lib32", "/lib32"},
    {"/lib64", "/lib64"},
    {"/sbin", "/sbin"},
    {"/usr", "/usr"},
    {"/run/resolvconf", "/run/resolvconf"},
    {"/run/systemd/resolve", "/run/systemd/resolve"},
};

static char *default_caps[] = {"audit_write", "chown",  "dac_override",     "fowner",  "fsetid",
                               "kill",        "mknod",  "net_bind_service", "setfcap", "setgid",
                               "setpcap",     "setuid", "sys_chroot",       NULL};

static int parse_count(const char *text, uint64_t max, uint64_t *ret, const char *option,
                       struct err *e)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (errno || *end || end == text || text[0] == '-' || n > max)
        return err_set(e, -EINVAL, "-%s: \"%s\" is no number up to %llu", option, text,
                       (unsigned long long)max);
    *ret = n;
    return 0;
}

/* The last value given counts. */
static int set_env(struct run_options *o, char *pair, struct err *e)
{
    size_t n = strcspn(pair, "="), i = 0;

    while (i < o->n_env && strncmp(o->env[i], pair, n + 1) != 0)
        i++;
    if (!pair[n] || i > RUN_ENV_MAX)
        return err_set(e, -EINVAL, "-env: \"%s\" is not NAME=VALUE, or is one too many", pair);
    o->env[i] = pair;
    if (i == o->n_env)
        o->n_env++;
    return 0;
}

static int add_mount(struct run_options *o, char *text, struct err *e)
{
    struct spec_mount *m = &o->mounts[o->spec.n_mounts];
    char *save = NULL, *options;

    if (o->spec.n_mounts == RUN_MOUNTS_MAX)
        return err_set(e, -E2BIG, "-mount: more than %d", RUN_MOUNTS_MAX);
    m->source = strtok_r(text, ":", &save);
    m->target = strtok_r(NULL, ":", &save);
    options = strtok_r(NULL, ":", &save);
    if (!m->target || m->source[0] != '/' || m->target[0] != '/')
        return err_set(e, -EINVAL, "-mount: write FROM:TO[:OPTIONS], with absolute paths");
    for (char *word = options ? strtok_r(options, ",", &save) : NULL; word;
         word = strtok_r(NULL, ",", &save)) {
        if (strcmp(word, "ro") == 0)
            m->read_only = true;
        else if (strcmp(word, "rslave") == 0)
            m->propagation = SPEC_PROPAGATION_SLAVE;
        else if (strcmp(word, "rshared") == 0)
            m->propagation = SPEC_PROPAGATION_SHARED;
        else
            return err_set(e, -EINVAL, "-mount: \"%s\" is none of ro, rslave, rshared", word);
    }
    o->spec.mounts = o->mounts;
    o->spec.n_mounts++;
    return 0;
}

static int parse_duration(const char *text, uint64_t *ret_ns, const char *option, struct err *e)
{
    if (duration_parse(text, ret_ns) == 0)
        return 0;
    return err_set(e, -EINVAL, "-%s: \"%s\" is no duration such as 90s or 2h30m", option, text);
}

/* The unit follows without a space: without one it would count bytes, which is likely a slip. */
static int parse_size(const char *text, uint64_t least, uint64_t *ret, const char *option,
                      struct err *e)
{
    if (size_parse(text, ret) < 0)
        return err_set(e, -EINVAL, "-%s: \"%s\" is no size such as 512KiB or 10MiB", option, text);
    if (*ret >= least)
        return 0;
    return err_set(e, -EINVAL,
                   "-%s: %s is less than %s; without a unit it counts bytes, and the unit "
                   "follows without a space, as in 32MiB",
                   option, text, least < MEMORY_MIN ? "1KiB" : "1MiB");
}

/* Whether `text` is the second of two words. */
static int parse_choice(const char *text, const char *first, const char *second, bool *ret_second,
                        const char *option, struct err *e)
{
    *ret_second = strcmp(text, second) == 0;
    if (*ret_second || strcmp(text, first) == 0)
        return 0;
    return err_set(e, -EINVAL, "-%s: \"%s\" is neither %s nor %s", option, text, first, second);
}

/* -ENOENT: it is none of them. */
static int set_log_option(struct spec_logs *logs, const char *name, const char *value,
                          struct err *e)
{
    bool second = false;
    uint64_t n = 0;
    int r;

    if (strcmp(name, "max-files") == 0) {
        r = parse_count(value, UINT32_MAX, &n, name, e);
        logs->max_files = (uint32_t)n;
        return r || n ? r : err_set(e, -EINVAL, "-max-files: 0 keeps no log; leave -log-dir out");
    }
    if (strcmp(name, "max-file-size") == 0)
        return parse_size(value, FILE_SIZE_MIN, &logs->max_file_size, name, e);
    if (strcmp(name, "max-log-size") == 0)
        return parse_size(value, 0, &logs->max_total_bytes, name, e);
    if (strcmp(name, "max-age") == 0) {
        r = parse_duration(value, &logs->max_age_ns, name, e);
        return r || logs->max_age_ns >= 1000000000
                   ? r
                   : err_set(e, -EINVAL, "-max-age: %s is less than 1s", value);
    }
    if (strcmp(name, "compress") == 0) {
        r = parse_choice(value, "none", "gzip", &second, name, e);
        logs->compress = second ? SPEC_COMPRESS_GZIP : SPEC_COMPRESS_NONE;
        return r;
    }
    if (strcmp(name, "compress-after") == 0)
        return parse_duration(value, &logs->compress_after_ns, name, e);
    if (strcmp(name, "on-full") == 0) {
        r = parse_choice(value, "drop", "block", &second, name, e);
        logs->on_full = second ? SPEC_ON_FULL_BLOCK : SPEC_ON_FULL_DROP;
        return r;
    }
    return -ENOENT;
}

/* The name begins those of the log files, which shippers skip where they are hidden. */
static int set_name(struct exec_spec *spec, char *value, struct err *e)
{
    spec->task = value;
    if (*value && *value != '.' && !strpbrk(value, "/\n"))
        return 0;
    return err_set(e, -EINVAL,
                   "-name: \"%s\" cannot begin the name of a log file: it is empty, begins with a "
                   "dot, or has a \"/\" or a newline in it",
                   value);
}

static int set_option(struct run_options *o, const char *name, char *value, struct err *e)
{
    struct exec_spec *spec = &o->spec;
    bool second = false;
    uint64_t n = 0;
    int r = set_log_option(&spec->logs, name, value, e);

    if (r != -ENOENT) {
        o->for_logs = name;
        if (strcmp(name, "compress-after") == 0)
            o->compress_after = true;
        return r;
    }
    r = 0;
    if (strcmp(name, "isolation") == 0) {
        o->isolation = value;
    } else if (strcmp(name, "root") == 0) {
        o->root = value;
    } else if (strcmp(name, "log-dir") == 0) {
        spec->log_dir = value;
        spec->logs.disabled = false;
    } else if (strcmp(name, "name") == 0) {
        return set_name(spec, value, e);
    } else if (strcmp(name, "cpu") == 0) {
        r = parse_count(value, 262144, &spec->cpu_shares, name, e);
    } else if (strcmp(name, "memory") == 0) {
        if (size_parse(value, &spec->memory_bytes) < 0 || spec->memory_bytes) /* 0: no limit */
            r = parse_size(value, MEMORY_MIN, &spec->memory_bytes, name, e);
    } else if (strcmp(name, "pids") == 0) {
        r = parse_count(value, UINT32_MAX, &spec->limits.pids, name, e);
    } else if (strcmp(name, "cpus") == 0) {
        spec->limits.cpus = value;
    } else if (strcmp(name, "cgroup") == 0) {
        spec->cgroup.unified = value;
        spec->cgroup.v2_controllers = true;
    } else if (strcmp(name, "user") == 0) {
        o->user = value;
    } else if (strcmp(name, "env") == 0) {
        return set_env(o, value, e);
    } else if (strcmp(name, "work-dir") == 0) {
        spec->work_dir = value;
    } else if (strcmp(name, "mount") == 0) {
        return add_mount(o, value, e);
    } else if (strcmp(name, "seccomp") == 0) {
        o->seccomp = value;
        r = parse_choice(value, "default", "unconfined", &second, name, e);
    } else if (strcmp(name, "restart") == 0) {
        r = parse_count(value, UINT32_MAX, &n, name, e);
        spec->restart.attempts = (uint32_t)n;
    } else if (strcmp(name, "kill-signal") == 0) {
        spec->kill_signal = signal_parse(value);
        if (spec->kill_signal < 0)
            return err_set(e, -EINVAL, "-kill-signal: there is no signal \"%s\"", value);
    } else if (strcmp(name, "kill-timeout") == 0) {
        r = parse_duration(value, &spec->kill_timeout_ns, name, e);
    }
    return r;
}

static const struct option long_options[] = {
    {"isolation", required_argument, NULL, 'o'},
    {"root", required_argument, NULL, 'o'},
    {"log-dir", required_argument, NULL, 'o'},
    {"name", required_argument, NULL, 'o'},
    {"max-files", required_argument, NULL, 'o'},
    {"max-file-size", required_argument, NULL, 'o'},
    {"max-log-size", required_argument, NULL, 'o'},
    {"max-age", required_argument, NULL, 'o'},
    {"compress", required_argument, NULL, 'o'},
    {"compress-after", required_argument, NULL, 'o'},
    {"on-full", required_argument, NULL, 'o'},
    {"cpu", required_argument, NULL, 'o'},
    {"memory", required_argument, NULL, 'o'},
    {"pids", required_argument, NULL, 'o'},
    {"cpus", required_argument, NULL, 'o'},
    {"cgroup", required_argument, NULL, 'o'},
    {"user", required_argument, NULL, 'o'},
    {"env", required_argument, NULL, 'o'},
    {"work-dir", required_argument, NULL, 'o'},
    {"mount", required_argument, NULL, 'o'},
    {"seccomp", required_argument, NULL, 'o'},
    {"restart", required_argument, NULL, 'o'},
    {"kill-signal", required_argument, NULL, 'o'},
    {"kill-timeout", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int isolate(struct run_options *o, struct err *e)
{
    static char nobody[] = "nobody";
    struct exec_spec *spec = &o->spec;

    spec->isolation = SPEC_ISOLATION_CHROOT;
    spec->private_pid = spec->private_ipc = spec->no_new_privs = true;
    spec->seccomp = !o->seccomp || strcmp(o->seccomp, "default") == 0;
    spec->caps = default_caps;
    spec->rootless = geteuid() != 0;
    if (spec->rootless) {
        spec->uid = geteuid();
        spec->gid = getegid();
    } else if (!o->user) {
        o->user = nobody;
    }
    if (!o->root) {
        spec->binds = default_binds;
        spec->n_binds = ARRAY_LEN(default_binds);
        return 0;
    }
    spec->task_dir = realpath(o->root, NULL);
    return spec->task_dir ? 0 : err_sys(e, -errno, "-root %s", o->root);
}

/* What only a task with a root of its own can have is refused, not ignored. */
static int leave_plain(const struct run_options *o, struct err *e)
{
    const char *name = o->root                ? "root"
                       : o->spec.n_mounts > 0 ? "mount"
                       : o->seccomp           ? "seccomp"
                                              : NULL;

    return name ? err_set(e, -EINVAL, "-%s needs -isolation exec", name) : 0;
}

static void set_defaults(struct run_options *o)
{
    (void)snprintf(o->id, sizeof(o->id), "run-%d", (int)getpid());
    o->env[o->n_env++] = "PATH=" DEFAULT_PATH;
    o->spec = (struct exec_spec){
        .alloc_id = o->id,
        .task = "task",
        .log_dir = "",
        .logs = {.max_files = 10,
                 .max_file_size = 10 << 20,
                 .disabled = true,
                 .compress_after_ns = 60000000000},
        .kill_signal = SIGINT,
        .kill_timeout_ns = 5000000000,
        .restart = {.interval_ns = UINT64_MAX, .delay_ns = 1000000000},
        .env = o->env,
    };
}

/* A plain process is executed by its path: looks a bare name up in the PATH the task will have. */
static void look_up(struct run_options *o)
{
    static char found[PATH_MAX];
    const char *path = "";

    for (size_t i = 0; i < o->n_env; i++)
        if (strncmp(o->env[i], "PATH=", 5) == 0)
            path = o->env[i] + 5;
    while (!strchr(o->spec.args[0], '/') && *path) {
        int n = (int)strcspn(path, ":");

        if (snprintf(found, sizeof(found), "%.*s/%s", n, path, o->spec.args[0]) <
                (int)sizeof(found) &&
            access(found, X_OK) == 0)
            o->spec.args[0] = found;
        path += n + (path[n] == ':');
    }
}

/* Without -cgroup the leaves are made right below the roots of the host's hierarchies, named by
 * this process's id, and the supervisor removes them with the attempt: nothing else is made. */
static int find_cgroups(struct run_options *o, struct err *e)
{
    static struct cgroup_layout layout; /* the spec points into it until the end */
    struct exec_spec *spec = &o->spec;

    if (spec->cgroup.unified ||
        (!spec->cpu_shares && !spec->memory_bytes && !spec->limits.pids && !spec->limits.cpus))
        return 0;
    cgroup_layout_init_roots(&layout);
    if (layout.reason)
        return err_set(e, -EOPNOTSUPP,
                       "limits need a cgroup: %s; or give -cgroup DIR, a cgroup v2 directory that "
                       "was left to you",
                       layout.reason);
    spec->cgroup = layout.dirs;
    spec->limits.own_devices = spec->isolation == SPEC_ISOLATION_CHROOT && layout.devices;
    return 0;
}

/* What follows from all of the options together. */
static int complete(struct run_options *o, struct err *e)
{
    struct exec_spec *spec = &o->spec;
    int r = 0;

    if (o->for_logs && spec->logs.disabled)
        return err_set(e, -EINVAL, "-%s needs -log-dir", o->for_logs);
    if (o->compress_after && spec->logs.compress == SPEC_COMPRESS_NONE)
        return err_set(e, -EINVAL, "-compress-after needs -compress gzip");
    if (spec->logs.max_total_bytes && spec->logs.max_total_bytes < spec->logs.max_file_size)
        return err_set(e, -EINVAL, "-max-log-size is less than one file, -max-file-size");
    if (!o->isolation)
        o->isolation = geteuid() == 0 ? "exec" : "none";
    if (strcmp(o->isolation, "exec") == 0)
        r = isolate(o, e);
    else if (strcmp(o->isolation, "none") == 0)
        r = leave_plain(o, e);
    else
        r = err_set(e, -EINVAL, "-isolation: \"%s\" is neither exec nor none", o->isolation);
    if (!r && o->user)
        r = run_user_resolve(o->user, spec, o->groups, RUN_GROUPS_MAX, e);
    if (!r)
        r = find_cgroups(o, e);
    if (!r && spec->isolation == SPEC_ISOLATION_NONE)
        look_up(o);
    return r;
}

int run_options_parse(struct run_options *o, int argc, char **argv, struct err *e)
{
    int index, c, r = 0;

    set_defaults(o);
    opterr = 0;
    while (!r && (c = getopt_long_only(argc, argv, "+h", long_options, &index)) != -1) {
        if (c == 'h') {
            (void)fputs(help, stdout);
            return 1;
        }
        if (c == '?')
            return err_set(e, -EINVAL, "%s: unknown option, or its value is missing; see -help",
                           argv[optind - 1]);
        r = set_option(o, long_options[index].name, optarg, e);
    }
    if (r < 0)
        return r;
    if (optind == argc)
        return err_set(e, -EINVAL, "no command: cleat-executor run [options] -- COMMAND [ARG …]");
    o->spec.args = argv + optind;
    return complete(o, e);
}
