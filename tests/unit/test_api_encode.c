/* SPDX-License-Identifier: MIT
 *
 * JSON shapes: texts, times, modes, events, stream frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manager/api/encode.h"
#include "manager/api/tail.h"
#include "shared/cleanup.h"

static void test_text(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "plain"},
        {"\xc3\xa9", "\xc3\xa9"},
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xc3", "\xef\xbf\xbd"},                                 /* cut off */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xff\xf0\x9f\x98\x80", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
        {NULL, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *json = encode_text(cases[i].in);

        assert_string_equal(json_string_value(json), cases[i].out);
        json_decref(json);
    }
}

static void test_time(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {
        {0, "0001-01-01T00:00:00Z"},
        {1603821639000000000, "2020-10-27T18:00:39Z"},
        {1603821639120000000, "2020-10-27T18:00:39.12Z"},
        {1603821639000000001, "2020-10-27T18:00:39.000000001Z"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *json = encode_time(cases[i].ns);

        assert_string_equal(json_string_value(json), cases[i].text);
        json_decref(json);
    }
}

static void test_mode(void **state)
{
    static const struct {
        mode_t mode;
        const char *text;
    } cases[] = {
        {S_IFDIR | 0777, "drwxrwxrwx"},
        {S_IFDIR | S_ISVTX | 0777, "dtrwxrwxrwx"},
        {S_IFREG | 0644, "-rw-r--r--"},
        {S_IFREG | S_ISUID | 0755, "urwxr-xr-x"},
        {S_IFLNK | 0777, "Lrwxrwxrwx"},
        {S_IFCHR | 0666, "Dcrw-rw-rw-"},
        {S_IFREG | S_ISUID | S_ISGID | S_ISVTX, "ugt---------"},
        {S_IFIFO | 0600, "prw-------"},
        {S_IFSOCK | 0600, "Srw-------"},
        {S_IFBLK | 0600, "Drw-------"},
    };
    char buf[GO_MODE_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(encode_go_mode(cases[i].mode, buf), cases[i].text);
}

static void check_event(const struct task_event *event, const char *display, const char *detail,
                        const char *value)
{
    json_t *json = encode_event(event);

    assert_string_equal(json_string_value(json_object_get(json, "DisplayMessage")), display);
    if (detail)
        assert_string_equal(
            json_string_value(json_object_get(json_object_get(json, "Details"), detail)), value);
    assert_int_equal(json_integer_value(json_object_get(json, "Time")), event->time_ns);
    assert_string_equal(json_string_value(json_object_get(json, "Type")),
                        task_event_type_name(event->type));
    json_decref(json);
}

static void test_events(void **state)
{
    struct task_event event = {.time_ns = 5, .type = TASK_EVENT_TERMINATED, .exit_code = 3};

    (void)state;
    check_event(&event, "Exit Code: 3", "exit_code", "3");
    event = (struct task_event){.type = TASK_EVENT_TERMINATED, .exit_code = 137, .signal = 9};
    check_event(&event, "Exit Code: 137, Signal: 9", "signal", "9");
    event.oom_killed = true;
    check_event(&event, "Exit Code: 137, Signal: 9, OOM Killed", "oom_killed", "true");
    event = (struct task_event){.type = TASK_EVENT_RESTARTING, .delay_ns = 15000000000};
    check_event(&event, "Task restarting in 15s", "start_delay", "15000000000");
    event = (struct task_event){.type = TASK_EVENT_SIGNALING, .signal = 10};
    check_event(&event, "Task being sent signal SIGUSR1", "task_signal", "SIGUSR1");
    event = (struct task_event){.type = TASK_EVENT_DRIVER_FAILURE, .message = "stage exec: no"};
    check_event(&event, "stage exec: no", "driver_error", "stage exec: no");
    event = (struct task_event){.type = TASK_EVENT_KILLED};
    check_event(&event, "Killed", NULL, NULL);
}

/* What a frame's base64 stands for; slow and obvious. */
static size_t unbase64(const char *text, char *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned int bits = 0;
    int n_bits = 0;
    size_t n = 0;

    for (; *text && *text != '='; text++) {
        const char *letter = strchr(letters, *text);

        assert_non_null(letter);
        bits = bits << 6 | (unsigned int)(letter - letters);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[n++] = (char)(bits >> n_bits & 0xff);
        }
    }
    return n;
}

/* Encodes n bytes that lie at the very end of the buffer, as a reply does. */
static void check_frame(size_t n, uint64_t offset, const char *file)
{
    size_t size = SOURCE_MIN;
    autofree char *buf = malloc(size), *before = malloc(n + 1), *after = malloc(n + 1);
    struct tail_piece piece = {.offset = offset};

    for (size_t i = 0; i < n; i++)
        buf[size - n + i] = before[i] = (char)(i * 7 + i / 251);
    size_t length = frame_encode(buf, size, file, &piece, buf + size - n, n);
    json_t *json = json_loadb(buf, length, 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_integer_value(json_object_get(json, "Offset")), offset);
    assert_int_equal(json_object_get(json, "Offset") != NULL, offset != 0);
    assert_string_equal(json_string_value(json_object_get(json, "File")), file);
    assert_null(json_object_get(json, "FileEvent"));
    if (n) {
        assert_int_equal(unbase64(json_string_value(json_object_get(json, "Data")), after), n);
        assert_memory_equal(before, after, n);
    }
    json_decref(json);
}

static void test_frames(void **state)
{
    (void)state;
    for (size_t n = 0; n < 10; n++)
        check_frame(n, n * 1000, "alloc/logs/web.stdout.0");
    check_frame(TAIL_FRAME_MAX, UINT32_MAX, "a \"quoted\"\n name");
    check_frame(TAIL_FRAME_MAX - 1, 1, "x");
    check_frame(TAIL_FRAME_MAX - 2, 0, "x");
}

static void test_event_frame(void **state)
{
    struct tail_piece piece = {.event = "file deleted"};
    char buf[256];
    size_t n = frame_encode(buf, sizeof(buf), "a/b", &piece, NULL, 0);

    (void)state;
    buf[n] = '\0';
    assert_string_equal(buf, "{\"File\":\"a/b\",\"FileEvent\":\"file deleted\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),   cmocka_unit_test(test_time),
        cmocka_unit_test(test_mode),   cmocka_unit_test(test_events),
        cmocka_unit_test(test_frames), cmocka_unit_test(test_event_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
