/* SPDX-License-Identifier: MIT
 *
 * shared/proto: round trips, bounds and damage.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/cleanup.h"
#include "shared/proto/spec.h"
#include "shared/proto/status.h"
#include "shared/proto/wire.h"

static struct exec_spec example_spec(void)
{
    static char *args[] = {"/bin/echo", "hello", NULL};
    static char *env[] = {"A=1", NULL};
    static char *caps[] = {"chown", NULL};
    static gid_t groups[] = {7, 65534};
    static struct spec_rlimit rlimits[] = {{7, 10, UINT64_MAX}};
    static struct spec_bind binds[] = {{"/usr", "/usr"}, {"/etc", "/etc"}};

    return (struct exec_spec){
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
        .private_uts = true,
        .hostname = "h",
        .nice = -5,
        .rlimits = rlimits,
        .n_rlimits = 1,
        .caps = caps,
        .cgroup = {.unified = "/sys/fs/cgroup/cleat"},
        .cpu_shares = 100,
        .memory_bytes = 300ULL << 20,
        .restart = {.attempts = 3, .interval_ns = 1, .delay_ns = 2, .mode = SPEC_RESTART_DELAY},
        .kill_signal = 2,
        .kill_timeout_ns = 5000000000,
        .logs = {.max_files = 10, .max_file_size = 10 << 20},
        .order = "o",
    };
}

static void test_spec_round_trip(void **state)
{
    struct exec_spec in = example_spec(), *out = NULL;
    autofree char *data = NULL;
    struct err e = ERR_INIT;
    size_t size = 0;

    (void)state;
    assert_int_equal(spec_encode(&in, &data, &size), 0);
    assert_int_equal(spec_decode(data, size, &out, &e), 0);
    assert_string_equal(out->args[1], "hello");
    assert_null(out->args[2]);
    assert_string_equal(out->env[0], "A=1");
    assert_int_equal(out->n_groups, 2);
    assert_int_equal(out->groups[1], 65534);
    assert_int_equal(out->n_binds, 2);
    assert_string_equal(out->binds[1].target, "/etc");
    assert_string_equal(out->cgroup.unified, "/sys/fs/cgroup/cleat");
    assert_null(out->cgroup.memory);
    assert_null(out->work_dir);
    assert_string_equal(out->hostname, "h");
    assert_int_equal(out->nice, -5);
    assert_int_equal(out->n_rlimits, 1);
    assert_true(out->rlimits[0].hard == UINT64_MAX);
    assert_null(out->stdin_path);
    assert_int_equal(out->restart.mode, SPEC_RESTART_DELAY);
    assert_true(out->kill_timeout_ns == 5000000000);
    assert_string_equal(out->order, "o");
    out = spec_free(out);
}

static void test_spec_logs(void **state)
{
    struct exec_spec in = example_spec(), *out = NULL;
    autofree char *lean = NULL, *full = NULL;
    struct err e = ERR_INIT;
    size_t lean_size, full_size;

    (void)state;
    assert_int_equal(spec_encode(&in, &lean, &lean_size), 0);
    assert_null(memmem(lean, lean_size, "compress", 8));
    in.logs.max_age_ns = 7;
    in.logs.max_total_bytes = UINT64_MAX;
    in.logs.compress = SPEC_COMPRESS_GZIP;
    in.logs.compress_after_ns = 8;
    in.logs.on_full = SPEC_ON_FULL_BLOCK;
    assert_int_equal(spec_encode(&in, &full, &full_size), 0);
    assert_int_equal(spec_decode(full, full_size, &out, &e), 0);
    assert_memory_equal(&out->logs, &in.logs, sizeof(in.logs));
    out = spec_free(out);
}

/* What most tasks do without takes no room, and comes back as nothing. */
static void test_spec_limits(void **state)
{
    struct exec_spec in = example_spec(), *out = NULL;
    autofree char *lean = NULL, *full = NULL;
    struct err e = ERR_INIT;
    size_t lean_size, full_size;

    (void)state;
    assert_int_equal(spec_encode(&in, &lean, &lean_size), 0);
    assert_null(memmem(lean, lean_size, "\xa6limits", 7));
    assert_null(memmem(lean, lean_size, "cpuset", 6));
    assert_null(memmem(lean, lean_size, "executor", 8));
    assert_int_equal(spec_decode(lean, lean_size, &out, &e), 0);
    assert_null(out->limits.cpus);
    out = spec_free(out);
    in.cgroup.cpuset = "/sys/fs/cgroup/cpuset/cleat";
    in.cgroup.executor = "/sys/fs/cgroup/cleat/executors";
    in.limits = (struct spec_limits){.memory_low_bytes = 1,
                                     .cpu_quota_us = 50000,
                                     .cpu_period_us = 100000,
                                     .pids = 5,
                                     .cpus = "2-3",
                                     .io_weight = 200,
                                     .oom_group = true,
                                     .own_devices = true};
    assert_int_equal(spec_encode(&in, &full, &full_size), 0);
    assert_int_equal(spec_decode(full, full_size, &out, &e), 0);
    assert_string_equal(out->cgroup.cpuset, in.cgroup.cpuset);
    assert_string_equal(out->cgroup.executor, in.cgroup.executor);
    assert_string_equal(out->limits.cpus, "2-3");
    assert_int_equal(out->limits.cpu_quota_us, 50000);
    assert_int_equal(out->limits.pids, 5);
    assert_int_equal(out->limits.io_weight, 200);
    assert_true(out->limits.oom_group);
    assert_true(out->limits.own_devices);
    out = spec_free(out);
}

