/* SPDX-License-Identifier: MIT
 *
 * Between representations: base64, digests, JSON, YAML, TOML, numbers; and arithmetic.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "manager/template/base64.h"
#include "manager/template/engine.h"
#include "shared/cleanup.h"
#include "shared/text/yaml.h"
#include "shared/tmpl/lexer.h"

/* ---- base64 ---- */

static int fn_base64_encode(struct call *c, json_t **ret)
{
    bool url = c->fn->id == TMPL_FN_BASE64_URL_ENCODE;
    autofree unsigned char *out = NULL;
    const char *bytes;
    size_t size;
    int r = call_string(c, 0, &bytes, &size), n;

    if (r)
        return r;
    out = malloc(size / 3 * 4 + 8);
    if (!out)
        return -ENOMEM;
    n = EVP_EncodeBlock(out, (const unsigned char *)bytes, (int)size);
    for (int i = 0; url && i < n; i++)
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    return eval_string(c->ev, (char *)out, (size_t)n, ret);
}

static int fn_base64_decode(struct call *c, json_t **ret)
{
    autofree char *out = NULL;
    const char *bytes;
    size_t size;
    int r = call_string(c, 0, &bytes, &size);

    if (r)
        return r;
    out = malloc(size + 4);
    if (!out)
        return -ENOMEM;
    if (base64_decode(bytes, size, c->fn->id == TMPL_FN_BASE64_URL_DECODE, out, &size))
        return call_fail(c, "this is no base64");
    return eval_string(c->ev, out, size, ret);
}

/* ---- digests ---- */

static int give_hex(struct call *c, const unsigned char *bytes, size_t n, json_t **ret)
{
    struct text out;
    int r = 0;

    text_init(&out, c->ev);
    for (size_t i = 0; i < n && !r; i++)
        r = text_printf(&out, "%02x", bytes[i]);
    return text_finish(&out, r, ret);
}

static int fn_digest(struct call *c, json_t **ret)
{
    const EVP_MD *kind = c->fn->id == TMPL_FN_MD5_SUM      ? EVP_md5()
                         : c->fn->id == TMPL_FN_SHA1_SUM   ? EVP_sha1()
                         : c->fn->id == TMPL_FN_SHA512_SUM ? EVP_sha512()
                                                           : EVP_sha256();
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    const char *bytes;
    size_t size;
    int r = call_string(c, 0, &bytes, &size);

    if (r)
        return r;
    if (EVP_Digest(bytes, size, digest, &n, kind, NULL) != 1)
        return call_fail(c, "this host's OpenSSL does not compute it");
    return give_hex(c, digest, n, ret);
}

static int fn_hmac(struct call *c, json_t **ret)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    const char *message, *key;
    size_t size, key_size;
    unsigned int n = 0;
    int r = call_string(c, 0, &message, &size);

    if (!r)
        r = call_string(c, 1, &key, &key_size);
    if (r)
        return r;
    if (!HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)message, size, digest, &n))
        return call_fail(c, "this host's OpenSSL does not compute it");
    return give_hex(c, digest, n, ret);
}

/* ---- JSON ---- */

static int fn_to_json(struct call *c, json_t **ret)
{
    bool pretty = c->fn->id == TMPL_FN_TO_JSON_PRETTY || c->fn->id == TMPL_FN_TO_PLAIN_JSON_PRETTY;
    bool plain = c->fn->id == TMPL_FN_TO_PLAIN_JSON || c->fn->id == TMPL_FN_TO_PLAIN_JSON_PRETTY;
    struct text out;

    text_init(&out, c->ev);
    return text_finish(&out, json_write(&out, c->args[0], pretty, !plain), ret);
}

/* Empty text is an empty map: so consul-template has it. A JSON text takes up to some 30 times its
 * size in memory. */
