/* SPDX-License-Identifier: MIT
 *
 * The names of archives and checksums.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "shared/artifact.h"
#include "shared/cleanup.h"

static const struct {
    const char *name;
    enum artifact_archive archive;
} archives[] = {
    {"tar.gz", ARCHIVE_TAR_GZ},   {"tgz", ARCHIVE_TAR_GZ},    {"tar.bz2", ARCHIVE_TAR_BZ2},
    {"tbz2", ARCHIVE_TAR_BZ2},    {"tar.xz", ARCHIVE_TAR_XZ}, {"txz", ARCHIVE_TAR_XZ},
    {"tar.zst", ARCHIVE_TAR_ZST}, {"tzst", ARCHIVE_TAR_ZST},  {"tar", ARCHIVE_TAR},
    {"zip", ARCHIVE_ZIP},         {"gz", ARCHIVE_GZ},         {"bz2", ARCHIVE_BZ2},
    {"xz", ARCHIVE_XZ},           {"zst", ARCHIVE_ZST},
};

enum artifact_archive artifact_archive_of(const char *name, size_t *ret_suffix)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < ARRAY_LEN(archives); i++) {
        size_t n = strlen(archives[i].name);

        if (len > n && name[len - n - 1] == '.' && strcmp(name + len - n, archives[i].name) == 0) {
            if (ret_suffix)
                *ret_suffix = n + 1;
            return archives[i].archive;
        }
    }
    return ARCHIVE_NONE;
}

int artifact_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int artifact_checksum_parse(const char *text, struct artifact_checksum *ret, struct err *e)
{
    static const struct {
        const char *type;
        size_t size;
    } types[] = {{"md5", 16}, {"sha1", 20}, {"sha256", 32}, {"sha512", 64}};
    const char *colon = strchr(text, ':'), *digits = colon ? colon + 1 : "";
    struct artifact_checksum sum = {0};

    if (!colon)
        return err_set(e, -EINVAL,
                       "the checksum \"%.80s\" has no type; write \"sha256:<hex digits>\"", text);
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strlen(types[i].type) == (size_t)(colon - text) &&
            strncmp(types[i].type, text, (size_t)(colon - text)) == 0) {
            sum.type = types[i].type;
            sum.size = types[i].size;
        }
    if (!sum.type)
        return err_set(e, -EINVAL,
                       "there is no checksum of the type \"%.*s\"; use md5, sha1, sha256 or sha512",
                       (int)(colon - text > 40 ? 40 : colon - text), text);
    if (strlen(digits) != 2 * sum.size)
        return err_set(e, -EINVAL, "a checksum of the type %s has %zu hex digits, not %zu",
                       sum.type, 2 * sum.size, strlen(digits));
    for (size_t i = 0; i < sum.size; i++) {
        int high = artifact_hex(digits[2 * i]), low = artifact_hex(digits[2 * i + 1]);

        if (high < 0 || low < 0)
            return err_set(e, -EINVAL, "\"%.2s\" in the checksum is not hexadecimal",
                           digits + 2 * i);
        sum.digest[i] = (unsigned char)(high << 4 | low);
    }
    *ret = sum;
    return 0;
}
