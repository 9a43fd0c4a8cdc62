/* SPDX-License-Identifier: MIT
 *
 * raw_exec: a plain process of the host, as the manager's user unless the task names one. Its
 * cgroup is used to find and kill all of it, and carries the limits. The command is looked up here,
 * at each start: <task>/local, <task>, an absolute path of the host, then PATH.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/task/driver.h"
#include "shared/cleanup.h"

static const char *problem(const struct config *config, const struct cgroup_layout *cgroup,
                           bool *ret_detected)
{
    (void)cgroup;
    *ret_detected = config->raw_exec_enabled;
    if (config->raw_exec_enabled)
        return NULL;
    return "raw_exec is disabled; enable it in the agent's configuration: "
           "plugin \"raw_exec\" { config { enabled = true } }";
}

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static char *find_in_path(const char *command, const char *path, struct bag *bag)
{
    char *list = bag_strdup(bag, path), *save = NULL;

    for (char *dir = strtok_r(list, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
        char *file = bag_printf(bag, "%s/%s", dir, command);

        if (is_file(file) && access(file, X_OK) == 0)
            return file;
    }
    return NULL;
}

static char *find_command(const char *command, const char *task_dir, const char *path,
                          struct bag *bag)
{
    char *in_task[] = {bag_printf(bag, "%s/local/%s", task_dir, command),
                       bag_printf(bag, "%s/%s", task_dir, command)};

    for (size_t i = 0; i < ARRAY_LEN(in_task); i++)
        if (is_file(in_task[i]))
            return in_task[i];
    if (command[0] == '/')
        return is_file(command) ? bag_strdup(bag, command) : NULL;
    return strchr(command, '/') || !path ? NULL : find_in_path(command, path, bag);
}

static int plan(const struct config *config, const struct driver_config *options,
                struct taskenv *env, struct bag *bag, struct exec_spec *spec, struct err *e)
{
    char *found;

    (void)config;
    driver_set_process(options, env, bag, spec);
    found = find_command(spec->args[0], spec->task_dir, getenv("PATH"), bag);
    if (!found)
        return err_set(
            e, -ENOENT,
            "command \"%s\" could not be found in the task's directory, on the host or in "
            "PATH; give its absolute path",
            spec->args[0]);
    spec->args[0] = found;
    return 0;
}

const struct driver driver_raw_exec = {
    .name = "raw_exec",
    .isolation = SPEC_ISOLATION_NONE,
    .problem = problem,
    .plan = plan,
};
