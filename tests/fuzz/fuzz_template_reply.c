/* SPDX-License-Identifier: MIT
 *
 * Any bytes as an answer of Consul or Vault, and as a rendered environment.
 */
#include <stdlib.h>
#include <string.h>

#include "manager/template/decode.h"
#include "manager/template/envfile.h"
#include "tests/fuzz/fuzz.h"

static void check(int r, json_t *value, const struct err *e)
{
    if (r < 0 ? e->code != r || !e->text[0]
              : value && !json_is_array(value) && !json_is_object(value))
        abort();
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *path;
    struct err e = ERR_INIT;
    json_t *value = NULL;
    int r;

    if (!text)
        abort();
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    r = decode_pairs(text, size, "a/b@dc", &value, &e);
    check(r, r ? NULL : value, &e);
    r = decode_secret(text, size, &value, &e);
    check(r, r ? NULL : value, &e);
    r = decode_names(text, size, &value, &e);
    check(r, r ? NULL : value, &e);
    r = envfile_parse(text, size, &value, &e);
    check(r, r ? NULL : value, &e);
    path = decode_mount(text, "secret/x", "?version=1", size % 2);
    if (path && strncmp(path, "/v1/", 4) != 0)
        abort();
    free(path);
    path = decode_mount(text, text, "", size % 2);
    free(path);
    free(text);
    return 0;
}
