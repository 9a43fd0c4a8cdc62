/* SPDX-License-Identifier: MIT
 *
 * A checksum that is computed while the bytes come in.
 */
#pragma once

#include <stddef.h>

#include "shared/artifact.h"
#include "shared/err.h"

struct digest; /* of nothing, where no checksum is asked for: all calls are fine */

/* -ENOMEM; -ENOTSUP where libcrypto refuses the type. */
int digest_new(const struct artifact_checksum *wanted, struct digest **ret_digest, struct err *e);
struct digest *digest_free(struct digest *digest);

/* From the start again. */
void digest_restart(struct digest *digest);
void digest_add(struct digest *digest, const void *data, size_t size);

/* -EBADMSG: it is another one, which `e` tells. */
int digest_check(struct digest *digest, struct err *e);
