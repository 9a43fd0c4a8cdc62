/* SPDX-License-Identifier: MIT
 *
 * Memory of the simulated processes: what one of them allocated is freed when it dies, however it
 * does.
 */
#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

struct block {
    struct block *next, **at;
    size_t size, padding;
};

void *__real_malloc(size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void __wrap_free(void *p);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);
int __wrap_vasprintf(char **ret, const char *fmt, va_list ap);
int __wrap_asprintf(char **ret, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int __wrap___vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap);
int __wrap___asprintf_chk(char **ret, int flag, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

struct mallinfo2 __wrap_mallinfo2(void);
int __wrap_malloc_trim(size_t pad);

const char *__asan_default_options(void);

/* What libraries allocate for a process goes with a real one, but not with a simulated one. */
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static struct block *own; /* of the simulator itself */

void *__wrap_malloc(size_t size)
{
    struct block **list = current ? &current->blocks : &own;
    struct block *b = __real_malloc(sizeof(*b) + size);

    if (!b)
        abort();
    b->size = size;
    b->next = *list;
    b->at = list;
    if (b->next)
        b->next->at = &b->next;
    *list = b;
    return b + 1;
}

void __wrap_free(void *p)
{
    struct block *b;

    if (!p)
        return;
    b = (struct block *)p - 1;
    *b->at = b->next;
    if (b->next)
        b->next->at = b->at;
    __real_free(b);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return memset(__wrap_malloc(n * size), 0, n * size);
}

void *__wrap_realloc(void *p, size_t size)
{
    void *grown = __wrap_malloc(size);
    size_t had = p ? ((struct block *)p - 1)->size : 0;

    if (p)
        memcpy(grown, p, had < size ? had : size);
    __wrap_free(p);
    return grown;
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return __wrap_realloc(p, n * size);
}

char *__wrap_strndup(const char *text, size_t n)
{
    size_t len = strnlen(text, n);
    char *copy = __wrap_malloc(len + 1);

    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, strlen(text));
}

int __wrap_vasprintf(char **ret, const char *fmt, va_list ap)
{
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    *ret = __wrap_malloc((size_t)n + 1);
    return vsnprintf(*ret, (size_t)n + 1, fmt, ap);
}

int __wrap___vasprintf_chk(char **ret, int flag, const char *fmt, va_list ap)
{
    (void)flag;
    return __wrap_vasprintf(ret, fmt, ap);
}

int __wrap_asprintf(char **ret, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = __wrap_vasprintf(ret, fmt, ap);
    va_end(ap);
    return n;
}

int __wrap___asprintf_chk(char **ret, int flag, const char *fmt, ...)
{
    va_list ap;
    int n;

    (void)flag;
    va_start(ap, fmt);
    n = __wrap_vasprintf(ret, fmt, ap);
    va_end(ap);
    return n;
}

void memory_free_all(struct proc *p)
{
    while (p->blocks)
        __wrap_free(p->blocks + 1);
}

struct mallinfo2 __wrap_mallinfo2(void)
{
    return (struct mallinfo2){0};
}

int __wrap_malloc_trim(size_t pad)
{
    (void)pad;
    return 0;
}
