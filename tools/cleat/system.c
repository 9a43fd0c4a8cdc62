/* SPDX-License-Identifier: MIT
 *
 * cleat system stop-all, version.
 */
#include <stdio.h>

#include "tools/cleat/cli.h"
#include "tools/cleat/http.h"
#include "tools/cleat/output.h"

static int system_stop_all(struct cli *cli)
{
    json_t *reply = NULL;
    int r = http_send(cli, "PUT", NULL, &reply, "/v1/system/stop-all");

    if (!r && cli->json)
        print_json(reply);
    else if (!r)
        (void)puts("All jobs are stopped");
    json_decref(reply);
    return r;
}

static int version(struct cli *cli)
{
    (void)printf(cli->json ? "{\"Version\": \"%s\"}\n" : "cleat %s\n", CLEAT_VERSION);
    return CLI_OK;
}

const struct command system_commands[] = {
    {"system stop-all", NULL, "", 0, 0, "", "Stop every job, and wait until all tasks are dead",
     "\nThe manager goes on. (Stopping the manager alone leaves tasks running.)\n", "",
     system_stop_all},
    {"version", NULL, "", 0, 0, "", "Show the version of this program", "", "\n-json", version},
    {0},
};