static int fn_parse_json(struct call *c, json_t **ret)
{
    const char *bytes;
    json_error_t error;
    json_t *value;
    size_t size;
    int r = call_string(c, 0, &bytes, &size);

    if (!r)
        r = eval_spend(c->ev, size * 8);
    if (r)
        return r;
    if (!size)
        return eval_keep(c->ev, json_object(), ret);
    value = json_loadb(bytes, size, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
    if (!value)
        return call_fail(c, "this is no JSON, in its line %d, column %d: %s", error.line,
                         error.column, error.text);
    return eval_keep(c->ev, value, ret);
}

/* ---- YAML, TOML ---- */

/* consul-template leaves no white space at the ends. */
static void trim_end(struct text *out)
{
    while (out->size && strchr(" \t\r\n", out->data[out->size - 1]))
        out->size--;
}

static int fn_to_yaml(struct call *c, json_t **ret)
{
    autofree char *made = NULL;
    struct text out;
    size_t size = 0;
    int r = yaml_write(c->args[0], YAML_AS_TEMPLATE, &made, &size);

    if (r == -EINVAL)
        return call_fail(c, "the value nests deeper than %d", YAML_MAX_DEPTH);
    text_init(&out, c->ev);
    if (!r)
        r = eval_step(c->ev, size / 8);
    if (!r)
        r = text_add(&out, made, size);
    if (!r)
        trim_end(&out);
    return text_finish(&out, r, ret);
}

/* Aliases stand for up to as much as there may be values. */
static int fn_parse_yaml(struct call *c, json_t **ret)
{
    struct err e = ERR_INIT;
    const char *bytes;
    json_t *value;
    size_t size;
    int r = call_string(c, 0, &bytes, &size);

    if (!r)
        r = eval_spend(c->ev, size * 8);
    if (r)
        return r;
    if (!size)
        return eval_keep(c->ev, json_object(), ret);
    r = yaml_read(bytes, size, YAML_AS_TEMPLATE, &value, &e);
    if (r == -EINVAL)
        return call_fail(c, "this is no YAML: %s", e.text);
    return r ? r : eval_keep(c->ev, value, ret);
}

static int fn_to_toml(struct call *c, json_t **ret)
{
    struct text out;
    json_t *map;
    int r = call_map(c, 0, &map);

    if (r)
        return r;
    text_init(&out, c->ev);
    r = toml_write(c, &out, map);
    if (!r)
        trim_end(&out);
    return text_finish(&out, r, ret);
}

/* ---- numbers ---- */

static int plain_string(struct call *c, const char **ret)
{
    size_t size;
    int r = call_string(c, 0, ret, &size);

    return r || strlen(*ret) == size ? r : call_fail(c, "there is a NUL in the text");
}

static int fn_parse_bool(struct call *c, json_t **ret)
{
    static const char *const words[] = {"",  "0", "f", "F",    "false", "False", "FALSE",
                                        "1", "t", "T", "true", "True",  "TRUE"};
    const char *text;
    int r = plain_string(c, &text);

    if (r)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(text, words[i]) == 0)
            return eval_keep(c->ev, json_boolean(i > 6), ret);
    return call_fail(c, "\"%.64s\" is neither true nor false", text);
}

static int fn_parse_int(struct call *c, json_t **ret)
{
    bool is_unsigned = c->fn->id == TMPL_FN_PARSE_UINT;
    const char *text, *digits;
    long long value;
    char *end;
    int r = plain_string(c, &text);

    if (r)
        return r;
    if (!*text)
        return eval_keep(c->ev, json_integer(0), ret);
    digits = text + (!is_unsigned && (*text == '-' || *text == '+'));
    errno = 0;
    value = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)*digits) || *end)
        return call_fail(c, "\"%.64s\" is no whole number%s", text,
                         is_unsigned ? " without a sign" : "");
    if (errno)
        return call_fail(c, "\"%.64s\" does not fit into 64 bits with a sign", text);
    return eval_keep(c->ev, json_integer(value), ret);
}

static int fn_parse_float(struct call *c, json_t **ret)
{
    const char *text;
    char *end;
    double value;
    int r = plain_string(c, &text);

    if (r)
        return r;
    value = strtod(text, &end);
    if (*text && (end == text || *end || isspace((unsigned char)*text)))
        return call_fail(c, "\"%.64s\" is no number", text);
    if (isinf(value) && !strcasestr(text, "inf"))
        return call_fail(c, "\"%.64s\" is out of range", text);
    return isfinite(value) ? eval_keep(c->ev, json_real(value), ret)
                           : call_fail(c, "\"%.64s\" is no finite number", text);
}

/* ---- arithmetic ---- */

static int give_real(struct call *c, double value, json_t **ret)
{
    if (!isfinite(value))
        return call_fail(c, "the result is no finite number");
    return eval_keep(c->ev, json_real(value), ret);
}

