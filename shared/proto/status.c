/* SPDX-License-Identifier: MIT
 *
 * A slot is: magic, payload length, CRC-32 of the payload (each 4 bytes, little-endian), payload.
 */
#include "shared/proto/status.h"

#include <errno.h>
#include <fcntl.h>
#include <msgpack.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "shared/proto/fields.h"
#include "shared/proto/messages.h"

#define SLOT_MAGIC 0x31535443u /* "CTS1" */

struct slot_header {
    uint32_t magic;
    uint32_t size;
    uint32_t crc;
};

/* The largest record must fit its slot: ten events with full texts and every number at its widest.
 */
_Static_assert(STATUS_EVENTS *(STATUS_TEXT_BYTES + 150) + 600 < STATUS_SLOT_BYTES,
               "a status record may not fit its slot");

const struct field task_event_fields[] = {
    FIELD(struct task_event, seq, UINT),
    FIELD(struct task_event, time_ns, UINT),
    FIELD(struct task_event, type, UINT),
    FIELD(struct task_event, exit_code, INT, .optional = true),
    FIELD(struct task_event, signal, INT, .optional = true),
    FIELD(struct task_event, oom_killed, BOOL, .optional = true),
    FIELD(struct task_event, delay_ns, UINT, .optional = true),
    FIELD(struct task_event, message, TEXT, .optional = true),
    {0}};

static const struct field status_fields[] = {
    FIELD(struct task_status, seq, UINT),
    FIELD(struct task_status, state, UINT, .max = TASK_STATE_N - 1),
    FIELD(struct task_status, failed, BOOL),
    FIELD(struct task_status, executor_pid, INT),
    FIELD(struct task_status, executor_start, UINT),
    FIELD(struct task_status, boot_id, TEXT),
    FIELD(struct task_status, pid, INT),
    FIELD(struct task_status, pid_start, UINT),
    FIELD(struct task_status, attempt, UINT),
    FIELD(struct task_status, restarts, UINT),
    FIELD(struct task_status, started_ns, UINT),
    FIELD(struct task_status, finished_ns, UINT),
    FIELD(struct task_status, last_restart_ns, UINT),
    FIELD(struct task_status, exit_code, INT),
    FIELD(struct task_status, exit_signal, INT),
    FIELD(struct task_status, oom_killed, BOOL),
    FIELD(struct task_status, log_lost_bytes, UINT),
    FIELD_SPARSE(struct task_status, paused, BOOL),
    FIELD_SPARSE(struct task_status, log_lost_stderr_bytes, UINT),
    FIELD_SPARSE(struct task_status, terms_id, UINT),
    FIELD_SPARSE(struct task_status, window_count, UINT),
    FIELD_SPARSE(struct task_status, window_ns, UINT),
    FIELD_SPARSE(struct task_status, definition, UINT),
    {.key = "events",
     .kind = FIELD_LIST,
     .offset = offsetof(struct task_status, events),
     .size = sizeof(struct task_event),
     .max = STATUS_EVENTS,
     .count_offset = offsetof(struct task_status, n_events),
     .sub = task_event_fields},
    {0}};

const char *task_state_name(enum task_state state)
{
    static const char *const names[TASK_STATE_N] = {"pending", "running", "dead"};

    return (unsigned int)state < TASK_STATE_N ? names[state] : "unknown";
}

const char *task_event_type_name(enum task_event_type type)
{
    static const char *const names[] = {
        "Started",
        "Terminated",
        "Restarting",
        "Not Restarting",
        "Killing",
        "Killed",
        "Signaling",
        "Restart Signaled",
        "Driver Failure",
        "Waiting for shutdown delay",
        "Log Lost",
        "Received",
        "Task Setup",
        "Setup Failure",
        "Sibling Task Failed",
        "Lost",
        "Executor Upgraded",
        "Executor Upgrade Failed",
        "Child OOM Killed",
        "Pausing",
        "Running",
        "Pause Failed",
        "Log Blocked",
        "Leader Task Dead",
        "Main Tasks Dead",
        "Downloading Artifacts",
        "Failed Artifact Download",
        "Template",
        "Not Updated",
    };
    _Static_assert(sizeof(names) / sizeof(names[0]) == TASK_EVENT_TYPE_N, "a name per event type");

    return (unsigned int)type < TASK_EVENT_TYPE_N ? names[type] : "Unknown";
}

