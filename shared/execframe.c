/* SPDX-License-Identifier: MIT
 *
 * Written by hand, since nothing in these messages needs to be escaped; read with jansson.
 */
#include "shared/execframe.h"

#include <errno.h>
#include <jansson.h>
#include <libwebsockets.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const stream_names[EXEC_STREAM_N] = {"stdin", "stdout", "stderr"};

static size_t encode_stream(const char *name, const struct exec_data *d, char *buf)
{
    int n = snprintf(buf, EXEC_FRAME_MAX, "{\"%s\":{", name);

    if (d->size) {
        n += snprintf(buf + n, (size_t)(EXEC_FRAME_MAX - n), "\"data\":\"");
        n += lws_b64_encode_string(d->data, (int)d->size, buf + n, EXEC_FRAME_MAX - n);
        n += snprintf(buf + n, (size_t)(EXEC_FRAME_MAX - n), "\"%s", d->close ? "," : "");
    }
    n += snprintf(buf + n, (size_t)(EXEC_FRAME_MAX - n), "%s}}", d->close ? "\"close\":true" : "");
    return (size_t)n;
}

size_t exec_frame_encode(const struct exec_frame *frame, char buf[EXEC_FRAME_MAX])
{
    for (int i = 0; i < EXEC_STREAM_N; i++)
        if (frame->streams[i].size || frame->streams[i].close)
            return encode_stream(stream_names[i], &frame->streams[i], buf);
    if (frame->has_size)
        return (size_t)snprintf(buf, EXEC_FRAME_MAX, "{\"tty_size\":{\"height\":%u,\"width\":%u}}",
                                frame->size.height, frame->size.width);
    if (frame->exited)
        return (size_t)snprintf(buf, EXEC_FRAME_MAX,
                                "{\"exited\":true,\"result\":{\"exit_code\":%d}}",
                                frame->exit_code);
    return (size_t)snprintf(buf, EXEC_FRAME_MAX, "{}");
}

static int decode_data(const char *name, const json_t *base64, struct exec_data *d, struct err *e)
{
    size_t size = json_string_length(base64);
    int n;

    if (!json_is_string(base64))
        return err_set(e, -EBADMSG, "%s: \"data\" must be a string", name);
    d->data = malloc(size + 1); /* more than three quarters of it */
    if (!d->data)
        return err_sys(e, -ENOMEM, "take in a message");
    n = lws_b64_decode_string_len(json_string_value(base64), (int)size, d->data, (int)size + 1);
    if (n < 0)
        return err_set(e, -EBADMSG, "%s: \"data\" is not base64", name);
    d->size = (size_t)n;
    return 0;
}

static int decode_stream(const char *name, const json_t *json, struct exec_data *d, struct err *e)
{
    const json_t *data = json_object_get(json, "data");

    if (!json || json_is_null(json))
        return 0;
    if (!json_is_object(json))
        return err_set(e, -EBADMSG, "\"%s\" must be an object", name);
    d->close = json_is_true(json_object_get(json, "close"));
    return data && !json_is_null(data) ? decode_data(name, data, d, e) : 0;
}

static int decode_number(const json_t *json, const char *key, json_int_t min, json_int_t max,
                         json_int_t *ret, struct err *e)
{
    const json_t *value = json_object_get(json, key);

    *ret = json_integer_value(value);
    if (value && (!json_is_integer(value) || *ret < min || *ret > max))
        return err_set(e, -EBADMSG, "\"%s\" must be a number from %lld to %lld", key,
                       (long long)min, (long long)max);
    return 0;
}

static int decode(const json_t *json, struct exec_frame *f, struct err *e)
{
    const json_t *size = json_object_get(json, "tty_size");
    json_int_t height = 0, width = 0, code = 0;
    int r = 0;

    if (!json_is_object(json))
        return err_set(e, -EBADMSG, "a message must be a JSON object");
    for (int i = 0; !r && i < EXEC_STREAM_N; i++)
        r = decode_stream(stream_names[i], json_object_get(json, stream_names[i]), &f->streams[i],
                          e);
    if (!r)
        r = decode_number(size, "height", 0, UINT16_MAX, &height, e);
    if (!r)
        r = decode_number(size, "width", 0, UINT16_MAX, &width, e);
    if (!r)
        r = decode_number(json_object_get(json, "result"), "exit_code", INT_MIN, INT_MAX, &code, e);
    f->has_size = json_is_object(size);
    f->size = (struct exec_size){(uint16_t)height, (uint16_t)width};
    f->exited = json_is_true(json_object_get(json, "exited"));
    f->exit_code = (int)code;
    return r;
}

int exec_frame_decode(const char *text, size_t size, struct exec_frame *ret_frame, struct err *e)
{
    struct exec_frame frame = {0};
    json_error_t error;
    json_t *json = json_loadb(text, size, JSON_DECODE_ANY, &error);
    int r;

    if (!json)
        return err_set(e, -EBADMSG, "a message is not JSON: %s", error.text);
    r = decode(json, &frame, e);
    json_decref(json);
    if (r) {
        exec_frame_deinit(&frame);
        return r;
    }
    *ret_frame = frame;
    return 0;
}

void exec_frame_deinit(struct exec_frame *frame)
{
    for (int i = 0; i < EXEC_STREAM_N; i++)
        free(frame->streams[i].data);
    *frame = (struct exec_frame){0};
}
