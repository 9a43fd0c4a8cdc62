/* SPDX-License-Identifier: MIT
 *
 * A frame's end is found by counting braces outside of strings, each byte once; then jansson reads
 * it.
 */
#include "tools/cleat/logframe.h"

#include <errno.h>
#include <jansson.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

#include "logrotate/segment.h"
#include "shared/cleanup.h"

/* "alloc/logs/web.stdout.3": stream and number. */
static bool parse_file(const char *file, struct log_frame *frame)
{
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    const char *dot = strrchr(name, '.');
    char stream[SEGMENT_NAME_MAX + 1];

    if (!dot || dot - name > SEGMENT_NAME_MAX)
        return false;
    memcpy(stream, name, (size_t)(dot - name));
    stream[dot - name] = '\0';
    frame->number = segment_number(name, stream);
    const char *kind = strrchr(stream, '.');
    if (!kind || frame->number < 0)
        return false;
    for (size_t i = 0; i < MERGE_STREAM_N; i++)
        if (!strcmp(kind + 1, merge_stream_name(i))) {
            frame->stream = i;
            return true;
        }
    return false;
}

static int decode(const json_t *json, int (*found)(void *arg, const struct log_frame *frame),
                  void *arg)
{
    const json_t *data = json_object_get(json, "Data");
    const char *file = json_string_value(json_object_get(json, "File"));
    json_int_t offset = json_integer_value(json_object_get(json, "Offset"));
    json_int_t lost = json_integer_value(json_object_get(json, "LostSegments"));
    struct log_frame frame = {.event = json_string_value(json_object_get(json, "FileEvent"))};
    autofree char *bytes = NULL;
    int n = 0;

    if (!file || !parse_file(file, &frame))
        return 0;
    if (offset < 0 || lost < 0)
        return -EBADMSG;
    if (json_string_length(data)) {
        int size = (int)json_string_length(data);

        bytes = malloc((size_t)size + 1); /* more than three quarters of it */
        if (!bytes)
            return -ENOMEM;
        n = lws_b64_decode_string_len(json_string_value(data), size, bytes, size + 1);
        if (n < 0)
            return -EBADMSG;
    }
    frame.offset = (uint64_t)offset;
    frame.lost_segments = (uint64_t)lost;
    frame.data = bytes;
    frame.size = (size_t)n;
    return found(arg, &frame);
}

/* Moves on to the next quote or backslash of the string, or to its last byte so far: most of a
 * frame is one long string of neither. */
static void skip_plain(struct log_frames *f)
{
    const char *from = f->text + f->seen;
    size_t size = f->size - f->seen;
    const char *quote = memchr(from, '"', size);
    const char *backslash = memchr(from, '\\', quote ? (size_t)(quote - from) : size);

    f->seen += backslash ? (size_t)(backslash - from) : quote ? (size_t)(quote - from) : size - 1;
}

/* Looks on until a frame ends. Returns its length, or 0: it is not there yet. */
static size_t find_end(struct log_frames *f)
{
    while (f->seen < f->size) {
        if (f->in_string && !f->escaped)
            skip_plain(f);
        char c = f->text[f->seen++];

        if (f->escaped)
            f->escaped = false;
        else if (f->in_string && c == '\\')
            f->escaped = true;
        else if (c == '"')
            f->in_string = !f->in_string;
        else if (!f->in_string && c == '{')
            f->depth++;
        else if (!f->in_string && c == '}' && f->depth && --f->depth == 0)
            return f->seen;
    }
    return 0;
}

static int append(struct log_frames *f, const char *data, size_t size)
{
    char *grown = size > 2 * LOG_FRAME_MAX - f->size ? NULL : realloc(f->text, f->size + size + 1);

    if (!grown)
        return -ENOMEM;
    memcpy(grown + f->size, data, size);
    f->text = grown;
    f->size += size;
    return 0;
}

/* Takes out every whole frame; *ret_used is where the rest begins. */
static int take_frames(struct log_frames *f, size_t *ret_used,
                       int (*found)(void *arg, const struct log_frame *frame), void *arg)
{
    size_t end;
    int r = 0;

    while (!r && (end = find_end(f))) {
        json_t *json = json_loadb(f->text + *ret_used, end - *ret_used, 0, NULL);

        r = json ? decode(json, found, arg) : -EBADMSG;
        json_decref(json);
        *ret_used = end;
    }
    return r;
}

int log_frames_feed(struct log_frames *f, const char *data, size_t size,
                    int (*found)(void *arg, const struct log_frame *frame), void *arg)
{
    size_t used = 0;
    int r = append(f, data, size);

    if (!r)
        r = take_frames(f, &used, found, arg);
    if (r)
        return r;
    f->size -= used;
    f->seen -= used;
    memmove(f->text, f->text + used, f->size);
    return f->size > LOG_FRAME_MAX ? -EBADMSG : 0;
}

void log_frames_reset(struct log_frames *f)
{
    free(f->text);
    *f = (struct log_frames){0};
}
