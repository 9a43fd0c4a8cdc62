/* SPDX-License-Identifier: MIT
 *
 * Runs a fuzz driver over every file of a corpus directory, so that inputs once found stay tested
 * in builds without libFuzzer. Each input is a heap block of its exact size: AddressSanitizer sees
 * a read one byte past it.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

static void replay(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
    struct stat st;
    uint8_t *data;

    if (fd < 0 || fstat(fd, &st) < 0)
        err(1, "%s", name);
    data = malloc((size_t)st.st_size);
    if (!data && st.st_size > 0)
        err(1, "%s", name);
    if (read(fd, data, (size_t)st.st_size) != st.st_size)
        err(1, "%s", name);
    close(fd);
    (void)LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
    free(data);
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    unsigned int n = 0;
    struct dirent *entry;

    if (!dir)
        err(1, "usage: fuzz_NAME CORPUS-DIRECTORY: %s", argc == 2 ? argv[1] : "no directory");
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        replay(dirfd(dir), entry->d_name);
        n++;
    }
    closedir(dir);
    if (n == 0)
        errx(1, "%s: no inputs", argv[1]);
    printf("%u inputs\n", n);
    return 0;
}
