/* SPDX-License-Identifier: MIT */
#include "tools/cleat/logout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/units.h"
#include "tools/cleat/output.h"

enum {
    TAIL_LINES = 10
};

static const uint64_t second_ns = 1000000000;

static int parse_count(const struct cli *cli, char option, const char *text, uint64_t *ret_n)
{
    if (strspn(text, "0123456789") != strlen(text) || !*text || strlen(text) > 18)
        return cli_usage(cli, "-%c needs a number, not \"%s\"", option, text);
    *ret_n = strtoull(text, NULL, 10);
    return CLI_OK;
}

/* "10m" ago, or a time. */
static int parse_since(const struct cli *cli, const char *text, uint64_t *ret_ns)
{
    uint64_t now = clock_now_ns(CLOCK_REALTIME), ago;
    struct tm tm = {0};
    const char *end;

    if (!duration_parse(text, &ago)) {
        *ret_ns = ago < now ? now - ago : 1;
        return CLI_OK;
    }
    end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (end && *end == '.')
        end += 1 + strspn(end + 1, "0123456789");
    if (end)
        end = strptime(end, "%z", &tm);
    if (!end || *end || tm.tm_year < 70)
        return cli_usage(cli,
                         "-since needs a duration (90s, 2h30m) or a time "
                         "(2026-01-31T12:00:00Z), not \"%s\"",
                         text);
    long offset_s = tm.tm_gmtoff;
    time_t at = timegm(&tm) - offset_s;
    *ret_ns = at > 0 ? (uint64_t)at * second_ns : 1;
    return CLI_OK;
}

static int parse_start(const struct cli *cli, struct reader_start *start)
{
    if (!!cli->lines + !!cli->bytes + !!cli->since > 1 || (cli->tail && cli->since))
        return cli_usage(cli, "-n, -c and -since exclude each other, and -tail excludes -since");
    if (cli->since) {
        start->origin = READER_SINCE;
        return parse_since(cli, cli->since, &start->since_ns);
    }
    if (cli->bytes) {
        start->origin = READER_END;
        return parse_count(cli, 'c', cli->bytes, &start->count);
    }
    if (!cli->tail && !cli->lines)
        return CLI_OK;
    *start = (struct reader_start){.origin = READER_LINES, .count = TAIL_LINES};
    return cli->lines ? parse_count(cli, 'n', cli->lines, &start->count) : CLI_OK;
}

int log_options_parse(const struct cli *cli, struct log_options *ret_options)
{
    bool any = cli->from_stdout || cli->from_stderr;

    *ret_options = (struct log_options){.start.origin = READER_START};
    ret_options->wanted[MERGE_STDOUT] = cli->from_stdout || !any;
    ret_options->wanted[MERGE_STDERR] = cli->from_stderr || (!any && cli->follow);
    return parse_start(cli, &ret_options->start);
}

int log_put(struct log_options *o, enum merge_stream stream, const char *data, size_t size)
{
    int fd = stream == MERGE_STDERR && o->wanted[MERGE_STDOUT] ? STDERR_FILENO : STDOUT_FILENO;

    if (size)
        o->mid_line[stream] = data[size - 1] != '\n';
    return write_all(fd, data, size);
}

void log_tell_gap(struct log_options *o, const char *task, enum merge_stream stream, int64_t first,
                  uint64_t segments, bool damaged)
{
    const char *name = merge_stream_name(stream);

    if (o->mid_line[stream])
        (void)log_put(o, stream, "\n", 1);
    if (damaged)
        (void)cli_fail(0, "the rest of %s.%s.%lld is missing here: the file is damaged", task, name,
                       (long long)first);
    else if (segments == 1)
        (void)cli_fail(0,
                       "%s.%s.%lld is missing here: it was removed before it could be read, or "
                       "could not be written",
                       task, name, (long long)first);
    else
        (void)cli_fail(0,
                       "%s.%s.%lld to .%lld are missing here: they were removed before they could "
                       "be read, or could not be written",
                       task, name, (long long)first, (long long)first + (long long)segments - 1);
}
