/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
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
#include "tests/unit/syscalls.h"

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

/* The same, compressed, in its place. */
static void pack_segment(int64_t number, const char *data, size_t size)
{
    char file[SEGMENT_NAME_MAX + 1];

    segment_file_as(file, NAME, number, SEGMENT_GZIP);
    logdir_put_gzip(&d, file, data, size);
    segment_file(file, NAME, number);
    (void)unlinkat(d.fd, file, 0);
}

/* Whichever form it has. */
static void remove_segment(int64_t number)
{
    char file[SEGMENT_NAME_MAX + 1];

    segment_file(file, NAME, number);
    if (unlinkat(d.fd, file, 0) == 0)
        return;
    segment_file_as(file, NAME, number, SEGMENT_GZIP);
    assert_int_equal(unlinkat(d.fd, file, 0), 0);
}

static void open_at(struct log_reader *r, enum reader_origin origin, uint64_t count)
{
    const struct reader_start start = {.origin = origin, .count = count};

    assert_int_equal(reader_open(r, d.fd, NAME, &start, &e), 0);
}

/* Reads on until there is data, a gap or nothing. */
static int read_some(struct log_reader *r, char *buf, size_t size, size_t *ret_n)
{
    int rc;

    while ((rc = reader_read(r, buf, size, ret_n, &e)) == READER_BUSY)
        ;
    return rc;
}

/* Reads all there is, in steps of `step`, and compares. */
static void expect_in_steps(struct log_reader *r, const char *data, size_t size, size_t step)
{
    char buf[4096];
    size_t at = 0, n = 0;
    int rc;

    assert_true(step <= sizeof(buf));
    while ((rc = read_some(r, buf, step, &n)) == READER_DATA) {
        assert_true(n > 0 && at + n <= size);
        assert_memory_equal(buf, data + at, n);
        at += n;
    }
    assert_int_equal(rc, READER_IDLE);
    assert_int_equal(at, size);
}

static void expect(struct log_reader *r, const char *text)
{
    expect_in_steps(r, text, strlen(text), 4096);
}

static void expect_gap(struct log_reader *r, int64_t first, uint64_t segments, bool damaged)
{
    char c;
    size_t n;

    assert_int_equal(read_some(r, &c, 1, &n), READER_GAP);
    assert_int_equal(r->lost_first, first);
    assert_int_equal(r->lost_segments, segments);
    assert_int_equal(r->damaged, damaged);
}

/* `text`, and then the gap of segment 1. */
static void expect_before_gap(struct log_reader *r, const char *text)
{
    char buf[64];
    size_t n;

    assert_int_equal(read_some(r, buf, sizeof(buf), &n), READER_DATA);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, n);
    expect_gap(r, 1, 1, false);
}

static void test_offsets(void **state)
{
    static const char all[] = "0123456789abcdef";
    struct log_reader r;

    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        (packed ? pack_segment : put_segment)(7, all, 5);
        (packed ? pack_segment : put_segment)(8, all + 5, 1);
        (packed ? pack_segment : put_segment)(9, "", 0);
        if (!packed) {
            put_segment(10, all + 6, 10);
            put_segment(11, "", 0);
        }
        for (size_t offset = 0; offset <= 18; offset++) {
            size_t from = offset < 16 ? offset : 16;

            open_at(&r, READER_START, offset);
            expect_in_steps(&r, all + from, 16 - from, 3);
            reader_close(&r);
            open_at(&r, READER_END, offset);
            expect_in_steps(&r, all + 16 - from, from, 3);
            assert_int_equal(r.number, 11);
            reader_close(&r);
        }
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

            (random() % 2 ? put_segment : pack_segment)(number++, data + at, n);
            at += n;
        }
        for (size_t lines = 0; lines < 20000; lines = lines * 2 + 1) {
            size_t start = tail_start(data, size, lines);

            open_at(&r, READER_LINES, lines);
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
    uint64_t offset;
    int64_t number;

    (void)state;
    open_at(&r, READER_LINES, 10);
    expect(&r, "");
    reader_place(&r, &number, &offset);
    assert_int_equal(number, 0);
    assert_int_equal(offset, 0);
    put_segment(0, "first\n", 6);
    expect(&r, "first\n");
    reader_place(&r, &number, &offset);
    assert_int_equal(number, 0);
    assert_int_equal(offset, 6);
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
    open_at(&r, READER_START, 0);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(writer_write(&w, "one\n", 4, false, &done), 4);
        expect(&r, "one\n");
        assert_int_equal(writer_write(&w, "2 2\n3 3 3\n", 10, false, &done), 10);
        expect(&r, "2 2\n3 3 3\n");
    }
    assert_int_equal(r.number, w.number);

    /* A reader that sleeps finishes the segment it holds and goes on at the oldest left. */
    assert_int_equal(writer_write(&w, "held\n", 5, false, &done), 5);
    assert_int_equal(read_some(&r, begin, 2, &done), READER_DATA);
    for (int i = 0; i < 5; i++)
        assert_int_equal(writer_write(&w, "123456789\n", 10, false, &done), 10);
    assert_int_equal(read_some(&r, begin, 2, &done), READER_DATA);
    assert_int_equal(read_some(&r, begin, 2, &done), READER_DATA);
    assert_memory_equal(begin, "\n", 1);
    expect_gap(&r, w.number - 4, 2, false);
    expect(&r, "123456789\n123456789\n123456789\n");
    reader_close(&r);
    writer_close(&w);
}

