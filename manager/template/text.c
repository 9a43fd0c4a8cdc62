/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/template/engine.h"
#include "shared/cleanup.h"
#include "shared/tmpl/lexer.h"

void text_init(struct text *text, struct eval *ev)
{
    *text = (struct text){.ev = ev, .limit = EVAL_MAX_OUTPUT};
}

void text_deinit(struct text *text)
{
    free(take_ptr(text->data));
}

int text_add(struct text *text, const char *bytes, size_t size)
{
    if (text->limit - text->size < size)
        return eval_fail(text->ev, text->ev->pos, -E2BIG, "this makes more than %d bytes",
                         EVAL_MAX_OUTPUT);
    if (text->room - text->size <= size) {
        size_t room = (text->size + size + 64) * 2;
        char *grown = realloc(text->data, room);

        if (!grown)
            return -ENOMEM;
        text->data = grown;
        text->room = room;
    }
    if (size)
        memcpy(text->data + text->size, bytes, size);
    text->size += size;
    return 0;
}

int text_puts(struct text *text, const char *string)
{
    return text_add(text, string, strlen(string));
}

int text_printf(struct text *text, const char *fmt, ...)
{
    char buf[512];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    return text_add(text, buf, (size_t)n < sizeof(buf) ? (size_t)n : sizeof(buf) - 1);
}

int text_repeat(struct text *text, char c, size_t n)
{
    char block[256];
    int r = 0;

    memset(block, c, sizeof(block));
    for (; !r && n; n -= n < sizeof(block) ? n : sizeof(block))
        r = text_add(text, block, n < sizeof(block) ? n : sizeof(block));
    return r;
}

int text_rune(struct text *text, uint32_t c)
{
    char bytes[4];

    return text_add(text, bytes, tmpl_utf8(c, bytes));
}

int text_finish(struct text *text, int r, json_t **ret_value)
{
    if (!r)
        r = eval_string(text->ev, text->data ? text->data : "", text->size, ret_value);
    text_deinit(text);
    return r;
}