/* No prefix of a spec decodes, and none is read beyond its end (the sanitizer watches). */
static void test_spec_cut(void **state)
{
    struct exec_spec in = example_spec(), *out = NULL;
    autofree char *data = NULL;
    size_t size = 0;

    (void)state;
    assert_int_equal(spec_encode(&in, &data, &size), 0);
    for (size_t n = 0; n < size; n++) {
        autofree char *part = malloc(n + 1);
        struct err e = ERR_INIT;

        memcpy(part, data, n);
        assert_int_equal(spec_decode(part, n, &out, &e), -EBADMSG);
        assert_true(e.text[0]);
    }
    assert_null(out);
}

static void test_spec_rules(void **state)
{
    static char *nothing[] = {NULL};
    struct spec_rlimit inverted = {.resource = 7, .soft = 2, .hard = 1};
    struct spec_mount relative = {.source = "/a", .target = "b"};
    struct spec_device elsewhere = {"/dev/x", "/etc/x", "rw"};
    struct exec_spec *out = NULL;
    struct err e = ERR_INIT;
    size_t size;

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct exec_spec in = example_spec();
        autofree char *data = NULL;

        switch (i) {
        case 0:
            in.args = nothing;
            break;
        case 1:
            in.task = "a/b";
            break;
        case 2:
            in.kill_signal = 65;
            break;
        case 3:
            in.work_dir = "relative";
            break;
        case 4:
            in.private_uts = false; /* but a hostname */
            break;
        case 5:
            in.stdin_path = "relative";
            break;
        case 6:
            in.oom_score_adj = 1001;
            break;
        case 7:
            in.nice = 20;
            break;
        case 8:
            in.rlimits = &inverted;
            break;
        case 9:
            in.seccomp = true; /* without no_new_privs */
            break;
        case 13:
            in.userns_base = 100000;
            in.userns_size = 65534; /* no room for nobody */
            break;
        case 14:
            in.userns_size = 65536; /* at the host's own ids */
            break;
        case 16:
            in.rootless = true; /* but another user */
            in.isolation = SPEC_ISOLATION_CHROOT;
            break;
        case 17:
            in.rootless = true; /* without anything to own */
            in.isolation = SPEC_ISOLATION_NONE;
            in.set_user = false;
            break;
        case 18:
            in.n_subids = 65536; /* without a user namespace */
            in.subuid = in.subgid = 100000;
            break;
        case 19:
            in.rootless = true;
            in.isolation = SPEC_ISOLATION_CHROOT;
            in.subuid = in.subgid = 100000;
            in.n_subids = 65533; /* no room for nobody */
            break;
        case 11:
            in.mounts = &relative;
            in.n_mounts = 1;
            break;
        case 12:
            in.devices = &elsewhere;
            in.n_devices = 1;
            break;
        case 10:
            in.limits.cpu_quota_us = 50000; /* without a period */
            break;
        default:
            in.logs.max_files = 0;
        }
        assert_int_equal(spec_encode(&in, &data, &size), 0);
        assert_int_equal(spec_decode(data, size, &out, &e), -EBADMSG);
    }
    assert_null(out);
}

