/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "logrotate/writer.h"
#include "shared/cleanup.h"
#include "tests/unit/logdir.h"

#define NAME "t.stdout"

static struct logdir d;

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

static struct log_writer open_writer(uint64_t max_size, uint32_t max_files)
{
    struct log_writer w = LOG_WRITER_INIT;
    struct err e = ERR_INIT;

    if (writer_open(&w, d.fd, NAME, max_size, max_files, &e) < 0)
        fail_msg("%s", e.text);
    return w;
}

static void put(struct log_writer *w, const char *text)
{
    size_t done;

    assert_int_equal(writer_write(w, text, strlen(text), false, &done), strlen(text));
    assert_int_equal(done, strlen(text));
}

/* Segments from 0 on hold exactly these texts; NULL ends them and means that there is no such file.
 */
static void expect(const char *const *texts)
{
    char file[SEGMENT_NAME_MAX + 1];

    for (int64_t i = 0;; i++) {
        autofree char *data = NULL;
        size_t size;

        segment_file(file, NAME, i);
        if (!texts[i]) {
            assert_false(logdir_has(&d, file));
            return;
        }
        data = logdir_get(&d, file, &size);
        assert_string_equal(data, texts[i]);
    }
}
#define EXPECT(...) expect((const char *const[]){__VA_ARGS__, NULL})

static void test_lines_stay_whole(void **state)
{
    struct log_writer w = open_writer(5, 100);

    (void)state;
    put(&w, "ab\ncdef\n");
    put(&w, "1234567890");
    put(&w, "\n");
    EXPECT("ab\n", "cdef\n", "12345", "67890", "\n");
    assert_int_equal(w.written, 19);
    writer_close(&w);
}

static void test_continues_in_the_middle_of_a_line(void **state)
{
    struct log_writer w;

    (void)state;
    logdir_put(&d, NAME ".0", "abcd", 4);
    w = open_writer(5, 100);
    assert_true(w.line_open);
    put(&w, "efghijkl");
    EXPECT("abcde", "fghij", "kl");
    writer_close(&w);
}

static void test_continues_the_highest_number(void **state)
{
    struct log_writer w;

    (void)state;
    logdir_put(&d, NAME ".9", "old", 3);
    logdir_put(&d, NAME ".10", "new\n", 4);
    w = open_writer(100, 10);
    assert_int_equal(w.number, 10);
    assert_false(w.line_open);
    put(&w, "er\n");
    assert_true(logdir_has(&d, NAME ".9"));
    writer_close(&w);
    assert_int_equal(w.fd, -1);
    w = open_writer(100, 10);
    assert_int_equal(w.size, 7);
    writer_close(&w);
}

static void test_full_or_larger_than_now_allowed(void **state)
{
    struct log_writer w;

    (void)state;
    logdir_put(&d, NAME ".0", "123456789", 9);
    w = open_writer(5, 3);
    put(&w, "a\n");
    EXPECT("123456789", "a\n");
    writer_close(&w);
}

static void test_window(void **state)
{
    struct log_writer w = open_writer(16, 100); /* window 4 */
    size_t done;

    (void)state;
    put(&w, "12345678901\n"); /* 4 left: a line may still be started */
    put(&w, "a");
    put(&w, "bc\n");
    EXPECT("12345678901\nabc\n");

    put(&w, "123456789012\n"); /* 3 left: not without its end */
    assert_int_equal(writer_write(&w, "a", 1, true, &done), 0);
    assert_int_equal(done, 0);
    assert_int_equal(writer_write(&w, "a\nb", 3, true, &done), 2);
    EXPECT("12345678901\nabc\n", "123456789012\na\n");
    put(&w, "b");
    EXPECT("12345678901\nabc\n", "123456789012\na\n", "b");
    writer_close(&w);
}

static void test_other_limits(void **state)
{
    struct log_writer w = open_writer(4, 100);

    (void)state;
    for (int i = 0; i < 5; i++)
        put(&w, "abc\n");
    writer_set_limits(&w, 8, 2); /* the two newest stay, and the live one goes on */
    assert_false(logdir_has(&d, NAME ".2"));
    assert_true(logdir_has(&d, NAME ".3"));
    put(&w, "abc\n");
    assert_int_equal(w.number, 4);
    writer_set_limits(&w, 4, 2); /* it is too large now */
    put(&w, "abc\n");
    assert_int_equal(w.number, 5);
    assert_false(logdir_has(&d, NAME ".3"));
    writer_set_limits(&w, 4, 100);
    put(&w, "abc\n");
    assert_true(logdir_has(&d, NAME ".4"));
    writer_close(&w);
}

