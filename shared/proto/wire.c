/* SPDX-License-Identifier: MIT
 *
 * Frames are built in the caller's buffer and never exceed PIPE_BUF, so that the kernel writes them
 * whole or not at all.
 */
#include "shared/proto/wire.h"

#include <errno.h>
#include <limits.h>
#include <msgpack.h>
#include <string.h>

#include "shared/proto/fields.h"
#include "shared/proto/messages.h"

_Static_assert(WIRE_FRAME_MAX <= PIPE_BUF, "frames must be atomic");

/* The type stays a wide number while decoding: a newer release may send one this one lacks. */
struct ctl_wire {
    uint64_t type;
    struct ctl_msg msg;
};

struct evt_wire {
    uint64_t type;
    struct evt_msg msg;
};

static const struct field ctl_fields[] = {
    FIELD(struct ctl_wire, type, UINT),
    FIELD_AS("version", struct ctl_wire, msg.version, UINT, .optional = true),
    FIELD_AS("signal", struct ctl_wire, msg.signal, INT, .optional = true),
    FIELD_AS("fail", struct ctl_wire, msg.fail, BOOL, .optional = true),
    FIELD_AS("reason", struct ctl_wire, msg.reason, TEXT, .optional = true),
    FIELD_AS("path", struct ctl_wire, msg.path, TEXT, .optional = true),
    FIELD_AS("terms", struct ctl_wire, msg.terms, MAP, .sparse = true, .sub = spec_terms_fields),
    {0}};

static const struct field evt_fields[] = {
    FIELD(struct evt_wire, type, UINT),
    FIELD_AS("version", struct evt_wire, msg.version, UINT, .optional = true),
    FIELD_AS("release", struct evt_wire, msg.release, TEXT, .optional = true),
    FIELD_AS("seq", struct evt_wire, msg.seq, UINT),
    FIELD_AS("state", struct evt_wire, msg.state, UINT, .max = TASK_STATE_N - 1),
    FIELD_AS("failed", struct evt_wire, msg.failed, BOOL),
    FIELD_AS("pid", struct evt_wire, msg.pid, INT),
    FIELD_AS("restarts", struct evt_wire, msg.restarts, UINT),
    FIELD_AS("has_event", struct evt_wire, msg.has_event, BOOL),
    FIELD_AS("event", struct evt_wire, msg.event, MAP, .sub = task_event_fields, .optional = true),
    {0}};

static size_t encode(const struct field *fields, const void *msg, char *buf)
{
    struct fixed_buf out = {buf, sizeof(uint32_t), WIRE_FRAME_MAX};
    msgpack_packer pk;
    uint32_t length;

    msgpack_packer_init(&pk, &out, fixed_buf_write);
    if (fields_pack(&pk, fields, msg))
        __builtin_trap(); /* every field is bounded far below the frame's size */
    length = (uint32_t)(out.used - sizeof(length));
    memcpy(buf, &length, sizeof(length));
    return out.used;
}

size_t ctl_encode(const struct ctl_msg *msg, char *buf)
{
    struct ctl_wire wire = {.type = msg->type, .msg = *msg};

    return encode(ctl_fields, &wire, buf);
}

size_t evt_encode(const struct evt_msg *msg, char *buf)
{
    struct evt_wire wire = {.type = msg->type, .msg = *msg};

    return encode(evt_fields, &wire, buf);
}

int wire_frame(const char *data, size_t size, const char **ret_payload, size_t *ret_size,
               size_t *ret_consumed)
{
    uint32_t length;

    if (size < sizeof(length))
        return -EAGAIN;
    memcpy(&length, data, sizeof(length));
    if (length == 0 || length > WIRE_FRAME_MAX - sizeof(length))
        return -EBADMSG;
    if (size - sizeof(length) < length)
        return -EAGAIN;
    *ret_payload = data + sizeof(length);
    *ret_size = length;
    *ret_consumed = length + sizeof(length);
    return 0;
}

int ctl_decode(const char *payload, size_t size, struct ctl_msg *ret_msg, struct err *e)
{
    struct ctl_wire wire = {0};
    int r = fields_decode(payload, size, ctl_fields, &wire, NULL, e);

    if (r < 0)
        return r;
    if (wire.type >= CTL_TYPE_N)
        return err_set(e, -EPROTONOSUPPORT, "command %llu is unknown to this release",
                       (unsigned long long)wire.type);
    wire.msg.type = (enum ctl_type)wire.type;
    r = wire.msg.type == CTL_TERMS ? spec_terms_check(&wire.msg.terms, e) : 0;
    if (r < 0)
        return r;
    *ret_msg = wire.msg;
    return 0;
}

int evt_decode(const char *payload, size_t size, struct evt_msg *ret_msg, struct err *e)
{
    struct evt_wire wire = {0};
    int r = fields_decode(payload, size, evt_fields, &wire, NULL, e);

    if (r < 0)
        return r;
    if (wire.type >= EVT_TYPE_N)
        return err_set(e, -EPROTONOSUPPORT, "message %llu is unknown to this release",
                       (unsigned long long)wire.type);
    wire.msg.type = (enum evt_type)wire.type;
    *ret_msg = wire.msg;
    return 0;
}
