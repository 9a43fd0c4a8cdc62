/* SPDX-License-Identifier: MIT */
#include "manager/record_format.h"

#include <errno.h>

/* No release has had another format than the first. */
const struct record_format record_format = {NULL, 0};

uint32_t record_format_newest(const struct record_format *format)
{
    return (uint32_t)format->n_steps + 1;
}

int record_format_raise(const struct record_format *format, uint32_t version, enum record_kind kind,
                        const char *name, json_t *record, struct err *e)
{
    uint32_t newest = record_format_newest(format);

    if (version > newest)
        return err_set(e, -ENOTSUP,
                       "record \"%s\" has format %u, this release (" CLEAT_VERSION
                       ") knows up to %u: it is of a newer release, so start that one again",
                       name, version, newest);
    if (version == 0)
        return err_set(e, -EBADMSG, "record \"%s\" has format 0, which there is not", name);
    for (; record && version < newest; version++) {
        int r = format->steps[version - 1](kind, record, e);

        if (r < 0) {
            err_wrap(e, "make format %u of record \"%s\"", version + 1, name);
            return r;
        }
    }
    return 0;
}