static void test_trims(void **state)
{
    struct log_writer w;

    (void)state;
    for (int i = 0; i < 6; i++) {
        char file[SEGMENT_NAME_MAX + 1];

        segment_file(file, NAME, i);
        logdir_put(&d, file, "full!", 5);
    }
    logdir_put(&d, "t.stderr.0", "x", 1);
    w = open_writer(5, 3);
    assert_false(logdir_has(&d, NAME ".2"));
    assert_true(logdir_has(&d, NAME ".3"));
    put(&w, "a");
    assert_false(logdir_has(&d, NAME ".3"));
    assert_true(logdir_has(&d, NAME ".4"));
    put(&w, "bcdefghijklmnopqrstuvwxyz");
    assert_int_equal(w.number, 11);
    assert_false(logdir_has(&d, NAME ".8"));
    assert_true(logdir_has(&d, NAME ".9"));
    assert_true(logdir_has(&d, "t.stderr.0"));
    writer_close(&w);
    w = open_writer(5, 1);
    assert_false(logdir_has(&d, NAME ".10"));
    assert_true(logdir_has(&d, NAME ".11"));
    writer_close(&w);
}

/* Compressed segments count like plain ones, and go like them. */
static void test_trims_compressed(void **state)
{
    struct log_writer w;

    (void)state;
    logdir_put(&d, NAME ".0.gz", "x", 1);
    logdir_put(&d, NAME ".7.gz", "x", 1);
    logdir_put(&d, NAME ".8.gz", "x", 1);
    logdir_put(&d, "." NAME ".99.tmp", "x", 1);
    w = open_writer(5, 3);
    assert_int_equal(w.number, 9);
    assert_false(logdir_has(&d, NAME ".0.gz"));
    put(&w, "1234567890");
    assert_int_equal(w.number, 10);
    assert_false(logdir_has(&d, NAME ".7.gz"));
    assert_true(logdir_has(&d, NAME ".8.gz"));
    writer_close(&w);
}

/* A task that may write to the directory puts things in the way. */
static void test_odd_entries(void **state)
{
    struct log_writer w;

    (void)state;
    logdir_put(&d, "victim", "", 0);
    logdir_put(&d, NAME ".0", "full!", 5);
    logdir_put(&d, NAME ".00", "", 0);
    logdir_put(&d, NAME ".99999999999999999999", "", 0);
    assert_int_equal(symlinkat("victim", d.fd, NAME ".1"), 0);
    assert_int_equal(symlinkat("nowhere", d.fd, NAME ".2"), 0);
    assert_int_equal(mkdirat(d.fd, NAME ".3", 0700), 0);
    assert_int_equal(mkfifoat(d.fd, NAME ".4", 0600), 0);
    assert_int_equal(linkat(d.fd, "victim", d.fd, NAME ".5", 0), 0);
    w = open_writer(5, 10);
    put(&w, "a\n");
    assert_int_equal(w.number, 6);
    assert_true(logdir_has(&d, NAME ".0"));
    assert_true(logdir_has(&d, NAME ".3"));
    assert_false(logdir_has(&d, "nowhere"));
    {
        size_t size;
        autofree char *data = logdir_get(&d, "victim", &size);

        assert_int_equal(size, 0);
    }
    writer_close(&w);
}

static void test_refuses(void **state)
{
    struct log_writer w = LOG_WRITER_INIT;
    struct err e;

    (void)state;
    assert_int_equal(writer_open(&w, d.fd, "a/b", 5, 1, &e), -EINVAL);
    assert_int_equal(writer_open(&w, d.fd, NAME, 0, 1, &e), -EINVAL);
    assert_int_equal(writer_open(&w, d.fd, NAME, 5, 0, &e), -EINVAL);
    assert_int_equal(writer_open(&w, -1, NAME, 5, 1, &e), -EBADF);
    assert_int_equal(w.fd, -1);
}

static void test_directory_gone(void **state)
{
    struct logdir gone;
    struct log_writer w = LOG_WRITER_INIT;
    size_t done;
    int fd;
    struct err e;

    (void)state;
    logdir_make(&gone);
    fd = gone.fd;
    assert_int_equal(writer_open(&w, fd, NAME, 4, 2, &e), 0);
    assert_int_equal(unlinkat(fd, NAME ".0", 0), 0);
    assert_int_equal(rmdir(gone.path), 0);
    assert_int_equal(writer_write(&w, "abcdefgh", 8, false, &done), -ENOENT);
    assert_int_equal(done, 4); /* into the file that has no name any more */
    assert_int_equal(writer_write(&w, "efgh", 4, false, &done), -ENOENT);
    assert_int_equal(done, 0);
    writer_drop(&w, 4);
    assert_int_equal(w.lost, 4);
    writer_close(&w);
    close_fd(&gone.fd);
}

/* A live file somebody removed is replaced under the next number once an error made us look. */
static void test_file_gone_after_error(void **state)
{
    struct log_writer w = open_writer(100, 10);

    (void)state;
    put(&w, "a");
    assert_int_equal(unlinkat(d.fd, NAME ".0", 0), 0);
    close_fd(&w.fd);
    put(&w, "b\n");
    assert_int_equal(w.number, 1);
    assert_true(logdir_has(&d, NAME ".1"));
    writer_close(&w);
}

