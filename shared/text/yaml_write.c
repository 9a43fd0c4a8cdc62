/* SPDX-License-Identifier: MIT
 *
 * A tree becomes events for libyaml's emitter, which decides on lines and indentation.
 */
#include "shared/text/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "shared/cleanup.h"
#include "shared/text/real.h"

struct writer {
    yaml_emitter_t emitter;
    enum yaml_as as;
    unsigned int depth;
};

/* `made`: what yaml_…_event_initialize returned. The emitter takes the event over. */
static int emit(struct writer *w, int made, yaml_event_t *event)
{
    return made && yaml_emitter_emit(&w->emitter, event) ? 0 : -ENOMEM;
}

static int put_scalar(struct writer *w, const char *text, size_t size, yaml_scalar_style_t style)
{
    yaml_event_t event;

    return emit(w,
                yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
                                             (int)size, 1, 1, style),
                &event);
}

/* Digits with colons between are numbers to some readers of YAML 1.1. */
static bool is_base_60(const char *text)
{
    text += *text == '-' || *text == '+';
    if (*text < '0' || *text > '9' || !strchr(text, ':'))
        return false;
    text += strspn(text, "0123456789_");
    while (*text == ':') {
        text++;
        if (*text < '0' || *text > '9')
            return false;
        text += *text <= '5' && text[1] >= '0' && text[1] <= '9' ? 2 : 1;
    }
    if (*text == '.')
        text += 1 + strspn(text + 1, "0123456789_");
    return !*text;
}

/* Whether a reader takes it for a text without quotes. */
static bool is_plain(const char *text, enum yaml_as as)
{
    json_t *read = yaml_resolve(text, as);
    bool plain = json_is_string(read) && strcmp(json_string_value(read), text) == 0 &&
                 strcmp(text, "<<") != 0 && !is_base_60(text);

    /* a time in RFC 3339 reads as itself, and is a time nevertheless */
    if (plain && strlen(text) > 10 && text[4] == '-' && text[10] == 'T')
        plain = !(text[0] >= '0' && text[0] <= '9');
    json_decref(read);
    return plain;
}

static int put_text(struct writer *w, const char *text, size_t size)
{
    yaml_scalar_style_t style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;

    if (memchr(text, '\n', size))
        style = YAML_LITERAL_SCALAR_STYLE;
    else if (w->as == YAML_AS_TEMPLATE && strlen(text) == size && is_plain(text, w->as))
        style = YAML_PLAIN_SCALAR_STYLE;
    return put_scalar(w, text, size, style);
}

