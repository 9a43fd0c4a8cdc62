/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "logrotate/reader.h"
#include "logrotate/writer.h"
#include "shared/cleanup.h"
#include "tests/unit/logdir.h"

#define NAME "t.stdout"

static struct logdir d;
static struct err e;

static int setup(void **state)
{
    (void)state;
    logdir_make(&d);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    logdir_remove(&d);
    return 0;
}

static void put_segment(int64_t number, const char *data, size_t size)
{
    char file[SEGMENT_NAME_MAX + 1];

    segment_file(file, NAME, number);
    logdir_put(&d, file, data, size);
}

static void remove_segment(int64_t number)
{
    char file[SEGMENT_NAME_MAX + 1];

    segment_file(file, NAME, number);
    assert_int_equal(unlinkat(d.fd, file, 0), 0);
}

/* Reads all there is, in steps of `step`, and compares. */
static void expect_in_steps(struct log_reader *r, const char *data, size_t size, size_t step)
{
    char buf[4096];
    size_t at = 0;
    ssize_t n;

    assert_true(step <= sizeof(buf));
    while ((n = reader_read(r, buf, step, &e)) > 0) {
        assert_true(at + (size_t)n <= size);
        assert_memory_equal(buf, data + at, n);
        at += (size_t)n;
    }
    assert_int_equal(n, 0);
    assert_int_equal(at, size);
}

static void expect(struct log_reader *r, const char *text)
{
    expect_in_steps(r, text, strlen(text), 4096);
}

static void test_offsets(void **state)
{
    static const char all[] = "0123456789abcdef";
    struct log_reader r;

    (void)state;
    put_segment(7, all, 5);
    put_segment(8, all + 5, 1);
    put_segment(9, "", 0);
    put_segment(10, all + 6, 10);
    put_segment(11, "", 0);
    for (size_t offset = 0; offset <= 18; offset++) {
        size_t from = offset < 16 ? offset : 16;

        assert_int_equal(reader_open(&r, d.fd, NAME, READER_ORIGIN_START, offset, &e), 0);
        expect_in_steps(&r, all + from, 16 - from, 3);
        assert_int_equal(r.skipped, 0);
        reader_close(&r);
        assert_int_equal(reader_open(&r, d.fd, NAME, READER_ORIGIN_END, offset, &e), 0);
        expect_in_steps(&r, all + 16 - from, from, 3);
        assert_int_equal(r.number, 11);
        reader_close(&r);
    }
}

/* Where the last `lines` lines of `data` start, by counting. */
static size_t tail_start(const char *data, size_t size, size_t lines)
{
    size_t at = size;

    for (; lines > 0 && at > 0; lines--)
        for (at--; at > 0 && data[at - 1] != '\n';)
            at--;
    return at;
}

static void test_tail(void **state)
{
    enum {
        SIZE = 60000
    };
    static char data[SIZE];

    (void)state;
    srandom(7);
    for (int round = 0; round < 60; round++) {
        size_t size = (size_t)random() % SIZE, at = 0, longest = (size_t)random() % 2 ? 5 : 30000;
        int64_t number = 0;
        struct log_reader r;

        for (size_t i = 0; i < size; i++)
            data[i] = (size_t)random() % longest == 0 ? '\n' : (char)('a' + i % 26);
        while (at < size) {
            size_t n = (size_t)random() % (size - at + 1);

            put_segment(number++, data + at, n);
            at += n;
        }
        for (size_t lines = 0; lines < 20000; lines = lines * 2 + 1) {
            size_t start = tail_start(data, size, lines);

            assert_int_equal(reader_open_tail(&r, d.fd, NAME, lines, &e), 0);
            expect_in_steps(&r, data + start, size - start, 4096);
            reader_close(&r);
        }
        while (number > 0)
            remove_segment(--number);
    }
}

static void test_nothing_yet(void **state)
{
    struct log_reader r;

    (void)state;
    assert_int_equal(reader_open_tail(&r, d.fd, NAME, 10, &e), 0);
    assert_int_equal(r.number, -1);
    expect(&r, "");
    put_segment(0, "first\n", 6);
    expect(&r, "first\n");
    assert_int_equal(r.number, 0);
    assert_int_equal(r.offset, 6);
    assert_int_equal(r.skipped, 0);
    reader_close(&r);
}

