/* SPDX-License-Identifier: MIT
 *
 * cleat-disk: goes through a tree of files for the manager, which has no time to, and ends. It
 * never outlives the manager.
 */
#include <cap-ng.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "manager/disk/walk.h"
#include "shared/helper.h"

static const char usage[] =
    "Usage: cleat-disk\n"
    "\n"
    "Counts what a directory takes up, or gives it to a project for disk quotas. It is started by\n"
    "cleat-manager, which writes to its standard input what to do; see cleat-disk(8).\n"
    "\n"
    "  -version    print the version\n"
    "  -h, -help   print this\n";

enum {
    TOP = 3, /* the directory */
    NICE = 10,
    EXIT_FAILED = 1,
    EXIT_USAGE = 64,
};

/* As root: to go everywhere, to set the project of others' files, past quotas. */
static int give_up_privileges(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (geteuid() != 0)
        return 0;
    capng_get_caps_process(); /* the host may have withheld some of them */
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (cap != CAP_DAC_READ_SEARCH && cap != CAP_FOWNER && cap != CAP_SYS_RESOURCE)
            (void)capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, (unsigned int)cap);
    return capng_apply(CAPNG_SELECT_CAPS) ? -EPERM : 0;
}

/* {"project": n} to give the tree to, or {} to count. */
static int do_order(const json_t *order, struct walk_result *ret, struct err *e)
{
    json_int_t project = json_integer_value(json_object_get(order, "project"));

    if (project < 0 || project > UINT32_MAX)
        return err_set(e, -EBADMSG, "the order's project is no project");
    return project ? walk_label(TOP, (uint32_t)project, ret, e) : walk_count(TOP, ret, e);
}

static int serve(void)
{
    struct walk_result result;
    struct err e = ERR_INIT;
    json_t *order = NULL;
    int r;

    helper_die_with_parent();
    (void)setpriority(PRIO_PROCESS, 0, NICE);
    r = helper_read_order(&order, &e);
    if (!r && (r = give_up_privileges()))
        (void)err_sys(&e, r, "give up privileges");
    if (!r)
        r = do_order(order, &result, &e);
    json_decref(order);
    if (r) {
        (void)dprintf(STDERR_FILENO, "%s\n", e.text);
        return EXIT_FAILED;
    }
    helper_say(json_pack("{s:I, s:I, s:b}", "bytes", (json_int_t)result.bytes, "files",
                         (json_int_t)result.files, "partial", result.partial));
    return 0;
}

int main(int argc, char **argv)
{
    const char *option = argc == 2 ? argv[1] : "";

    if (argc == 1)
        return serve();
    if (strcmp(option, "-version") == 0)
        return printf("cleat-disk %s\n", CLEAT_VERSION) < 0;
    if (strcmp(option, "-h") == 0 || strcmp(option, "-help") == 0)
        return fputs(usage, stdout) < 0;
    (void)fputs(usage, stderr);
    return EXIT_USAGE;
}