static int reals(struct call *c, double a, double b, json_t **ret)
{
    switch (c->fn->id) {
    case TMPL_FN_ADD:
        return give_real(c, a + b, ret);
    case TMPL_FN_SUBTRACT:
        return give_real(c, a - b, ret);
    case TMPL_FN_MULTIPLY:
        return give_real(c, a * b, ret);
    case TMPL_FN_DIVIDE:
        return b == 0 ? call_fail(c, "division by zero") : give_real(c, a / b, ret);
    case TMPL_FN_MINIMUM:
        return give_real(c, a < b ? a : b, ret);
    case TMPL_FN_MAXIMUM:
        return give_real(c, a > b ? a : b, ret);
    default:
        return call_fail(c, "it takes whole numbers only");
    }
}

static int integers(struct call *c, int64_t a, int64_t b, json_t **ret)
{
    uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
    int64_t value = 0;

    switch (c->fn->id) { /* as in Go, what overflows wraps around */
    case TMPL_FN_ADD:
        value = (int64_t)(ua + ub);
        break;
    case TMPL_FN_SUBTRACT:
        value = (int64_t)(ua - ub);
        break;
    case TMPL_FN_MULTIPLY:
        value = (int64_t)(ua * ub);
        break;
    case TMPL_FN_DIVIDE:
    case TMPL_FN_MODULO:
        if (b == 0)
            return call_fail(c, "division by zero");
        if (b == -1)
            value = c->fn->id == TMPL_FN_DIVIDE ? (int64_t)(0 - ua) : 0;
        else
            value = c->fn->id == TMPL_FN_DIVIDE ? a / b : a % b;
        break;
    case TMPL_FN_MINIMUM:
        value = a < b ? a : b;
        break;
    default:
        value = a > b ? a : b;
        break;
    }
    return eval_keep(c->ev, json_integer(value), ret);
}

/* The second argument is what a pipe delivers: {{5 | subtract 2}} is 3. */
static int fn_arithmetic(struct call *c, json_t **ret)
{
    const json_t *b = c->args[0], *a = c->args[1];

    if (!json_is_number(a) || !json_is_number(b))
        return call_fail(c, "%s and %s are not both numbers", value_type(a), value_type(b));
    if (json_is_integer(a) && json_is_integer(b))
        return integers(c, json_integer_value(a), json_integer_value(b), ret);
    return reals(c, json_number_value(a), json_number_value(b), ret);
}

const function functions_code[TMPL_FN_N] = {
    [TMPL_FN_BASE64_ENCODE] = fn_base64_encode,
    [TMPL_FN_BASE64_URL_ENCODE] = fn_base64_encode,
    [TMPL_FN_BASE64_DECODE] = fn_base64_decode,
    [TMPL_FN_BASE64_URL_DECODE] = fn_base64_decode,
    [TMPL_FN_SHA256_HEX] = fn_digest,
    [TMPL_FN_SHA256_SUM] = fn_digest,
    [TMPL_FN_SHA1_SUM] = fn_digest,
    [TMPL_FN_SHA512_SUM] = fn_digest,
    [TMPL_FN_MD5_SUM] = fn_digest,
    [TMPL_FN_HMAC_SHA256_HEX] = fn_hmac,
    [TMPL_FN_TO_JSON] = fn_to_json,
    [TMPL_FN_TO_JSON_PRETTY] = fn_to_json,
    [TMPL_FN_TO_PLAIN_JSON] = fn_to_json,
    [TMPL_FN_TO_PLAIN_JSON_PRETTY] = fn_to_json,
    [TMPL_FN_PARSE_JSON] = fn_parse_json,
    [TMPL_FN_TO_YAML] = fn_to_yaml,
    [TMPL_FN_PARSE_YAML] = fn_parse_yaml,
    [TMPL_FN_TO_TOML] = fn_to_toml,
    [TMPL_FN_PARSE_BOOL] = fn_parse_bool,
    [TMPL_FN_PARSE_INT] = fn_parse_int,
    [TMPL_FN_PARSE_UINT] = fn_parse_int,
    [TMPL_FN_PARSE_FLOAT] = fn_parse_float,
    [TMPL_FN_ADD] = fn_arithmetic,
    [TMPL_FN_SUBTRACT] = fn_arithmetic,
    [TMPL_FN_MULTIPLY] = fn_arithmetic,
    [TMPL_FN_DIVIDE] = fn_arithmetic,
    [TMPL_FN_MODULO] = fn_arithmetic,
    [TMPL_FN_MINIMUM] = fn_arithmetic,
    [TMPL_FN_MAXIMUM] = fn_arithmetic,
};
