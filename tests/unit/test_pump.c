/* SPDX-License-Identifier: MIT
 *
 * What goes wrong with the files is decided by `fault` (pump_fixture.h); the model test draws it at
 * random.
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
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/cleanup.h"
#include "tests/unit/pump_fixture.h"
#include "tests/unit/splitmix.h"
#include "tests/unit/syscalls.h"

static void test_idle_costs_nothing(void **state)
{
    autofd int fd = attach();

    (void)state;
    put(fd, "a line\n");
    turn();
    expect("a line\n");
    assert_null(pump.buf);
    assert_false(ev_is_active(&pump.timer));
    assert_int_equal(heard[PUMP_ROTATED], 1);
}

static void test_load_grows_and_quiet_shrinks(void **state)
{
    static char data[60000];
    autofd int fd = attach();
    int small = fcntl(fd, F_GETPIPE_SZ);

    (void)state;
    memset(data, '\n', sizeof(data));
    assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
    turn();
    assert_int_equal(pump.taken, sizeof(data));
    assert_non_null(pump.buf);
    assert_true(fcntl(fd, F_GETPIPE_SZ) > small);
    ev_run(loop, EVRUN_ONCE); /* the quiet timer */
    assert_null(pump.buf);
    assert_int_equal(fcntl(fd, F_GETPIPE_SZ), small);
    assert_false(ev_is_active(&pump.timer));
}

static int busy_fd, busy_for;

/* With each write more is there to be read; the last of it is a line that has only begun, where
 * the segment is nearly full. */
static int keep_busy(const char *name)
{
    static char data[2 * PUMP_SMALL];

    if (strcmp(name, "write") != 0 || busy_for == 0)
        return SYSCALL_GO_ON;
    memset(data, --busy_for ? '\n' : 'x', sizeof(data));
    if (!busy_for)
        pump.writer.size = pump.writer.max_size - 5 * sizeof(data);
    syscall_verdict = NULL;
    assert_int_equal(write(busy_fd, data, sizeof(data)), sizeof(data));
    syscall_verdict = keep_busy;
    return SYSCALL_GO_ON;
}

/* Others have their turn after so many reads. */
static void test_a_line_that_has_begun_when_a_turn_ends(void **state)
{
    autofd int fd = attach();

    (void)state;
    pump.writer.max_size = spec.logs.max_file_size = 1 << 20;
    busy_for = 15;
    busy_fd = fd;
    (void)keep_busy("write");
    turn();
    assert_int_equal(busy_for, 0);
    assert_true(pump.held > 0);
    pump.timer.repeat = 1e-9;
    ev_timer_again(loop, &pump.timer);
    ev_run(loop, EVRUN_ONCE); /* the quiet timer */
    assert_int_equal(pump.held, 0);
    assert_int_equal(pump.writer.written, pump.taken);
    assert_null(pump.buf);
}

static void test_what_is_dropped_is_counted(void **state)
{
    autofd int fd = attach();

    (void)state;
    put(fd, "one\n");
    turn();
    fault = ENOSPC;
    put(fd, "two\n");
    turn();
    assert_int_equal(heard[PUMP_FAILED], 1);
    assert_int_equal(lost_bytes, 4);
    put(fd, "three\n");
    turn();
    assert_int_equal(heard[PUMP_LOSING], 1);
    fault = EIO;
    put(fd, "four\nfi");
    turn();
    assert_int_equal(heard[PUMP_FAILED], 2);
    fault = 0;
    put(fd, "ve\nsix\n");
    turn();
    assert_int_equal(heard[PUMP_MENDED], 1);
    expect("one\nsix\n");
    assert_int_equal(lost_bytes, strlen("two\nthree\nfour\nfive\n"));
    assert_int_equal(reported, lost_bytes);
    assert_false(ev_is_active(&pump.timer));
}

/* Between tries nothing is tried: a task that floods must not make a scan of each read. */
static void test_tries_are_apart(void **state)
{
    autofd int fd = attach();

    (void)state;
    fault = ENOSPC;
    put(fd, "one\n");
    turn();
    fault = 0;
    put(fd, "two\n");
    ev_run(loop, EVRUN_NOWAIT);
    assert_int_equal(lost_bytes, 8);
    put(fd, "three\n");
    turn();
    expect("three\n");
}

