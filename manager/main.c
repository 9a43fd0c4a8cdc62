/* SPDX-License-Identifier: MIT
 *
 * cleat-manager: arguments and wiring only. SIGTERM and SIGINT end the manager and leave every task
 * running, since executors are no part of it; when -dev made the data directory, which is thrown
 * away at the end, they stop the tasks first (a second signal does not wait for that). Whatever
 * keeps the manager from ending, END_LIMIT_S after the signal SIGALRM kills it. SIGHUP reads the
 * configuration again; one that is refused changes nothing.
 */
#include <errno.h>
#include <ev.h>
#include <getopt.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/alloc/gc.h"
#include "manager/api/api.h"
#include "manager/api/listen.h"
#include "manager/config/config.h"
#include "manager/manager.h"
#include "manager/service.h"
#include "manager/store.h"
#include "shared/cleanup.h"
#include "shared/evloop.h"
#include "shared/job/schema.h"
#include "shared/job/value.h"
#include "shared/log.h"

static const char usage[] =
    "Usage: cleat-manager [options]\n"
    "\n"
    "Runs and keeps tasks on this machine, and answers the HTTP API. Stays in the foreground and "
    "logs\n"
    "to stderr. SIGTERM ends it and leaves the tasks running; the next start finds them again.\n"
    "SIGHUP reads the configuration again.\n"
    "\n"
    "  -config PATH     a configuration file, or a directory of *.hcl and *.json files; may be\n"
    "                   repeated, what comes later wins\n"
    "  -check           read the configuration, print what is in effect and where it comes from, "
    "and\n"
    "                   end: with 0, or 1 if it is refused\n"
    "  -data-dir DIR    where records and allocations live\n"
    "  -address ADDR    unix:///PATH or http://127.0.0.1:PORT; may be repeated\n"
    "  -dev             raw_exec enabled, and without -data-dir a throw-away data directory, "
    "whose\n"
    "                   tasks end with the manager\n"
    "  -version         print the version\n"
    "  -h, -help        print this\n"
    "\n"
    "Examples:\n"
    "  cleat-manager -config /etc/cleat\n"
    "  cleat-manager -data-dir /var/lib/cleat -address unix:///run/cleat.sock\n"
    "  cleat-manager -dev\n";

enum {
    EXIT_USAGE = 64,
    END_LIMIT_S = 15, /* it takes milliseconds; what counts is on the disk before that */
};

#define DEV_DIR "/tmp/cleat-dev-"

struct program {
    struct ev_loop *loop;
    struct config *config;
    struct manager *manager;
    struct api *api;
    ev_signal term, interrupt, hangup;
    int argc;
    char **argv;
    bool throw_away; /* -dev made the data directory */
    bool ending;
};

static void replace(char **slot, const char *text)
{
    free(*slot);
    *slot = strdup(text);
    if (!*slot)
        abort();
}

/* The first -address takes the place of the configured ones. */
static void add_address(struct config *config, const char *address, size_t *n)
{
    char **list = config->addresses;

    if (*n == 0)
        for (size_t i = 0; list && list[i]; i++) {
            free(list[i]);
            list[i] = NULL;
        }
    list = reallocarray(list, *n + 2, sizeof(*list));
    if (!list)
        abort();
    list[*n] = NULL;
    replace(&list[(*n)++], address);
    list[*n] = NULL;
    config->addresses = list;
}

static int set_data_dir(struct config *config, const char *dir, struct err *e)
{
    autofree char *cwd = NULL;
    char *absolute;

    if (dir[0] == '/') {
        replace(&config->data_dir, dir);
        return 0;
    }
    cwd = get_current_dir_name();
    if (!cwd || asprintf(&absolute, "%s/%s", cwd, dir) < 0)
        return err_sys(e, -errno, "find the directory -data-dir %s", dir);
    free(config->data_dir);
    config->data_dir = absolute;
    return 0;
}

