/* SPDX-License-Identifier: MIT
 *
 * bench-task [pause | fast BYTES | slow PER_SECOND]: the task every supervisor is measured with.
 * Its first act is to read CLOCK_MONOTONIC and to print it as a line of nanoseconds on stdout,
 * which every supervisor carries somewhere; when the line arrives does not matter. Then it exits,
 * or
 *
 *   pause             waits for ever
 *   fast BYTES        writes so much in lines of 100 bytes, waits until its pipe is empty, prints
 *                     "report BEGIN END" in nanoseconds on stderr, and waits for ever
 *   slow PER_SECOND   writes so many lines of 100 bytes a second, for ever, evenly spread
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE = 100,
    CHUNK_LINES = 655, /* just below 64 KiB, what a default pipe holds */
};
static const int64_t second_ns = 1000000000;

static char chunk[CHUNK_LINES * LINE];

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * second_ns + now.tv_nsec;
}

static void sleep_until(int64_t ns)
{
    struct timespec until = {.tv_sec = ns / second_ns, .tv_nsec = ns % second_ns};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        ;
}

static void put(const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(STDOUT_FILENO, data, size);

        if (n <= 0)
            exit(1);
        data += n;
        size -= (size_t)n;
    }
}

static void fast(uint64_t bytes)
{
    int64_t begin = now_ns();
    int waiting = 0;

    for (uint64_t left = bytes; left > 0;) {
        size_t n = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);

        put(chunk, n);
        left -= n;
    }
    while (ioctl(STDOUT_FILENO, FIONREAD, &waiting) == 0 && waiting > 0)
        sleep_until(now_ns() + 200000);
    dprintf(STDERR_FILENO, "report %lld %lld\n", (long long)begin, (long long)now_ns());
}

static void slow(unsigned per_second)
{
    int64_t period = second_ns / per_second;
    int64_t next = now_ns() + (int64_t)getpid() * 7919 % 1000 * period / 1000;

    for (;; next += period) {
        sleep_until(next);
        put(chunk, LINE);
    }
}

int main(int argc, char **argv)
{
    unsigned long long number = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    char line[32];
    int n = snprintf(line, sizeof(line), "%lld\n", (long long)now_ns());

    put(line, (size_t)n);
    memset(chunk, 'x', sizeof(chunk));
    for (size_t i = LINE; i <= sizeof(chunk); i += LINE)
        chunk[i - 1] = '\n';
    if (number > 0 && strcmp(argv[1], "fast") == 0)
        fast(number);
    if (number > 0 && strcmp(argv[1], "slow") == 0)
        slow((unsigned)number);
    while (argc > 1)
        (void)pause();
    return 0;
}