/* "whole", and "torn" of which the "n" is lost. */
static void tear(int fd)
{
    put(fd, "whole\ntor");
    turn();
    fault = ENOSPC;
    put(fd, "n\n");
    turn();
    fault = 0;
}

/* The segment with the torn line is left, and the next begins with a line. */
static void test_no_line_is_made_of_two(void **state)
{
    autofd int fd = attach();
    autofree char *first = NULL;
    size_t size;

    (void)state;
    tear(fd);
    put(fd, "next\n");
    turn();
    first = logdir_get(&logs, NAME ".0", &size);
    assert_string_equal(first, "whole\ntor");
    expect("whole\ntornext\n");
    assert_int_equal(pump.writer.number, 2); /* 1 is left out */
    assert_int_equal(lost_bytes, 2);
}

/* Whole lines only are missing: that is to be seen, too. */
static void test_whole_lines_that_are_lost_leave_a_gap(void **state)
{
    autofd int fd = attach();

    (void)state;
    put(fd, "one\n");
    turn();
    fault = ENOSPC;
    put(fd, "two\n");
    turn();
    fault = 0;
    put(fd, "three\n");
    turn();
    expect("one\nthree\n");
    assert_int_equal(pump.writer.number, 2); /* 1 is left out */
}

static int full_for_data(const char *name)
{
    return strcmp(name, "write") == 0 ? ENOSPC : SYSCALL_GO_ON;
}

/* A file can be created, and nothing written into it: as where a user's quota of blocks is used up,
 * of which statfs(2) tells nothing. max_files is of numbers. */
static void test_a_gap_is_made_once(void **state)
{
    autofd int fd = attach();

    (void)state;
    tear(fd);
    for (int i = 0; i < 10; i++) {
        put(fd, "lost\n");
        syscall_verdict = full_for_data;
        turn();
    }
    put(fd, "next\n");
    turn();
    expect("whole\ntornext\n");
    assert_int_equal(pump.writer.number, 2);
}

/* With room for a few bytes now and then each try would take a number, and max_files is of numbers.
 */
static void test_a_line_that_was_cut_waits_for_more_room(void **state)
{
    autofd int fd = attach();

    (void)state;
    tear(fd);
    full = true;
    for (int i = 0; i < 10; i++) {
        put(fd, "lost\n");
        turn();
    }
    assert_int_equal(pump.writer.number, 0);
    full = false;
    put(fd, "next\n");
    turn();
    expect("whole\ntornext\n");
    assert_int_equal(pump.writer.number, 2);
    assert_int_equal(lost_bytes, 52);
}

/* It may be said of a file system that has room: by and by one tries. */
static void test_a_file_system_is_not_believed_for_ever(void **state)
{
    autofd int fd = attach();
    unsigned int tries = 1;
    size_t done;

    (void)state;
    tear(fd);
    full = true;
    for (; writer_write(&pump.writer, "next\n", 5, false, &done) == -ENOSPC; tries++)
        assert_true(tries < 100);
    assert_int_equal(tries, 32);
    assert_int_equal(pump.writer.number, 2);
}

/* ramfs, or a tmpfs with size=0, where what failed was something else. */
static void test_where_there_is_no_limit_there_is_room(void **state)
{
    autofd int fd = attach();

    (void)state;
    unlimited = true;
    tear(fd);
    put(fd, "next\n");
    turn();
    expect("whole\ntornext\n");
    assert_int_equal(lost_bytes, 2);
}

/* Without newlines one does not wait for one. */
static void test_a_stream_without_lines_resumes(void **state)
{
    static char text[600];
    autofd int fd = attach();
    size_t size;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    fault = ENOSPC;
    put(fd, "xxx");
    turn();
    fault = 0;
    for (int i = 0; i < 3; i++) {
        put(fd, text);
        turn();
    }
    free(read_all(&size));
    assert_true(size >= 599);
    assert_int_equal(size + lost_bytes, 3 + 3 * 599);
    assert_int_equal(pump.loss.error, 0);
}