/* What managers with -dev left that were killed: their tasks may run on. */
static void name_abandoned(void)
{
    autofree char *names = NULL;
    size_t size;
    FILE *text = open_memstream(&names, &size);
    glob_t found;

    if (!text)
        abort();
    if (glob(DEV_DIR "*", 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            if (store_is_abandoned(found.gl_pathv[i]))
                (void)fprintf(text, " %s", found.gl_pathv[i]);
    globfree(&found);
    (void)fclose(text);
    if (size)
        log_warn("left by managers that were killed, whose tasks may run on:%s (cleat-manager -dev "
                 "-data-dir DIRECTORY takes them up; remove what has none)",
                 names);
}

static int make_data_dir(struct config *config, struct err *e)
{
    char dir[] = DEV_DIR "XXXXXX";

    name_abandoned();
    /* Tasks of other users pass through it. */
    if (!mkdtemp(dir) || (geteuid() == 0 && chmod(dir, 0755) < 0))
        return err_sys(e, -errno, "make a data directory in /tmp");
    replace(&config->data_dir, dir);
    return 0;
}

struct outcome {
    bool throw_away; /* the data directory is still to be made */
    bool check;      /* that is all */
};

/* Command line after files: what is given by hand wins, in whatever order it stands. */
static int configure(int argc, char **argv, struct config *config, struct outcome *ret,
                     struct schema_problems *problems, struct err *e)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},  {"data-dir", required_argument, NULL, 'd'},
        {"address", required_argument, NULL, 'a'}, {"dev", no_argument, NULL, 'D'},
        {"check", no_argument, NULL, 'k'},         {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    const char *data_dir = NULL;
    size_t n_addresses = 0;
    bool dev = false;
    int c, r = 0;

    for (int pass = 0; !r && pass < 2; pass++) {
        optind = 1;
        while (!r && (c = getopt_long_only(argc, argv, "h", options, NULL)) != -1) {
            if (c == '?')
                return -EINVAL;
            if (c == 'h' || c == 'v') {
                (void)fputs(c == 'h' ? usage : "cleat-manager " CLEAT_VERSION "\n", stdout);
                exit(0);
            }
            dev |= c == 'D';
            ret->check |= c == 'k';
            if (c == 'd')
                data_dir = optarg;
            if (c == 'c' && pass == 0)
                r = config_load(config, optarg, problems, e);
            if (c == 'a' && pass == 1)
                add_address(config, optarg, &n_addresses);
        }
        if (!r && pass == 0)
            r = config_finish(config, e);
    }
    if (!r && optind < argc)
        r = err_set(e, -EINVAL, "unexpected argument \"%s\"; options start with a dash",
                    argv[optind]);
    if (!r && dev)
        config->dev = config->raw_exec_enabled = true;
    if (!r && data_dir)
        return set_data_dir(config, data_dir, e);
    ret->throw_away = dev;
    return r;
}

static void log_unused(const struct config *config)
{
    autofree char *unused = config_unused(config);

    if (unused)
        log_warn("%s", unused);
}

static void log_names(const json_t *names, const char *what)
{
    size_t i;
    json_t *name;

    json_array_foreach(names, i, name) log_info("%s %s", json_string_value(name), what);
}

/* The command line again, and the files that it names. */
static int reload(struct program *p, struct err *e)
{
    autojson json_t *changed = NULL, *fixed = NULL;
    struct config *fresh = NULL;
    struct outcome outcome = {0};
    int r = config_new(&fresh, e);

    if (!r)
        r = configure(p->argc, p->argv, fresh, &outcome, NULL, e);
    if (!r && p->throw_away)
        replace(&fresh->data_dir, p->config->data_dir);
    if (!r) {
        config_replace(p->config, fresh, &changed, &fixed);
        log_set_level(p->config->log_level);
        log_unused(p->config);
        log_names(changed, "is another now");
        log_names(fixed, "is another now; it counts when the manager is started next");
    }
    manager_reconfigure(p->manager, fixed, r ? e->text : NULL);
    config_free(fresh);
    return r;
}

static void on_hangup(struct ev_loop *loop, ev_signal *w, int revents)
{
    struct err e = ERR_INIT;

    (void)loop;
    (void)revents;
    service_reloading();
    if (reload(w->data, &e))
        log_error("the configuration stays as it was: %s", e.text);
    else
        log_info("the configuration is read again; it counts for what starts from now on");
    service_reloaded();
}

/* From the first of several signals on. SIGALRM has its default effect: nothing that can be killed
 * at all outlasts it, not even a system call that waits for a disk over the network. */
static void limit_end(void)
{
    unsigned int left_s = alarm(END_LIMIT_S);

    if (left_s)
        (void)alarm(left_s);
}

/* A real signal handler: the loop may be what hangs. */
static void on_end_signal(int signum)
{
    limit_end();
    ev_feed_signal(signum);
}

static void on_all_stopped(void *arg)
{
    struct program *p = arg;

    limit_end();
    ev_break(p->loop, EVBREAK_ALL);
}

static void on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
    struct program *p = w->data;

    (void)revents;
    if (p->throw_away && !p->ending) {
        p->ending = true;
        (void)alarm(0); /* tasks have time limits of their own */
        log_info("%s: stopping the tasks", strsignal(w->signum));
        (void)manager_stop_all(p->manager, on_all_stopped, p, NULL); /* it is logged */
        return;
    }
    log_info("%s: the manager ends; tasks that run go on", strsignal(w->signum));
    ev_break(loop, EVBREAK_ALL);
}

