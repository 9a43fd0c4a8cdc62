/* SPDX-License-Identifier: MIT
 *
 * The file around the tree: reading it, checking that it is text, and messages that show the place.
 * The copy of the source lives as long as the tree, because messages are made from it later, when
 * a job is validated.
 */
#include "shared/hcl/hcl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/hcl/arena.h"
#include "shared/hcl/parser.h"

const char *hcl_kind_name(enum hcl_kind kind)
{
    static const char *const names[HCL_KIND_N] = {
        "null", "a boolean", "a number", "a string", "a list", "a map", "an expression",
    };

    return names[kind];
}

/* ---- messages ---- */

static bool is_utf8_tail(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* The text of line `number` (from 1) and its length, without the line end. */
static const char *find_line(const struct hcl_file *file, unsigned int number, size_t *ret_len)
{
    const char *line = file->source, *end = file->source + file->size;

    for (; number > 1; number--) {
        const char *eol = memchr(line, '\n', (size_t)(end - line));

        if (!eol)
            break;
        line = eol + 1;
    }
    *ret_len = strcspn(line, "\r\n");
    return line;
}

/* Writes the part of the source line around `pos` and a caret under it. */
static void show_line(const struct hcl_file *file, struct hcl_pos pos, char *buf, size_t size)
{
    enum {
        WIDTH = 76
    };
    size_t len, column = pos.col - 1, start, width, caret = 0;
    const char *line = find_line(file, pos.line, &len);
    char shown[WIDTH + 1];

    if (column > len)
        column = len;
    start = column > WIDTH - 16 ? column - (WIDTH - 16) : 0;
    while (start < column && is_utf8_tail(line[start]))
        start++;
    width = len - start < WIDTH ? len - start : WIDTH;
    while (width > 0 && start + width < len && is_utf8_tail(line[start + width]))
        width--;
    for (size_t i = 0; i < width; i++)
        shown[i] = (unsigned char)line[start + i] < 0x20 ? ' ' : line[start + i];
    shown[width] = '\0';
    for (size_t i = start; i < column; i++)
        caret += !is_utf8_tail(line[i]);
    (void)snprintf(buf, size, "\n %5u | %s\n       | %*s^", pos.line, shown, (int)caret, "");
}

int hcl_error(struct err *e, const struct hcl_file *file, struct hcl_pos pos, const char *fmt, ...)
{
    char text[240], place[192] = "";
    va_list ap;

    if (!e)
        return -EINVAL;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (pos.line == 0)
        return err_set(e, -EINVAL, "%.64s: %s", file->name, text);
    show_line(file, pos, place, sizeof(place));
    return err_set(e, -EINVAL, "%.64s:%u:%u: %s%s", file->name, pos.line, pos.col, text, place);
}

/* ---- text ---- */

/* The length of the UTF-8 sequence at `s`, of which `n` bytes are there; 0 if it is none (overlong
 * forms, surrogates and what lies beyond U+10FFFF included) or is NUL. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = s[0] < 0x80       ? 1
                 : s[0] >> 5 == 6  ? 2
                 : s[0] >> 4 == 14 ? 3
                 : s[0] >> 3 == 30 ? 4
                                   : 0;
    uint32_t c;

    if (len <= 1)
        return s[0] ? len : 0;
    if (len > n)
        return 0;
    c = s[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (!is_utf8_tail((char)s[i]))
            return 0;
        c = c << 6 | (s[i] & 0x3F);
    }
    return c < smallest[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF) ? 0 : len;
}

static int check_text(const struct hcl_file *file, struct err *e)
{
    struct hcl_pos pos = {.line = 1, .col = 1};
    size_t len;

    for (size_t i = 0; i < file->size; i += len) {
        len = utf8_length((const unsigned char *)file->source + i, file->size - i);
        if (len == 0)
            return err_set(
                e, -EINVAL,
                "%.64s:%u:%u: this byte (0x%02x) is not UTF-8 text; save the file as UTF-8",
                file->name, pos.line, pos.col, (unsigned char)file->source[i]);
        pos.col += (unsigned int)len;
        if (file->source[i] == '\n')
            pos = (struct hcl_pos){.line = pos.line + 1, .col = 1};
    }
    return 0;
}

/* ---- files ---- */

struct hcl_file *hcl_file_free(struct hcl_file *file)
{
    if (!file)
        return NULL;
    if (file->arena)
        arena_deinit(file->arena);
    free(file->arena);
    free(file->source);
    free(file->name);
    free(file);
    return NULL;
}

static void cleanup_hcl_file(struct hcl_file **file)
{
    (void)hcl_file_free(*file);
}

static int parse(const char *name, const char *source, size_t size, bool expressions,
                 struct hcl_file **ret_file, struct err *e)
{
    __attribute__((cleanup(cleanup_hcl_file))) struct hcl_file *file = NULL;
    int r;

    if (size > HCL_MAX_BYTES)
        return err_set(e, -E2BIG,
                       "%s is larger than %d bytes, too large for a job file or a configuration",
                       name, HCL_MAX_BYTES);
    file = calloc(1, sizeof(*file));
    if (file) {
        file->name = strdup(name);
        file->source = malloc(size + 1);
        file->size = size;
        file->arena = calloc(1, sizeof(struct arena));
    }
    if (!file || !file->name || !file->source || !file->arena)
        return err_sys(e, -ENOMEM, "reading %s", name);
    memcpy(file->source, source, size);
    file->source[size] = '\0';
    r = check_text(file, e);
    if (r < 0)
        return r;
    r = parser_run(file, file->arena, expressions, &file->body, e);
    if (r < 0)
        return r == -ENOMEM ? err_sys(e, r, "reading %s", name) : r;
    *ret_file = take_ptr(file);
    return 0;
}

int hcl_parse(const char *name, const char *source, size_t size, struct hcl_file **ret_file,
              struct err *e)
{
    return parse(name, source, size, false, ret_file, e);
}

int hcl_parse_expr(const char *name, const char *source, size_t size, struct hcl_file **ret_file,
                   struct err *e)
{
    return parse(name, source, size, true, ret_file, e);
}

/* Reads all of `fd`, up to one byte more than a file may have. */
static int read_all(int fd, char *buf, size_t size, size_t *ret_n)
{
    size_t n = 0;

    while (n < size) {
        ssize_t got = read(fd, buf + n, size - n);

        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            break;
        n += got > 0 ? (size_t)got : 0;
    }
    *ret_n = n;
    return 0;
}

int hcl_read_file(const char *path, char **ret_text, size_t *ret_size, struct err *e)
{
    bool standard_input = strcmp(path, "-") == 0;
    autofree char *buf = malloc(HCL_MAX_BYTES + 1);
    autofd int fd = -1;
    int r;

    if (!buf)
        return err_sys(e, -ENOMEM, "reading %s", path);
    if (!standard_input) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return err_sys(e, -errno, "opening %s", path);
    }
    r = read_all(standard_input ? STDIN_FILENO : fd, buf, HCL_MAX_BYTES + 1, ret_size);
    if (r < 0)
        return err_sys(e, r, "reading %s", path);
    *ret_text = take_ptr(buf);
    return 0;
}

const char *hcl_file_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "<stdin>" : path;
}

int hcl_parse_file(const char *path, bool expressions, struct hcl_file **ret_file, struct err *e)
{
    autofree char *text = NULL;
    size_t size;
    int r = hcl_read_file(path, &text, &size, e);

    return r < 0 ? r : parse(hcl_file_name(path), text, size, expressions, ret_file, e);
}
