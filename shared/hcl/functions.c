/* SPDX-License-Identifier: MIT
 *
 * The functions of expressions: those of Nomad's that job files use, with its meanings. Each is a
 * row with how many arguments it takes, and gets them evaluated; try(), can() and convert(), which
 * do not, are with the expressions.
 */
#include "shared/hcl/functions.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"

int call_text(struct call *c, size_t i, const char **ret)
{
    if (c->args[i].kind == HCL_NULL || c->args[i].kind == HCL_LIST || c->args[i].kind == HCL_MAP)
        return call_fail(c, "argument %zu of %s() is a text, not %s", i + 1, c->name,
                         hcl_kind_name(c->args[i].kind));
    return value_to_text(c->x, c->at, &c->args[i], ret);
}

int call_number(struct call *c, size_t i, double *ret)
{
    if (value_to_number(&c->args[i], ret))
        return 0;
    return call_fail(c, "argument %zu of %s() is a number, not %s", i + 1, c->name,
                     hcl_kind_name(c->args[i].kind));
}

int call_kind(struct call *c, size_t i, enum hcl_kind kind)
{
    if (c->args[i].kind == kind)
        return 0;
    return call_fail(c, "argument %zu of %s() is %s, not %s", i + 1, c->name, hcl_kind_name(kind),
                     hcl_kind_name(c->args[i].kind));
}

int call_give_text(struct call *c, const char *text, size_t n)
{
    return value_set_text(c->x, c->at, text, n, c->ret);
}

int call_give_bytes(struct call *c, const char *bytes, size_t n)
{
    json_t *probe = strlen(bytes) == n ? json_stringn(bytes, n) : NULL; /* NULL: not UTF-8 */

    if (!probe)
        return call_fail(c, "what %s() finds here is no text in UTF-8; base64 can hold it",
                         c->name);
    json_decref(probe);
    return call_give_text(c, bytes, n);
}

int call_give_number(struct call *c, double number)
{
    *c->ret = (struct hcl_value){.kind = HCL_NUMBER, .number = number};
    return isfinite(number) ? 0 : call_fail(c, "%s() of this is no number", c->name);
}

int call_give_bool(struct call *c, bool boolean)
{
    *c->ret = (struct hcl_value){.kind = HCL_BOOL, .boolean = boolean};
    return 0;
}

void call_give_list(struct call *c)
{
    *c->ret = (struct hcl_value){.kind = HCL_LIST};
}

int call_add(struct call *c, const char *key, const struct hcl_value *item)
{
    return value_append(c->x, c->ret, key, item);
}

int call_give_stream(struct call *c, FILE *out, char **text, int r)
{
    if (fclose(out) != 0 && r == 0)
        r = -ENOMEM;
    if (r == 0)
        r = call_give_text(c, *text, strlen(*text));
    free(*text);
    return r;
}

int call_add_text(struct call *c, const char *text, size_t n)
{
    struct hcl_value item;
    int r = value_set_text(c->x, c->at, text, n, &item);

    return r < 0 ? r : call_add(c, NULL, &item);
}

size_t call_characters(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

static const struct function *find(const char *name, size_t len)
{
    static const struct function *const all[] = {functions_text, functions_data,   functions_number,
                                                 functions_list, functions_crypto, functions_date,
                                                 functions_file, functions_net,    functions_set};

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        for (const struct function *f = all[i]; f->name; f++)
            if (strlen(f->name) == len && strncmp(f->name, name, len) == 0)
                return f;
    return NULL;
}

int function_call(const struct expr *x, const char *at, const char *name, size_t len,
                  const struct hcl_value *args, size_t n, struct hcl_value *ret)
{
    const struct function *f = find(name, len);
    struct call c = {x, at, f ? f->name : NULL, args, n, ret};

    if (!f)
        return call_fail(&c,
                         "there is no function \"%.*s\" in this release; cleat-job(5) lists them",
                         len > 64 ? 64 : (int)len, name);
    if (n < f->min || (f->max && n > f->max))
        return call_fail(&c, "%s() takes %zu%s arguments, not %zu", f->name, f->min,
                         f->max == f->min ? "" : " or more", n);
    return f->call(&c);
}
