/* SPDX-License-Identifier: MIT
 *
 * Tables, sizes, times. Allocations here are small and fixed by what is shown: they abort when
 * there is no memory.
 */
#include "tools/cleat/output.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/cleanup.h"

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

/* Control characters, C1 ones in UTF-8 included, could drive a terminal. */
static char *printable(const char *text)
{
    char *copy = need(strdup(text ? text : ""));

    for (unsigned char *p = (unsigned char *)copy; *p; p++) {
        if (*p < ' ' || *p == 0x7f)
            *p = '?';
        else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?';
    }
    return copy;
}

void table_init(struct table *t, size_t n_columns, const char *const *heading)
{
    *t = (struct table){.n_columns = n_columns};
    table_row(t, heading);
}

void table_row(struct table *t, const char *const *cells)
{
    t->cells = need(realloc(t->cells, (t->n_cells + t->n_columns) * sizeof(*t->cells)));
    for (size_t i = 0; i < t->n_columns; i++)
        t->cells[t->n_cells++] = printable(cells[i]);
}

/* In characters, not bytes. */
static size_t text_width(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}

void table_print(struct table *t)
{
    autofree size_t *widths = need(calloc(t->n_columns, sizeof(*widths)));

    for (size_t i = 0; i < t->n_cells; i++) {
        size_t width = text_width(t->cells[i]);

        if (width > widths[i % t->n_columns])
            widths[i % t->n_columns] = width;
    }
    for (size_t i = 0; i < t->n_cells; i++) {
        size_t column = i % t->n_columns, width = text_width(t->cells[i]);
        bool last = column == t->n_columns - 1;

        (void)printf("%s%*s%s", t->cells[i], last ? 0 : (int)(widths[column] - width + 2), "",
                     last ? "\n" : "");
        free(t->cells[i]);
    }
    free(t->cells);
    *t = (struct table){0};
}

void print_pairs(const char *const *pairs, size_t n)
{
    int width = 0;

    for (size_t i = 0; i < n; i++)
        if ((int)strlen(pairs[2 * i]) > width)
            width = (int)strlen(pairs[2 * i]);
    for (size_t i = 0; i < n; i++) {
        autofree char *value = printable(pairs[2 * i + 1]);

        (void)printf("%-*s = %s\n", width, pairs[2 * i], value);
    }
}

int write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno == EAGAIN) /* whoever has the pipe or terminal, too, made it so */
            (void)poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

void print_json(const json_t *json)
{
    (void)json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    (void)putchar('\n');
}

const char *format_size(uint64_t size, char buf[SIZE_TEXT])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)size;
    size_t unit = 0;

    for (; value >= 1024 && unit < ARRAY_LEN(units) - 1; unit++)
        value /= 1024;
    (void)snprintf(buf, SIZE_TEXT, "%.*f %s", unit && value < 9.95 ? 1 : 0, value, units[unit]);
    return buf;
}

const char *format_time(json_int_t ns, char buf[TIME_TEXT])
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;

    if (ns <= 0 || !gmtime_r(&seconds, &tm) || !strftime(buf, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm))
        (void)strcpy(buf, "-");
    return buf;
}

const char *format_time_text(const char *text, char buf[TIME_TEXT])
{
    int seconds = (int)strcspn(text, ".Z");

    if (!*text || !strncmp(text, "0001-", 5) || seconds > TIME_TEXT - 2)
        (void)strcpy(buf, "-");
    else
        (void)snprintf(buf, TIME_TEXT, "%.*sZ", seconds, text);
    return buf;
}

const char *get_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

json_int_t get_int(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

void print_alloc_table(const json_t *allocs)
{
    char created[TIME_TEXT], modified[TIME_TEXT], id[9], version[24];
    const json_t *alloc;
    struct table t;
    size_t i;

    table_init(&t, 8,
               (const char *const[]){"ID", "Job", "Group", "Version", "Desired", "Status",
                                     "Created", "Modified"});
    json_array_foreach(allocs, i, alloc)
    {
        (void)snprintf(id, sizeof(id), "%.8s", get_text(alloc, "ID"));
        (void)snprintf(version, sizeof(version), "%lld", (long long)get_int(alloc, "JobVersion"));
        TABLE_ROW(&t, id, get_text(alloc, "JobID"), get_text(alloc, "TaskGroup"), version,
                  get_text(alloc, "DesiredStatus"), get_text(alloc, "ClientStatus"),
                  format_time(get_int(alloc, "CreateTime"), created),
                  format_time(get_int(alloc, "ModifyTime"), modified));
    }
    table_print(&t);
}
