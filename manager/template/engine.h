/* SPDX-License-Identifier: MIT
 *
 * The inside of the evaluator: for eval.c and the files of functions.
 */
#pragma once

#include <stdarg.h>

#include "manager/template/eval.h"

/* A growing string. */
struct text {
    struct eval *ev;
    char *data;
    size_t size, room;
    size_t limit;
};

struct eval_variable {
    const char *name;
    json_t *value;
};

struct eval {
    const struct tmpl *tmpl;
    const struct eval_input *in;
    struct err *e;
    struct text out;
    json_t **pool; /* every value made; released at the end */
    size_t n_pool, pool_room;
    size_t memory; /* bytes left */
    size_t steps;  /* left */
    struct eval_variable *vars;
    size_t n_vars, vars_room;
    unsigned int calls;
    json_t *scratch;     /* in the pool */
    json_t *missing;     /* as eval_output.missing */
    struct tmpl_pos pos; /* of the call under way */
};

/* One call of a function. Arguments are borrowed; NULL: no value (nil). */
struct call {
    struct eval *ev;
    const struct tmpl_function *fn;
    struct tmpl_pos pos;
    json_t **args;
    size_t n;
};

/* A function: 0 and *ret_value (in the pool, or an argument, or NULL), or what eval_fail returned.
 */
typedef int (*function)(struct call *c, json_t **ret_value);

/* Sets ev->e to "NAME:LINE:COLUMN: …"; returns `code`. */
int eval_fail(struct eval *ev, struct tmpl_pos pos, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same, with the function's name in front of the text, and -EINVAL. */
int call_fail(struct call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Counts. -E2BIG when there is too much of it. */
int eval_step(struct eval *ev, size_t n);
int eval_spend(struct eval *ev, size_t bytes);

/* Puts a new reference into the pool. -ENOMEM where it is NULL, -E2BIG. */
int eval_keep(struct eval *ev, json_t *made, json_t **ret_value);
int eval_string(struct eval *ev, const char *bytes, size_t size, json_t **ret_value);

/* ---- text (text.c) ---- */

void text_init(struct text *text, struct eval *ev);
void text_deinit(struct text *text);
int text_add(struct text *text, const char *bytes, size_t size);
int text_puts(struct text *text, const char *string);
int text_printf(struct text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int text_repeat(struct text *text, char c, size_t n);
int text_rune(struct text *text, uint32_t c);
/* Makes it a value and releases it, whatever happens; `r` is passed on unless it is 0. */
int text_finish(struct text *text, int r, json_t **ret_value);

/* ---- values (value.c) ---- */

bool value_is_nil(const json_t *value);
bool value_is_true(const json_t *value);
/* "string", "map[string]interface {}" … as Go names them. */
const char *value_type(const json_t *value);
/* The keys of an object in order: a malloc'ed array of borrowed strings. NULL: out of memory. */
const char **value_keys(const json_t *object);
/* Go's comparison of basic values. */
int value_equal(struct call *c, const json_t *a, const json_t *b, bool *ret_equal);
int value_less(struct call *c, const json_t *a, const json_t *b, bool *ret_less);

/* ---- printing (format.c, json_out.c, toml_out.c) ---- */

/* As Go's fmt.Print prints one operand. */
int format_value(struct text *out, const json_t *value);
int format_print(struct call *c, struct text *out, bool line);
int format_printf(struct call *c, struct text *out);
int json_write(struct text *out, const json_t *value, bool pretty, bool escape_html);
int toml_write(struct call *c, struct text *out, const json_t *map);

/* ---- arguments ---- */

/* -EINVAL unless argument `i` is of that type. */
int call_string(struct call *c, size_t i, const char **ret_bytes, size_t *ret_size);
int call_int(struct call *c, size_t i, int64_t *ret);
int call_map(struct call *c, size_t i, json_t **ret);
int call_list(struct call *c, size_t i, json_t **ret);

/* ---- the functions, by tmpl_function_id ---- */

extern const function functions_core[TMPL_FN_N];   /* fn_core.c: Go's own */
extern const function functions_string[TMPL_FN_N]; /* fn_string.c */
extern const function functions_code[TMPL_FN_N];   /* fn_code.c: base64, digests, JSON, numbers */
extern const function functions_map[TMPL_FN_N];    /* fn_map.c: lists, maps, scratch */
extern const function functions_time[TMPL_FN_N];   /* fn_time.c */
extern const function functions_source[TMPL_FN_N]; /* fn_source.c: env, file, key, secret … */
