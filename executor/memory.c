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

#include <assert.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    STACK_REACH = 256 * 1024,
    CALLEES = 1024, /* more than the frames below ours need */
};

/* Of the linker, see ld(1). */
extern const ElfW(Ehdr) __ehdr_start;
extern char _end;

/* What was relocated at start-up and is read-only since (ld -z relro -z now): it cannot be given
 * back. The code and constants lie before it, the data behind. */
struct fixed {
    uintptr_t from, to;
};

static uintptr_t page_down(uintptr_t at)
{
    return at & ~(uintptr_t)(PAGE - 1);
}

static void drop(uintptr_t from, uintptr_t to)
{
    if (from < to)
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
}

static struct fixed find_fixed(void)
{
    const char *program = (const char *)&__ehdr_start;
    const ElfW(Phdr) *part = (const ElfW(Phdr) *)(program + __ehdr_start.e_phoff);
    uintptr_t base = __ehdr_start.e_type == ET_DYN ? (uintptr_t)program : 0;
    int n = __ehdr_start.e_phnum;

    while (n-- > 0 && part->p_type != PT_GNU_RELRO)
        part++;
    assert(n >= 0);
    return (struct fixed){page_down(base + part->p_vaddr),
                          page_down(base + part->p_vaddr + part->p_memsz + PAGE - 1)};
}

/* Code and constants are clean: they only leave the page table, and what idling needs comes back
 * with a few soft faults. That is a tenth of what starting touched. */
static void drop_code(struct fixed fixed)
{
    drop((uintptr_t)&__ehdr_start, fixed.from);
}

void memory_trim(void)
{
    uintptr_t frame = page_down((uintptr_t)__builtin_frame_address(0) - CALLEES);

    (void)malloc_trim(0);
    drop(frame - STACK_REACH, frame);
    drop_code(find_fixed());
}

#ifdef __SANITIZE_ADDRESS__
void memory_shed(void (*go_on)(int), int arg)
{
    /* The sanitizer keeps its own state in that memory and wants it in every function. */
    go_on(arg);
    abort();
}
#else
/* Of the stack only the page that this frame ends in stays. */
__attribute__((noinline, noreturn)) static void shed(void (*go_on)(int), int arg)
{
    struct fixed fixed = find_fixed();
    uintptr_t frame = page_down((uintptr_t)__builtin_frame_address(0) - CALLEES);
    /* sbrk(3) has its state in the data. */
    uintptr_t heap_end = (uintptr_t)sbrk(0);
    uintptr_t arguments = page_down((uintptr_t)program_invocation_name);

    /* A command line that is gone instead of zero has ps(1) show the process by its name. */
    if (arguments >= frame + PAGE && arguments < frame + STACK_REACH)
        (void)munmap((void *)arguments, PAGE);
    drop(fixed.to, page_down((uintptr_t)&_end + PAGE - 1));
    drop(frame - STACK_REACH, frame);
    drop(frame + PAGE, frame + STACK_REACH);
    drop_code(fixed);
    /* The heap begins with the thread control block, which errno hangs on: that page stays. The
     * range is exact, so that no failing call writes to another. */
    drop(page_down((uintptr_t)__builtin_thread_pointer()) + PAGE, heap_end);
    go_on(arg);
    abort();
}

void memory_shed(void (*go_on)(int), int arg)
{
    uintptr_t in_page = (uintptr_t)__builtin_alloca(16) % PAGE;

    /* To the end of the page below, where this one has no room for the frames to come. */
    if (in_page < 2 * CALLEES)
        *(volatile char *)__builtin_alloca(in_page + 16) = 0;
    shed(go_on, arg);
}
#endif