static void test_follows_the_writer(void **state)
{
    struct log_writer w = LOG_WRITER_INIT;
    struct log_reader r;
    char begin[2];
    size_t done;

    (void)state;
    assert_int_equal(writer_open(&w, d.fd, NAME, 10, 3, &e), 0);
    assert_int_equal(reader_open(&r, d.fd, NAME, READER_ORIGIN_START, 0, &e), 0);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(writer_write(&w, "one\n", 4, false, &done), 4);
        expect(&r, "one\n");
        assert_int_equal(writer_write(&w, "2 2\n3 3 3\n", 10, false, &done), 10);
        expect(&r, "2 2\n3 3 3\n");
    }
    assert_int_equal(r.skipped, 0);
    assert_int_equal(r.number, w.number);

    /* A reader that sleeps finishes the segment it holds and goes on at the oldest left. */
    assert_int_equal(writer_write(&w, "held\n", 5, false, &done), 5);
    assert_int_equal(reader_read(&r, begin, 2, &e), 2);
    for (int i = 0; i < 5; i++)
        assert_int_equal(writer_write(&w, "123456789\n", 10, false, &done), 10);
    expect(&r, "ld\n123456789\n123456789\n123456789\n");
    assert_int_equal(r.skipped, 2);
    reader_close(&r);
    writer_close(&w);
}

static void test_odd_entries(void **state)
{
    struct log_reader r;

    (void)state;
    put_segment(0, "a", 1);
    put_segment(6, "b", 1);
    logdir_put(&d, "other", "secret", 6);
    assert_int_equal(symlinkat("other", d.fd, NAME ".1"), 0);
    assert_int_equal(mkfifoat(d.fd, NAME ".2", 0600), 0);
    assert_int_equal(mkdirat(d.fd, NAME ".3", 0700), 0);
    assert_int_equal(reader_open(&r, d.fd, NAME, READER_ORIGIN_START, 0, &e), 0);
    expect(&r, "ab");
    reader_close(&r);
}

static void test_refuses(void **state)
{
    struct log_reader r = LOG_READER_INIT;
    char c;

    (void)state;
    assert_int_equal(reader_open(&r, d.fd, "a/b", READER_ORIGIN_START, 0, &e), -EINVAL);
    assert_int_equal(reader_open(&r, -1, NAME, READER_ORIGIN_START, 0, &e), -EBADF);
    assert_non_null(strstr(e.text, NAME));
    assert_int_equal(r.dirfd, -1);
    assert_int_equal(reader_open(&r, d.fd, NAME, READER_ORIGIN_START, 0, &e), 0);
    close_fd(&r.dirfd);
    assert_int_equal(reader_read(&r, &c, 1, &e), -EBADF);
    reader_close(&r);
}

/* Another process makes a segment of each line, as fast as it can. */
static pid_t start_writer(uint32_t lines)
{
    pid_t pid = fork();
    struct log_writer w;
    size_t done;

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    if (writer_open(&w, d.fd, NAME, 8, lines, &e) < 0)
        _exit(1);
    for (uint32_t i = 0; i < lines; i++) {
        char line[16];

        (void)snprintf(line, sizeof(line), "%07u\n", i);
        if (writer_write(&w, line, 8, false, &done) != 8)
            _exit(1);
    }
    _exit(0);
}

/* Listing a directory while entries come may miss one of them and show a later one. */
static void test_misses_no_segment_that_comes(void **state)
{
    enum {
        LINES = 2000
    };
    struct log_reader r;
    uint32_t expected = 0;
    char line[16];
    int status;
    pid_t pid;

    (void)state;
    pid = start_writer(LINES);
    while (expected < LINES) {
        /* Opened anew now and then, where it was. */
        assert_int_equal(reader_open(&r, d.fd, NAME, READER_ORIGIN_START, expected * 8ul, &e), 0);
        for (uint32_t stop = expected + 500; expected < LINES && expected < stop;) {
            ssize_t n = reader_read(&r, line, 8, &e);

            assert_true(n == 0 || n == 8);
            if (n == 8)
                assert_int_equal(atoi(line), expected++);
        }
        reader_close(&r);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_offsets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_yet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_follows_the_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_misses_no_segment_that_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refuses, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
