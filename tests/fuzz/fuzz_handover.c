/* SPDX-License-Identifier: MIT
 *
 * executor/handover: whatever another release left in the memfd. What is accepted is written down
 * again and must read back the same.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "executor/handover.h"
#include "shared/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autofd int fd = memfd_create("fuzz", MFD_CLOEXEC), again_fd = -1;
    struct exec_spec *spec = NULL, *again_spec = NULL;
    struct task_status status, again_status;
    struct handover h, again;
    struct err e = ERR_INIT;

    assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    if (handover_read(fd, &h, &spec, &status, &e) < 0) {
        assert(e.text[0] && !spec);
        return 0;
    }
    assert(handover_write(&h, spec, &status, &again_fd, &e) == 0);
    assert(handover_read(again_fd, &again, &again_spec, &again_status, &e) == 0);
    assert(again.child_pid == h.child_pid && again.life.state == h.life.state);
    assert(again_status.seq == status.seq);
    (void)spec_free(spec);
    (void)spec_free(again_spec);
    return 0;
}
