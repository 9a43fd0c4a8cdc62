/* SPDX-License-Identifier: MIT
 *
 * Random input against a model: whatever the chunks, limits, line lengths, `more` flags and
 * re-openings, the segments together are the input, none is over the limit, and no line up to the
 * window is cut. Each round has its seed; a failure prints it, and `test_writer_model SEED` runs
 * that round alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "logrotate/writer.h"
#include "shared/cleanup.h"
#include "tests/unit/logdir.h"

#define NAME "m.stdout"

enum {
    ROUNDS = 400
};

static uint64_t first_seed = 1, last_seed = ROUNDS, seed, random_state;

static uint64_t next_random(void) /* splitmix64 */
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
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

static void reopen(struct log_writer *w, const struct logdir *d, uint64_t max_size)
{
    struct err e = ERR_INIT;

    writer_close(w);
    if (writer_open(w, d->fd, NAME, max_size, UINT32_MAX, &e) < 0)
        fail_msg("seed %llu: %s", (unsigned long long)seed, e.text);
}

/* Feeds `data` as a pump would: what is left of a line is offered again with what follows it. */
static void feed(struct log_writer *w, const struct logdir *d, const char *data, size_t size)
{
    const uint64_t max_size = w->max_size, window = writer_line_window(w);
    size_t at = 0, end = 0;

    while (at < size) {
        bool more = next_random() % 2 == 0;
        size_t done;
        ssize_t n;

        end = end + skewed(2 * max_size + 10) + 1;
        if (end >= size) {
            end = size;
            more = false;
        }
        n = writer_write(w, data + at, end - at, more, &done);
        CHECK(n >= 0 && (size_t)n == done && done <= end - at);
        CHECK(more || done == end - at);
        CHECK(end - at - done <= window);
        CHECK(done == end - at || !memchr(data + at + done, '\n', end - at - done));
        at += done;
        if (next_random() % 8 == 0)
            reopen(w, d, max_size);
    }
}

static void check_segments(const struct logdir *d, int64_t newest, const char *data, size_t size,
                           uint64_t max_size, uint64_t window)
{
    size_t at = 0, n;

    for (int64_t i = 0; i <= newest; i++) {
        char file[SEGMENT_NAME_MAX + 1];
        autofree char *part = NULL;

        segment_file(file, NAME, i);
        part = logdir_get(d, file, &n);
        CHECK(n <= max_size && at + n <= size);
        CHECK(memcmp(part, data + at, n) == 0);
        at += n;
        if (at > 0 && at < size && data[at - 1] != '\n') { /* a cut line */
            const char *begin = memrchr(data, '\n', at);
            const char *end = memchr(data + at, '\n', size - at);
            size_t length = (size_t)((end ? end + 1 : data + size) - (begin ? begin + 1 : data));

            CHECK(length > window);
            CHECK(n == max_size);
        }
    }
    CHECK(at == size);
}

static void run_round(void)
{
    static char data[200 * 1024];
    struct log_writer w = LOG_WRITER_INIT;
    uint64_t max_size, window;
    struct logdir d;
    size_t size;

    random_state = seed;
    max_size = skewed(20000) + 1;
    size = next_random() % (max_size * 30 < sizeof(data) ? max_size * 30 : sizeof(data));
    fill_with_lines(data, size, max_size * 2);
    logdir_make(&d);
    reopen(&w, &d, max_size);
    window = writer_line_window(&w);
    feed(&w, &d, data, size);
    check_segments(&d, w.number, data, size, max_size, window);
    writer_close(&w);
    logdir_remove(&d);
}

static void test_model(void **state)
{
    (void)state;
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
