/* SPDX-License-Identifier: MIT
 *
 * The bytes of a window size.
 */
#include "shared/proto/exec.h"

void exec_size_encode(const struct exec_size *size, unsigned char buf[EXEC_SIZE_BYTES])
{
    buf[0] = (unsigned char)(size->height & 0xff);
    buf[1] = (unsigned char)(size->height >> 8);
    buf[2] = (unsigned char)(size->width & 0xff);
    buf[3] = (unsigned char)(size->width >> 8);
}

void exec_size_decode(const unsigned char buf[EXEC_SIZE_BYTES], struct exec_size *ret_size)
{
    ret_size->height = (uint16_t)(buf[0] | buf[1] << 8);
    ret_size->width = (uint16_t)(buf[2] | buf[3] << 8);
}