/* The segment was never open, and the rest of the line is as unwanted. */
static void test_a_loss_before_anything_was_written(void **state)
{
    autofd int fd = -1;

    (void)state;
    fault = ENOSPC;
    fd = attach();
    put(fd, "to");
    turn();
    fault = 0;
    put(fd, "rn\nwhole\n");
    turn();
    expect("whole\n");
    assert_int_equal(lost_bytes, 5);
}

/* What was due is due still. */
static void test_the_clock_is_put_back(void **state)
{
    autofd int fd = attach();

    (void)state;
    fault = ENOSPC;
    put(fd, "one\n");
    turn();
    fault = 0;
    pump.retry_at += 3600;
    put(fd, "two\n");
    ev_run(loop, EVRUN_NOWAIT);
    expect("two\n");

    assert_int_equal(unlinkat(logs.fd, NAME ".2", 0), 0);
    pump.checked_at += 3600;
    pump.checked_dir_at += 3600;
    put(fd, "three\n");
    turn();
    expect("three\n");
}

static void test_blocked_loses_nothing(void **state)
{
    autofd int fd = attach(), again = -1;

    (void)state;
    spec.logs.on_full = SPEC_ON_FULL_BLOCK;
    put(fd, "one\n");
    turn();
    fault = EDQUOT;
    put(fd, "two\n");
    turn();
    assert_true(pump_is_blocked(&pump));
    assert_false(ev_is_active(&pump.readable));
    assert_true(ev_is_active(&pump.timer));
    put(fd, "three\n");
    turn();
    assert_int_equal(pump.held, 4);
    close_fd(&fd);
    pump_drain(&pump); /* the attempt is over, another begins */
    again = attach();
    put(again, "four\n");
    turn();
    expect("one\n");
    fault = 0;
    turn();
    turn();
    expect("one\ntwo\nthree\nfour\n");
    assert_int_equal(lost_bytes, 0);
    assert_int_equal(heard[PUMP_MENDED], 1);
    assert_false(pump_is_blocked(&pump));
}

/* Each way while nothing can be written. */
static void test_other_limits(void **state)
{
    autofd int fd = attach();

    (void)state;
    spec.logs.on_full = SPEC_ON_FULL_BLOCK;
    fault = ENOSPC;
    put(fd, "one\n");
    turn();
    assert_true(pump_is_blocked(&pump));
    spec.logs.on_full = SPEC_ON_FULL_DROP;
    pump_limits_changed(&pump);
    put(fd, "two\n");
    turn();
    assert_int_equal(lost_bytes, 8);
    spec.logs.on_full = SPEC_ON_FULL_BLOCK;
    spec.logs.max_file_size = 6;
    pump_limits_changed(&pump);
    put(fd, "three\n");
    turn();
    assert_true(pump_is_blocked(&pump));
    fault = 0;
    turn();
    turn();
    put(fd, "four\n");
    turn();
    assert_int_equal(lost_bytes, 8);
    expect("three\nfour\n");
    assert_int_equal(pump.writer.number, 3); /* 0 is empty, 1 left out */
}

static void test_the_end_waits_for_no_disk(void **state)
{
    autofd int fd = attach();

    (void)state;
    spec.logs.on_full = SPEC_ON_FULL_BLOCK;
    fault = EROFS;
    put(fd, "one\n");
    turn();
    put(fd, "two\n");
    pump_end(&pump);
    assert_int_equal(lost_bytes, 8);
    assert_int_equal(heard[PUMP_GAVE_UP], 1);
    assert_int_equal(reported, 8);
}

/* There is no room left in the buffer. */
static void test_the_end_counts_what_was_not_read(void **state)
{
    static char data[PUMP_LARGE];
    autofd int fd = attach();

    (void)state;
    spec.logs.on_full = SPEC_ON_FULL_BLOCK;
    assert_true(fcntl(fd, F_SETPIPE_SZ, PUMP_LARGE) >= PUMP_LARGE);
    assert_int_equal(write(fd, data, PUMP_SMALL), PUMP_SMALL); /* begins load */
    turn();
    assert_non_null(pump.buf);
    assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
    fault = ENOSPC;
    turn();
    assert_int_equal(pump.held, PUMP_LARGE);
    put(fd, "one\n");
    pump_end(&pump);
    assert_int_equal(lost_bytes, PUMP_LARGE + 4);
    assert_int_equal(reported, lost_bytes);
}

