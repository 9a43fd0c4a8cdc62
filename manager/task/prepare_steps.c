/* SPDX-License-Identifier: MIT
 *
 * The order in which Nomad makes what a task finds in its directories.
 */
#include "manager/task/prepare.h"

#include <stddef.h>

#include "manager/alloc/disk.h"
#include "manager/task/artifacts.h"
#include "manager/task/payload.h"
#include "manager/task/templates.h"

const struct prepare_step *const prepare_steps[] = {
    &disk_step, &payload_step, &artifacts_step, &templates_step, NULL,
};
