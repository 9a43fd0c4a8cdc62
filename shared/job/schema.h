/* SPDX-License-Identifier: MIT
 *
 * One table of fields per block. HCL to struct, JSON to struct, struct to JSON, defaults and
 * release of memory all walk the same table, so a field is declared once. A block that Nomad has
 * and this release does not run is a row too (FIELD_LATER): running it later means giving the row a
 * struct.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/hcl/hcl.h"

enum field_kind {
    FIELD_STRING,     /* char *, never NULL */
    FIELD_BOOL,       /* bool */
    FIELD_INT,        /* int64_t, within min..max */
    FIELD_DURATION,   /* int64_t nanoseconds: text like "1m30s"; JSON: or a number */
    FIELD_SIZE,       /* int64_t bytes: text like "100GB", or a number */
    FIELD_ENUM,       /* an enum: index into `names` */
    FIELD_STRINGS,    /* char **, NULL-terminated, never NULL */
    FIELD_STRING_MAP, /* json_t *: an object of strings, never NULL */
    FIELD_FREE_MAP,   /* json_t *: any object, never NULL */
    FIELD_ANY,        /* json_t *: any value; NULL while absent */
    FIELD_BLOCK,      /* a struct by value, described by `block` */
    FIELD_BLOCKS,     /* an array of structs described by `block`, its length at `count` */
    FIELD_NAMED,      /* blocks whose label is the name of the field of `block` that they are */
    FIELD_INERT,      /* json_t *: an object all such fields of a struct share, each at its JSON
                         name. Nomad's, accepted, kept and shown, without effect (`block`, `as`) */
    FIELD_LATER,      /* Nomad's, not run yet: refused by name unless it asks for nothing */
    FIELD_UNUSED,     /* Nomad's, and there is nothing to do for it: ctx->on_unused is told */
    FIELD_IGNORED,    /* Nomad's own bookkeeping in JSON: accepted and dropped */
    FIELD_POS,        /* struct hcl_pos: where the block began */
    FIELD_PRESENT,    /* bool: true once the block was read */
    FIELD_KIND_N
};

enum {
    SCHEMA_PROBLEMS_MAX = 20
};

/* All that is wrong with what was read. */
struct schema_problems {
    char *texts[SCHEMA_PROBLEMS_MAX];
    size_t n;
};

struct schema;
struct schema_field;

/* What is being read, for messages. */
struct schema_context {
    const struct hcl_file *file;      /* NULL: JSON */
    struct err *e;                    /* gets the first problem */
    struct schema_problems *problems; /* gets all of them; NULL: reading ends at the first */
    bool defers;    /* a value with a ${…} in it is looked at once that is known, not now */
    char path[192]; /* JSON: the way to the value, "TaskGroups[0].Name" */
    bool strict;    /* JSON: a name nobody knows is refused even if it asks for nothing */
    /* Called for each FIELD_UNUSED; a FIELD_LATER may then be a block that asks for nothing. NULL:
     * all of them are refused. */
    void (*on_unused)(struct schema_context *ctx, const struct schema *schema, const char *name,
                      struct hcl_pos pos);
};

/* One block as it was written: exactly one of `body` and `json` is set. */
struct schema_source {
    const struct hcl_body *body;
    const json_t *json;
    struct hcl_pos pos;
};

/* Looks at a value just read into `obj` (fields earlier in the table are there as well). `source`
 * has the position and, for maps, the contents as written. 0, or what schema_fail() returned. */
typedef int (*schema_check)(struct schema_context *ctx, const struct schema_field *field,
                            const void *obj, struct schema_source source);

struct schema_field {
    enum field_kind kind;
    const char *hcl;  /* NULL: not in HCL */
    const char *json; /* NULL: not in JSON */
    size_t offset;
    size_t count;               /* BLOCKS: offset of a size_t */
    const struct schema *block; /* BLOCK, BLOCKS, NAMED; INERT: its HCL, NULL: an attribute … */
    enum field_kind as; /* … of this kind: DURATION, or any other for what is JSON already */
    bool repeats;       /* INERT: any number of blocks, and a list in JSON */
    bool by_name;       /* BLOCKS, labelled: JSON has an object, each element at its name */
    bool merge;         /* STRING_MAP, BLOCKS with labels: what is there already stays, unless
                           it has the same key or label */
    bool block_too;     /* ANY: may be written as a block */
    bool secret;        /* not for people's eyes */
    bool sparse;        /* not for lists and maps: see schema_encode() */
    bool optional;      /* BLOCK with a FIELD_PRESENT: null in JSON while it is not there */
    bool zero_is_unset; /* INT: 0 in JSON is the default */
    bool required;      /* absent or empty is an error */
    const char *def;    /* default as text; else "", 0, false, empty */
    int64_t min, max;   /* INT, DURATION; the default is not held to them; max 0: none */
    const char *const *names; /* ENUM: NULL-terminated */
    const char *const *later; /* ENUM: names Nomad has and this release does not run, or NULL */
    const char *neutral; /* LATER, INERT: JSON array of values that ask for nothing, beside empty */
    const char *why;     /* LATER: what to know, or to do, in place of "remove it"; INERT: why it
                            has no effect */
    schema_check check;
};

