/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a template: read, and run with everything it asks for there, missing or an error,
 * by the name asked for. Whatever comes of it comes with a message or a result.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager/template/eval.h"
#include "tests/fuzz/fuzz.h"

static int find(void *arg, enum eval_source source, const char *name, json_t **ret, struct err *e)
{
    size_t n = strlen(name);

    (void)arg;
    if (n % 4 == 3)
        return EVAL_MISSING;
    if (n % 8 == 6)
        return err_set(e, -EIO, "nobody answers");
    switch (source) {
    case EVAL_KEYS:
        *ret = json_pack("[{s:s,s:s},{s:s,s:s}]", "Key", name, "Value", "1", "Key", "d/b", "Value",
                         name);
        break;
    case EVAL_SECRET:
        *ret = json_pack("{s:{s:s,s:i,s:n}}", "Data", "a", name, "b", 7, "c");
        break;
    case EVAL_SECRETS:
        *ret = json_pack("[s,s]", name, "x/");
        break;
    case EVAL_VAR:
        *ret = json_pack("{s:s}", "a", name);
        break;
    case EVAL_VARS:
        *ret = json_pack("[{s:s}]", "Path", name);
        break;
    default:
        *ret = json_stringn_nocheck("\xff{\"a\":[1]}", n % 2 ? 1 : 9);
        break;
    }
    return *ret ? 0 : err_set(e, -EIO, "the name is no UTF-8");
}

/* The first byte chooses: strictness, other delimiters. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *env = json_pack("{s:s,s:s}", "a", "1", "b", "x y");
    uint8_t way = size ? data[0] : 0;
    struct tmpl_options options = {.left = way & 2 ? "<" : "", .right = way & 2 ? "->" : ""};
    struct eval_input input = {
        .env = env, .fetch = find, .now_ns = 1136239445123456789, .error_on_missing_key = way & 1};
    struct eval_output output = {0};
    struct tmpl *tmpl = NULL;
    struct err e = ERR_INIT;
    int r = size ? tmpl_parse("t", (const char *)data + 1, size - 1, &options, &tmpl, &e) : 1;

    if (!r)
        r = eval_run(tmpl, &input, &output, &e);
    if (r < 0 && (e.code != r || !e.text[0]))
        abort();
    if (!r && (strlen(output.text) > output.size || !output.missing))
        abort();
    eval_output_deinit(&output);
    tmpl_free(tmpl);
    json_decref(env);
    return 0;
}
