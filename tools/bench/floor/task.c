/* SPDX-License-Identifier: MIT
 *
 * bench-task [pause]: the task every supervisor is measured with. Its first act is to read
 * CLOCK_MONOTONIC and to print it as a line of nanoseconds on stdout, which every supervisor
 * carries somewhere; then it exits, or waits for ever. When the line arrives does not matter.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;
    char line[32];
    int n;

    (void)argv;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    n = snprintf(line, sizeof(line), "%lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
    if (write(STDOUT_FILENO, line, (size_t)n) != n)
        return 1;
    while (argc > 1)
        (void)pause();
    return 0;
}