/* Writes numbered lines until one cannot be written, calls `mend`, offers the rest again. */
static void write_over_fault(const struct logdir *dir, int code, void (*mend)(void))
{
    struct log_writer w = LOG_WRITER_INIT;
    autofree char *data = malloc(300 * 1024);
    size_t done, size = 300 * 1024, at, n;
    ssize_t r;
    struct err e;

    for (size_t i = 0; i < size; i++)
        data[i] = i % 100 == 99 ? '\n' : (char)('a' + i / 100 % 26);
    assert_int_equal(writer_open(&w, dir->fd, NAME, 64 * 1024, 100, &e), 0);
    r = writer_write(&w, data, size, false, &done);
    assert_int_equal(r, code);
    assert_true(done > 0 && done < size);
    assert_int_equal(w.written, done);
    at = done;
    r = writer_write(&w, data + at, size - at, false, &done);
    assert_int_equal(r, code);
    at += done;
    mend();
    r = writer_write(&w, data + at, size - at, false, &done);
    assert_int_equal(r, size - at);
    assert_int_equal(w.written, size);
    at = 0;
    for (int64_t i = 0; i <= w.number; i++) {
        char file[SEGMENT_NAME_MAX + 1];
        autofree char *part = NULL;

        segment_file(file, NAME, i);
        part = logdir_get(dir, file, &n);
        assert_true(n <= 64 * 1024 && at + n <= size);
        assert_memory_equal(part, data + at, n);
        assert_int_equal(n % 100, 0); /* no line was cut */
        at += n;
    }
    assert_int_equal(at, size);
    writer_close(&w);
}

/* The first line that meets the limit is cut; nothing is lost, and later ones are whole. */
static void test_file_size_limit(void **state)
{
    struct rlimit none, small;
    struct log_writer w = LOG_WRITER_INIT;
    char data[20000];
    size_t done, at = 0;
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = i % 100 == 99 ? '\n' : (char)('a' + i / 100 % 26);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &none), 0);
    small = none;
    small.rlim_cur = 4937;
    assert_int_equal(writer_open(&w, d.fd, NAME, 8192, 100, &e), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(writer_write(&w, data, sizeof(data), false, &done), sizeof(data));
    assert_int_equal(done, sizeof(data));
    for (int64_t i = 0; i <= w.number; i++) {
        char file[SEGMENT_NAME_MAX + 1];
        autofree char *part = NULL;
        size_t n;

        segment_file(file, NAME, i);
        part = logdir_get(&d, file, &n);
        assert_true(n <= 4937 && at + n <= sizeof(data));
        assert_memory_equal(part, data + at, n);
        at += n;
        assert_int_equal(at % 100, i ? 0 : 37);
    }
    assert_int_equal(at, sizeof(data));

    small.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(writer_write(&w, data, 100, false, &done), -EFBIG);
    assert_int_equal(done, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_int_equal(writer_write(&w, data, 100, false, &done), 100);
    writer_close(&w);
}

/* The newest segment is another user's, the directory is everybody's. */
static void test_a_segment_of_another_user(void **state)
{
    struct log_writer w = LOG_WRITER_INIT;
    size_t done;
    struct err e;
    int r;

    (void)state;
    if (geteuid() != 0)
        skip();
    logdir_put(&d, NAME ".4", "theirs\n", 7);
    assert_int_equal(fchmodat(d.fd, NAME ".4", 0400, 0), 0);
    assert_int_equal(fchmod(d.fd, 0777), 0);
    assert_int_equal(seteuid(65534), 0);
    r = writer_open(&w, d.fd, NAME, 8192, 100, &e);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(r, 0);
    assert_int_equal(w.number, 5);
    assert_int_equal(writer_write(&w, "ours\n", 5, false, &done), 5);
    writer_close(&w);
}

static struct logdir full;

static void make_room(void)
{
    assert_int_equal(unlinkat(full.fd, "filler", 0), 0);
}

static void test_disk_full(void **state)
{
    static const char filler[200 * 1024];

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount("tmpfs", d.path, "tmpfs", 0, "size=400k"), 0);
    full = d;
    full.fd = open(d.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    logdir_put(&full, "filler", filler, sizeof(filler));
    write_over_fault(&full, -ENOSPC, make_room);
    close_fd(&full.fd);
    assert_int_equal(umount2(d.path, 0), 0);
}

/* The next segment can have the inode of the one that it pushes out. */
static void test_no_free_inode(void **state)
{
    struct log_writer w = LOG_WRITER_INIT;
    struct logdir few = d;
    size_t done;
    struct err e;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount("tmpfs", d.path, "tmpfs", 0, "nr_inodes=3"), 0); /* one is the root's */
    few.fd = open(d.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(writer_open(&w, few.fd, NAME, 10, 2, &e), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(writer_write(&w, "123456789\n", 10, false, &done), 10);
    assert_int_equal(w.number, 4);
    assert_true(logdir_has(&few, NAME ".3") && logdir_has(&few, NAME ".4"));
    writer_close(&w);
    close_fd(&few.fd);
    assert_int_equal(umount2(d.path, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines_stay_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_continues_in_the_middle_of_a_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_continues_the_highest_number, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_or_larger_than_now_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_window, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trims, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trims_compressed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refuses, setup, teardown),
        cmocka_unit_test(test_directory_gone),
        cmocka_unit_test_setup_teardown(test_file_gone_after_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_size_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_free_inode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_segment_of_another_user, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