static void test_a_segment_compressed_while_it_is_read(void **state)
{
    struct log_reader r, other;
    struct reader_start place = {.origin = READER_PLACE};
    char buf[4];
    size_t n;

    (void)state;
    put_segment(0, "0123456789", 10);
    open_at(&r, READER_START, 0);
    assert_int_equal(read_some(&r, buf, 4, &n), READER_DATA);
    put_segment(1, "ab", 2);
    pack_segment(0, "0123456789", 10);
    reader_place(&r, &place.number, &place.count);
    assert_int_equal(reader_open(&other, d.fd, NAME, &place, &e), 0);
    expect(&r, "456789ab");
    expect(&other, "456789ab");
    reader_close(&r);
    reader_close(&other);
}

static void test_a_sleeper_finds_what_is_left(void **state)
{
    struct log_reader r;

    (void)state;
    put_segment(0, "a", 1);
    open_at(&r, READER_START, 0);
    expect(&r, "a");
    put_segment(2, "c", 1);
    remove_segment(0);
    expect_gap(&r, 1, 1, false);
    expect(&r, "c");
    reader_close(&r);
}

static int opens;

/* Between the two listings and the first segment to be opened. */
static int trim_all(const char *name)
{
    if (strcmp(name, "openat") != 0 || ++opens != 3)
        return SYSCALL_GO_ON;
    syscall_verdict = NULL;
    remove_segment(7);
    remove_segment(8);
    put_segment(10, "later", 5);
    return SYSCALL_GO_ON;
}

static void test_all_is_trimmed_while_a_start_is_looked_for(void **state)
{
    (void)state;
    for (enum reader_origin origin = READER_START; origin <= READER_LINES; origin++) {
        struct log_reader r;

        put_segment(7, "a\n", 2);
        put_segment(8, "b\n", 2);
        opens = 0;
        syscall_verdict = trim_all;
        open_at(&r, origin, origin == READER_START ? 0 : 1);
        expect_gap(&r, 7, 3, false);
        expect(&r, "later");
        reader_close(&r);
        remove_segment(10);
    }
}

static void test_unread(void **state)
{
    struct log_reader r;
    char buf[6];
    size_t n;

    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        (packed ? pack_segment : put_segment)(0, "one\ntwo\n", 8);
        open_at(&r, READER_START, 0);
        assert_int_equal(read_some(&r, buf, 6, &n), READER_DATA);
        assert_int_equal(n, 6);
        reader_unread(&r, 2);
        expect(&r, "two\n");
        reader_close(&r);
    }
}

