/* SPDX-License-Identifier: MIT
 *
 * HCL 2 as job files use it, evaluated: `variable` and `locals` blocks, expressions (operators,
 * conditions, functions, `for`, `[*]`), "${…}" and "%{ if }", "%{ for }" in texts, and `dynamic`
 * blocks. What is left is a tree of plain values.
 *
 * A "${…}" is evaluated when it has a variable, a local, a name of an enclosing `for`, or a
 * function in it. All else is left as written: names such as ${attr.kernel.name} and
 * ${NOMAD_TASK_DIR} are replaced when a task starts. Source: HCL native syntax specification,
 * Nomad's documentation of its functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "shared/err.h"
#include "shared/hcl/hcl.h"

/* A value for a `variable`; a later one wins over an earlier one. */
struct hcl_input {
    const char *name;
    const char *text;              /* as on a command line: by the variable's type a text, or HCL */
    const struct hcl_value *value; /* instead of `text`: from a file */
    const char *origin;            /* "-var", for messages */
    bool may_be_unknown;           /* nobody minds if there is no such variable */
};

struct hcl_eval_options {
    const struct hcl_input *inputs;
    size_t n_inputs;
    bool files;           /* file() and its like may read this machine's … */
    const char *base_dir; /* … from here; NULL: the current directory */
    bool hasty;           /* a hundredth of the steps: somebody waits who must not */
    /* gets each error in what is no variable or local; NULL: evaluation ends at the first */
    void (*on_error)(void *arg, const char *text);
    void *arg;
};

enum {
    HCL_EVAL_MAX_STEPS = 2000000,  /* values looked at while one file is evaluated */
    HCL_EVAL_MAX_BYTES = 64 << 20, /* of what comes of it */
    HCL_EVAL_MAX_DEPTH = 64,
    HCL_EVAL_MAX_ERRORS = 20, /* for on_error */
};

/* Replaces file->body, which hcl_parse_expr() made. -EINVAL with the place and the mend; -ENOMEM.
 */
int hcl_eval(struct hcl_file *file, const struct hcl_eval_options *options, struct err *e);
