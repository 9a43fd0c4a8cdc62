/* SPDX-License-Identifier: MIT
 *
 * Calls to the manager's API. Failures are told on stderr here; the result is an exit code.
 */
#pragma once

#include <jansson.h>

#include "tools/cleat/cli.h"

/* Calls `path` (printf-like, already escaped). *ret_json (may be NULL) is the caller's reference.
 * An error reply is CLI_FAILED, 404 CLI_NOT_FOUND, no reply CLI_UNREACHABLE. */
int http_get(const struct cli *cli, json_t **ret_json, const char *path, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with X-Nomad-Index of the reply in *ret_index. */
int http_get_index(const struct cli *cli, json_t **ret_json, unsigned long long *ret_index,
                   const char *path, ...) __attribute__((format(printf, 4, 5)));
int http_send(const struct cli *cli, const char *method, const json_t *body, json_t **ret_json,
              const char *path, ...) __attribute__((format(printf, 5, 6)));

enum {
    HTTP_LOST = -1 /* no exit code: nothing was told */
};

/* Gives the bytes of a reply of status 200 to `on_bytes` as they come; a negative errno from it
 * ends the call with CLI_FAILED. `may_lose`: where the connection is lost before the reply's end,
 * or with `again` no manager is there, returns HTTP_LOST. `path` is no format. */
int http_stream(const struct cli *cli, int (*on_bytes)(void *arg, const char *data, size_t size),
                void *arg, bool may_lose, bool again, const char *path);

/* Copies the reply's bytes to stdout as they come. */
int http_copy(const struct cli *cli, const char *path, ...) __attribute__((format(printf, 2, 3)));

/* `text` for use in a URL, "/" included. The caller frees. */
char *http_escape(const char *text);
