/* SPDX-License-Identifier: MIT
 *
 * Files of an allocation, whatever its tasks did to the directories: what is read lies beneath the
 * task's directory or the shared one, what is written is reached through no link at all.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shared/err.h"

enum {
    FILES_MAX_READ = 8 << 20
};

struct files {
    int alloc;           /* the allocation's directory */
    const char *task;    /* name of the task's directory in it */
    const json_t *paths; /* [["/local", "web/local"], …]: what the task calls them, and where they
                            are */
    bool sandbox;        /* false: files of the host may be read */
    json_t *read; /* what was asked for, for whoever watches it: [{"path"}], and "ino", "size",
                     "mtime" (ns) of what was found */
};

/* `path` as a template writes it: from the task's directory, or absolute as the task sees it. 0 and
 * *ret_data (malloc'ed, NUL-terminated behind its bytes); -ENOENT; other negative errno. */
int files_read(struct files *files, const char *path, char **ret_data, size_t *ret_size,
               struct err *e);

/* Notes a file in `read`, as it is now; `fd`: -1 if it is not there. */
int files_note(struct files *files, const char *path, int fd);

struct files_output {
    const char *path; /* from the allocation's directory, "web/local/x" */
    mode_t perms;
    int64_t uid, gid; /* -1: as this process has it */
};

/* Puts `data` in the place of what is there, at once and whole. *ret_changed: false if it was so
 * already, and nothing was written. */
int files_write(const struct files *files, const struct files_output *output, const char *data,
                size_t size, bool *ret_changed, struct err *e);
