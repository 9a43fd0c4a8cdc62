/* SPDX-License-Identifier: MIT
 *
 * Readers against a model: while segments are written, finished, compressed and trimmed in random
 * order, what a reader gives is the stream, byte for byte; and what it says is missing, and nothing
 * else, was trimmed. Readers start anywhere, and go on where another one was. Each round has its
 * seed; a failure prints it, and `test_reader_model SEED` runs that round alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "logrotate/reader.h"
#include "shared/cleanup.h"
#include "tests/unit/logdir.h"
#include "tests/unit/splitmix.h"

#define NAME "m.stdout"

enum {
    ROUNDS = 60,
    STEPS = 400,
    SEGMENTS = STEPS + 1,
    STREAM_MAX = STEPS * 6000,
    READERS = 3,
};

static uint64_t first_seed = 1, last_seed = ROUNDS, seed, random_state;

static uint64_t next_random(void)
{
    return splitmix64(&random_state);
}

static size_t below(size_t n)
{
    return (size_t)(next_random() % n);
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %llu: %s", (unsigned long long)seed, #condition);                       \
    } while (0)

/* Segment i is stream[starts[i] .. starts[i + 1]); those from `oldest` to `live` exist. */
static struct model {
    struct logdir dir;
    char stream[STREAM_MAX];
    size_t size, starts[SEGMENTS + 1];
    bool packed[SEGMENTS];
    size_t oldest, live;
} m;

struct follower {
    struct log_reader reader;
    bool open;
    size_t at; /* in the stream, of the byte it should give next */
};

static void write_some(void)
{
    char file[SEGMENT_NAME_MAX + 1];
    size_t n = below(below(8) ? 200 : 6000);

    for (size_t i = 0; i < n; i++)
        m.stream[m.size + i] = below(40) ? (char)('a' + below(26)) : '\n';
    segment_file(file, NAME, (int64_t)m.live);
    logdir_put(&m.dir, file, m.stream + m.size, n);
    m.size += n;
    m.starts[m.live + 1] = m.size;
}

static void rotate(void)
{
    char file[SEGMENT_NAME_MAX + 1];

    m.live++;
    m.starts[m.live + 1] = m.size;
    segment_file(file, NAME, (int64_t)m.live);
    logdir_put(&m.dir, file, "", 0);
}

static void pack(void)
{
    char plain[SEGMENT_NAME_MAX + 1], file[SEGMENT_NAME_MAX + 1];
    size_t i = m.oldest + below(m.live - m.oldest + 1);

    if (i == m.live || m.packed[i])
        return;
    segment_file(plain, NAME, (int64_t)i);
    segment_file_as(file, NAME, (int64_t)i, SEGMENT_GZIP);
    logdir_put_gzip(&m.dir, file, m.stream + m.starts[i], m.starts[i + 1] - m.starts[i]);
    m.packed[i] = true;
    CHECK(unlinkat(m.dir.fd, plain, 0) == 0);
}

static void trim(void)
{
    char file[SEGMENT_NAME_MAX + 1];

    if (m.oldest == m.live)
        return;
    segment_file_as(file, NAME, (int64_t)m.oldest,
                    m.packed[m.oldest] ? SEGMENT_GZIP : SEGMENT_PLAIN);
    CHECK(unlinkat(m.dir.fd, file, 0) == 0);
    m.oldest++;
}

static size_t lines_from_end(size_t lines)
{
    size_t at = m.size, oldest = m.starts[m.oldest];

    for (; lines > 0 && at > oldest; lines--)
        for (at--; at > oldest && m.stream[at - 1] != '\n';)
            at--;
    return at;
}

/* Where a reader that starts now has to begin. */
static size_t expected_start(const struct reader_start *start)
{
    size_t oldest = m.starts[m.oldest], kept = m.size - oldest;
    size_t count = start->count < kept ? (size_t)start->count : kept;

    if (start->origin == READER_LINES)
        return lines_from_end((size_t)start->count);
    return start->origin == READER_START ? oldest + count : m.size - count;
}

static void open_follower(struct follower *f)
{
    struct reader_start start = {.origin = (enum reader_origin)below(3), .count = below(5000)};
    struct err e;
    int rc;

    if (start.origin == READER_LINES)
        start.count = below(120);
    CHECK(reader_open(&f->reader, m.dir.fd, NAME, &start, &e) == 0);
    f->open = true;
    f->at = expected_start(&start);
    while ((rc = reader_find_start(&f->reader, &e)) == READER_BUSY)
        ;
    CHECK(rc == READER_DATA);
}

/* As after a restart of the program that reads. */
static void reopen_follower(struct follower *f)
{
    struct reader_start place = {.origin = READER_PLACE};
    struct err e;

    while (reader_find_start(&f->reader, &e) == READER_BUSY)
        ;
    reader_place(&f->reader, &place.number, &place.count);
    reader_close(&f->reader);
    CHECK(reader_open(&f->reader, m.dir.fd, NAME, &place, &e) == 0);
}

static void check_gap(struct follower *f)
{
    const struct log_reader *r = &f->reader;
    size_t first = (size_t)r->lost_first, next = first + (size_t)r->lost_segments;

    CHECK(!r->damaged && next > first && next <= m.oldest);
    CHECK(f->at >= m.starts[first] && f->at <= m.starts[first + 1]);
    f->at = m.starts[next];
}

/* One call; returns what it returned. */
static int step_follower(struct follower *f)
{
    static char buf[8192];
    size_t n = 0, size = 1 + below(below(2) ? 100 : sizeof(buf));
    struct err e;
    int rc = reader_read(&f->reader, buf, size, &n, &e);

    CHECK(rc >= 0);
    if (rc == READER_GAP)
        check_gap(f);
    if (rc != READER_DATA)
        return rc;
    CHECK(n > 0 && n <= size && f->at + n <= m.size);
    CHECK(memcmp(buf, m.stream + f->at, n) == 0);
    if (below(4) == 0) {
        size_t back = below(n + 1);

        reader_unread(&f->reader, back);
        n -= back;
    }
    f->at += n;
    return rc;
}

static void change_something(void)
{
    size_t what = below(20);

    if (what < 10)
        write_some();
    else if (what < 14)
        rotate();
    else if (what < 18)
        pack();
    else
        trim();
}

static void use_follower(struct follower *f)
{
    size_t what = below(60);

    if (!f->open)
        open_follower(f);
    else if (what == 0) {
        reader_close(&f->reader);
        f->open = false;
    } else if (what == 1)
        reopen_follower(f);
    else
        for (size_t i = below(12); i > 0; i--)
            (void)step_follower(f);
}

static void run_round(void)
{
    struct follower followers[READERS] = {0};

    random_state = seed;
    m.size = m.oldest = m.live = 0;
    memset(m.starts, 0, sizeof(m.starts));
    memset(m.packed, 0, sizeof(m.packed));
    logdir_make(&m.dir);
    logdir_put(&m.dir, NAME ".0", "", 0);
    for (int i = 0; i < STEPS; i++) {
        change_something();
        use_follower(&followers[below(READERS)]);
    }
    for (size_t i = 0; i < READERS; i++) {
        if (!followers[i].open)
            continue;
        while (step_follower(&followers[i]) != READER_IDLE)
            ;
        CHECK(followers[i].at == m.size);
        reader_close(&followers[i].reader);
    }
    logdir_remove(&m.dir);
}

static void test_random(void **state)
{
    (void)state;
    for (seed = first_seed; seed <= last_seed; seed++)
        run_round();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

    if (argc > 1)
        first_seed = last_seed = strtoull(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
