/* SPDX-License-Identifier: MIT
 *
 * What is there of a download: a file that one thread writes and another may read meanwhile, and
 * beside it a note of what it is a part of, by which a later attempt goes on with it:
 *   download        the bytes
 *   download.note   two lines: a key, which the parent gives, and the version that the server named
 * The note is there only while the file is the beginning of just that.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/err.h"

#define PART_FILE "download"
#define PART_NOTE "download.note"

enum {
    PART_VERSION_MAX = 256,
};

struct part {
    int fd;
    int dir;         /* where the note is; -1: none is kept */
    const char *key; /* a line; belongs to the caller */
    char version[PART_VERSION_MAX];
    bool noted;

    uint64_t left; /* bytes of an earlier attempt that may be taken up */

    pthread_mutex_t lock; /* of what follows and `noted` */
    pthread_cond_t changed;
    uint64_t size;
    uint64_t total;      /* that there is to be; less than `size`: not known */
    unsigned beginnings; /* how often it was begun anew */
    bool whole, given_up;
    bool refused; /* by the reader: no more of it is needed */
    off_t freed;  /* so much of the beginning is given back to the disk */
};

struct part_reader {
    unsigned beginning; /* which one it reads */
    off_t at;
};

/* Of the current directory: for part_take_up() with what an attempt of the same key left. */
int part_open(const char *key, struct part *ret_part, struct err *e);

/* Of any file, from its start, without a note. Takes `fd` over. */
void part_init(struct part *part, int fd);
void part_deinit(struct part *part);

/* ---- for the writer; all -errno ---- */

/* The next bytes of what is there already, to be called until there are none: 0. */
ssize_t part_take_up(struct part *part, void *buf, size_t size);

/* All that is there is worth nothing. */
int part_begin_anew(struct part *part);

/* -ECANCELED: the reader wants no more. */
int part_add(struct part *part, const void *data, size_t size);

/* Whether a later attempt may go on with it, and the version it is to ask for then ("": any); how
 * many bytes it will have (0: not known). */
void part_note(struct part *part, bool may_go_on, const char *version, uint64_t total);

/* Nothing will be added; `whole`: nothing is missing either. */
void part_end(struct part *part, bool whole);

/* ---- for the reader ---- */

struct part_reader part_reader(struct part *part);

/* Waits until there is something. 0: the end; -ECANCELED: this beginning is no longer the one, or
 * the writer has given up; -errno. */
ssize_t part_read(struct part *part, struct part_reader *reader, void *buf, size_t size);

/* Waits for the end: 0, or -ECANCELED if the writer gave up; 1 if it begins anew. */
int part_wait(struct part *part, const struct part_reader *reader);

/* What is read is worth nothing any more. */
bool part_is_stale(struct part *part, const struct part_reader *reader);

/* What was read is bad: the writer need not go on, unless it has begun anew already. */
void part_refuse(struct part *part, const struct part_reader *reader);
