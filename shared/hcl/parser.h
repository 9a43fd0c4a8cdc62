/* SPDX-License-Identifier: MIT
 *
 * Tokens to tree.
 */
#pragma once

#include "shared/err.h"
#include "shared/hcl/arena.h"
#include "shared/hcl/hcl.h"

/* Parses all of file->source into `arena`; `expressions`: values may be some. -EINVAL with the
 * place and the mend in `e`; -ENOMEM. */
int parser_run(const struct hcl_file *file, struct arena *arena, bool expressions,
               struct hcl_body **ret_body, struct err *e);
