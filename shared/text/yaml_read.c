/* SPDX-License-Identifier: MIT
 *
 * Events of libyaml's parser become a tree. An anchor is known once its value is complete, so
 * none holds itself; an alias is a copy, counted like what it copies.
 */
#include "shared/text/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "shared/cleanup.h"

/* ---- plain scalars ---- */

static bool is_one_of(const char *text, const char *words)
{
    size_t n = strlen(text);

    for (const char *at = words; n && (at = strstr(at, text)); at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return true;
    return false;
}

/* Up to `most` digits. */
static bool take_digits(const char **at, size_t most, int *ret)
{
    size_t n = 0;

    *ret = 0;
    for (; n < most && isdigit((unsigned char)**at); n++, (*at)++)
        *ret = *ret * 10 + (**at - '0');
    return n > 0;
}

static bool is_day(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* "Z", "+01:00"; nothing behind a blank. What RFC 3339 has goes to `zone`. */
static bool take_zone(const char *at, bool must, char zone[8])
{
    int hours, minutes;

    (void)strcpy(zone, "Z");
    if (!must || strcmp(at, "Z") == 0)
        return must || !*at;
    if ((*at != '+' && *at != '-') || strlen(at) != 6 || at[3] != ':')
        return false;
    (void)snprintf(zone, 8, "%s", at);
    at++;
    return take_digits(&at, 2, &hours) && *at++ == ':' && take_digits(&at, 2, &minutes) &&
           hours <= 24 && minutes < 60;
}

/* 2001-1-2, 2001-1-2 3:4:5.6, 2001-01-02T03:04:05Z: in RFC 3339, or NULL if it is none. */
static json_t *time_of(const char *text)
{
    int year, month, day, hour = 0, minute = 0, second = 0;
    const char *at = text;
    char zone[8] = "Z";

    if (!take_digits(&at, 4, &year) || at != text + 4 || *at++ != '-' ||
        !take_digits(&at, 2, &month) || *at++ != '-' || !take_digits(&at, 2, &day) ||
        !is_day(year, month, day))
        return NULL;
    if (*at) {
        bool with_zone = *at == 'T' || *at == 't';

        if (!with_zone && *at != ' ')
            return NULL;
        at++;
        if (!take_digits(&at, 2, &hour) || *at++ != ':' || !take_digits(&at, 2, &minute) ||
            *at++ != ':' || !take_digits(&at, 2, &second) || hour > 23 || minute > 59 ||
            second > 59)
            return NULL;
        if (*at == '.' && isdigit((unsigned char)at[1]))
            at += 1 + strspn(at + 1, "0123456789");
        if (!take_zone(at, with_zone, zone))
            return NULL;
    }
    return json_sprintf("%04d-%02d-%02dT%02d:%02d:%02d%s", year, month, day, hour, minute, second,
                        zone);
}

/* Digits of `base` and nothing else; too large for an integer: a real. */
static json_t *integer_of(const char *digits, bool minus, int base)
{
    unsigned long long n;
    char *end;

    if (!isxdigit((unsigned char)*digits))
        return NULL;
    errno = 0;
    n = strtoull(digits, &end, base);
    if (*end || errno)
        return NULL;
    if (n <= INT64_MAX)
        return json_integer(minus ? -(json_int_t)n : (json_int_t)n);
    return minus && n == (unsigned long long)INT64_MAX + 1
               ? json_integer(INT64_MIN)
               : json_real(minus ? -(double)n : (double)n);
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_real(const char *at)
{
    size_t before, after = 0;

    at += *at == '-' || *at == '+';
    before = strspn(at, "0123456789");
    at += before;
    if (*at == '.') {
        after = strspn(at + 1, "0123456789");
        at += 1 + after;
    }
    if (!before && !after)
        return false;
    if (*at == 'e' || *at == 'E') {
        at += 1 + (at[1] == '-' || at[1] == '+');
        if (!isdigit((unsigned char)*at))
            return false;
        at += strspn(at, "0123456789");
    }
    return !*at;
}

static json_t *number_of(const char *text, enum yaml_as as)
{
    bool minus = *text == '-';
    autofree char *plain = malloc(strlen(text) + 1);
    const char *digits;
    json_t *number = NULL;
    char *to = plain;

    if (!plain)
        return NULL;
    for (const char *at = text; *at; at++)
        if (*at != '_')
            *to++ = *at;
    *to = '\0';
    digits = plain + (*plain == '-' || *plain == '+');
    if (*digits == '0' && (digits[1] | 0x20) == 'x')
        return integer_of(digits + 2, minus, 16);
    if (*digits == '0' && (digits[1] | 0x20) == 'o')
        return integer_of(digits + 2, minus, 8);
    if (*digits == '0' && (digits[1] | 0x20) == 'b' && as == YAML_AS_TEMPLATE)
        return integer_of(digits + 2, minus, 2);
    if (*digits == '0' && digits[1] && as == YAML_AS_TEMPLATE)
        number = integer_of(digits + 1, minus, 8);
    else if (digits[strspn(digits, "0123456789")] == '\0')
        number = integer_of(digits, minus, 10);
    return number || !is_real(plain) ? number : json_real(strtod(plain, NULL));
}

json_t *yaml_resolve(const char *text, enum yaml_as as)
{
    json_t *value = NULL;

    if (!*text || is_one_of(text, "~ null Null NULL"))
        return json_null();
    if (is_one_of(text, "y Y yes Yes YES true True TRUE on On ON"))
        return json_true();
    if (is_one_of(text, "n N no No NO false False FALSE off Off OFF"))
        return json_false();
    if (is_one_of(text, ".nan .NaN .NAN .inf .Inf .INF +.inf +.Inf +.INF -.inf -.Inf -.INF"))
        return NULL;
    if (isdigit((unsigned char)*text) || strchr("+-.", *text)) {
        value = time_of(text);
        if (!value)
            value = number_of(text, as);
    }
    return value ? value : json_string(text);
}

/* ---- events ---- */

struct reader {
    yaml_parser_t parser;
    enum yaml_as as;
    json_t *anchors;
    unsigned int depth;
    size_t n_values;
    struct err *e;
};

static int fail_at(const struct reader *rd, const yaml_mark_t *mark, const char *why)
{
    return err_set(rd->e, -EINVAL, "line %zu column %zu: %s", mark->line + 1, mark->column + 1,
                   why);
}

static int next(struct reader *rd, yaml_event_t *event)
{
    if (yaml_parser_parse(&rd->parser, event))
        return 0;
    if (rd->parser.error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    return fail_at(rd, &rd->parser.problem_mark,
                   rd->parser.problem ? rd->parser.problem : "this is not YAML");
}

static int count(struct reader *rd, const yaml_event_t *event, size_t n)
{
    rd->n_values += n;
    if (rd->n_values <= YAML_MAX_VALUES)
        return 0;
    return fail_at(rd, &event->start_mark, "more than 100000 values");
}

static size_t count_of(const json_t *value)
{
    size_t n = 1, i;
    const char *key;
    json_t *item;

    json_array_foreach(value, i, item) n += count_of(item);
    json_object_foreach((json_t *)value, key, item) n += count_of(item);
    return n;
}

static int scalar(struct reader *rd, const yaml_event_t *event, json_t **ret)
{
    const char *text = (const char *)event->data.scalar.value;
    const char *tag = (const char *)event->data.scalar.tag;
    bool is_text = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;

    if (strlen(text) != event->data.scalar.length)
        return fail_at(rd, &event->start_mark, "a text has a NUL in it");
    if (tag && (strcmp(tag, YAML_STR_TAG) == 0 || strcmp(tag, "!") == 0 ||
                strcmp(tag, "tag:yaml.org,2002:binary") == 0))
        is_text = true;
    else if (tag && strncmp(tag, "tag:yaml.org,2002:", 18) != 0)
        return fail_at(rd, &event->start_mark, "this tag is not known");
    *ret = is_text ? json_string(text) : yaml_resolve(text, rd->as);
    if (*ret)
        return 0;
    return fail_at(rd, &event->start_mark, "this number cannot be had here");
}

static int alias(struct reader *rd, const yaml_event_t *event, json_t **ret)
{
    const json_t *named = json_object_get(rd->anchors, (const char *)event->data.alias.anchor);
    int r;

    if (!named)
        return fail_at(rd, &event->start_mark, "there is no anchor of this name before");
    r = count(rd, event, count_of(named));
    if (r < 0)
        return r;
    *ret = json_deep_copy(named);
    return *ret ? 0 : -ENOMEM;
}

static int value(struct reader *rd, const yaml_event_t *event, json_t **ret);

static int next_value(struct reader *rd, json_t **ret)
{
    yaml_event_t event;
    int r = next(rd, &event);

    if (r < 0)
        return r;
    r = value(rd, &event, ret);
    yaml_event_delete(&event);
    return r;
}

static int sequence(struct reader *rd, json_t *list)
{
    for (;;) {
        yaml_event_t event;
        json_t *item = NULL;
        int r = next(rd, &event);

        if (r < 0)
            return r;
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return 0;
        }
        r = value(rd, &event, &item);
        yaml_event_delete(&event);
        if (r < 0)
            return r;
        if (json_array_append_new(list, item) < 0)
            return -ENOMEM;
    }
}

/* "<<": the keys of a map, or of several, the first of which wins. */
static int merge(struct reader *rd, const yaml_mark_t *mark, json_t *map)
{
    json_t *from = NULL;
    int r = next_value(rd, &from);
    bool ok = r == 0 && (json_is_object(from) || json_is_array(from));

    for (size_t i = json_array_size(from); ok && i > 0; i--) {
        ok = json_is_object(json_array_get(from, i - 1));
        if (ok && json_object_update(map, json_array_get(from, i - 1)) < 0)
            r = -ENOMEM;
    }
    if (ok && json_is_object(from) && json_object_update(map, from) < 0)
        r = -ENOMEM;
    json_decref(from);
    return r == 0 && !ok ? fail_at(rd, mark, "behind \"<<\" is a map, or a list of maps") : r;
}

/* At a key, which is told by how it is written: 1 and "1" are one. */
static int pair(struct reader *rd, const yaml_event_t *event, json_t *map)
{
    const char *key = (const char *)event->data.scalar.value;
    json_t *item = NULL;
    int r;

    if (event->type != YAML_SCALAR_EVENT)
        return fail_at(rd, &event->start_mark, "a key is a text or a number");
    r = count(rd, event, 1);
    if (r < 0)
        return r;
    if (strcmp(key, "<<") == 0 && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return merge(rd, &event->start_mark, map);
    if (strlen(key) != event->data.scalar.length)
        return fail_at(rd, &event->start_mark, "a key has a NUL in it");
    r = next_value(rd, &item);
    return r < 0 ? r : json_object_set_new(map, key, item) < 0 ? -ENOMEM : 0;
}

static int mapping(struct reader *rd, json_t *map)
{
    for (;;) {
        yaml_event_t event;
        bool done;
        int r = next(rd, &event);

        if (r < 0)
            return r;
        done = event.type == YAML_MAPPING_END_EVENT;
        r = done ? 0 : pair(rd, &event, map);
        yaml_event_delete(&event);
        if (r < 0 || done)
            return r;
    }
}

static int collection(struct reader *rd, const yaml_event_t *event, json_t **ret)
{
    bool is_list = event->type == YAML_SEQUENCE_START_EVENT;
    json_t *made;
    int r;

    if (rd->depth == YAML_MAX_DEPTH)
        return fail_at(rd, &event->start_mark, "nested deeper than 64 levels");
    made = is_list ? json_array() : json_object();
    if (!made)
        return -ENOMEM;
    rd->depth++;
    r = is_list ? sequence(rd, made) : mapping(rd, made);
    rd->depth--;
    if (r < 0)
        json_decref(made);
    else
        *ret = made;
    return r;
}

static int value(struct reader *rd, const yaml_event_t *event, json_t **ret)
{
    const yaml_char_t *anchor = NULL;
    int r = count(rd, event, 1);

    if (r < 0)
        return r;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        r = scalar(rd, event, ret);
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        r = collection(rd, event, ret);
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        r = collection(rd, event, ret);
        break;
    case YAML_ALIAS_EVENT:
        return alias(rd, event, ret);
    default:
        return fail_at(rd, &event->start_mark, "a value is missing here");
    }
    if (r == 0 && anchor) {
        json_t *copy = json_deep_copy(*ret); /* what it names may grow where it stands */

        r = count(rd, event, count_of(*ret));
        if (json_object_set_new(rd->anchors, (const char *)anchor, copy) < 0)
            r = -ENOMEM;
        if (r < 0) {
            json_decref(*ret);
            *ret = NULL;
        }
    }
    return r;
}

/* Stream start, document start, value, document end, stream end. */
static int document(struct reader *rd, json_t **ret)
{
    yaml_event_type_t type;
    yaml_event_t event;
    int r = next(rd, &event);

    if (r < 0)
        return r;
    yaml_event_delete(&event);
    r = next(rd, &event);
    if (r < 0)
        return r;
    type = event.type;
    yaml_event_delete(&event);
    if (type != YAML_DOCUMENT_START_EVENT) {
        *ret = json_null();
        return 0;
    }
    r = next_value(rd, ret);
    for (int i = 0; r == 0 && i < 2; i++) {
        r = next(rd, &event);
        if (r < 0)
            break;
        if (event.type == YAML_DOCUMENT_START_EVENT)
            r = fail_at(rd, &event.start_mark, "there is a second document; keep one");
        yaml_event_delete(&event);
    }
    return r;
}

int yaml_read(const char *text, size_t size, enum yaml_as as, json_t **ret, struct err *e)
{
    struct reader rd = {.as = as, .e = e};
    json_t *made = NULL;
    int r;

    if (!yaml_parser_initialize(&rd.parser))
        return -ENOMEM;
    rd.anchors = json_object();
    yaml_parser_set_encoding(&rd.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&rd.parser, (const unsigned char *)text, size);
    r = rd.anchors ? document(&rd, &made) : -ENOMEM;
    yaml_parser_delete(&rd.parser);
    json_decref(rd.anchors);
    if (r < 0)
        json_decref(made);
    else
        *ret = made;
    return r;
}
