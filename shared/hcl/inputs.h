/* SPDX-License-Identifier: MIT
 *
 * Values for the variables of a job file, from all who may give some.
 */
#pragma once

#include "shared/hcl/eval.h"

enum {
    HCL_INPUTS_MAX = 4096,
    HCL_INPUT_FILES_MAX = 64
};

/* Zeroed: none. */
struct hcl_inputs {
    struct hcl_input *list;
    size_t n;
    struct hcl_file *files[HCL_INPUT_FILES_MAX]; /* which the values are of */
    size_t n_files;
};

/* NAME=VALUE of a command line; borrowed. -EINVAL. */
int hcl_inputs_add(struct hcl_inputs *inputs, const char *text, struct err *e);

/* Every NOMAD_VAR_NAME=VALUE of an environment; borrowed. */
int hcl_inputs_add_environment(struct hcl_inputs *inputs, char *const *environment, struct err *e);

/* A file of NAME = VALUE lines, from hcl_parse_expr() (taken over in any case). `files` as in
 * hcl_eval_options. */
int hcl_inputs_add_file(struct hcl_inputs *inputs, struct hcl_file *file, bool files,
                        const char *origin, struct err *e);

void hcl_inputs_deinit(struct hcl_inputs *inputs);
