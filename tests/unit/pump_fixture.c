/* SPDX-License-Identifier: MIT */
#include "tests/unit/pump_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "tests/unit/syscalls.h"

struct logdir logs;
struct exec_spec spec;
struct log_dir dir;
struct ev_loop *loop;
struct pump pump;
uint64_t lost_bytes, reported;
unsigned int heard[PUMP_GAVE_UP + 1];
int fault;
bool full, unlimited;

static int verdict(const char *name)
{
    if (strcmp(name, "fstatfs") == 0)
        return unlimited ? ENOSYS : full ? ENOSPC : SYSCALL_GO_ON;
    return strcmp(name, "write") == 0 || strcmp(name, "openat") == 0 ? fault : SYSCALL_GO_ON;
}

static void on_news(struct pump *p, enum pump_news news)
{
    heard[news]++;
    if (news == PUMP_MENDED || news == PUMP_GAVE_UP) {
        assert_true(p->loss.from_ns > 0);
        assert_true(p->loss.bytes == 0 || p->loss.to_ns >= p->loss.from_ns);
        reported += p->loss.bytes;
    }
}

int pump_set_up(void **state)
{
    struct err e = ERR_INIT;

    (void)state;
    logdir_make(&logs);
    spec = (struct exec_spec){.log_dir = logs.path,
                              .logs = {.max_files = 1000, .max_file_size = 1000}};
    assert_int_equal(log_dir_open(&dir, &spec, &e), 0);
    loop = ev_loop_new(EVFLAG_NOENV);
    lost_bytes = reported = 0;
    fault = 0;
    full = unlimited = false;
    memset(heard, 0, sizeof(heard));
    syscall_verdict = verdict;
    pump_init(&pump, loop, &dir, NAME, &spec.logs, &lost_bytes, on_news, NULL);
    return 0;
}

int pump_tear_down(void **state)
{
    (void)state;
    pump_end(&pump);
    syscall_verdict = NULL;
    log_dir_close(&dir);
    ev_loop_destroy(loop);
    logdir_remove(&logs);
    return 0;
}

int attach(void)
{
    struct err e = ERR_INIT;
    int fd = -1;

    if (pump_attach(&pump, (uid_t)-1, (gid_t)-1, &fd, &e) < 0)
        fail_msg("%s", e.text);
    return fd;
}

void put(int fd, const char *text)
{
    syscall_verdict = NULL; /* the task's own writes do not fail */
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    syscall_verdict = verdict;
}

void turn(void)
{
    pump.retry_at = 0;
    if (pump_is_blocked(&pump)) {
        pump.timer.repeat = 1e-9;
        ev_timer_again(loop, &pump.timer);
        ev_run(loop, EVRUN_ONCE);
    }
    ev_run(loop, EVRUN_NOWAIT);
}

char *read_all(size_t *ret_size)
{
    int (*before)(const char *name) = syscall_verdict;
    autofree int64_t *numbers = NULL;
    char *all = calloc(1, 1);
    struct err e = ERR_INIT;
    size_t n;

    syscall_verdict = NULL;
    *ret_size = 0;
    assert_non_null(all);
    assert_int_equal(segment_list(logs.fd, NAME, &numbers, &n, &e), 0);
    for (size_t i = 0; i < n; i++) {
        char file[SEGMENT_NAME_MAX + 1];
        autofree char *part = NULL;
        size_t size;

        segment_file(file, NAME, numbers[i]);
        part = logdir_get(&logs, file, &size);
        all = realloc(all, *ret_size + size + 1);
        assert_non_null(all);
        memcpy(all + *ret_size, part, size + 1);
        *ret_size += size;
    }
    syscall_verdict = before;
    return all;
}

void expect(const char *text)
{
    size_t size;
    autofree char *all = read_all(&size);

    assert_string_equal(all, text);
}

bool pass(void)
{
    struct line_way way;
    char line[LINE];
    bool passed;

    line_way_open(&way, &pump);
    passed = line_way_pass(&way, line);
    line_way_close(&way, line, &pump);
    return passed;
}

bool pass_line(void)
{
    pump.checked_ticks = clock_ticks();
    return pass();
}
