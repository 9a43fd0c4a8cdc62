/* SPDX-License-Identifier: MIT
 *
 * Only a descriptor without FD_CLOEXEC survives execve(2); the flag is taken off for the moment of
 * the exec and put back on either side of it. Signals are blocked over the exec, since handlers are
 * reset by it; the new program installs its own before it lets them through (main.c).
 */
#include "executor/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <msgpack.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/proto/fields.h"
#include "shared/sys.h"

static const struct field life_fields[] = {FIELD(struct life, state, UINT, .max = LIFE_STATE_N - 1),
                                           FIELD(struct life, wish, UINT, .max = LIFE_WISH_RESTART),
                                           FIELD(struct life, failed, BOOL),
                                           FIELD(struct life, fail_on_stop, BOOL),
                                           FIELD(struct life, exit_ok, BOOL),
                                           FIELD(struct life, setup_failed, BOOL),
                                           FIELD(struct life, setup_may_pass, BOOL),
                                           FIELD(struct life, count, UINT),
                                           FIELD(struct life, window_ns, UINT),
                                           FIELD(struct life, window_open, BOOL),
                                           {0}};

static const struct field loss_fields[] = {
    FIELD(struct pump_loss, error, INT),     FIELD(struct pump_loss, bytes, UINT),
    FIELD(struct pump_loss, from_ns, UINT),  FIELD(struct pump_loss, to_ns, UINT),
    FIELD(struct pump_loss, mid_line, BOOL), {0}};

static const struct field handover_fields[] = {
    FIELD(struct handover, version, UINT),
    FIELD(struct handover, release, TEXT),
    FIELD(struct handover, state_dir, INT),
    FIELD(struct handover, log_dir, INT),
    FIELD(struct handover, status_fd, INT),
    FIELD(struct handover, evt_fd, INT),
    FIELD(struct handover, out_fd, INT),
    FIELD(struct handover, ctl_fd, INT),
    FIELD(struct handover, stdout_fd, INT),
    FIELD(struct handover, stderr_fd, INT),
    FIELD(struct handover, child_fd, INT),
    FIELD(struct handover, task_fd, INT),
    FIELD(struct handover, report_fd, INT),
    FIELD(struct handover, child_pid, INT),
    FIELD(struct handover, have_exit, BOOL),
    FIELD(struct handover, wait_status, INT),
    FIELD(struct handover, failed_error, INT),
    FIELD(struct handover, failed_stage, TEXT),
    FIELD(struct handover, stop_reason, TEXT),
    FIELD(struct handover, life, MAP, .sub = life_fields),
    FIELD(struct handover, timer_ns, UINT),
    FIELD(struct handover, clearing, BOOL),
    FIELD_SPARSE(struct handover, oom_told, UINT),
    FIELD_SPARSE(struct handover, stdout_loss, MAP, .sub = loss_fields),
    FIELD_SPARSE(struct handover, stderr_loss, MAP, .sub = loss_fields),
    FIELD_SPARSE(struct handover, compressor, INT),
    FIELD(struct handover, leaving, BOOL, .sparse = true),
    FIELD(struct handover, placed, BOOL, .sparse = true),
    {0}};

static int write_part(int fd, const char *data, size_t size)
{
    uint64_t length = size;

    errno = 0;
    if (write(fd, &length, sizeof(length)) != sizeof(length) ||
        write(fd, data, size) != (ssize_t)size)
        return errno ? -errno : -EIO;
    return 0;
}

static int write_parts(int fd, const struct handover *h, const struct exec_spec *spec,
                       const struct task_status *status)
{
    char slot[STATUS_SLOT_BYTES];
    autofree char *spec_data = NULL;
    msgpack_sbuffer out;
    msgpack_packer pk;
    size_t size = 0;
    int r;

    msgpack_sbuffer_init(&out);
    msgpack_packer_init(&pk, &out, msgpack_sbuffer_write);
    r = fields_pack(&pk, handover_fields, h) ? -ENOMEM : write_part(fd, out.data, out.size);
    msgpack_sbuffer_destroy(&out);
    if (!r)
        r = spec_encode(spec, &spec_data, &size);
    if (!r)
        r = write_part(fd, spec_data, size);
    if (!r)
        r = write_part(fd, slot, status_encode(status, slot));
    for (size_t i = 0; !r && h->version > 1 && i < HANDOVER_STREAMS; i++)
        r = write_part(fd, h->held[i].data, h->held[i].size);
    return r;
}