static void mask(int how, int signum)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, signum);
    (void)sigprocmask(how, &set, NULL);
}

/* Their handlers want a loop. */
static void block_signals(void)
{
    mask(SIG_BLOCK, SIGTERM);
    mask(SIG_BLOCK, SIGINT);
    mask(SIG_BLOCK, SIGHUP);
}

static void catch_signals(struct program *p)
{
    struct sigaction end = {.sa_handler = on_end_signal, .sa_flags = SA_RESTART};

    ev_signal_init(&p->term, on_signal, SIGTERM);
    ev_signal_init(&p->interrupt, on_signal, SIGINT);
    ev_signal_init(&p->hangup, on_hangup, SIGHUP);
    p->term.data = p->interrupt.data = p->hangup.data = p;
    ev_signal_start(p->loop, &p->term);
    ev_signal_start(p->loop, &p->interrupt);
    ev_signal_start(p->loop, &p->hangup);
    (void)sigfillset(&end.sa_mask);
    (void)sigaction(SIGTERM, &end, NULL); /* in the place of libev's own, which does the same */
    (void)sigaction(SIGINT, &end, NULL);
    (void)signal(SIGALRM, SIG_DFL);
    mask(SIG_UNBLOCK, SIGTERM); /* whoever started us may have blocked them */
    mask(SIG_UNBLOCK, SIGINT);
    mask(SIG_UNBLOCK, SIGHUP);
    mask(SIG_UNBLOCK, SIGALRM);
}

static int run(struct program *p, struct err *e)
{
    int r;

    log_set_level(p->config->log_level);
    log_unused(p->config);
    r = manager_new(p->loop, p->config, &p->manager, e);
    if (!r)
        r = api_new(p->loop, p->manager, p->config, &p->api, e);
    if (r)
        return r;
    catch_signals(p);
    log_info("cleat-manager " CLEAT_VERSION " on %s, node %s", p->config->data_dir,
             manager_node_id(p->manager));
    service_ready(p->loop);
    ev_run(p->loop, 0);
    block_signals();
    service_stopping(p->loop);
    return 0;
}

static int check_addresses(const struct config *config, struct err *e)
{
    int r = 0;

    for (char **address = config->addresses; !r && address && *address; address++)
        r = listener_check(*address, e);
    return r;
}

/* -check: what would be in effect. */
static int show(const struct config *config)
{
    autofree char *unused = config_unused(config);

    if (unused)
        (void)fprintf(stderr, "cleat-manager: warning: %s\n", unused);
    return config_print(config, stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct program p = {.argc = argc, .argv = argv};
    struct err e = ERR_INIT;
    struct outcome outcome = {0};
    struct schema_problems problems = {0};
    int r = config_new(&p.config, &e);

    if (!r)
        r = configure(argc, argv, p.config, &outcome, &problems, &e);
    if (!r && outcome.check)
        r = check_addresses(p.config, &e);
    p.throw_away = outcome.throw_away;
    if (!r && p.throw_away && !outcome.check)
        r = make_data_dir(p.config, &e);
    if (r || outcome.check) {
        if (r && e.code)
            (void)fprintf(stderr, "cleat-manager: %s\n", e.text);
        for (size_t i = 1; i < problems.n; i++)
            (void)fprintf(stderr, "cleat-manager: %s\n", problems.texts[i]);
        schema_problems_deinit(&problems);
        if (r && !(outcome.check && e.code))
            (void)fputs("Try cleat-manager -h.\n", stderr);
        r = !r ? show(p.config) : outcome.check && e.code ? EXIT_FAILURE : EXIT_USAGE;
        config_free(p.config);
        return r;
    }
    service_init();
    (void)signal(SIGPIPE, SIG_IGN);
    /* Not the default loop: that one waits for every child of the process. */
    p.loop = evloop_new(EVFLAG_AUTO);
    if (!p.loop)
        abort();
    r = run(&p, &e);
    if (r)
        log_error("%s", e.text);
    api_free(p.api);
    manager_free(p.manager);
    ev_loop_destroy(p.loop);
    if (p.ending)
        (void)gc_remove_dir(p.config, p.config->data_dir);
    config_free(p.config);
    return r ? 1 : 0;
}
