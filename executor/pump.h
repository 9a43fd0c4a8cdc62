/* SPDX-License-Identifier: MIT
 *
 * Moves one stream of a task from its pipe into rotated segments (logrotate/writer.h).
 *
 * Idle, a pump owns a pipe of the default size and no buffer, and nothing wakes it. A read that
 * fills the small buffer on the stack means load: the pipe is grown and a large buffer mapped; both
 * are given back after a second of quiet. When a segment cannot be written, bytes are dropped and
 * counted, the task goes on, and the next read tries again.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "logrotate/writer.h"
#include "shared/proto/spec.h"

struct pump;

/* `lost` bytes could not be written since the loss began, for `error` (negative errno); called when
 * a loss begins (lost so far) and, with error 0, when writing works again (lost in all). */
typedef void pump_loss_cb(struct pump *p, int error, uint64_t lost);

struct pump {
    struct ev_loop *loop;
    struct ev_io readable;
    struct ev_timer quiet;
    int fd; /* read end; -1 when detached, or when the last writer is gone and all is written */
    struct log_writer writer;
    const struct spec_logs *limits; /* borrowed */
    int log_dir;                    /* borrowed */
    char name[SEGMENT_NAME_MAX - 20];
    char *buf;   /* PUMP_LARGE bytes while under load, else NULL */
    size_t held; /* bytes at the front of buf not yet written: the start of a line near a cut */
    uint64_t lost_now;    /* bytes dropped in the present loss; 0: all is well */
    uint64_t *lost_bytes; /* the owner's count of all bytes ever dropped, added to at once */
    int loss_error;
    pump_loss_cb *on_loss;
    void *arg; /* the owner's */
};

enum {
    PUMP_SMALL = 4096,
    PUMP_LARGE = 1 << 20
};

/* Prepares a pump writing `name`.N in `log_dir`. Opens nothing yet. */
void pump_init(struct pump *p, struct ev_loop *loop, int log_dir, const char *name,
               const struct spec_logs *limits, uint64_t *lost_bytes, pump_loss_cb *on_loss,
               void *arg);

/* Makes a pipe, keeps its read end (non-blocking) and starts reading. *ret_write_fd (CLOEXEC, the
 * caller closes it) is for the task; it belongs to `uid`:`gid` so that /dev/stdout can be opened
 * again. An attached pump is detached first. */
int pump_attach(struct pump *p, uid_t uid, gid_t gid, int *ret_write_fd, struct err *e);

/* Takes over the read end `fd` of a pipe made earlier; -1 is fine. */
void pump_adopt(struct pump *p, int fd);

/* Writes what is held back, so that nothing is in this process's memory only. */
void pump_flush(struct pump *p);

/* Reads and writes all that is in the pipe now. */
void pump_drain(struct pump *p);

/* Drains and lets go of the pipe; the segment stays open. */
void pump_detach(struct pump *p);

void pump_deinit(struct pump *p);
