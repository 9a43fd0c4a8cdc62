/* SPDX-License-Identifier: MIT
 *
 * How results are shown: the same text on a terminal and in a pipe, no colours.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* Rows of cells, each column as wide as its widest cell, two spaces apart. Bytes that are no
 * printable text are shown as '?': names and messages come from tasks. */
struct table {
    char **cells;
    size_t n_cells, n_columns;
};

/* The first row is the heading. Cells are copied; NULL is "". */
void table_init(struct table *t, size_t n_columns, const char *const *heading);
void table_row(struct table *t, const char *const *cells);

/* Prints and frees. */
void table_print(struct table *t);

#define TABLE_ROW(t, ...) table_row(t, (const char *const[]){__VA_ARGS__})

/* n names and values: "Name   = value" lines. */
void print_pairs(const char *const *pairs, size_t n);

/* Waits until all of it is written. 0 or -errno of write(2). */
int write_all(int fd, const char *data, size_t size);

/* Indented, keys in the manager's order. */
void print_json(const json_t *json);

/* "60 B", "4.0 KiB", "12 MiB". Returns buf. */
enum {
    SIZE_TEXT = 24,
    TIME_TEXT = 32
};
const char *format_size(uint64_t size, char buf[SIZE_TEXT]);

/* Nanoseconds since 1970 as "2020-10-27T18:00:39Z"; 0 is "-". Returns buf. */
const char *format_time(json_int_t ns, char buf[TIME_TEXT]);

/* Nomad's time text cut to seconds; the zero time is "-". Returns buf. */
const char *format_time_text(const char *text, char buf[TIME_TEXT]);

/* Allocations as lists show them. */
void print_alloc_table(const json_t *allocs);

/* String or integer member `key`; "" or 0 when it is absent. Borrowed. */
const char *get_text(const json_t *object, const char *key);
json_int_t get_int(const json_t *object, const char *key);