int handover_write(const struct handover *h, const struct exec_spec *spec,
                   const struct task_status *status, int *ret_fd, struct err *e)
{
    autofd int fd = memfd_create("cleat-handover", MFD_CLOEXEC);
    int r = fd < 0 ? -errno : write_parts(fd, h, spec, status);

    if (!r && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    if (r < 0)
        return err_sys(e, r, "write down the state for the new executor");
    *ret_fd = take_fd(&fd);
    return 0;
}

/* Cuts the next part off `*data`. */
static int next_part(const char **data, size_t *left, const char **ret_part, size_t *ret_size,
                     struct err *e)
{
    uint64_t length;

    if (*left < sizeof(length))
        return err_set(e, -EBADMSG, "handed-over state: cut short");
    memcpy(&length, *data, sizeof(length));
    if (length > *left - sizeof(length))
        return err_set(e, -EBADMSG, "handed-over state: cut short");
    *ret_part = *data + sizeof(length);
    *ret_size = length;
    *data += sizeof(length) + length;
    *left -= sizeof(length) + length;
    return 0;
}

/* The last parts, of version 2. */
static int read_held(const char *data, size_t size, struct handover *h, struct err *e)
{
    for (size_t i = 0; h->version > 1 && i < HANDOVER_STREAMS; i++) {
        const char *part = NULL;
        size_t part_size = 0;
        int r = next_part(&data, &size, &part, &part_size, e);

        if (r == 0 && part_size > PUMP_LARGE)
            r = err_set(e, -EBADMSG, "handed-over state: more output than a buffer holds");
        if (r < 0)
            return r;
        h->held[i].data = malloc(part_size + 1);
        if (!h->held[i].data)
            return err_sys(e, -ENOMEM, "read the handed-over state");
        memcpy(h->held[i].data, part, part_size);
        h->held[i].size = part_size;
    }
    return 0;
}

void handover_free_held(struct handover *h)
{
    for (size_t i = 0; i < HANDOVER_STREAMS; i++) {
        free(h->held[i].data);
        h->held[i] = (struct handover_held){0};
    }
}

int handover_decode(const char *data, size_t size, struct handover *h, struct exec_spec **spec,
                    struct task_status *status, struct err *e)
{
    size_t part_size = 0;
    const char *part = NULL;
    int r;

    *h = (struct handover){0};
    r = next_part(&data, &size, &part, &part_size, e);
    if (!r)
        r = fields_decode(part, part_size, handover_fields, h, NULL, e);
    if (!r && h->version > HANDOVER_VERSION)
        r = err_set(e, -EBADMSG, "handed-over state: version %u is newer than %d", h->version,
                    HANDOVER_VERSION);
    if (!r)
        r = next_part(&data, &size, &part, &part_size, e);
    if (!r)
        r = spec_decode(part, part_size, spec, e);
    if (r)
        return r;
    r = next_part(&data, &size, &part, &part_size, e);
    if (!r)
        r = status_decode(part, part_size, status, e);
    if (!r)
        r = read_held(data, size, h, e);
    if (r) {
        *spec = spec_free(*spec);
        handover_free_held(h);
    }
    return r;
}

int handover_read(int fd, struct handover *ret_handover, struct exec_spec **ret_spec,
                  struct task_status *ret_status, struct err *e)
{
    struct stat st;
    void *map;
    int r;

    if (fstat(fd, &st) < 0)
        return err_sys(e, -errno, "read the handed-over state");
    if (st.st_size <= 0)
        return err_set(e, -EBADMSG, "handed-over state: empty");
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return err_sys(e, -errno, "read the handed-over state");
    r = handover_decode(map, (size_t)st.st_size, ret_handover, ret_spec, ret_status, e);
    (void)munmap(map, (size_t)st.st_size);
    return r;
}

int handover_check(const char *path, int memfd, pid_t *ret_pid, struct err *e)
{
    char *const argv[] = {"cleat-executor", "check", "3", NULL};
    posix_spawn_file_actions_t files;
    int pidfd, r;

    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_adddup2(&files, memfd, 3); /* also where memfd is 3 already */
    r = -posix_spawn(ret_pid, path, &files, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    if (r < 0)
        return err_sys(e, r, "start %s", path);
    pidfd = sys_pidfd_open(*ret_pid, 0);
    if (pidfd >= 0)
        return pidfd;
    r = err_sys(e, -errno, "watch the self-check of %s", path);
    (void)kill(*ret_pid, SIGKILL);
    (void)waitpid(*ret_pid, NULL, 0);
    return r;
}

static void set_cloexec(const struct handover *h, bool on)
{
    const int fds[HANDOVER_FDS] = {h->state_dir, h->log_dir, h->status_fd, h->evt_fd,
                                   h->out_fd,    h->ctl_fd,  h->stdout_fd, h->stderr_fd,
                                   h->child_fd,  h->task_fd, h->report_fd};

    for (size_t i = 0; i < HANDOVER_FDS; i++)
        if (fds[i] >= 0)
            (void)fcntl(fds[i], F_SETFD, on ? FD_CLOEXEC : 0);
}

void handover_adopt_fds(const struct handover *h)
{
    set_cloexec(h, true);
}

int handover_exec(const struct handover *h, const char *path, int memfd, struct err *e)
{
    char number[16], link[32], dir[PATH_MAX] = "";
    char *argv[] = {"cleat-executor", "resume", number, dir, NULL}; /* dir: for readers of ps(1) */
    sigset_t all, before;
    int r;

    (void)snprintf(number, sizeof(number), "%d", memfd);
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", h->state_dir);
    if (readlink(link, dir, sizeof(dir) - 1) < 0)
        dir[0] = '\0';
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    set_cloexec(h, false);
    (void)fcntl(memfd, F_SETFD, 0);
    execv(path, argv);
    r = -errno;
    (void)fcntl(memfd, F_SETFD, FD_CLOEXEC);
    set_cloexec(h, true);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return err_sys(e, r, "become %s", path);
}