struct schema {
    const char *what; /* "task", for messages */
    size_t size;      /* of the struct; 0: the fields are members of the one around the block */
    bool labelled;    /* HCL: one label, which is the value of fields[0]; unique among its likes */
    const struct schema_field *fields;
    size_t n_fields;
};

/* A row for the member `m` of `struct s`. */
#define SCHEMA_FIELD(k, s, m, hcl_name, json_name, ...)                                            \
    {                                                                                              \
        .kind = FIELD_##k, .hcl = hcl_name, .json = json_name, .offset = offsetof(struct s, m),    \
        __VA_ARGS__                                                                                \
    }
#define SCHEMA_LATER(hcl_name, json_name, ...)                                                     \
    {                                                                                              \
        .kind = FIELD_LATER, .hcl = hcl_name, .json = json_name, __VA_ARGS__                       \
    }
#define SCHEMA_UNUSED(name)                                                                        \
    {                                                                                              \
        .kind = FIELD_UNUSED, .hcl = name, .json = name                                            \
    }
#define SCHEMA_INERT(s, m, hcl_name, json_name, reason, ...)                                       \
    {                                                                                              \
        .kind = FIELD_INERT, .hcl = hcl_name, .json = json_name, .offset = offsetof(struct s, m),  \
        .why = reason, __VA_ARGS__                                                                 \
    }
#define SCHEMA_IGNORED(json_name)                                                                  \
    {                                                                                              \
        .kind = FIELD_IGNORED, .json = json_name                                                   \
    }

/* Fills `obj` (schema->size bytes) with the defaults. -ENOMEM; schema_deinit() is needed either
 * way. */
int schema_init(const struct schema *schema, void *obj);

/* Reads `source` over what is in `obj`, which schema_init() made: what it does not mention stays.
 * -EINVAL with the place, the
 * nearest known name or the mend; -ENOTSUP for a FIELD_LATER; -ENOMEM. On failure `obj` is half
 * read: its only use is schema_deinit(). */
int schema_decode(struct schema_context *ctx, const struct schema *schema,
                  struct schema_source source, void *obj);

/* A JSON object of all fields that have a JSON name (new reference). NULL: out of memory. A release
 * refuses names it does not know, so fields that came after the first one are marked `sparse`:
 * those of a block are left out while all of them are zero. Where they are not asked for, an
 * earlier release can go on with the job. */
json_t *schema_encode(const struct schema *schema, const void *obj);

/* Frees what the fields own, not `obj`. Zeroed objects are fine. */
void schema_deinit(const struct schema *schema, void *obj);

/* Sets the message: at `pos` in an HCL file, or at ctx->path in JSON. Returns `code`. */
int schema_fail(struct schema_context *ctx, struct hcl_pos pos, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Whether reading goes on after `r`, to find more that is wrong. */
bool schema_goes_on(const struct schema_context *ctx, int r);

/* Appends a copy, unless it is the last one again, or there are enough. */
void schema_problems_add(struct schema_problems *problems, const char *text);

void schema_problems_deinit(struct schema_problems *problems);

/* Calls `each` for every FIELD_INERT that is there in `obj`. */
void schema_each_inert(const struct schema *schema, const void *obj,
                       void (*each)(void *arg, const struct schema_field *field), void *arg);

/* Appends to ctx->path (a "." goes before names); schema_leave() takes the returned mark back to
 * it. */
size_t schema_enter(struct schema_context *ctx, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void schema_leave(struct schema_context *ctx, size_t mark);

/* The one of the NULL-terminated `names` that takes the fewest edits from `name`, if those are few
 * for its length; else NULL. */
const char *schema_nearest(const char *name, const char *const *names);

enum {
    SCHEMA_HINT_SIZE = 96
};

/* "a" or "an", as it stands before `noun`. */
const char *schema_article(const char *noun);

/* For after the unknown name: "; did you mean "NEAREST"?", or "." where that is NULL. */
const char *schema_hint(const char *nearest, char buf[SCHEMA_HINT_SIZE]);
