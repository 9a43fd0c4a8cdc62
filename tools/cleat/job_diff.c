/* SPDX-License-Identifier: MIT
 *
 * As `nomad job plan` prints it: what differs, each with "+", "-" or "+/-", below what it is part
 * of; of an object that differs the other fields too.
 */
#include "tools/cleat/job_diff.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cleat/output.h"

static const struct mark {
    const char *type, *text, *colour;
} marks[] = {{"Added", "+   ", "\033[32m"},
             {"Deleted", "-   ", "\033[31m"},
             {"Edited", "+/- ", "\033[36m"},
             {"None", "    ", ""}};

static const struct mark *mark_of(const json_t *diff)
{
    size_t i = 0;

    while (i < 3 && strcmp(marks[i].type, get_text(diff, "Type")) != 0)
        i++;
    return &marks[i];
}

static bool is_none(const json_t *diff)
{
    return !*mark_of(diff)->colour;
}

static bool in_colour(void)
{
    return isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
}

static void begin(const json_t *diff, int indent)
{
    const struct mark *mark = mark_of(diff);
    bool colour = in_colour() && *mark->colour;

    (void)printf("%*s%s%s%s", indent, "", colour ? mark->colour : "", mark->text,
                 colour ? "\033[0m" : "");
}

/* Text of a job may be anything; a terminal gets one line of it. */
static void print_quoted(const char *text)
{
    (void)putchar('"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '\n')
            (void)fputs("\\n", stdout);
        else if (c < ' ' || c == 0x7f)
            (void)putchar('?');
        else if (c == 0xc2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] < 0xa0) {
            (void)putchar('?');
            text++;
        } else
            (void)putchar(c);
    }
    (void)putchar('"');
}

static void print_annotations(const json_t *diff)
{
    const json_t *notes = json_object_get(diff, "Annotations"), *note;
    size_t i;

    json_array_foreach(notes, i, note)(void)
        printf("%s%s", i ? ", " : " (", json_string_value(note));
    if (json_array_size(notes))
        (void)putchar(')');
    (void)putchar('\n');
}

static int widest(const json_t *fields)
{
    const json_t *field;
    int width = 0;
    size_t i;

    json_array_foreach(fields, i, field) if ((int)strlen(get_text(field, "Name")) > width) width =
        (int)strlen(get_text(field, "Name"));
    return width;
}

static void print_field(const json_t *field, int width, int indent)
{
    const char *name = get_text(field, "Name"), *old = get_text(field, "Old");
    const char *type = get_text(field, "Type");

    begin(field, indent);
    (void)printf("%s:%*s", name, width - (int)strlen(name) + 1, "");
    if (strcmp(type, "Added") != 0)
        print_quoted(old);
    if (strcmp(type, "Edited") == 0)
        (void)fputs(" => ", stdout);
    if (strcmp(type, "Added") == 0 || strcmp(type, "Edited") == 0)
        print_quoted(get_text(field, "New"));
    print_annotations(field);
}

static void print_contents(const json_t *diff, int indent)
{
    const json_t *fields = json_object_get(diff, "Fields"), *item;
    int width = widest(fields);
    size_t i;

    json_array_foreach(fields, i, item) print_field(item, width, indent);
    json_array_foreach(json_object_get(diff, "Objects"), i, item)
    {
        begin(item, indent);
        (void)printf("%s {\n", get_text(item, "Name"));
        print_contents(item, indent + 2);
        (void)printf("%*s}\n", indent + 4, "");
    }
}

static void print_task(const json_t *task)
{
    begin(task, 2);
    (void)fputs("Task: ", stdout);
    print_quoted(get_text(task, "Name"));
    print_annotations(task);
    if (strcmp(get_text(task, "Type"), "Edited") == 0)
        print_contents(task, 4);
}

static void print_updates(const json_t *updates)
{
    const char *what, *before = " (";
    const json_t *n;

    json_object_foreach((json_t *)updates, what, n)
    {
        (void)printf("%s%lld %s", before, (long long)json_integer_value(n), what);
        before = ", ";
    }
    (void)puts(*before == ',' ? ")" : "");
}

static void print_group(const json_t *group)
{
    const json_t *task;
    size_t i;

    begin(group, 0);
    (void)fputs("Task Group: ", stdout);
    print_quoted(get_text(group, "Name"));
    print_updates(json_object_get(group, "Updates"));
    if (strcmp(get_text(group, "Type"), "Deleted") != 0)
        print_contents(group, 2);
    json_array_foreach(json_object_get(group, "Tasks"), i, task) if (!is_none(task))
        print_task(task);
    (void)putchar('\n');
}

void print_job_diff(const json_t *diff)
{
    const json_t *group;
    size_t i;

    begin(diff, 0);
    (void)fputs("Job: ", stdout);
    print_quoted(get_text(diff, "ID"));
    (void)putchar('\n');
    print_contents(diff, 0);
    json_array_foreach(json_object_get(diff, "TaskGroups"), i, group) print_group(group);
}
