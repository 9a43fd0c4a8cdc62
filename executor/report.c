/* SPDX-License-Identifier: MIT
 *
 * Sending allocates nothing and takes no locks. MSG_NOSIGNAL: an executor that is gone must not
 * turn into a SIGPIPE in the stub init, which dies by its parent-death signal anyway.
 */
#include "executor/report.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shared/cleanup.h"

int report_pair(int *ret_executor_fd, int *ret_child_fd)
{
    int on = 1, ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
        int r = -errno;

        close_fd(&ends[0]);
        close_fd(&ends[1]);
        return r;
    }
    *ret_executor_fd = ends[0];
    *ret_child_fd = ends[1];
    return 0;
}

void report_send(int fd, const struct report *report)
{
    while (send(fd, report, sizeof(*report), MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

union control {
    struct cmsghdr align;
    char buf[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

void report_send_started(int fd, int pidfd, pid_t pid)
{
    struct report report = {.kind = REPORT_STARTED};
    struct iovec iov = {&report, sizeof(report)};
    union control control = {0};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.buf,
                         .msg_controllen = sizeof(control.buf)};
    struct ucred cred = {.pid = pid, .uid = getuid(), .gid = getgid()};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(pidfd));
    memcpy(CMSG_DATA(c), &pidfd, sizeof(pidfd));
    c = CMSG_NXTHDR(&msg, c);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_CREDENTIALS;
    c->cmsg_len = CMSG_LEN(sizeof(cred));
    memcpy(CMSG_DATA(c), &cred, sizeof(cred));
    while (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

int report_receive(int fd, struct report *ret_report, int *ret_pidfd, pid_t *ret_pid)
{
    struct iovec iov = {ret_report, sizeof(*ret_report)};
    union control control = {0};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.buf,
                         .msg_controllen = sizeof(control.buf)};
    ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct ucred cred = {0};

    *ret_pidfd = -1;
    *ret_pid = 0;
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    if (n == 0)
        return 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(ret_pidfd, CMSG_DATA(c), sizeof(*ret_pidfd));
        else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
            memcpy(&cred, CMSG_DATA(c), sizeof(cred));
    }
    if (n != sizeof(*ret_report)) {
        close_fd(ret_pidfd);
        return -EBADMSG;
    }
    ret_report->arg[sizeof(ret_report->arg) - 1] = '\0';
    if (ret_report->kind == REPORT_STARTED)
        *ret_pid = cred.pid;
    return 1;
}
