/* SPDX-License-Identifier: MIT
 *
 * The first byte says what kind of archive the others are. Whatever becomes of it, it is beneath
 * the directory that it is unpacked in, and what the unpacking calls well, the look through it does
 * too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/fetch/tree.h"
#include "manager/fetch/unpack.h"
#include "shared/cleanup.h"
#include "tests/fuzz/fuzz.h"

enum {
    BYTES = 1 << 20,
    FILES = 50,
};

static void unpack_beneath(struct part *part, enum artifact_archive archive)
{
    const struct unpack how = {archive, "one", BYTES, FILES, true};
    const struct tree_rules rules = {
        .maker = geteuid(), .inspected = true, .max_files = 10 * FILES, .max_bytes = 100 * BYTES};
    struct part_reader reader = part_reader(part);
    autofd int in = -1;
    struct err e = ERR_INIT;
    int r;

    if (mkdir("in", 0700) < 0 || chdir("in") < 0)
        abort();
    r = unpack(part, &reader, &how, &e);
    if (r && (e.code != r || !e.text[0]))
        abort();
    if (chdir("..") < 0 || unlink("canary") < 0) /* it is still there, and nothing else */
        abort();
    in = open("in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (in < 0 || (!r && tree_settle(in, &rules, &e)))
        abort();
    if (tree_remove(AT_FDCWD, "in"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/cleat-unpack-XXXXXX";
    autofd int home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), canary = -1;
    struct part part;

    if (size < 1)
        return 0;
    part_init(&part, memfd_create("archive", MFD_CLOEXEC));
    if (part_add(&part, data + 1, size - 1))
        abort();
    part_end(&part, true);
    if (!mkdtemp(path) || chdir(path) < 0)
        abort();
    canary = open("canary", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    unpack_beneath(&part, (enum artifact_archive)(1 + data[0] % (ARCHIVE_N - 1)));
    if (fchdir(home) < 0 || rmdir(path) < 0) /* else something is in there */
        abort();
    part_deinit(&part);
    return 0;
}