/* As in a live upgrade. */
static void hand_over(void)
{
    struct pump old;

    pump_settle(&pump);
    ev_timer_stop(loop, &pump.timer);
    ev_io_stop(loop, &pump.readable);
    old = pump;
    pump_init(&pump, loop, &dir, NAME, &spec.logs, &lost_bytes, old.on_news, NULL);
    pump_adopt(&pump, old.fd, &old.loss, old.buf, old.held);
    old.held = 0;
    old.fd = -1;
    old.loss.error = 0;
    writer_close(&old.writer);
    pump_end(&old);
}

static void test_hand_over(void **state)
{
    autofd int fd = attach();

    (void)state;
    spec.logs.on_full = SPEC_ON_FULL_BLOCK;
    fault = ENOSPC;
    put(fd, "one\n");
    turn();
    put(fd, "two\n");
    hand_over();
    assert_true(pump_is_blocked(&pump));
    fault = 0;
    turn();
    turn();
    expect("one\ntwo\n");
    assert_int_equal(heard[PUMP_MENDED], 1);
    assert_int_equal(lost_bytes, 0);
}

/* A follower waits for a number that is higher. */
static void test_numbers_do_not_go_back_in_a_hand_over(void **state)
{
    autofd int fd = attach();

    (void)state;
    put(fd, "one\n");
    turn();
    assert_int_equal(unlinkat(dir.fd, NAME ".0", 0), 0);
    hand_over();
    put(fd, "two\n");
    turn();
    expect("two\n");
    assert_int_equal(pump.writer.number, 1);
}

static void test_no_line_is_made_of_two_by_a_hand_over(void **state)
{
    autofd int fd = attach();

    (void)state;
    put(fd, "whole\ntor");
    turn();
    fault = ENOSPC;
    put(fd, "n\n");
    turn();
    hand_over();
    fault = 0;
    put(fd, "next\n");
    turn();
    expect("whole\ntornext\n");
    assert_int_equal(pump.writer.number, 2); /* 1 is left out */
    assert_int_equal(lost_bytes, 2);
}

/* Another process goes on writing into the pipe of an attempt that is over. */
static void test_a_pipe_in_use_goes_on(void **state)
{
    autofd int survivor = attach(), fd = -1;

    (void)state;
    pump_drain(&pump);
    fd = attach();
    put(survivor, "old\n");
    put(fd, "new\n");
    turn();
    expect("old\nnew\n");
    close_fd(&survivor);
    close_fd(&fd);
    turn();
    assert_int_equal(pump.fd, -1);
    fd = attach(); /* now a new one */
    put(fd, "newer\n");
    turn();
    expect("old\nnew\nnewer\n");
}

static void test_drain_is_bounded(void **state)
{
    static char data[300];
    autofd int fd = attach();
    uint64_t there = 0;

    (void)state;
    memset(data, '\n', sizeof(data));
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while (write(fd, data, sizeof(data)) > 0)
        there += sizeof(data);
    assert_true(there >= 60000);
    pump_drain(&pump);
    assert_int_equal(pump.taken, there);
    free(read_all(&there));
    assert_int_equal(there, pump.taken);
}

static void look_now(void)
{
    pump.checked_at = pump.checked_dir_at = 0;
}

static void test_the_live_file_is_removed(void **state)
{
    autofd int fd = attach();

    (void)state;
    put(fd, "one\n");
    turn();
    assert_int_equal(unlinkat(logs.fd, NAME ".0", 0), 0);
    look_now();
    put(fd, "two\n");
    turn();
    expect("two\n");
    assert_int_equal(pump.writer.number, 1);
    assert_int_equal(lost_bytes, 0);
}

static void rename_dir(const char *from, const char *to)
{
    char a[80], b[80];

    (void)snprintf(a, sizeof(a), "%s%s", logs.path, from);
    (void)snprintf(b, sizeof(b), "%s%s", logs.path, to);
    assert_int_equal(rename(a, b), 0);
}

