/* SPDX-License-Identifier: MIT
 *
 * Scope-bound ownership: `autofree char *s`, `autofd int fd = -1`, `autoclose FILE *f`.
 * take_ptr()/take_fd() hand the value over and leave the empty value behind.
 */
#pragma once

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline void cleanup_file(FILE **f)
{
    if (*f)
        (void)fclose(*f);
}

static inline void cleanup_dir(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

#define autofree __attribute__((cleanup(cleanup_free)))
#define autofd __attribute__((cleanup(cleanup_fd)))
#define autoclose __attribute__((cleanup(cleanup_file)))
#define autodir __attribute__((cleanup(cleanup_dir)))

#define take_ptr(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) take_ptr_ = (p);                                                             \
        (p) = NULL;                                                                                \
        take_ptr_;                                                                                 \
    })

static inline int take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

/* Closes *fd if it is open and leaves -1. */
static inline void close_fd(int *fd)
{
    cleanup_fd(fd);
    *fd = -1;
}

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
