/* SPDX-License-Identifier: MIT
 *
 * Running a template that shared/tmpl/ has read. Values are jansson's: null, booleans, integers,
 * reals, strings of any bytes, arrays, objects; and NULL where Go's templates have no value at all.
 *
 * However hostile the template: what it makes, writes and does is counted, and ends in an error.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/tmpl/tmpl.h"

enum {
    EVAL_MAX_OUTPUT = 16 << 20, /* bytes written */
    EVAL_MAX_MEMORY = 64 << 20, /* bytes of values made, all in all */
    EVAL_MAX_STEPS = 4 << 20,   /* nodes looked at, and items walked over */
    EVAL_MAX_CALLS = 100,       /* {{template}} in {{template}} */
    EVAL_MAX_MISSING = 100,     /* named in a message */
};

/* What a template asks for that lies outside of it. */
enum eval_source {
    EVAL_FILE,    /* its bytes, a string */
    EVAL_KEY,     /* of Consul: a string */
    EVAL_KEYS,    /* all below a prefix: array of {"Path", "Key", "Value", …} */
    EVAL_SECRET,  /* of Vault: {"Data": …, …} */
    EVAL_SECRETS, /* array of names */
    EVAL_VAR,     /* {"KEY": "VALUE"} */
    EVAL_VARS,    /* below a prefix: array of {"Path"} */
    EVAL_SOURCE_N
};

enum {
    EVAL_MISSING = 1 /* what eval_fetch returns for what is not there (yet) */
};

/* 0 and a new reference; EVAL_MISSING; a negative errno with `e`. */
typedef int (*eval_fetch)(void *arg, enum eval_source source, const char *name, json_t **ret,
                          struct err *e);

struct eval_input {
    const json_t *env; /* string to string: what `env` finds */
    eval_fetch fetch;
    void *arg;
    uint64_t now_ns;           /* since 1970 */
    bool error_on_missing_key; /* of a map; else "<no value>" is printed */
};

struct eval_output {
    char *text; /* malloc'ed, NUL-terminated behind its bytes */
    size_t size;
    json_t
        *missing; /* array of names, "kv.block(a/b)"; while it is not empty, `text` is no result */
};

/* 0; -EINVAL with "NAME:LINE:COLUMN: …"; -E2BIG for a limit above; -ENOMEM; what eval_fetch
 * returned. An error after something was found missing is no error: it may come of that. */
int eval_run(const struct tmpl *tmpl, const struct eval_input *input,
             struct eval_output *ret_output, struct err *e);

void eval_output_deinit(struct eval_output *output);
