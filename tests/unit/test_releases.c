/* SPDX-License-Identifier: MIT
 *
 * tests/fixtures/<release>/ holds the bytes each release wrote. What was written once must decode
 * for ever; and the newest release must still write every key an older one wrote, because the older
 * one refuses messages that lack it. Keys are only added.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>
#include <msgpack.h>

#include "shared/cleanup.h"
#include "shared/proto/spec.h"
#include "shared/proto/status.h"
#include "shared/proto/wire.h"

static char *args[] = {"/bin/echo", "hello", NULL};
static char *env[] = {"A=1", NULL};
static char *caps[] = {"chown", NULL};
static gid_t groups[] = {7, 65534};
static struct spec_bind binds[] = {{"/usr", "/usr"}, {"/etc", "/etc"}};

static const struct exec_spec sample_spec = {
    .alloc_id = "4c3e5d64-0000-4000-8000-000000000000",
    .task = "web",
    .isolation = SPEC_ISOLATION_CHROOT,
    .args = args,
    .env = env,
    .task_dir = "/d/web",
    .shared_dir = "/d/alloc",
    .log_dir = "/d/alloc/logs",
    .user = "nobody",
    .uid = 65534,
    .gid = 65534,
    .groups = groups,
    .n_groups = 2,
    .set_user = true,
    .binds = binds,
    .n_binds = 2,
    .private_pid = true,
    .private_ipc = true,
    .no_new_privs = true,
    .caps = caps,
    .cgroup = {.unified = "/sys/fs/cgroup/unified/c", .memory = "/sys/fs/cgroup/memory/c"},
    .cpu_shares = 100,
    .memory_bytes = 300ULL << 20,
    .restart = {.attempts = 3, .interval_ns = 1, .delay_ns = 2, .mode = SPEC_RESTART_DELAY},
    .kill_signal = 2,
    .kill_timeout_ns = 5000000000,
    .logs = {.max_files = 10, .max_file_size = 10 << 20},
};

static const struct task_status sample_status = {
    .seq = 4,
    .state = TASK_STATE_DEAD,
    .failed = true,
    .executor_pid = 100,
    .executor_start = 5000,
    .boot_id = "4c3e5d64-0000-4000-8000-000000000001",
    .pid = 0,
    .attempt = 1,
    .restarts = 1,
    .started_ns = 1700000000000000000,
    .finished_ns = 1700000001000000000,
    .exit_code = 137,
    .exit_signal = 9,
    .oom_killed = true,
    .n_events = 1,
    .events = {{.seq = 4,
                .time_ns = 1700000001000000000,
                .type = TASK_EVENT_TERMINATED,
                .exit_code = 137,
                .signal = 9,
                .oom_killed = true,
                .message = "OOM Killed"}},
};

static const struct ctl_msg sample_ctl[] = {
    {.type = CTL_HELLO, .version = 1},
    {.type = CTL_SIGNAL, .signal = 10},
    {.type = CTL_STOP, .fail = true, .reason = "a sibling failed"},
    {.type = CTL_RESTART},
    {.type = CTL_PING},
};

static const struct evt_msg sample_evt[] = {
    {.type = EVT_HELLO, .version = 1, .release = "0.1.0", .seq = 3},
    {.type = EVT_STATUS,
     .seq = 4,
     .state = TASK_STATE_RUNNING,
     .pid = 4711,
     .has_event = true,
     .event = {.seq = 4, .time_ns = 1700000000000000000, .type = TASK_EVENT_STARTED}},
};

enum {
    N_CTL = sizeof(sample_ctl) / sizeof(sample_ctl[0]),
    N_EVT = sizeof(sample_evt) / sizeof(sample_evt[0]),
    FIXTURE_MAX = 8 * WIRE_FRAME_MAX,
};

static size_t read_fixture(const char *name, char *buf)
{
    char path[512];
    FILE *f;
    size_t n;

    (void)snprintf(path, sizeof(path), CLEAT_FIXTURES "/0.1/%s", name);
    f = fopen(path, "rb");
    assert_non_null(f);
    n = fread(buf, 1, FIXTURE_MAX, f);
    assert_int_equal(fclose(f), 0);
    assert_in_range(n, 1, FIXTURE_MAX - 1);
    return n;
}

static void parse_map(const char *data, size_t size, msgpack_zone *zone, msgpack_object *ret_map)
{
    size_t used = 0;

    assert_int_equal(msgpack_unpack(data, size, &used, zone, ret_map), MSGPACK_UNPACK_SUCCESS);
    assert_int_equal(ret_map->type, MSGPACK_OBJECT_MAP);
}

static bool has_key(const msgpack_object_map *map, const msgpack_object *key)
{
    for (uint32_t i = 0; i < map->size; i++)
        if (msgpack_object_equal(map->ptr[i].key, *key))
            return true;
    return false;
}

/* Every key of the map in `old` is in the map in `now`. */
static void assert_keys_kept(const char *old, size_t old_size, const char *now, size_t now_size)
{
    msgpack_object old_map, now_map;
    msgpack_zone zone;

    assert_true(msgpack_zone_init(&zone, 4096));
    parse_map(old, old_size, &zone, &old_map);
    parse_map(now, now_size, &zone, &now_map);
    for (uint32_t i = 0; i < old_map.via.map.size; i++)
        assert_true(has_key(&now_map.via.map, &old_map.via.map.ptr[i].key));
    msgpack_zone_destroy(&zone);
}