static int put_number(struct writer *w, const json_t *value)
{
    double real = json_number_value(value);
    char buf[512];

    if (json_is_integer(value))
        (void)snprintf(buf, sizeof(buf), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (w->as == YAML_AS_HCL && real == floor(real))
        (void)snprintf(buf, sizeof(buf), "%.0f", real);
    else
        format_real(real, w->as == YAML_AS_HCL ? -32 : -4, w->as == YAML_AS_HCL ? 21 : 6, buf);
    return put_scalar(w, buf, strlen(buf), YAML_PLAIN_SCALAR_STYLE);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_letter(char c)
{
    return isalpha((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* The number from `at` on, and how many digits it has. */
static double number_at(const char *at, double start, size_t *ret_digits)
{
    size_t n = 0;

    for (; isdigit((unsigned char)at[n]); n++)
        start = start * 10 + (at[n] - '0');
    *ret_digits = n;
    return start;
}

/* As people sort: letters behind all else, and numbers by what they are. */
static int by_nature(const void *left, const void *right)
{
    const char *a = *(const char *const *)left, *b = *(const char *const *)right, *start = a;
    double na, nb, before = 0;
    size_t da, db;

    for (; *a && *a == *b; a++)
        b++;
    if (!*a || !*b)
        return !*a && !*b ? 0 : *a ? 1 : -1;
    if (is_letter(*a) && is_letter(*b))
        return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
    if (is_letter(*a) || is_letter(*b))
        return is_letter(*a) ? 1 : -1;
    if (*a == '0' || *b == '0') /* it goes on with a number that has begun before */
        for (const char *p = a; p > start && isdigit((unsigned char)p[-1]); p--)
            before = p[-1] != '0' ? 1 : before;
    na = number_at(a, before, &da);
    nb = number_at(b, before, &db);
    if (na != nb)
        return na < nb ? -1 : 1;
    if (da != db)
        return da < db ? -1 : 1;
    return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static int put(struct writer *w, const json_t *value);

static int put_list(struct writer *w, const json_t *value)
{
    yaml_event_t event;
    int r = emit(
        w, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE),
        &event);

    for (size_t i = 0; r == 0 && i < json_array_size(value); i++)
        r = put(w, json_array_get(value, i));
    return r < 0 ? r : emit(w, yaml_sequence_end_event_initialize(&event), &event);
}

static int put_map(struct writer *w, const json_t *value)
{
    size_t n = json_object_size(value), i = 0;
    autofree const char **keys = calloc(n + 1, sizeof(*keys));
    const char *key;
    yaml_event_t event;
    json_t *item;
    int r = keys ? emit(w,
                        yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
                                                            YAML_BLOCK_MAPPING_STYLE),
                        &event)
                 : -ENOMEM;

    if (r < 0)
        return r;
    json_object_foreach((json_t *)value, key, item) keys[i++] = key;
    qsort(keys, n, sizeof(*keys), w->as == YAML_AS_HCL ? by_name : by_nature);
    for (i = 0; r == 0 && i < n; i++) {
        r = put_text(w, keys[i], strlen(keys[i]));
        if (r == 0)
            r = put(w, json_object_get(value, keys[i]));
    }
    return r < 0 ? r : emit(w, yaml_mapping_end_event_initialize(&event), &event);
}

static int put(struct writer *w, const json_t *value)
{
    int r;

    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        if (w->depth == YAML_MAX_DEPTH)
            return -EINVAL;
        w->depth++;
        r = json_is_array(value) ? put_list(w, value) : put_map(w, value);
        w->depth--;
        return r;
    case JSON_STRING:
        return put_text(w, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
    case JSON_REAL:
        return put_number(w, value);
    case JSON_NULL:
        return put_scalar(w, "null", 4, YAML_PLAIN_SCALAR_STYLE);
    default:
        return json_is_true(value) ? put_scalar(w, "true", 4, YAML_PLAIN_SCALAR_STYLE)
                                   : put_scalar(w, "false", 5, YAML_PLAIN_SCALAR_STYLE);
    }
}

static int write_out(void *data, unsigned char *bytes, size_t size)
{
    return fwrite(bytes, 1, size, data) == size;
}

static int stream(struct writer *w, const json_t *value)
{
    yaml_event_t event;
    int r = emit(w, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event);

    if (r == 0)
        r = emit(w, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1), &event);
    if (r == 0)
        r = put(w, value);
    if (w->as == YAML_AS_TEMPLATE)
        w->emitter.open_ended = 0; /* no "..." behind a text that ends in line ends */
    if (r == 0)
        r = emit(w, yaml_document_end_event_initialize(&event, 1), &event);
    if (w->as == YAML_AS_TEMPLATE)
        w->emitter.open_ended = 0;
    return r < 0 ? r : emit(w, yaml_stream_end_event_initialize(&event), &event);
}

int yaml_write(const json_t *value, enum yaml_as as, char **ret_text, size_t *ret_size)
{
    struct writer w = {.as = as};
    char *text = NULL;
    size_t size = 0;
    FILE *out;
    int r;

    if (!yaml_emitter_initialize(&w.emitter))
        return -ENOMEM;
    out = open_memstream(&text, &size);
    if (out) {
        yaml_emitter_set_unicode(&w.emitter, 1);
        yaml_emitter_set_output(&w.emitter, write_out, out);
    }
    r = out ? stream(&w, value) : -ENOMEM;
    yaml_emitter_delete(&w.emitter);
    if (out && fclose(out) != 0 && r == 0)
        r = -ENOMEM;
    if (r < 0) {
        free(text);
        return r;
    }
    *ret_text = text;
    *ret_size = size;
    return 0;
}
