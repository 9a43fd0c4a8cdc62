/* SPDX-License-Identifier: MIT
 *
 * cleat-template: renders the templates of one task for the manager, and ends; or stays, while the
 * task runs, where they depend on Vault or Consul. It never outlives the manager. -check reads a
 * template and says what is wrong in it.
 */
#include <cap-ng.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "manager/template/render.h"
#include "shared/cleanup.h"
#include "shared/helper.h"
#include "shared/tmpl/tmpl.h"

static const char usage[] =
    "usage: cleat-template                       for cleat-manager: the order is on standard "
    "input\n"
    "       cleat-template -check [-left L] [-right R] FILE…\n"
    "       cleat-template -version | -help\n"
    "\n"
    "Renders the templates of a task. With -check it reads templates only, and says what is wrong\n"
    "in them: FILE:LINE:COLUMN and the mend. Exit codes: 0, 1 (something is wrong), 64 (usage).\n";

/* What a renderer needs as root: to write where tasks do, in their files' names. */
static int give_up_privileges(void)
{
    const struct rlimit core = {0, 0}, files = {512, 512}, size = {64 << 20, 64 << 20};

    (void)setrlimit(RLIMIT_CORE, &core);
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)setrlimit(RLIMIT_FSIZE, &size);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (geteuid() != 0)
        return 0;
    capng_clear(CAPNG_SELECT_BOTH);
    if (capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_CHOWN, CAP_DAC_OVERRIDE,
                      CAP_FOWNER, CAP_FSETID, -1) ||
        capng_apply(CAPNG_SELECT_BOTH))
        return -EPERM;
    return 0;
}

static int fail(const struct err *e)
{
    (void)dprintf(STDERR_FILENO, "cleat-template: %s\n", e->text);
    return HELPER_EXIT_ORDER;
}

static int serve(void)
{
    struct err e = ERR_INIT;
    json_t *order = NULL;
    int r, code;

    helper_die_with_parent();
    r = helper_read_order(&order, &e);
    if (r)
        return fail(&e);
    r = give_up_privileges();
    if (r) {
        (void)err_sys(&e, r, "give up privileges");
        return fail(&e);
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
        (void)err_set(&e, -ENOMEM, "libcurl does not start");
        return fail(&e);
    }
    code = render(order);
    json_decref(order);
    curl_global_cleanup();
    return code;
}

static int check(const char *path, const struct tmpl_options *options)
{
    autofree char *text = malloc(TMPL_MAX_BYTES + 2);
    autoclose FILE *f = fopen(path, "re");
    struct tmpl *tmpl = NULL;
    struct err e = ERR_INIT;
    size_t size;
    int r;

    if (!f || !text) {
        (void)fprintf(stderr, "cleat-template: open %s: %s\n", path, strerror(errno));
        return EXIT_FAILURE;
    }
    size = fread(text, 1, TMPL_MAX_BYTES + 1, f);
    r = ferror(f) ? err_sys(&e, -EIO, "read %s", path)
                  : tmpl_parse(path, text, size, options, &tmpl, &e);
    if (r)
        (void)fprintf(stderr, "%s\n", e.text);
    tmpl_free(tmpl);
    return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int check_all(char **args)
{
    struct tmpl_options options = {0};
    int code = EXIT_SUCCESS;

    for (; args[0] && args[0][0] == '-' && args[1]; args += 2) {
        if (strcmp(args[0], "-left") == 0)
            options.left = args[1];
        else if (strcmp(args[0], "-right") == 0)
            options.right = args[1];
        else
            break;
    }
    if (!args[0] || args[0][0] == '-') {
        (void)fputs(usage, stderr);
        return 64;
    }
    for (; *args; args++)
        if (check(*args, &options))
            code = EXIT_FAILURE;
    return code;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] + (strncmp(argv[1], "--", 2) == 0) : NULL;

    if (!what)
        return serve();
    if (strcmp(what, "-check") == 0)
        return check_all(argv + 2);
    if (strcmp(what, "-version") == 0) {
        (void)puts("cleat-template " CLEAT_VERSION);
        return 0;
    }
    (void)fputs(usage, strcmp(what, "-help") == 0 ? stdout : stderr);
    return strcmp(what, "-help") == 0 ? 0 : 64;
}
