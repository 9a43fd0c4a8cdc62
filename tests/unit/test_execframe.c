/* SPDX-License-Identifier: MIT
 *
 * shared/execframe, and the bytes of shared/proto/exec.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/execframe.h"

static void assert_encodes(const struct exec_frame *frame, const char *text)
{
    char buf[EXEC_FRAME_MAX];
    size_t n = exec_frame_encode(frame, buf);

    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, n);
}

static void test_encodes_nomads_messages(void **state)
{
    char hi[] = "hi\n";
    struct exec_frame frame = {.streams[EXEC_STDOUT] = {hi, 3, false}};

    (void)state;
    assert_encodes(&frame, "{\"stdout\":{\"data\":\"aGkK\"}}");
    frame.streams[EXEC_STDOUT].close = true;
    assert_encodes(&frame, "{\"stdout\":{\"data\":\"aGkK\",\"close\":true}}");
    frame = (struct exec_frame){.streams[EXEC_STDIN].close = true};
    assert_encodes(&frame, "{\"stdin\":{\"close\":true}}");
    frame = (struct exec_frame){.has_size = true, .size = {24, 65535}};
    assert_encodes(&frame, "{\"tty_size\":{\"height\":24,\"width\":65535}}");
    frame = (struct exec_frame){.exited = true, .exit_code = 137};
    assert_encodes(&frame, "{\"exited\":true,\"result\":{\"exit_code\":137}}");
    frame = (struct exec_frame){0};
    assert_encodes(&frame, "{}");
}

static void test_the_largest_data_comes_back(void **state)
{
    static char data[EXEC_FRAME_DATA_MAX], buf[EXEC_FRAME_MAX];
    struct exec_frame frame = {.streams[EXEC_STDERR] = {data, sizeof(data), true}}, back;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7);
    assert_int_equal(exec_frame_decode(buf, exec_frame_encode(&frame, buf), &back, NULL), 0);
    assert_int_equal(back.streams[EXEC_STDERR].size, sizeof(data));
    assert_memory_equal(back.streams[EXEC_STDERR].data, data, sizeof(data));
    assert_true(back.streams[EXEC_STDERR].close);
    exec_frame_deinit(&back);
}

static int decode(const char *text, struct exec_frame *ret_frame)
{
    struct err e = ERR_INIT;
    int r = exec_frame_decode(text, strlen(text), ret_frame, &e);

    assert_int_equal(e.code, r);
    assert_true(!r || e.text[0]);
    return r;
}

static void test_decodes_what_clients_send(void **state)
{
    struct exec_frame frame;

    (void)state;
    assert_int_equal(decode("{}", &frame), 0);
    assert_false(frame.has_size || frame.exited || frame.streams[EXEC_STDIN].data);
    assert_int_equal(
        decode("{\"stdin\":{\"data\":\"\",\"close\":false,\"new\":1},\"new\":[]}", &frame), 0);
    assert_int_equal(frame.streams[EXEC_STDIN].size, 0);
    exec_frame_deinit(&frame);
    assert_int_equal(decode("{\"stdin\":null,\"tty_size\":{\"height\":1,\"width\":2}}", &frame), 0);
    assert_true(frame.has_size);
    assert_int_equal(frame.size.height, 1);
    assert_int_equal(frame.size.width, 2);
    assert_int_equal(decode("{\"exited\":true,\"result\":{}}", &frame), 0);
    assert_true(frame.exited);
    assert_int_equal(frame.exit_code, 0);
}

static void test_refuses_what_is_no_message(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "7",
        "{\"stdin\":7}",
        "{\"stdin\":{\"data\":7}}",
        "{\"tty_size\":{\"height\":-1}}",
        "{\"tty_size\":{\"width\":65536}}",
        "{\"tty_size\":{\"width\":\"1\"}}",
        "{\"result\":{\"exit_code\":4294967296}}",
        "{} {}",
    };
    struct exec_frame frame;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(decode(bad[i], &frame), -EBADMSG);
}

static void test_sizes_are_little_endian(void **state)
{
    const struct exec_size size = {0x0102, 0xfffe};
    unsigned char buf[EXEC_SIZE_BYTES];
    struct exec_size back;

    (void)state;
    exec_size_encode(&size, buf);
    assert_memory_equal(buf, "\x02\x01\xfe\xff", sizeof(buf));
    exec_size_decode(buf, &back);
    assert_int_equal(back.height, 0x0102);
    assert_int_equal(back.width, 0xfffe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encodes_nomads_messages),
        cmocka_unit_test(test_the_largest_data_comes_back),
        cmocka_unit_test(test_decodes_what_clients_send),
        cmocka_unit_test(test_refuses_what_is_no_message),
        cmocka_unit_test(test_sizes_are_little_endian),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
