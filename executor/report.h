/* SPDX-License-Identifier: MIT
 *
 * What the children between clone and exec tell the executor: fixed records over a CLOEXEC
 * seqpacket socket (a record arrives whole or not at all, and can carry a pidfd and the kernel's
 * word on a pid).
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

enum report_kind {
    REPORT_FAILED,  /* a stage failed; the sender is about to exit */
    REPORT_STARTED, /* exec succeeded; carries a pidfd and the pid (stub init only) */
    REPORT_EXITED,  /* the task is dead; `value` is its wait status (stub init only) */
    REPORT_NOTE,    /* `arg`, for people: the setup goes on, but not as usual */
};

struct report {
    enum report_kind kind;
    unsigned int stage; /* FAILED: index into the stage table */
    int value;          /* FAILED: negative errno; EXITED: wait status */
    char arg[180];      /* FAILED: what the stage was working on; NOTE: the text */
};

/* Makes the pair; both ends are CLOEXEC, the executor's end is non-blocking and told pids. */
int report_pair(int *ret_executor_fd, int *ret_child_fd);

/* Child side, async-signal-safe. */
void report_send(int fd, const struct report *report);

/* Sends STARTED with `pidfd` and, translated by the kernel, `pid` (as the sender's pid namespace
 * counts). Needs CAP_SYS_ADMIN over the sender's pid namespace, as unix(7) says. */
void report_send_started(int fd, int pidfd, pid_t pid);

/* Receives one record. 1: there is one (*ret_pidfd and *ret_pid are set for STARTED, else -1 and
 * 0); 0: every sender is gone; -EAGAIN: none now; other negative errno. */
int report_receive(int fd, struct report *ret_report, int *ret_pidfd, pid_t *ret_pid);
