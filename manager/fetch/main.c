/* SPDX-License-Identifier: MIT
 *
 * cleat-fetch: gets one artifact for the manager and ends. Two processes: this one, of the
 * manager's user, makes the directories and moves what is whole and harmless into its place; its
 * child, which has given up everything it could, downloads and unpacks. Both die with the manager,
 * whenever that dies: what is left then is the stage, with whose download the next attempt goes on.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/fetch/confine.h"
#include "manager/fetch/landing.h"
#include "manager/fetch/order.h"
#include "manager/fetch/work.h"
#include "shared/cleanup.h"
#include "shared/helper.h"

static const char usage[] =
    "Usage: cleat-fetch\n"
    "\n"
    "Gets one artifact of a task. It is started by cleat-manager, which writes to its standard\n"
    "input what to get; see cleat-fetch(8).\n"
    "\n"
    "  -version    print the version\n"
    "  -h, -help   print this\n";

enum {
    EXIT_USAGE = 64,
    NETRC_MAX = 64 << 10,
};

#ifdef __SANITIZE_ADDRESS__
/* Looking for leaks needs ptrace(2), which the child gives up. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

static int fail(const struct err *e)
{
    /* What the task itself would have to mend, or its job file, does not pass by itself. */
    bool recoverable = e->code != -ELOOP && e->code != -ENOTSUP;

    helper_say(json_pack("{s:s%, s:b}", "failed", e->text, strnlen(e->text, sizeof(e->text)),
                         "recoverable", recoverable));
    return FETCH_EXIT_FAILED;
}

/* The text may quote bytes of names, which need not be UTF-8. */
static int fail_readably(struct err *e)
{
    json_t *probe = json_string(e->text);

    for (char *p = e->text; !probe && *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    json_decref(probe);
    return fail(e);
}

/* The .netrc of the manager's user, in memory: its file is for that user alone. */
static int open_netrc(void)
{
    const struct passwd *pw = getpwuid(geteuid());
    const char *named = getenv("NETRC");
    autofree char *path = NULL;
    autofd int from = -1, to = -1;
    struct stat st;

    if (!named && (!pw || asprintf(&path, "%s/.netrc", pw->pw_dir) < 0))
        return -1;
    from = open(named ? named : path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > NETRC_MAX)
        return -1;
    to = memfd_create("netrc", MFD_CLOEXEC);
    if (to < 0 || sendfile(to, from, NULL, NETRC_MAX) < 0 || lseek(to, 0, SEEK_SET) < 0)
        return -1;
    return take_fd(&to);
}

static int child(const struct fetch_order *order, const struct confine *confine,
                 const struct landing *landing)
{
    autofd int netrc = open_netrc();
    char key[FETCH_KEY_BYTES];
    struct err e = ERR_INIT;
    int r = fetch_order_key(order, key, &e);

    (void)signal(SIGXFSZ, SIG_IGN);
    (void)umask(022);
    if (!r)
        r = confine_enter(confine, landing->work, &e);
    if (!r)
        r = work(order, netrc, key, &e);
    return r ? fail_readably(&e) : 0;
}

/* 0: the work is done; 1: it is not, and the manager was told why. */
static int wait_for(pid_t pid, struct err *e)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(e, -errno, "wait for the download");
    if (WIFEXITED(status) && WEXITSTATUS(status) <= FETCH_EXIT_FAILED)
        return WEXITSTATUS(status);
    if (WIFSIGNALED(status))
        return err_set(e, -EIO, "the download was ended by signal %d", WTERMSIG(status));
    return err_set(e, -EIO, "the download ended with code %d", WEXITSTATUS(status));
}

static int fetch(const struct fetch_order *order, struct landing *landing, struct err *e)
{
    struct confine confine = {
        .isolated = order->isolated,
        .programs = order->source.kind == ARTIFACT_GIT || order->source.kind == ARTIFACT_HG,
        .file = order->source.kind == ARTIFACT_FILE ? order->source.url : NULL,
        .extra_paths = order->extra_paths,
        .max_file = order->max_bytes > order->max_unpacked ? order->max_bytes : order->max_unpacked,
    };
    pid_t pid;
    int r;

    confine_find_user(&confine);
    r = landing_open(order, &confine, landing, e);
    if (r)
        return r;
    pid = confine_fork(&confine, landing->work);
    if (pid < 0)
        return err_sys(e, -errno, "start the download");
    if (pid == 0)
        _exit(child(order, &confine, landing));
    r = wait_for(pid, e);
    return r ? r : landing_finish(landing, order, e);
}

/* By where it really is. */
static int check_file(const struct fetch_order *order, struct err *e)
{
    autofree char *real = realpath(order->source.url, NULL);
    const json_t *path;
    size_t i;

    if (!real)
        return err_sys(e, -errno, "find the file %s", order->source.url);
    json_array_foreach(order->file_paths, i, path)
    {
        autofree char *top = realpath(json_string_value(path), NULL);
        size_t n = top ? strlen(top) : 0;

        if (top && strncmp(real, top, n) == 0 && (real[n] == '/' || !real[n] || n == 1))
            return 0;
    }
    return err_set(
        e, -ENOTSUP,
        "the file %s of this host is not allowed as an artifact; an operator can add its "
        "directory to allow_file_paths of client { artifact { } }",
        order->source.url);
}

static int run(void)
{
    struct landing landing = LANDING_INIT;
    struct fetch_order order = {0};
    json_t *json = NULL;
    struct err e = ERR_INIT;
    int r = helper_read_order(&json, &e);

    if (!r)
        r = fetch_order_read(json, &order, &e);
    json_decref(json);
    if (r) {
        (void)fail_readably(&e);
        return HELPER_EXIT_ORDER;
    }
    r = order.source.kind == ARTIFACT_FILE ? check_file(&order, &e) : 0;
    if (!r)
        r = fetch(&order, &landing, &e);
    landing_close(&landing, &order);
    if (r < 0)
        (void)fail_readably(&e);
    fetch_order_deinit(&order);
    return r ? FETCH_EXIT_FAILED : 0;
}

/* Directories may be as many levels deep as there are descriptors. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        bool version = strcmp(argv[1], "-version") == 0 || strcmp(argv[1], "--version") == 0;
        bool help = strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "-help") == 0 ||
                    strcmp(argv[1], "--help") == 0;

        (void)fputs(version ? "cleat-fetch " CLEAT_VERSION "\n" : usage,
                    version || help ? stdout : stderr);
        return version || help ? 0 : EXIT_USAGE;
    }
    if (isatty(STDIN_FILENO)) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    helper_die_with_parent();
    (void)umask(022);
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* names in archives */
    raise_descriptors();
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return run();
}
