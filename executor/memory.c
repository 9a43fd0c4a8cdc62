/* SPDX-License-Identifier: MIT
 *
 * madvise(2) with MADV_DONTNEED drops private anonymous pages; they read as zero when touched
 * again. A range with holes gives ENOMEM after everything mapped in it was dropped, so the ends may
 * be generous.
 *
 * After a fork parent and child share pages until one writes; the pages the executor writes later
 * would stay behind in the stub init as private copies for ever. So the stub drops them first.
 */
#include "executor/memory.h"

#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    STACK_REACH = 256 * 1024,
    CALLEES = 512, /* more than the frames below ours need */
};

/* Of the linker, see ld(1). Linked with -z now, so that the GOT lies outside of the data range. */
extern char __executable_start, etext, __data_start, _end;

static uintptr_t page_down(uintptr_t at)
{
    return at & ~(uintptr_t)(PAGE - 1);
}

static void drop(uintptr_t from, uintptr_t to)
{
    if (from < to)
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
}

/* Code is clean: it only leaves the page table, and what idling needs comes back with a few soft
 * faults. That is a tenth of what starting touched. */
static void drop_code(void)
{
    drop((uintptr_t)&__executable_start, page_down((uintptr_t)&etext));
}

void memory_trim(void)
{
    uintptr_t frame = page_down((uintptr_t)__builtin_frame_address(0));

    (void)malloc_trim(0);
    drop(frame - STACK_REACH, frame - PAGE); /* the page below may hold the frames of madvise(2) */
    drop_code();
}

#ifdef __SANITIZE_ADDRESS__
void memory_shed(void)
{
    /* The sanitizer keeps its own state in that memory and wants it in every function. */
}
#else
__attribute__((no_stack_protector)) void memory_shed(void)
{
    uintptr_t frame = page_down((uintptr_t)__builtin_frame_address(0));
    uintptr_t data = page_down((uintptr_t)&__data_start + PAGE - 1);
    uintptr_t data_end = page_down((uintptr_t)&_end + PAGE - 1);

    drop(data, data_end);
    /* Where our frame lies at the start of its page, those of drop() and madvise(2) lie below it.
     */
    drop(frame - STACK_REACH, page_down((uintptr_t)__builtin_frame_address(0) - CALLEES));
    drop(frame + 2 * PAGE, frame + STACK_REACH);
    drop_code();
    /* The heap begins with the thread control block, which errno hangs on: that page stays. The
     * range is exact, so that no failing call writes to another. */
    drop(page_down((uintptr_t)__builtin_thread_pointer()) + PAGE, (uintptr_t)sbrk(0));
}
#endif
