/* SPDX-License-Identifier: MIT
 *
 * What a fuzz driver defines (libFuzzer's entry point).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
