/* SPDX-License-Identifier: MIT
 *
 * Moves one stream of a task from its pipe into rotated segments (logrotate/writer.h).
 *
 * Idle, a pump owns a pipe of the default size and no buffer, and nothing wakes it. A read that
 * fills the small buffer on the stack means load: the pipe is grown and a large buffer mapped; both
 * are given back after a second of quiet.
 *
 * When a segment cannot be written, the task goes on. With SPEC_ON_FULL_DROP bytes are dropped and
 * counted, and a read that comes a while later tries again; with SPEC_ON_FULL_BLOCK what was read
 * is held and the pipe is left to fill, until a timer finds that writing works.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "executor/logs/log_dir.h"
#include "logrotate/writer.h"
#include "shared/proto/spec.h"

struct pump;

enum pump_news {
    PUMP_ROTATED,  /* a segment was begun: the one before it is finished */
    PUMP_DIR_MADE, /* the log directory had been removed, and was made again */
    PUMP_FAILED,   /* a segment cannot be written, for p->loss.error */
    PUMP_LOSING,   /* more was dropped since: *p->lost_bytes grew */
    PUMP_MENDED,   /* writing works again; p->loss tells what it cost */
    PUMP_GAVE_UP,  /* the pump ends while it does not; p->loss as above */
};

typedef void pump_news_cb(struct pump *p, enum pump_news news);

/* From the first write that failed to the first that did not. */
struct pump_loss {
    int error;        /* negative errno; 0: all is well */
    uint64_t bytes;   /* dropped */
    uint64_t from_ns; /* CLOCK_REALTIME of the first failure … */
    uint64_t to_ns;   /* … and of the last byte dropped */
    bool mid_line;    /* the last byte dropped was no newline */
};

struct pump {
    struct ev_loop *loop;
    struct ev_io readable;
    struct ev_timer timer; /* quiet; or, while blocked, the next try */
    int fd; /* read end; -1 when detached, or when the last writer is gone and all is read */
    struct log_writer writer;
    const struct spec_logs *limits; /* borrowed */
    struct log_dir *dir;            /* borrowed */
    uint32_t generation;            /* of the directory the writer knows */
    const char *name;               /* borrowed */
    char *buf;                      /* PUMP_LARGE bytes while under load or blocked, else NULL */
    size_t held;                    /* bytes at the front of buf not yet written */
    uint64_t taken;                 /* bytes read from pipes */
    bool ending;                    /* nothing is held back any more */

    struct pump_loss loss;
    uint64_t *lost_bytes;      /* the owner's count of all bytes ever dropped, added to at once */
    uint64_t *lost_here;       /* … and, where the owner sets it, of this stream's */
    uint64_t passed_over;      /* of a line whose beginning was dropped */
    ev_tstamp checked_at;      /* that the live segment was not removed … */
    uint64_t checked_ticks;    /* … by clock_ticks(), then or later … */
    unsigned int quick_checks; /* … by line_way_pass(), since then … */
    ev_tstamp checked_dir_at;  /* … and that its directory is in its place */
    ev_tstamp retry_at;
    ev_tstamp backoff;
    pump_news_cb *on_news;
    void *arg; /* the owner's */
};

enum {
    PUMP_SMALL = 4096,
    PUMP_LARGE = 1 << 20
};

/* Prepares a pump writing `name`.N in `dir`, for which segment_check_name() holds or every open
 * fails. Opens nothing yet. */
void pump_init(struct pump *p, struct ev_loop *loop, struct log_dir *dir, const char *name,
               const struct spec_logs *limits, uint64_t *lost_bytes, pump_news_cb *on_news,
               void *arg);

/* Makes a pipe, keeps its read end (non-blocking) and starts reading. *ret_write_fd (CLOEXEC, the
 * caller closes it) is for the task; it belongs to `uid`:`gid` so that /dev/stdout can be opened
 * again. Where the pipe of an earlier attempt still has writers, it goes on being used: what they
 * write is written. */
int pump_attach(struct pump *p, uid_t uid, gid_t gid, int *ret_write_fd, struct err *e);

/* Live upgrade: takes over the read end `fd` of a pipe made earlier (-1 is fine), the loss, and
 * `size` bytes that were held. */
void pump_adopt(struct pump *p, int fd, const struct pump_loss *loss, const char *held,
                size_t size);

/* What was read but cannot be written: it waits for the disk. */
bool pump_is_blocked(const struct pump *p);

/* Writes what is held back, so that nothing is in this process's memory only, unless blocked. */
void pump_flush(struct pump *p);

/* The same, before another program goes on with the stream: that takes the numbers from the names,
 * so there is a segment by the newest of them. */
void pump_settle(struct pump *p);

/* Writes, holds or drops what another one read from the pipe (executor/logs/pass_line.h). */
void pump_put(struct pump *p, const char *data, size_t size);

/* Reads and writes all that is in the pipe now, whoever may go on writing. */
void pump_drain(struct pump *p);

/* What `limits` point to has changed. */
void pump_limits_changed(struct pump *p);

/* The last thing: drains, drops and counts what still cannot be written, lets go of everything. */
void pump_end(struct pump *p);