void task_status_add_event(struct task_status *status, const struct task_event *event)
{
    if (status->n_events == STATUS_EVENTS) {
        memmove(status->events, status->events + 1,
                (STATUS_EVENTS - 1) * sizeof(status->events[0]));
        status->n_events--;
    }
    status->events[status->n_events++] = *event;
}

size_t status_encode(const struct task_status *status, char *buf)
{
    struct fixed_buf out = {buf, sizeof(struct slot_header), STATUS_SLOT_BYTES};
    struct slot_header header = {.magic = SLOT_MAGIC};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &out, fixed_buf_write);
    if (fields_pack(&pk, status_fields, status))
        __builtin_trap(); /* cannot happen, see the assertion above */
    header.size = (uint32_t)(out.used - sizeof(header));
    header.crc = (uint32_t)crc32(0, (const Bytef *)buf + sizeof(header), header.size);
    memcpy(buf, &header, sizeof(header));
    return out.used;
}

int status_decode(const char *slot, size_t size, struct task_status *ret_status, struct err *e)
{
    const char *payload = slot + sizeof(struct slot_header);
    struct task_status status = {0};
    struct slot_header header;
    int r;

    if (size < sizeof(header))
        return err_set(e, -EBADMSG, "status slot: cut short");
    memcpy(&header, slot, sizeof(header));
    if (header.magic != SLOT_MAGIC || header.size > size - sizeof(header))
        return err_set(e, -EBADMSG, "status slot: empty or foreign");
    if ((uint32_t)crc32(0, (const Bytef *)payload, header.size) != header.crc)
        return err_set(e, -EBADMSG, "status slot: checksum does not match");
    r = fields_decode(payload, header.size, status_fields, &status, NULL, e);
    if (!r)
        *ret_status = status;
    return r;
}

int status_read(int fd, struct task_status *ret_status, struct err *e)
{
    char slots[2 * STATUS_SLOT_BYTES];
    struct task_status found[2];
    bool valid[2] = {false, false};
    ssize_t n = pread(fd, slots, sizeof(slots), 0);

    if (n < 0)
        return err_sys(e, -errno, "read status");
    for (size_t i = 0; i < 2; i++) {
        size_t start = i * STATUS_SLOT_BYTES;
        size_t left = (size_t)n > start ? (size_t)n - start : 0;

        if (left > STATUS_SLOT_BYTES)
            left = STATUS_SLOT_BYTES;
        valid[i] = left && status_decode(slots + start, left, &found[i], e) == 0;
    }
    if (!valid[0] && !valid[1])
        return err_set(e, -ENODATA, "status: no valid record");
    *ret_status = valid[1] && (!valid[0] || found[1].seq > found[0].seq) ? found[1] : found[0];
    return 0;
}

int status_write(int fd, const struct task_status *status, bool sync)
{
    char slot[STATUS_SLOT_BYTES];
    size_t size = status_encode(status, slot);
    off_t at = (off_t)(status->seq % 2) * STATUS_SLOT_BYTES;
    ssize_t n = pwrite(fd, slot, size, at);

    if (n != (ssize_t)size)
        return n < 0 ? -errno : -EIO;
    if (sync)
        return fdatasync(fd) < 0 ? -errno : 0;
    (void)sync_file_range(fd, at, STATUS_SLOT_BYTES, SYNC_FILE_RANGE_WRITE);
    return 0;
}
