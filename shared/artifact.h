/* SPDX-License-Identifier: MIT
 *
 * An artifact's source and options as a job file has them: what to get, and how. Pure text; nothing
 * is looked up. Nomad's notations (go-getter's): forced kinds ("git::https://…"), git@host:path,
 * "//" before a directory inside what is got, options in the query of the source as well.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

enum artifact_kind {
    ARTIFACT_HTTP, /* and https */
    ARTIFACT_S3,   /* an object by a signed request */
    ARTIFACT_GIT,
    ARTIFACT_HG,
    ARTIFACT_FILE, /* a path of the host: where the operator allows it */
    ARTIFACT_KIND_N
};

enum artifact_archive {
    ARCHIVE_NONE,
    ARCHIVE_TAR,
    ARCHIVE_TAR_GZ,
    ARCHIVE_TAR_BZ2,
    ARCHIVE_TAR_XZ,
    ARCHIVE_TAR_ZST,
    ARCHIVE_ZIP,
    ARCHIVE_GZ, /* from here on: one compressed file */
    ARCHIVE_BZ2,
    ARCHIVE_XZ,
    ARCHIVE_ZST,
    ARCHIVE_N
};

enum {
    ARTIFACT_DIGEST_MAX = 64, /* bytes */
    ARTIFACT_TEXT_MAX = 16 << 10,
};

struct artifact_checksum {
    const char *type; /* "md5", "sha1", "sha256", "sha512"; NULL: none */
    unsigned char digest[ARTIFACT_DIGEST_MAX];
    size_t size;
};

struct artifact_source { /* texts are owned, never NULL */
    enum artifact_kind kind;
    enum artifact_archive archive;
    char *url;      /* for libcurl, git or hg; an absolute path for FILE */
    char *filename; /* of what is no archive, and of what one compressed file unpacks to */
    char *subdir;   /* the only part wanted of a tree; "": all of it */
    struct artifact_checksum checksum;
    char *ref; /* git: branch, tag or commit; hg: revision */
    int64_t depth;
    char *sshkey; /* base64 */
    char *region; /* s3 */
    char *aws_id, *aws_secret, *aws_token;
};

/* -EINVAL with what is wrong and the mend; -ENOTSUP: known, and not supported; -ENOMEM. `options`:
 * an object of strings, or NULL. */
int artifact_source_parse(const char *source, const json_t *options, struct artifact_source *ret,
                          struct err *e);

/* Zeroed structs are fine. */
void artifact_source_deinit(struct artifact_source *source);

/* "type:hex". -EINVAL. */
int artifact_checksum_parse(const char *text, struct artifact_checksum *ret, struct err *e);

/* By the end of a file's name, or as written in archive=…; *ret_suffix: the length of that end,
 * with its dot (or NULL). ARCHIVE_NONE for others. */
enum artifact_archive artifact_archive_of(const char *name, size_t *ret_suffix);

/* 0 to 15; -1: no hexadecimal digit. */
int artifact_hex(char c);
