/* SPDX-License-Identifier: MIT
 *
 * Random input against a model: whatever the chunks, limits, line lengths, `more` flags,
 * re-openings, failing and short writes, crashes of the writer and of the compressor at any system
 * call, the segments together are the input, none is over the limit, and no line up to the window
 * is cut. With few files kept, they are the end of the input. Each round has its seed; a failure
 * prints it, and `test_writer_model SEED` runs that round alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "logrotate/compress.h"
#include "logrotate/writer.h"
#include "shared/cleanup.h"
#include "shared/sys.h"
#include "tests/unit/logdir.h"
#include "tests/unit/splitmix.h"
#include "tests/unit/syscalls.h"

#define NAME "m.stdout"

enum {
    ROUNDS = 400
};

static uint64_t first_seed = 1, last_seed = ROUNDS, seed, random_state;

static uint64_t next_random(void)
{
    return splitmix64(&random_state);
}

/* 0 to n, small numbers as likely as large ones. */
static size_t skewed(size_t n)
{
    size_t top = n >> next_random() % 12;

    return (size_t)(next_random() % (top + 1));
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %llu: %s", (unsigned long long)seed, #condition);                       \
    } while (0)

static void fill_with_lines(char *data, size_t size, size_t longest)
{
    for (size_t at = 0; at < size;) {
        size_t line = skewed(longest);

        for (; line > 0 && at < size; line--, at++)
            data[at] = (char)('!' + next_random() % 90);
        if (at < size)
            data[at++] = '\n';
    }
}

/* One round: its limits, and how many of how many system calls go wrong. */
struct round {
    struct logdir d;
    uint64_t max_size;
    uint32_t max_files;
    uint64_t fault_one_in; /* 0: none */
    bool compresses;
};

static uint64_t fault_one_in;
static jmp_buf crashed;

static int faulty(const char *name)
{
    static const int errors[] = {ENOSPC, EDQUOT, EIO, EROFS};

    if (!fault_one_in || next_random() % fault_one_in)
        return SYSCALL_GO_ON;
    switch (next_random() % 3) {
    case 0:
        longjmp(crashed, 1);
    case 1:
        return SYSCALL_SHORT;
    default: /* a file that cannot be removed stays for good: that is another test's */
        return strcmp(name, "unlinkat") == 0 ? SYSCALL_GO_ON : errors[next_random() % 4];
    }
}

static void reopen(struct log_writer *w, const struct round *round)
{
    struct err e = ERR_INIT;

    writer_close(w);
    if (writer_open(w, round->d.fd, NAME, round->max_size, round->max_files, &e) < 0)
        fail_msg("seed %llu: %s", (unsigned long long)seed, e.text);
}

/* The segment's content, from whichever form it is in; NULL: there is none. Where both are there,
 * they are the same. */
static char *read_segment(const struct logdir *d, int64_t number, size_t *ret_size)
{
    char plain[SEGMENT_NAME_MAX + 1], gzip[SEGMENT_NAME_MAX + 1];
    char *data = NULL;

    segment_file(plain, NAME, number);
    segment_file_as(gzip, NAME, number, SEGMENT_GZIP);
    if (logdir_has(d, plain))
        data = logdir_get(d, plain, ret_size);
    if (logdir_has(d, gzip)) {
        gzFile in = gzdopen(openat(d->fd, gzip, O_RDONLY | O_CLOEXEC), "rb");
        char *unpacked = malloc(64 * 1024);
        int n;

        CHECK(in && unpacked);
        n = gzread(in, unpacked, 64 * 1024);
        CHECK(n >= 0 && gzclose(in) == Z_OK);
        CHECK(!data || (*ret_size == (size_t)n && memcmp(data, unpacked, (size_t)n) == 0));
        *ret_size = (size_t)n;
        free(data);
        data = unpacked;
    }
    return data;
}

/* Bytes in all segments. */
static size_t count_bytes(const struct logdir *d)
{
    autofree int64_t *numbers = NULL;
    struct err e = ERR_INIT;
    size_t n, total = 0;

    CHECK(segment_list(d->fd, NAME, &numbers, &n, &e) == 0);
    for (size_t i = 0; i < n; i++) {
        size_t size;

        free(read_segment(d, numbers[i], &size));
        total += size;
    }
    return total;
}

/* Runs the compressor, which may die or fail anywhere, as a process of its own. */
static void run_compressor(const struct round *round, int64_t live)
{
    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid == 0) {
        fault_one_in = round->fault_one_in;
        if (setjmp(crashed) == 0)
            (void)compress_due(round->d.fd, NAME, live, UINT64_MAX);
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
}

/* What a successor finds after a crash: as many bytes as were accepted, or some more of those that
 * were offered. It goes on there, with nothing of the old process but the files. */
static size_t succeed(struct log_writer *w, const struct round *round, size_t at, size_t offered)
{
    size_t found;

    (void)sys_close_range((unsigned int)round->d.fd + 1, ~0U, 0);
    *w = (struct log_writer)LOG_WRITER_INIT;
    reopen(w, round);
    found = count_bytes(&round->d);
    CHECK(found >= at && found <= at + offered);
    return found;
}

/* Feeds `data` as a pump would: what is left of a line is offered again with what follows it. */
static void feed(struct log_writer *w, const struct round *round, const char *data, size_t size)
{
    volatile size_t at = 0, end = 0;

    while (at < size) {
        volatile bool more = next_random() % 2 == 0;
        size_t done, offered;
        ssize_t n;

        if (end <= at || next_random() % 4)
            end = end + skewed(2 * round->max_size + 10) + 1;
        if (end >= size) {
            end = size;
            more = false;
        }
        offered = end - at;
        if (setjmp(crashed) != 0) {
            fault_one_in = 0;
            at = succeed(w, round, at, end - at);
            end = end > at ? end : at;
            continue;
        }
        fault_one_in = round->fault_one_in;
        n = writer_write(w, data + at, offered, more, &done);
        fault_one_in = 0;
        CHECK(done <= offered && (n < 0 || (size_t)n == done));
        CHECK(n < 0 || more || done == offered);
        CHECK(n < 0 || offered - done <= writer_line_window(w));
        CHECK(n < 0 || done == offered || !memchr(data + at + done, '\n', offered - done));
        at += done;
        if (next_random() % 8 == 0)
            reopen(w, round);
        if (round->compresses && next_random() % 8 == 0)
            run_compressor(round, w->number);
    }
}

/* Checks segments from `first` on against the data from `at` on. */
static void check_segments(const struct round *round, int64_t first, int64_t newest,
                           const char *data, size_t at, size_t size, uint64_t window)
{
    for (int64_t i = first; i <= newest; i++) {
        size_t n = 0;
        autofree char *part = read_segment(&round->d, i, &n);

        CHECK(part);
        CHECK(n <= round->max_size && at + n <= size);
        CHECK(memcmp(part, data + at, n) == 0);
        at += n;
        if (at > 0 && at < size && i < newest && data[at - 1] != '\n') { /* a cut line */
            const char *begin = memrchr(data, '\n', at);
            const char *end = memchr(data + at, '\n', size - at);
            size_t length = (size_t)((end ? end + 1 : data + size) - (begin ? begin + 1 : data));

            CHECK(length > window);
            CHECK(n == round->max_size);
        }
    }
    CHECK(at == size);
}

static void run_round(void)
{
    static char data[200 * 1024];
    struct log_writer w = LOG_WRITER_INIT;
    struct round round = {.max_files = UINT32_MAX};
    autofree int64_t *numbers = NULL;
    struct err e = ERR_INIT;
    size_t size, n, kept;
    uint64_t window;

    random_state = seed;
    round.max_size = skewed(20000) + 1;
    round.fault_one_in = seed % 3 == 0 ? 0 : 4 + skewed(60);
    round.compresses = seed % 10 == 0;
    if (seed % 7 == 0) { /* trimming, without crashes, which lose count of what was trimmed */
        round.max_files = (uint32_t)(1 + next_random() % 4);
        round.fault_one_in = 0;
    }
    size =
        next_random() % (round.max_size * 30 < sizeof(data) ? round.max_size * 30 : sizeof(data));
    fill_with_lines(data, size, round.max_size * 2);
    logdir_make(&round.d);
    reopen(&w, &round);
    window = writer_line_window(&w);
    feed(&w, &round, data, size);
    CHECK(segment_list(round.d.fd, NAME, &numbers, &n, &e) == 0);
    CHECK(n > 0 && n <= round.max_files && numbers[n - 1] == w.number);
    CHECK(numbers[0] == w.number - (int64_t)n + 1);
    kept = count_bytes(&round.d);
    CHECK(kept <= size && (round.max_files < UINT32_MAX || kept == size));
    check_segments(&round, numbers[0], w.number, data, size - kept, size, window);
    writer_close(&w);
    logdir_remove(&round.d);
}

static void test_model(void **state)
{
    (void)state;
    syscall_verdict = faulty;
    for (seed = first_seed; seed <= last_seed; seed++)
        run_round();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};

    if (argc > 1)
        first_seed = last_seed = strtoull(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