static void test_places_that_are_gone(void **state)
{
    struct reader_start place = {.origin = READER_PLACE, .number = 4, .count = 3};
    struct log_reader r;

    (void)state;
    assert_int_equal(reader_open(&r, d.fd, NAME, &place, &e), 0);
    expect(&r, "");
    put_segment(4, "anew", 4); /* the directory was emptied */
    expect(&r, "anew");
    reader_close(&r);
    assert_int_equal(reader_open(&r, d.fd, NAME, &place, &e), 0);
    expect(&r, "w");
    reader_close(&r);
    remove_segment(4);
    put_segment(6, "later", 5);
    assert_int_equal(reader_open(&r, d.fd, NAME, &place, &e), 0);
    expect_gap(&r, 4, 2, false);
    expect(&r, "later");
    reader_close(&r);
    remove_segment(6);
    put_segment(0, "another", 7);
    assert_int_equal(reader_open(&r, d.fd, NAME, &place, &e), 0);
    expect_gap(&r, 4, 1, false);
    expect(&r, "another");
    reader_close(&r);
}

static void test_since(void **state)
{
    struct reader_start since = {.origin = READER_SINCE};
    struct log_reader r;

    (void)state;
    for (int i = 0; i < 4; i++) {
        const struct timespec times[2] = {{.tv_sec = 100 * i}, {.tv_sec = 100 * i}};
        char file[SEGMENT_NAME_MAX + 1], text[2] = {(char)('a' + i)};

        segment_file_as(file, NAME, i, i < 2 ? SEGMENT_GZIP : SEGMENT_PLAIN);
        (i < 2 ? pack_segment : put_segment)(i, text, 1);
        assert_int_equal(utimensat(d.fd, file, times, 0), 0);
    }
    for (int i = 0; i <= 4; i++) {
        since.since_ns = (uint64_t)(i ? i * 100 - 50 : 0) * 1000000000;
        assert_int_equal(reader_open(&r, d.fd, NAME, &since, &e), 0);
        expect(&r, &"abcd"[i]);
        reader_close(&r);
    }
}

static void test_stop_at_end(void **state)
{
    struct log_reader r;

    (void)state;
    open_at(&r, READER_START, 0);
    assert_int_equal(reader_stop_at_end(&r, &e), 0);
    put_segment(0, "late", 4);
    expect(&r, "");
    reader_close(&r);
    put_segment(1, "end", 3);
    open_at(&r, READER_START, 0);
    assert_int_equal(reader_stop_at_end(&r, &e), 0);
    put_segment(1, "less", 4);
    put_segment(2, "never", 5);
    pack_segment(1, "endless", 7);
    expect(&r, "lateend");
    reader_close(&r);
}

static void test_damaged_segments(void **state)
{
    struct log_reader r;
    char *data, big[100000];
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)random();
    pack_segment(0, big, sizeof(big));
    data = logdir_get(&d, NAME ".0.gz", &size);
    for (int damage = 0; damage < 3; damage++) {
        size_t n = 0, total = 0;

        remove_segment(0);
        if (damage == 1)
            data[size / 2] ^= 0x55;
        logdir_put(&d, NAME ".0.gz", data, damage == 2 ? 0 : damage ? size : size / 2);
        if (damage == 0)
            put_segment(1, "the\nnext\n", 9);
        open_at(&r, READER_START, 0);
        do {
            char buf[4096];
            int rc = read_some(&r, buf, sizeof(buf), &n);

            if (rc == READER_GAP)
                break;
            assert_int_equal(rc, READER_DATA);
            assert_memory_equal(buf, big + total, damage == 1 ? 1 : n);
            total += n;
        } while (total < sizeof(big) + 1);
        assert_true(total < sizeof(big) + 1 && (damage == 2 || total > 0));
        assert_true(r.damaged && r.lost_first == 0 && r.lost_segments == 1);
        expect(&r, "the\nnext\n");
        reader_close(&r);
        open_at(&r, READER_LINES, 1);
        expect(&r, "next\n");
        reader_close(&r);
    }
    free(data);
}

static void test_odd_entries(void **state)
{
    struct log_reader r;

    (void)state;
    put_segment(0, "a", 1);
    open_at(&r, READER_START, 0);
    expect(&r, "a");
    logdir_put(&d, "other", "secret", 6);
    assert_int_equal(symlinkat("other", d.fd, NAME ".1"), 0);
    assert_int_equal(mkfifoat(d.fd, NAME ".2", 0600), 0);
    assert_int_equal(mkdirat(d.fd, NAME ".3", 0700), 0);
    assert_int_equal(symlinkat("other", d.fd, NAME ".4.gz"), 0);
    expect(&r, "");
    put_segment(5, "b", 1);
    expect_gap(&r, 1, 4, false); /* nobody knows that they never were */
    expect(&r, "b");
    reader_close(&r);
}

