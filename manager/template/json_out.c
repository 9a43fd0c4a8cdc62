/* SPDX-License-Identifier: MIT
 *
 * JSON as Go's encoding/json writes it: keys in order, and for HTML's sake <, > and & escaped.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "manager/template/engine.h"
#include "shared/cleanup.h"
#include "shared/text/real.h"
#include "shared/tmpl/lexer.h"

struct writer {
    struct text *out;
    bool pretty, escape_html;
    unsigned int depth;
};

enum {
    MAX_NESTED = 1000
};

static int put_rune(const struct writer *w, uint32_t c, const char *bytes, size_t n)
{
    static const char names[] = "bfnrt\"\\", values[] = "\b\f\n\r\t\"\\";
    const char *name = c ? strchr(values, c < 0x80 ? (int)c : 1) : NULL;

    if (name && *name && *name != '\b' && *name != '\f')
        return text_printf(w->out, "\\%c", names[name - values]);
    if (c < 0x20 || c == 0x2028 || c == 0x2029 ||
        (w->escape_html && c < 0x80 && strchr("<>&", (int)c)))
        return text_printf(w->out, "\\u%04x", c);
    if (c == 0xfffd && n == 1)
        return text_puts(w->out, "\\ufffd");
    return text_add(w->out, bytes, n);
}

static int put_string(const struct writer *w, const char *bytes, size_t size)
{
    const char *end = bytes + size;
    int r = text_puts(w->out, "\"");
    size_t n;

    for (; !r && bytes < end; bytes += n) {
        uint32_t c = tmpl_utf8_next(bytes, end, &n);

        r = put_rune(w, c, bytes, n);
    }
    return r ? r : text_puts(w->out, "\"");
}

static int put_real(const struct writer *w, double real)
{
    char buf[64], *e;

    format_real(real, -6, 21, buf);
    e = strchr(buf, 'e');
    if (e && e[1] == '-' && e[2] == '0')
        memmove(e + 2, e + 3, strlen(e + 2)); /* 1e-7, where C writes 1e-07 */
    return text_puts(w->out, buf);
}

static int put(struct writer *w, const json_t *value);

static int new_line(const struct writer *w)
{
    int r = w->pretty ? text_puts(w->out, "\n") : 0;

    return r || !w->pretty ? r : text_repeat(w->out, ' ', (size_t)w->depth * 2);
}

static int put_list(struct writer *w, const json_t *list)
{
    int r = text_puts(w->out, "[");

    w->depth++;
    for (size_t i = 0; i < json_array_size(list) && !r; i++) {
        if (i)
            r = text_puts(w->out, ",");
        if (!r)
            r = new_line(w);
        if (!r)
            r = put(w, json_array_get(list, i));
    }
    w->depth--;
    if (!r && json_array_size(list))
        r = new_line(w);
    return r ? r : text_puts(w->out, "]");
}

static int put_map(struct writer *w, const json_t *map)
{
    autofree const char **keys = value_keys(map);
    int r = keys ? text_puts(w->out, "{") : -ENOMEM;

    w->depth++;
    for (size_t i = 0; !r && keys[i]; i++) {
        if (i)
            r = text_puts(w->out, ",");
        if (!r)
            r = new_line(w);
        if (!r)
            r = put_string(w, keys[i], strlen(keys[i]));
        if (!r)
            r = text_puts(w->out, w->pretty ? ": " : ":");
        if (!r)
            r = put(w, json_object_get(map, keys[i]));
    }
    w->depth--;
    if (!r && json_object_size(map))
        r = new_line(w);
    return r ? r : text_puts(w->out, "}");
}

static int put(struct writer *w, const json_t *value)
{
    struct eval *ev = w->out->ev;
    int r = eval_step(ev, 1);

    if (r)
        return r;
    if (w->depth > MAX_NESTED)
        return eval_fail(ev, ev->pos, -E2BIG, "a value nests deeper than %d", MAX_NESTED);
    if (value_is_nil(value))
        return text_puts(w->out, "null");
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_map(w, value);
    case JSON_ARRAY:
        return put_list(w, value);
    case JSON_STRING:
        return put_string(w, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return text_printf(w->out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL:
        return put_real(w, json_real_value(value));
    default:
        return text_puts(w->out, json_is_true(value) ? "true" : "false");
    }
}

int json_write(struct text *out, const json_t *value, bool pretty, bool escape_html)
{
    struct writer w = {.out = out, .pretty = pretty, .escape_html = escape_html};

    return put(&w, value);
}
