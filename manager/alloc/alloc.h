/* SPDX-License-Identifier: MIT
 *
 * Allocations: what state they are in, judged by their tasks, and what follows from it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "manager/core.h"
#include "manager/state.h"

/* A new allocation of `group`, not yet known to the manager. `id`: NULL for a fresh one. Takes a
 * reference on `record`. */
struct alloc *alloc_new(struct manager *m, struct job_record *record, const struct job_group *group,
                        unsigned int index, const char *id);

/* NULL is fine; returns NULL. Executors and tasks run on. */
struct alloc *alloc_free(struct alloc *alloc);

/* Appends to the manager's list, and takes it out again. */
void alloc_link(struct alloc *alloc);
void alloc_unlink(struct alloc *alloc);

/* Makes it one of `group` of another version, which has tasks of the same names. */
void alloc_move(struct alloc *alloc, struct job_record *record, const struct job_group *group);

/* To be called after any change of the allocation or its tasks. `save`: it is one that only the
 * manager knows of. */
void alloc_changed(struct alloc *alloc, bool save);

/* The work of a change, done once per turn of the loop: what follows for its tasks, status,
 * tidying, saving, telling. */
void alloc_flush(struct alloc *alloc);

/* Writes the record: alloc_flush() and alloc_advance() do where it is due. */
void alloc_save(struct alloc *alloc);

/* Puts the allocation in line for alloc_advance(), which starts and stops those of its tasks whose
 * turn it is (stages.h). */
void alloc_queue(struct alloc *alloc);
void alloc_advance(struct alloc *alloc);

/* Makes the allocation stop: its tasks run their stop sequences. */
void alloc_stop(struct alloc *alloc);

/* Has it removed as soon as it is finished. */
void alloc_purge(struct alloc *alloc);

/* Nomad's client status by the tasks alone: one dead and failed fails the rest (lost, if its
 * supervisor died); else running if any runs, pending if any is yet to run or to be tried again,
 * else complete. */
enum client_status alloc_judge(const struct task *tasks, size_t n_tasks);

/* True once nothing will run any more. */
bool alloc_is_terminal(const struct alloc *alloc);

/* For alloc.c: puts it in line if there is anything for alloc_advance() to do; makes the timer of
 * its group's shutdown_delay. */
void alloc_queue_due(struct alloc *alloc);
void alloc_init_delay(struct alloc *alloc);

/* True when `task` of it should be stopping, or will be told to when those before it have stopped.
 */
bool alloc_ends(const struct alloc *alloc, const struct task *task);

/* The record in state/allocs/<id>, and back; what is missing in it keeps its value. */
json_t *alloc_to_json(const struct alloc *alloc);
void alloc_apply_json(struct alloc *alloc, const json_t *json);