static void test_another_directory_takes_its_place(void **state)
{
    autofd int fd = attach(), old = logs.fd;
    char file[100];

    (void)state;
    put(fd, "one\n");
    turn();
    rename_dir("", ".old");
    assert_int_equal(mkdir(logs.path, 0700), 0);
    logs.fd = open(logs.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    look_now();
    put(fd, "two\n");
    turn();
    expect("two\n");
    assert_int_equal(pump.writer.number, 1); /* numbers only grow */
    assert_int_equal(unlinkat(old, NAME ".0", 0), 0);
    (void)snprintf(file, sizeof(file), "%s.old", logs.path);
    assert_int_equal(rmdir(file), 0);
}

/* A link is not followed; what is open still is where it was. */
static void test_a_link_takes_its_place(void **state)
{
    struct logdir victim;
    autofd int fd = attach();
    char *shared = strdup(logs.path);

    (void)state;
    logdir_make(&victim);
    assert_non_null(shared);
    *strrchr(shared, '/') = '\0';
    spec.shared_dir = shared; /* the log directory is opened beneath it */
    put(fd, "one\n");
    turn();
    rename_dir("", ".old");
    assert_int_equal(symlink(victim.path, logs.path), 0);
    look_now();
    put(fd, "two\n");
    turn();
    expect("one\ntwo\n");
    assert_false(logdir_has(&victim, NAME ".0"));
    assert_int_equal(unlink(logs.path), 0);
    rename_dir(".old", "");
    logdir_remove(&victim);
    free(shared);
}

static void test_the_directory_is_removed_and_comes_back(void **state)
{
    autofd int fd = attach();

    (void)state;
    put(fd, "one\n");
    turn();
    assert_int_equal(unlinkat(logs.fd, NAME ".0", 0), 0);
    assert_int_equal(rmdir(logs.path), 0);
    look_now();
    put(fd, "two\n");
    turn();
    assert_int_equal(pump.loss.error, -ENOENT);
    assert_int_equal(lost_bytes, 4);
    assert_int_equal(mkdir(logs.path, 0700), 0);
    close_fd(&logs.fd);
    logs.fd = open(logs.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put(fd, "three\n");
    turn();
    expect("three\n");
    assert_int_equal(pump.loss.error, 0);
}

/* Random faults: whatever goes wrong, what is there, and what is said to be lost, is the input. */

static uint64_t random_state;

static uint64_t next_random(void)
{
    return splitmix64(&random_state);
}

static int fault_for;
static const char *lines[5000];
static size_t n_lines;

static int random_verdict(const char *name)
{
    static const int errors[] = {ENOSPC, EDQUOT, EIO, EROFS};

    if (strcmp(name, "write") != 0 && strcmp(name, "openat") != 0)
        return SYSCALL_GO_ON;
    if (fault_for > 0) {
        fault_for--;
        return errors[next_random() % 4];
    }
    if (next_random() % 20 == 0)
        fault_for = (int)(next_random() % 20);
    return next_random() % 10 == 0 ? SYSCALL_SHORT : SYSCALL_GO_ON;
}

/* Writes numbered lines in random pieces; turns the loop and hands over in between. Returns bytes
 * written. */
static size_t feed(int fd, char *data)
{
    size_t size = 0, at = 0;

    n_lines = 1 + next_random() % ARRAY_LEN(lines);
    for (size_t i = 0; i < n_lines; i++) {
        lines[i] = data + size;
        size += (size_t)sprintf(data + size, "%zu%.*s\n", i, (int)(next_random() % 90),
                                "...................................................."
                                "......................................");
    }
    while (at < size) {
        size_t piece = 1 + next_random() % (next_random() % 4 ? 300 : 20000);
        ssize_t n;

        syscall_verdict = NULL;
        n = write(fd, data + at, piece < size - at ? piece : size - at);
        syscall_verdict = random_verdict;
        if (n > 0)
            at += (size_t)n;
        if (n > 0 && next_random() % 2 && pass_line())
            continue;
        if (next_random() % 60 == 0)
            hand_over();
        if (n < 0 || next_random() % 2)
            turn();
    }
    return size;
}

/* Each line in a segment is one of the input, whole and later than the one before; only the last
 * may be torn. */
static void check_lines(uint64_t seed)
{
    autofree int64_t *numbers = NULL;
    struct err e = ERR_INIT;
    long last = -1;
    size_t n;

    assert_int_equal(segment_list(logs.fd, NAME, &numbers, &n, &e), 0);
    for (size_t i = 0; i < n; i++) {
        char file[SEGMENT_NAME_MAX + 1];
        autofree char *part = NULL;
        char *newline;
        size_t size;

        segment_file(file, NAME, numbers[i]);
        part = logdir_get(&logs, file, &size);
        for (char *at = part; (newline = strchr(at, '\n')); at = newline + 1) {
            long number = strtol(at, NULL, 10);

            if (number <= last || (size_t)number >= n_lines ||
                memcmp(at, lines[number], (size_t)(newline + 1 - at)) != 0)
                fail_msg("seed %llu: %s: after line %ld: %.100s", (unsigned long long)seed, file,
                         last, at);
            last = number;
        }
    }
}

static void run_model(enum spec_on_full on_full, uint64_t seed)
{
    static char data[1 << 20];
    autofree char *output = NULL;
    size_t size, written;
    int fd;

    random_state = seed;
    fault_for = 0;
    (void)pump_set_up(NULL);
    spec.logs.on_full = on_full;
    spec.logs.max_file_size = 1000 + next_random() % 100000;
    spec.logs.max_files = 1000000;
    if (next_random() % 2)
        syscall_verdict = random_verdict;
    fd = attach();
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    written = feed(fd, data);
    syscall_verdict = NULL;
    close_fd(&fd);
    while (pump.fd >= 0 || pump_is_blocked(&pump))
        turn();
    output = read_all(&size);
    if (size + lost_bytes != written || (pump.loss.error == 0 && reported != lost_bytes))
        fail_msg("seed %llu: %zu written, %zu there, %llu lost, %llu reported",
                 (unsigned long long)seed, written, size, (unsigned long long)lost_bytes,
                 (unsigned long long)reported);
    if (on_full == SPEC_ON_FULL_BLOCK && (lost_bytes || memcmp(output, data, size) != 0))
        fail_msg("seed %llu: lost %llu, or not the same", (unsigned long long)seed,
                 (unsigned long long)lost_bytes);
    check_lines(seed);
    (void)pump_tear_down(NULL);
}

static void test_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        run_model(seed % 2 ? SPEC_ON_FULL_BLOCK : SPEC_ON_FULL_DROP, seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, pump_set_up, pump_tear_down)
        TEST(test_idle_costs_nothing),
        TEST(test_load_grows_and_quiet_shrinks),
        TEST(test_a_line_that_has_begun_when_a_turn_ends),
        TEST(test_what_is_dropped_is_counted),
        TEST(test_tries_are_apart),
        TEST(test_no_line_is_made_of_two),
        TEST(test_whole_lines_that_are_lost_leave_a_gap),
        TEST(test_a_gap_is_made_once),
        TEST(test_a_line_that_was_cut_waits_for_more_room),
        TEST(test_a_file_system_is_not_believed_for_ever),
        TEST(test_where_there_is_no_limit_there_is_room),
        TEST(test_a_stream_without_lines_resumes),
        TEST(test_a_loss_before_anything_was_written),
        TEST(test_the_clock_is_put_back),
        TEST(test_blocked_loses_nothing),
        TEST(test_other_limits),
        TEST(test_the_end_waits_for_no_disk),
        TEST(test_the_end_counts_what_was_not_read),
        TEST(test_hand_over),
        TEST(test_numbers_do_not_go_back_in_a_hand_over),
        TEST(test_no_line_is_made_of_two_by_a_hand_over),
        TEST(test_a_pipe_in_use_goes_on),
        TEST(test_drain_is_bounded),
        TEST(test_the_live_file_is_removed),
        TEST(test_another_directory_takes_its_place),
        TEST(test_a_link_takes_its_place),
        TEST(test_the_directory_is_removed_and_comes_back),
        cmocka_unit_test(test_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
