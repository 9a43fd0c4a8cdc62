/* SPDX-License-Identifier: MIT
 *
 * What the manager orders: one artifact, as JSON on standard input (shared/helper.h). Descriptor 3
 * is the allocation's directory. The answers are messages:
 *   {"stage": "download", "bytes": n, "total": n, "rate": n}   total 0: not known
 *   {"again": "try 2 of 5"}
 *   {"failed": "text for people", "recoverable": true | false}
 * and an exit code, which alone says whether the artifact is in its place.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/artifact.h"
#include "shared/err.h"

enum {
    FETCH_ALLOC_FD = 3,
    FETCH_EXIT_FAILED = 1,
    FETCH_KEY_BYTES = 65,
};

enum fetch_mode {
    FETCH_MODE_ANY,
    FETCH_MODE_FILE,
    FETCH_MODE_DIR,
    FETCH_MODE_N
};

struct fetch_order {
    json_t *json; /* what the strings belong to */
    struct artifact_source source;
    const char *destination; /* beneath the allocation's directory, "web/local/x"; no "..", clean */
    const char *stage;       /* a name of its own in the directory where it is got together */
    enum fetch_mode mode;
    const json_t *headers; /* string to string */
    bool insecure;
    bool executable; /* the one file that is got gets its x bits */
    bool chown;
    uid_t uid;
    gid_t gid;
    const json_t *file_paths; /* of this host, beneath which files may be artifacts */
    bool isolated;            /* an operator may turn these off */
    bool inspected;           /* no link may lead out of what was got */
    const json_t *extra_paths;
    uint64_t max_bytes; /* of a download */
    uint64_t max_unpacked;
    uint64_t max_files;
    double timeout_s;
};

/* Takes a reference on `json`. -EINVAL with what is wrong; -ENOTSUP. */
int fetch_order_read(json_t *json, struct fetch_order *ret_order, struct err *e);

/* What tells this order from any other one, and this boot of the machine from others: hex digits.
 */
int fetch_order_key(const struct fetch_order *order, char ret_key[FETCH_KEY_BYTES], struct err *e);

/* Zeroed structs are fine. */
void fetch_order_deinit(struct fetch_order *order);