/* The fullest record there can be fits its slot. */
static struct task_status full_status(uint64_t seq)
{
    struct task_status s = {
        .seq = seq,
        .state = TASK_STATE_DEAD,
        .failed = true,
        .executor_pid = INT32_MIN,
        .executor_start = UINT64_MAX,
        .pid = INT32_MIN,
        .pid_start = UINT64_MAX,
        .attempt = UINT32_MAX,
        .restarts = UINT32_MAX,
        .started_ns = UINT64_MAX,
        .finished_ns = UINT64_MAX,
        .last_restart_ns = UINT64_MAX,
        .exit_code = INT32_MIN,
        .exit_signal = INT32_MIN,
        .log_lost_bytes = UINT64_MAX,
        .paused = true,
        .log_lost_stderr_bytes = UINT64_MAX,
        .terms_id = UINT64_MAX,
        .window_count = UINT32_MAX,
        .window_ns = UINT64_MAX,
        .definition = UINT64_MAX,
    };

    memset(s.boot_id, 'b', sizeof(s.boot_id) - 1);
    for (int i = 0; i < STATUS_EVENTS + 3; i++) {
        struct task_event event = {.seq = UINT64_MAX - (uint64_t)i,
                                   .time_ns = UINT64_MAX,
                                   .type = TASK_EVENT_LOST,
                                   .exit_code = INT32_MIN,
                                   .signal = INT32_MIN,
                                   .delay_ns = UINT64_MAX};

        memset(event.message, 'm', sizeof(event.message) - 1);
        task_status_add_event(&s, &event);
    }
    return s;
}

static void test_status_slots(void **state)
{
    autofd int fd = memfd_create("status", MFD_CLOEXEC);
    struct task_status in, out = {0};
    struct err e = ERR_INIT;
    char byte = 'x';

    (void)state;
    assert_int_equal(status_read(fd, &out, &e), -ENODATA);
    for (uint64_t seq = 1; seq <= 5; seq++) {
        in = full_status(seq);
        assert_int_equal(status_write(fd, &in, true), 0);
        assert_int_equal(status_read(fd, &out, &e), 0);
        assert_int_equal(out.seq, seq);
    }
    assert_int_equal(out.n_events, STATUS_EVENTS);
    assert_true(out.events[0].seq == UINT64_MAX - 3);
    assert_memory_equal(&in, &out, sizeof(in));

    /* Damage the newest slot (seq 5 is in slot 1): the one before it counts. */
    assert_int_equal(pwrite(fd, &byte, 1, STATUS_SLOT_BYTES + 100), 1);
    assert_int_equal(status_read(fd, &out, &e), 0);
    assert_int_equal(out.seq, 4);
    assert_int_equal(pwrite(fd, &byte, 1, 100), 1);
    assert_int_equal(status_read(fd, &out, &e), -ENODATA);
    assert_int_equal(out.seq, 4);
}

static void test_frames(void **state)
{
    struct evt_msg in = {.type = EVT_STATUS,
                         .seq = 9,
                         .state = TASK_STATE_RUNNING,
                         .pid = 42,
                         .has_event = true,
                         .event = {.seq = 9, .type = TASK_EVENT_STARTED, .message = "hello"}};
    struct evt_msg out = {0};
    char frame[WIRE_FRAME_MAX];
    size_t size = evt_encode(&in, frame), payload_size, used;
    struct err e = ERR_INIT;
    const char *payload;

    (void)state;
    for (size_t n = 0; n < size; n++)
        assert_int_equal(wire_frame(frame, n, &payload, &payload_size, &used), -EAGAIN);
    assert_int_equal(wire_frame(frame, size, &payload, &payload_size, &used), 0);
    assert_int_equal(used, size);
    assert_int_equal(evt_decode(payload, payload_size, &out, &e), 0);
    assert_string_equal(out.event.message, "hello");
    assert_int_equal(out.pid, 42);

    memset(frame, 0xff, sizeof(frame));
    assert_int_equal(wire_frame(frame, sizeof(frame), &payload, &payload_size, &used), -EBADMSG);
}

