/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a configuration file: HCL, or JSON where they begin with "{". What is taken is
 * finished, printed and read again, which must be taken as well; what is refused comes with a
 * message.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/config/config.h"
#include "shared/cleanup.h"
#include "shared/job/schema.h"
#include "tests/fuzz/fuzz.h"

static const char *write_file(const void *data, size_t size, bool json)
{
    static char paths[2][64];
    char *path = paths[json];
    int fd;

    (void)snprintf(path, sizeof(paths[0]), "/tmp/cleat-fuzz-config-%d.%s", (int)getpid(),
                   json ? "json" : "hcl");
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)close(fd);
    return path;
}

static struct config *load(const void *data, size_t size)
{
    bool json = size && *(const char *)data == '{';
    const char *path = write_file(data, size, json);
    struct schema_problems problems = {0};
    struct config *config = NULL;
    struct err e = ERR_INIT;
    int r;

    if (config_new(&config, &e) < 0)
        abort();
    r = config_load(config, path, &problems, &e);
    if (!r)
        r = config_finish(config, &e);
    (void)unlink(path);
    if (problems.n && strcmp(problems.texts[0], e.text) != 0)
        abort();
    schema_problems_deinit(&problems);
    if (!r)
        return config;
    if (e.code >= 0 || !*e.text)
        abort();
    return config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = load(data, size), *again;
    autofree char *printed = NULL, *unused = NULL;
    size_t n;
    FILE *out;

    if (!config)
        return 0;
    unused = config_unused(config);
    out = open_memstream(&printed, &n);
    if (!out || config_print(config, out) < 0 || fclose(out) != 0)
        abort();
    again = load(printed, n);
    if (!again)
        abort();
    (void)config_free(again);
    (void)config_free(config);
    return 0;
}
