/* SPDX-License-Identifier: MIT
 *
 * HCL as job files and agent configurations use it: blocks with labels, attributes, strings with
 * escapes, numbers, booleans, lists, maps, heredocs (<<, <<-), comments (#, //, block). `${…}` is
 * kept as written. The reader builds a tree with positions and knows nothing of jobs. Source: HCL
 * native syntax specification (hashicorp/hcl), plus the HCL1 habits old job files show
 * (`bind { "/a" = "/b" }`).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "shared/err.h"

struct hcl_pos {
    unsigned int line; /* from 1; 0: no position (the value did not come from a file) */
    unsigned int col;  /* from 1, in bytes */
};

enum hcl_kind {
    HCL_NULL,
    HCL_BOOL,
    HCL_NUMBER,
    HCL_STRING,
    HCL_LIST,
    HCL_MAP,
    HCL_EXPR, /* only from hcl_parse_expr(), and none are left after hcl_eval() */
    HCL_KIND_N
};

struct hcl_value {
    enum hcl_kind kind;
    struct hcl_pos pos;
    bool boolean;
    double number;
    char *string;            /* STRING, EXPR (as written): NUL-terminated, no NUL inside */
    struct hcl_value *items; /* LIST, MAP: n_items values */
    char **keys;             /* MAP: n_items keys, in source order, unique */
    size_t n_items;
};

struct hcl_attr {
    char *name;
    struct hcl_pos pos;
    struct hcl_value value;
};

struct hcl_body;

struct hcl_block {
    char *type;
    struct hcl_pos pos;
    char **labels;
    size_t n_labels;
    struct hcl_body *body;
};

struct hcl_body {
    struct hcl_attr *attrs;
    size_t n_attrs;
    struct hcl_block *blocks;
    size_t n_blocks;
};

/* A parsed file; everything in it lives and dies with it. */
struct hcl_file {
    char *name;   /* as given, for messages */
    char *source; /* the text, for messages */
    size_t size;
    struct hcl_body *body;
    void *arena;
};

enum {
    HCL_MAX_BYTES = 4 << 20,
    HCL_MAX_DEPTH = 64,      /* blocks, lists and maps in each other */
    HCL_MAX_ITEMS = 1 << 18, /* values, attributes, blocks and labels of one file */
    HCL_MAX_KEYS = 4096      /* attributes of one body, keys of one map */
};

/* Parses `size` bytes of UTF-8 at `source` (copied). `name` is what messages call the file.
 * -EINVAL with "name:line:col: what, and how to mend it" and the source line with a caret under it
 * in `e`; -E2BIG over HCL_MAX_BYTES; -ENOMEM. */
int hcl_parse(const char *name, const char *source, size_t size, struct hcl_file **ret_file,
              struct err *e);

/* The same of HCL 2 as job files have it: where a value may stand, an expression may. */
int hcl_parse_expr(const char *name, const char *source, size_t size, struct hcl_file **ret_file,
                   struct err *e);

/* What is in the file at `path` ("-": standard input), up to HCL_MAX_BYTES and one more; the caller
 * frees it. And how messages name that file. */
int hcl_read_file(const char *path, char **ret_text, size_t *ret_size, struct err *e);
const char *hcl_file_name(const char *path);

/* Reads the file at `path` ("-": standard input) and parses it, with expressions if so asked. */
int hcl_parse_file(const char *path, bool expressions, struct hcl_file **ret_file, struct err *e);

/* NULL is fine; returns NULL. */
struct hcl_file *hcl_file_free(struct hcl_file *file);

/* Puts "name:line:col: <text>" and the source line with a caret under it into `e`. -EINVAL. */
int hcl_error(struct err *e, const struct hcl_file *file, struct hcl_pos pos, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* "a number", "a list" … for messages. */
const char *hcl_kind_name(enum hcl_kind kind);