static struct spec_terms example_terms(void)
{
    struct exec_spec spec = example_spec();
    struct spec_terms terms;

    spec_terms_of(&spec, &terms);
    return terms;
}

static int pass_on(const struct spec_terms *terms, struct ctl_msg *ret_msg)
{
    const struct ctl_msg msg = {.type = CTL_TERMS, .terms = *terms};
    char frame[WIRE_FRAME_MAX];
    struct err e = ERR_INIT;
    const char *payload;
    size_t size, used;

    assert_int_equal(wire_frame(frame, ctl_encode(&msg, frame), &payload, &size, &used), 0);
    return ctl_decode(payload, size, ret_msg, &e);
}

static void test_terms(void **state)
{
    struct spec_terms terms = example_terms(), bad = terms;
    struct exec_spec spec = example_spec();
    uint64_t id = terms.id;
    struct ctl_msg msg;

    (void)state;
    terms.restart.attempts = 9;
    terms.kill_signal = 15;
    terms.shutdown_delay_ns = UINT64_MAX;
    terms.logs.max_age_ns = 7;
    terms.id = spec_terms_id(&terms);
    assert_true(terms.id && terms.id != id);
    assert_int_equal(pass_on(&terms, &msg), 0);
    assert_memory_equal(&msg.terms, &terms, sizeof(terms));
    spec_take_terms(&spec, &msg.terms);
    assert_int_equal(spec.restart.attempts, 9);
    assert_int_equal(spec.logs.max_age_ns, 7);
    assert_true(spec.terms_id == terms.id);
    spec.logs.disabled = true; /* it has no logs, and gets none */
    terms.logs.max_files = 1;
    spec_take_terms(&spec, &terms);
    assert_true(spec.logs.disabled);
    assert_int_equal(spec.logs.max_files, 10);
    bad.kill_signal = 65;
    assert_int_equal(pass_on(&bad, &msg), -EBADMSG);
    bad = terms;
    bad.logs.max_file_size = 0;
    assert_int_equal(pass_on(&bad, &msg), -EBADMSG);
}

/* Each field makes a difference. */
static void test_terms_id(void **state)
{
    const struct spec_terms terms = example_terms();
    struct spec_terms other[8];

    (void)state;
    for (size_t i = 0; i < 8; i++)
        other[i] = terms;
    other[0].restart.delay_ns++;
    other[1].restart.mode = SPEC_RESTART_FAIL;
    other[2].restart.on_success = true;
    other[3].kill_signal++;
    other[4].kill_timeout_ns++;
    other[5].shutdown_delay_ns++;
    other[6].logs.max_file_size++;
    other[7].logs.on_full = SPEC_ON_FULL_BLOCK;
    for (size_t i = 0; i < 8; i++)
        for (size_t k = 0; k < i; k++)
            assert_true(spec_terms_id(&other[i]) != spec_terms_id(&other[k]));
    other[0] = terms;
    other[0].id = 1;
    assert_true(spec_terms_id(&other[0]) == terms.id);
}

static void test_newer_command(void **state)
{
    /* {"type": 200, "shiny": [1]} */
    static const char payload[] = "\x82\xa4type\xcc\xc8\xa5shiny\x91\x01";
    struct ctl_msg msg = {.type = CTL_PING};
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(ctl_decode(payload, sizeof(payload) - 1, &msg, &e), -EPROTONOSUPPORT);
    assert_int_equal(msg.type, CTL_PING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_logs),   cmocka_unit_test(test_spec_round_trip),
        cmocka_unit_test(test_spec_limits), cmocka_unit_test(test_spec_cut),
        cmocka_unit_test(test_spec_rules),  cmocka_unit_test(test_status_slots),
        cmocka_unit_test(test_frames),      cmocka_unit_test(test_newer_command),
        cmocka_unit_test(test_terms),       cmocka_unit_test(test_terms_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