static void test_refuses(void **state)
{
    const struct reader_start start = {0};
    struct log_reader r = LOG_READER_INIT;
    size_t n;
    char c;

    (void)state;
    assert_int_equal(reader_open(&r, d.fd, "a/b", &start, &e), -EINVAL);
    assert_int_equal(reader_open(&r, -1, NAME, &start, &e), -EBADF);
    assert_non_null(strstr(e.text, NAME));
    assert_int_equal(r.dirfd, -1);
    open_at(&r, READER_START, 0);
    close_fd(&r.dirfd);
    assert_int_equal(read_some(&r, &c, 1, &n), -EBADF);
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

/* The writer leaves a number out after a loss, while the segment before keeps its name. */
static void test_a_follower_goes_on_after_a_loss(void **state)
{
    struct log_reader r;
    size_t n;
    char c;

    (void)state;
    put_segment(0, "one\ntw", 6);
    open_at(&r, READER_START, 0);
    expect(&r, "one\ntw");
    assert_int_equal(read_some(&r, &c, 1, &n), READER_IDLE);
    put_segment(2, "four\n", 5);
    expect_gap(&r, 1, 1, false);
    expect(&r, "four\n");
    put_segment(3, "five\n", 5);
    expect(&r, "five\n");
    reader_close(&r);
}

/* As rsync does: a file that grew is replaced by a new one. */
static void test_follows_a_copy_that_is_brought_up_to_date(void **state)
{
    struct log_reader r;

    (void)state;
    put_segment(0, "one\n", 4);
    open_at(&r, READER_START, 0);
    expect(&r, "one\n");
    logdir_put(&d, "new", "one\ntwo\nthree\n", 14);
    assert_int_equal(renameat(d.fd, "new", d.fd, NAME ".0"), 0);
    put_segment(1, "four\n", 5);
    expect(&r, "two\nthree\nfour\n");
    logdir_put(&d, "new", "four\nfive\n", 10);
    assert_int_equal(renameat(d.fd, "new", d.fd, NAME ".1"), 0);
    expect(&r, "five\n");
    reader_close(&r);
}

/* Opening it would take 45 seconds (/proc/sys/fs/lease-break-time). */
static void test_a_lease_is_in_the_way(void **state)
{
    autofd int fd = -1;
    struct log_reader r;

    (void)state;
    put_segment(0, "one\n", 4);
    put_segment(1, "two\n", 4);
    put_segment(2, "three\n", 6);
    fd = openat(d.fd, NAME ".1", O_RDWR | O_CLOEXEC);
    (void)signal(SIGIO, SIG_IGN);
    assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
    open_at(&r, READER_START, 0);
    expect_before_gap(&r, "one\n");
    expect(&r, "three\n");
    reader_close(&r);
}

static int io_error;

static int read_verdict(const char *name)
{
    return strcmp(name, "pread") == 0 ? io_error : SYSCALL_GO_ON;
}

static void test_what_the_disk_does_not_give(void **state)
{
    struct log_reader r;

    (void)state;
    put_segment(0, "one\n", 4);
    put_segment(1, "two\n", 4);
    open_at(&r, READER_START, 0);
    io_error = EIO;
    syscall_verdict = read_verdict;
    expect_gap(&r, 0, 1, true);
    syscall_verdict = NULL;
    expect(&r, "two\n");
    reader_close(&r);
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
        open_at(&r, READER_START, expected * 8ul);
        for (uint32_t stop = expected + 500; expected < LINES && expected < stop;) {
            size_t n;
            int rc = read_some(&r, line, 8, &n);

            assert_true(rc == READER_IDLE || (rc == READER_DATA && n == 8));
            if (rc == READER_DATA)
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
        cmocka_unit_test_setup_teardown(test_a_segment_compressed_while_it_is_read, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_sleeper_finds_what_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_is_trimmed_while_a_start_is_looked_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_unread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_that_are_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_since, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_at_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_misses_no_segment_that_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_follower_goes_on_after_a_loss, setup, teardown),
        cmocka_unit_test_setup_teardown(test_follows_a_copy_that_is_brought_up_to_date, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_lease_is_in_the_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_the_disk_does_not_give, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refuses, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
