/* SPDX-License-Identifier: MIT
 *
 * Any text as a cron expression. The times of one that is accepted only go forward, and end.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/job/cron.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    struct err e = ERR_INIT;
    struct cron cron;
    int64_t t = 1700000000;
    int r = cron_parse(text, &cron, &e);

    if (r < 0 ? e.code != r || e.text[0] == '\0' : e.code != 0)
        abort();
    (void)setenv("TZ", size % 2 ? "Australia/Lord_Howe" : "UTC0", 1);
    tzset();
    for (int i = 0; r == 0 && i < 4 && t >= 0; i++) {
        int64_t next = cron_next(&cron, t);

        if (next >= 0 && (next <= t || next > 4102444800 + 86400)) /* 2100 */
            abort();
        t = next;
    }
    free(text);
    return 0;
}
