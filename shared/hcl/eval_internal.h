/* SPDX-License-Identifier: MIT
 *
 * Between the files of the evaluator. Everything made lives in the file's arena.
 */
#pragma once

#include <stdio.h>

#include "shared/hcl/arena.h"
#include "shared/hcl/eval.h"

struct eval {
    struct hcl_file *file;
    struct arena *arena;
    const struct hcl_eval_options *options;
    struct err *e;         /* gets the first error … */
    struct err later;      /* … and this, which nobody reads, what comes after it */
    unsigned int n_errors; /* told to on_error */
    struct named *names;   /* variables and locals */
    size_t n_names;
    unsigned int depth;
    size_t steps;
    size_t bytes;
};

/* A variable, or a local, which is evaluated when it is first needed. */
struct named {
    const char *root; /* "var", "local" */
    const char *name;
    struct hcl_pos pos;
    struct hcl_value value;
    enum {
        NAMED_UNKNOWN,
        NAMED_BUSY,
        NAMED_READY
    } state;
};

/* Names that `for` and `dynamic` bring, innermost first. */
struct scope {
    const char *name;
    const struct hcl_value *value;
    const struct scope *outer;
};

/* A text that is read as an expression. */
struct expr {
    struct eval *ev;
    const struct scope *scope;
    const char *start; /* NUL-terminated */
    const char *at;
    struct hcl_pos pos; /* of `start` … */
    bool exact;         /* … and the text is as in the file, so that places in it can be told */
    bool skip;          /* it is read over and not evaluated */
};

/* -EINVAL at `at`. */
int expr_fail(const struct expr *x, const char *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* All of `text`. */
int expr_eval(struct eval *ev, const struct scope *scope, const char *text, struct hcl_pos pos,
              bool exact, struct hcl_value *ret);

/* The value as written in the tree, with all that is in it. */
int eval_value(struct eval *ev, const struct scope *scope, const struct hcl_value *in,
               struct hcl_value *ret);

/* The variable or local; NULL: there is none. */
struct named *eval_find(const struct eval *ev, const char *root, const char *name, size_t len);

/* Evaluates a local that is needed. */
int eval_need(struct eval *ev, struct named *named);

/* A text with "${…}" and "%{…}" in it; `quoted`: with backslash escapes, as between quotes. What is
 * one "${…}" and nothing else is that value, of whatever kind. */
int template_eval(struct eval *ev, const struct scope *scope, const char *text, struct hcl_pos pos,
                  bool quoted, struct hcl_value *ret);

/* Whether there may be something to do for template_eval(). */
bool template_has_code(const char *text);

/* Functions */
int function_call(const struct expr *x, const char *at, const char *name, size_t len,
                  const struct hcl_value *args, size_t n, struct hcl_value *ret);

/* Values */
int value_set_text(const struct expr *x, const char *at, const char *text, size_t len,
                   struct hcl_value *ret);
int value_to_text(const struct expr *x, const char *at, const struct hcl_value *value,
                  const char **ret);
bool value_to_number(const struct hcl_value *value, double *ret);
bool value_to_bool(const struct hcl_value *value, bool *ret);
bool value_equal(const struct hcl_value *a, const struct hcl_value *b);
bool value_contains(const struct hcl_value *list, const struct hcl_value *item);
/* The same with its keys in order, as whoever walks over a map sees them; not a copy of what is in
 * it. A list as it is. */
int value_in_order(const struct expr *x, const struct hcl_value *in, struct hcl_value *ret);
/* Appends; `key` (kept, not copied) for maps, where an equal one is replaced. -ENOMEM, -EINVAL: too
 * much. */
int value_append(const struct expr *x, struct hcl_value *list, const char *key,
                 const struct hcl_value *item);
const struct hcl_value *value_get(const struct hcl_value *map, const char *key);
/* of[index]: an element of a list, a value of a map. -EINVAL: there is none. */
int value_index(const struct expr *x, const char *at, const struct hcl_value *of,
                const struct hcl_value *index, struct hcl_value *ret);
/* 0 where `x` is only read over. -EINVAL: no number. */
int value_want_number(const struct expr *x, const char *at, const struct hcl_value *value,
                      double *ret);
/* a `mark` b, an operator of two numbers or, == and !=, of any two values. -EINVAL: no number, or a
 * division by zero. */
int value_compute(const struct expr *x, const char *at, const char *mark, const struct hcl_value *a,
                  const struct hcl_value *b, struct hcl_value *ret);
/* Counts one step. -EINVAL: too many. */
int eval_step(const struct expr *x, const char *at);
/* Counts `size` bytes of result. -EINVAL: too many. */
int eval_account(const struct expr *x, const char *at, size_t size);

/* shared/hcl/eval_type.c */
int type_convert(const struct expr *x, const char *type, struct hcl_value *value);