enum {
    SLOT_HEADER = 12, /* proto/status.c */
    FRAME_HEADER = 4, /* proto/wire.h */
};

static void test_spec_0_1(void **state)
{
    static char data[FIXTURE_MAX];
    size_t size = read_fixture("spec", data), now_size;
    struct exec_spec *spec;
    autofree char *now = NULL;
    struct err e;

    (void)state;
    assert_int_equal(spec_decode(data, size, &spec, &e), 0);
    assert_string_equal(spec->args[1], "hello");
    assert_string_equal(spec->binds[1].target, "/etc");
    assert_string_equal(spec->cgroup.memory, "/sys/fs/cgroup/memory/c");
    assert_int_equal(spec->restart.mode, SPEC_RESTART_DELAY);
    assert_int_equal(spec->kill_timeout_ns, 5000000000);
    spec_free(spec);
    assert_int_equal(spec_encode(&sample_spec, &now, &now_size), 0);
    assert_keys_kept(data, size, now, now_size);
}

static void test_status_0_1(void **state)
{
    static char data[FIXTURE_MAX], now[STATUS_SLOT_BYTES];
    size_t size = read_fixture("status", data);
    struct task_status status;
    struct err e;

    (void)state;
    assert_int_equal(status_decode(data, size, &status, &e), 0);
    assert_int_equal(status.state, TASK_STATE_DEAD);
    assert_int_equal(status.exit_signal, 9);
    assert_string_equal(status.events[0].message, "OOM Killed");
    assert_keys_kept(data + SLOT_HEADER, size - SLOT_HEADER, now + SLOT_HEADER,
                     status_encode(&sample_status, now) - SLOT_HEADER);
}

static void test_ctl_0_1(void **state)
{
    static char data[FIXTURE_MAX], now[WIRE_FRAME_MAX];
    size_t size = read_fixture("ctl", data), at = 0;
    struct err e;

    (void)state;
    for (size_t i = 0; i < N_CTL; i++) {
        size_t payload_size, consumed;
        const char *payload;
        struct ctl_msg msg;

        assert_int_equal(wire_frame(data + at, size - at, &payload, &payload_size, &consumed), 0);
        assert_int_equal(ctl_decode(payload, payload_size, &msg, &e), 0);
        assert_int_equal(msg.type, sample_ctl[i].type);
        assert_int_equal(msg.signal, sample_ctl[i].signal);
        assert_string_equal(msg.reason, sample_ctl[i].reason);
        assert_keys_kept(payload, payload_size, now + FRAME_HEADER,
                         ctl_encode(&sample_ctl[i], now) - FRAME_HEADER);
        at += consumed;
    }
    assert_int_equal(at, size);
}

/* Since wire version 2. */
static void test_terms_0_1(void **state)
{
    static char data[FIXTURE_MAX], now[WIRE_FRAME_MAX];
    size_t size = read_fixture("terms", data), payload_size, consumed;
    const char *payload;
    struct ctl_msg msg;
    struct err e;

    (void)state;
    assert_int_equal(wire_frame(data, size, &payload, &payload_size, &consumed), 0);
    assert_int_equal(consumed, size);
    assert_int_equal(ctl_decode(payload, payload_size, &msg, &e), 0);
    assert_int_equal(msg.type, CTL_TERMS);
    assert_int_equal(msg.terms.restart.mode, SPEC_RESTART_DELAY);
    assert_int_equal(msg.terms.kill_timeout_ns, 5000000000);
    assert_int_equal(msg.terms.logs.max_files, 10);
    assert_keys_kept(payload, payload_size, now + FRAME_HEADER,
                     ctl_encode(&msg, now) - FRAME_HEADER);
}

static void test_evt_0_1(void **state)
{
    static char data[FIXTURE_MAX], now[WIRE_FRAME_MAX];
    size_t size = read_fixture("evt", data), at = 0;
    struct err e;

    (void)state;
    for (size_t i = 0; i < N_EVT; i++) {
        size_t payload_size, consumed;
        const char *payload;
        struct evt_msg msg;

        assert_int_equal(wire_frame(data + at, size - at, &payload, &payload_size, &consumed), 0);
        assert_int_equal(evt_decode(payload, payload_size, &msg, &e), 0);
        assert_int_equal(msg.type, sample_evt[i].type);
        assert_int_equal(msg.seq, sample_evt[i].seq);
        assert_int_equal(msg.pid, sample_evt[i].pid);
        assert_int_equal(msg.has_event, sample_evt[i].has_event);
        assert_keys_kept(payload, payload_size, now + FRAME_HEADER,
                         evt_encode(&sample_evt[i], now) - FRAME_HEADER);
        at += consumed;
    }
    assert_int_equal(at, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_0_1), cmocka_unit_test(test_status_0_1),
        cmocka_unit_test(test_ctl_0_1),  cmocka_unit_test(test_terms_0_1),
        cmocka_unit_test(test_evt_0_1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
