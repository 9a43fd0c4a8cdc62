/* SPDX-License-Identifier: MIT
 *
 * The live link to one executor (shared/proto/wire.h): its pidfd, its event pipe, and commands to
 * it. It tells task.c that the record changed and that the executor is gone; the record is the
 * truth, the pipe only says when to read it.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "manager/state.h"
#include "shared/err.h"
#include "shared/proto/status.h"

struct ctl_msg;
struct spec_terms;

/* Starts an executor on the state directory `dir`, which holds the spec. */
int task_handle_spawn(struct task *task, const char *dir, struct err *e);

/* Attaches to the executor that holds the lock in `dir`. -ESRCH: there is none. */
int task_handle_attach(struct task *task, const char *dir, struct err *e);

/* NULL is fine; returns NULL. The executor runs on. */
struct task_handle *task_handle_free(struct task_handle *handle);

/* Asks for the stop sequence, at once or when the executor answers. Idempotent. */
void task_handle_stop(struct task_handle *handle, bool fail, const char *reason);

/* Tells the executor to become the binary at `path`. -EAGAIN: it has not answered yet. */
int task_handle_upgrade(struct task_handle *handle, const char *path);

/* Tells the executor to freeze the task, or to let it go on. -EAGAIN as above. */
int task_handle_pause(struct task_handle *handle, bool paused);

/* Gives the executor a command that every release knows, whether it has answered yet or not.
 * -ENXIO: it is on its way out. */
int task_handle_send(struct task_handle *handle, const struct ctl_msg *msg);

/* Gives the executor terms to run its task on; those it was given last are not given again. -EAGAIN
 * as above; -EPROTONOSUPPORT: it is of a release that takes none. */
int task_handle_send_terms(struct task_handle *handle, const struct spec_terms *terms);

/* The release the executor said it is, "" before it answered. */
const char *task_handle_release(const struct task_handle *handle);

bool task_handle_is_stopping(const struct task_handle *handle);

/* The executor that holds the lock in `dir`; 0 when there is none. */
pid_t task_handle_find(const char *dir);

/* The newest record in `dir`. -ENOENT, -ENODATA: there is none. */
int task_handle_read_record(const char *dir, struct task_status *ret_status);

/* True when an executor may have been forked for `dir`, or may be still. */
bool task_handle_has_order(const char *dir);

/* Takes the order back: to be called while holding the lock. No executor starts on `dir` any more,
 * one that was forked but does not hold the lock yet included. */
int task_handle_withdraw(const char *dir);

/* Keeps executors from starting on `dir` until the descriptor it returns is closed; one that was
 * forked but does not hold the lock yet gives up. -EBUSY: one holds the lock. */
int task_handle_hold(const char *dir);

/* The two together. -EBUSY: an executor holds the lock. */
int task_handle_retire(const char *dir);
