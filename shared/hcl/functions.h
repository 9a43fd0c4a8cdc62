/* SPDX-License-Identifier: MIT
 *
 * Between the files of functions: how one is declared, and how it gets at its arguments.
 */
#pragma once

#include "shared/hcl/eval_internal.h"

/* One call. */
struct call {
    const struct expr *x;
    const char *at;
    const char *name;
    const struct hcl_value *args;
    size_t n;
    struct hcl_value *ret;
};

struct function {
    const char *name;
    size_t min, max; /* arguments; max 0: any number */
    int (*call)(struct call *c);
};

/* Each ends with a zeroed row. */
extern const struct function functions_text[];
extern const struct function functions_crypto[];
extern const struct function functions_data[];
extern const struct function functions_date[];
extern const struct function functions_file[];
extern const struct function functions_list[];
extern const struct function functions_net[];
extern const struct function functions_number[];
extern const struct function functions_set[];

#define call_fail(c, ...) expr_fail((c)->x, (c)->at, __VA_ARGS__)

/* Argument `i`, which must be of that kind or become it. */
int call_text(struct call *c, size_t i, const char **ret);
int call_number(struct call *c, size_t i, double *ret);
int call_kind(struct call *c, size_t i, enum hcl_kind kind);

/* The result. */
int call_give_text(struct call *c, const char *text, size_t n);
/* -EINVAL unless they are UTF-8 without a NUL; there is a NUL behind them. */
int call_give_bytes(struct call *c, const char *bytes, size_t n);
int call_give_base64(struct call *c, const char *bytes, size_t n);
int call_give_number(struct call *c, double number);
int call_give_bool(struct call *c, bool boolean);
void call_give_list(struct call *c); /* an empty one */

/* Appends to the list or map that the result is. */
int call_add(struct call *c, const char *key, const struct hcl_value *item);
int call_add_text(struct call *c, const char *text, size_t n);

/* What was written to `out`, of open_memstream(3), closed and freed here; unless `r` is negative.
 */
int call_give_stream(struct call *c, FILE *out, char **text, int r);

/* reverse() of a text, by its characters. */
int call_reverse_text(struct call *c);

/* JSON as Go writes it: keys in order, <, > and & escaped. */
int call_put_json(struct call *c, FILE *out, const struct hcl_value *value);

/* How many characters a text has. */
size_t call_characters(const char *text);
