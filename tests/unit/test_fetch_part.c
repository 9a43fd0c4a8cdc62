/* SPDX-License-Identifier: MIT
 *
 * manager/fetch/part.h: a file that one thread reads while another one writes, and what of it the
 * next attempt takes up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/fetch/part.h"
#include "shared/cleanup.h"

enum {
    BEGINNINGS = 200,
    CHUNK = 1000,
    CHUNKS = 300, /* of the last beginning */
};

/* ---- two threads ---- */

struct sum {
    struct part *part;
    uint64_t bytes;
    unsigned begun;
    bool torn; /* bytes of two beginnings were taken for one */
};

/* Each beginning is of one byte's value. */
static void *read_all(void *arg)
{
    struct sum *sum = arg;
    struct part_reader reader;
    unsigned char buf[CHUNK * 3];
    ssize_t n;

    do {
        bool torn = false;
        int first = -1;

        reader = part_reader(sum->part);
        sum->begun++;
        sum->bytes = 0;
        while ((n = part_read(sum->part, &reader, buf, sizeof(buf))) > 0) {
            if (first < 0)
                first = buf[0];
            for (ssize_t i = 0; i < n; i++)
                torn |= buf[i] != first;
            sum->bytes += (uint64_t)n;
        }
        /* What a stale reader got does not count. */
        if (!part_is_stale(sum->part, &reader))
            sum->torn |= torn || n < 0;
    } while (part_wait(sum->part, &reader) > 0);
    return NULL;
}

static void test_begun_anew_under_the_reader(void **state)
{
    struct part part;
    struct sum sum = {.part = &part};
    unsigned char chunk[CHUNK];
    pthread_t thread;

    (void)state;
    part_init(&part, memfd_create("part", MFD_CLOEXEC));
    assert_int_equal(pthread_create(&thread, NULL, read_all, &sum), 0);
    for (int i = 0; i <= BEGINNINGS; i++) {
        assert_int_equal(part_begin_anew(&part), 0);
        memset(chunk, i % 251, sizeof(chunk));
        for (int k = 0; k < (i == BEGINNINGS ? CHUNKS : i % 7); k++)
            assert_int_equal(part_add(&part, chunk, sizeof(chunk)), 0);
    }
    part_end(&part, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(sum.torn);
    assert_int_equal(sum.bytes, CHUNK * CHUNKS);
    assert_true(sum.begun >= 1 && sum.begun <= BEGINNINGS + 1);
    part_deinit(&part);
}

static void test_ends(void **state)
{
    struct part part;
    struct part_reader reader;
    char buf[8];

    (void)state;
    part_init(&part, memfd_create("part", MFD_CLOEXEC));
    reader = part_reader(&part);
    assert_int_equal(part_add(&part, "abc", 3), 0);
    assert_int_equal(part_read(&part, &reader, buf, 2), 2);
    assert_int_equal(part_begin_anew(&part), 0);
    assert_int_equal(part_read(&part, &reader, buf, 2), -ECANCELED);
    assert_int_equal(part_wait(&part, &reader), 1);
    part_refuse(&part, &reader); /* too late: it is another one now */
    assert_int_equal(part_add(&part, "abc", 3), 0);
    reader = part_reader(&part);
    part_refuse(&part, &reader);
    assert_int_equal(part_add(&part, "d", 1), -ECANCELED);
    part_end(&part, false);
    assert_int_equal(part_wait(&part, &reader), -ECANCELED);
    assert_true(part_is_stale(&part, &reader));
    part_deinit(&part);
}

/* ---- what is left ---- */

static void put(const char *name, const char *text)
{
    FILE *f = fopen(name, "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_notes(void **state)
{
    static const struct {
        const char *note;
        const char *version; /* NULL: it does not hold */
    } cases[] = {
        {"key\n\"tag\"\n", "\"tag\""},
        {"key\n\n", ""},
        {"key\n\"tag\"", NULL},
        {"", NULL},
        {"key\n", NULL},
        {"key", NULL},
        {"ke\n\"tag\"\n", NULL},
        {"kez\nx\n", NULL},
        {"key\na\r\nX: y\n", NULL},
        {"key\na\nb\n", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct part part;
        struct err e = ERR_INIT;
        char buf[10];

        put(PART_FILE, "12345");
        put(PART_NOTE, cases[i].note);
        assert_int_equal(part_open("key", &part, &e), 0);
        if (cases[i].version) {
            assert_string_equal(part.version, cases[i].version);
            assert_int_equal(part_take_up(&part, buf, sizeof(buf)), 4);
            assert_memory_equal(buf, "1234", 4);
        } else {
            assert_int_equal(access(PART_NOTE, F_OK), -1);
        }
        assert_int_equal(part_take_up(&part, buf, sizeof(buf)), 0);
        assert_int_equal(part.size, cases[i].version ? 4 : 0);
        part_deinit(&part);
    }
    assert_int_equal(unlink(PART_FILE), 0);
}

static void test_a_note_speaks_of_what_is_there(void **state)
{
    struct part part;
    struct err e = ERR_INIT;
    struct stat st;
    char long_version[PART_VERSION_MAX];

    (void)state;
    memset(long_version, 'v', sizeof(long_version) - 1);
    long_version[sizeof(long_version) - 1] = '\0';
    assert_int_equal(part_open("key", &part, &e), 0);
    assert_int_equal(part_begin_anew(&part), 0);
    part_note(&part, true, long_version, 0);
    assert_int_equal(part_add(&part, "123", 3), 0);
    part_deinit(&part);

    assert_int_equal(part_open("key", &part, &e), 0); /* killed, and begun again */
    assert_string_equal(part.version, long_version);
    assert_int_equal(part.left, 2);
    assert_int_equal(part_begin_anew(&part), 0); /* the server had another version */
    assert_int_equal(access(PART_NOTE, F_OK), -1);
    assert_int_equal(stat(PART_FILE, &st), 0);
    assert_int_equal(st.st_size, 0);
    part_note(&part, false, "", 0);
    assert_int_equal(access(PART_NOTE, F_OK), -1);
    part_deinit(&part);
    assert_int_equal(unlink(PART_FILE), 0);
}

static int enter(void **state)
{
    static char path[] = "/tmp/cleat-part-XXXXXX";

    *state = path;
    return mkdtemp(path) && chdir(path) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    (void)unlink(PART_NOTE);
    return chdir("/") == 0 ? rmdir(*state) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begun_anew_under_the_reader),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_a_note_speaks_of_what_is_there),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
