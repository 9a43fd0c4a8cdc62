/* SPDX-License-Identifier: MIT */
#include "tools/cleat/progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared/units.h"
#include "tools/cleat/output.h"

enum {
    BAR = 20
};

static bool shown;

const char *progress_text(const json_t *task, char buf[PROGRESS_TEXT])
{
    const json_t *artifacts = json_object_get(task, "Artifacts");
    uint64_t bytes = (uint64_t)get_int(artifacts, "Bytes");
    uint64_t total = (uint64_t)get_int(artifacts, "Total");
    uint64_t rate = (uint64_t)get_int(artifacts, "Rate");
    char done[SIZE_TEXT], all[SIZE_TEXT], speed[SIZE_TEXT], left[32], bar[BAR + 1] = "";

    if (!artifacts)
        return NULL;
    (void)format_size(bytes, done);
    (void)format_size(total, all);
    (void)format_size(rate, speed);
    if (!total || bytes > total) {
        (void)snprintf(buf, PROGRESS_TEXT, "%s, %s/s", done, speed);
        return buf;
    }
    for (uint64_t i = 0; i < BAR; i++)
        bar[i] = (double)i < (double)bytes * BAR / (double)total ? '#' : '-';
    (void)snprintf(buf, PROGRESS_TEXT, "[%s] %3d%%  %s of %s, %s/s", bar,
                   (int)((double)bytes * 100 / (double)total), done, all, speed);
    if (rate) {
        size_t n = strlen(buf);

        (void)duration_format((total - bytes) / rate * 1000000000ULL, left, sizeof(left));
        (void)snprintf(buf + n, PROGRESS_TEXT - n, ", %s left", left);
    }
    return buf;
}

void progress_show(const json_t *allocs)
{
    const json_t *alloc, *task;
    char text[PROGRESS_TEXT];
    const char *name;
    size_t i;

    if (!isatty(STDOUT_FILENO))
        return;
    json_array_foreach(allocs, i, alloc)
    {
        json_object_foreach((json_t *)json_object_get(alloc, "TaskStates"), name, task)
        {
            if (!progress_text(task, text))
                continue;
            (void)printf("\r%.8s %.20s: %.100s\033[K", get_text(alloc, "ID"), name, text);
            (void)fflush(stdout);
            shown = true;
            return;
        }
    }
}

void progress_clear(void)
{
    if (!shown)
        return;
    (void)fputs("\r\033[K", stdout);
    (void)fflush(stdout);
    shown = false;
}
