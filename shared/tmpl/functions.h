/* SPDX-License-Identifier: MIT
 *
 * The functions of the template language by name: those there are, and those that are refused.
 */
#pragma once

#include <stddef.h>

enum tmpl_uses { /* what a function reads */
    TMPL_USES_FILE = 1,
    TMPL_USES_CONSUL = 2,
    TMPL_USES_VAULT = 4,
    TMPL_USES_VARS = 8,
};

/* Each with its name in templates, least and most arguments (-1: any), and what it reads. */
#define TMPL_FUNCTIONS(X)                                                                          \
    X(AND, "and", 1, -1, 0)                                                                        \
    X(OR, "or", 1, -1, 0)                                                                          \
    X(NOT, "not", 1, 1, 0)                                                                         \
    X(EQ, "eq", 2, -1, 0)                                                                          \
    X(NE, "ne", 2, 2, 0)                                                                           \
    X(LT, "lt", 2, 2, 0)                                                                           \
    X(LE, "le", 2, 2, 0)                                                                           \
    X(GT, "gt", 2, 2, 0)                                                                           \
    X(GE, "ge", 2, 2, 0)                                                                           \
    X(INDEX, "index", 1, -1, 0)                                                                    \
    X(SLICE, "slice", 1, 4, 0)                                                                     \
    X(LEN, "len", 1, 1, 0)                                                                         \
    X(PRINT, "print", 0, -1, 0)                                                                    \
    X(PRINTF, "printf", 1, -1, 0)                                                                  \
    X(PRINTLN, "println", 0, -1, 0)                                                                \
    X(HTML, "html", 0, -1, 0)                                                                      \
    X(JS, "js", 0, -1, 0)                                                                          \
    X(URLQUERY, "urlquery", 0, -1, 0)                                                              \
    X(ENV, "env", 1, 1, 0)                                                                         \
    X(MUST_ENV, "mustEnv", 1, 1, 0)                                                                \
    X(ENV_OR_DEFAULT, "envOrDefault", 2, 2, 0)                                                     \
    X(FILE, "file", 1, 1, TMPL_USES_FILE)                                                          \
    X(KEY, "key", 1, 1, TMPL_USES_CONSUL)                                                          \
    X(KEY_EXISTS, "keyExists", 1, 1, TMPL_USES_CONSUL)                                             \
    X(KEY_OR_DEFAULT, "keyOrDefault", 2, 2, TMPL_USES_CONSUL)                                      \
    X(LS, "ls", 1, 1, TMPL_USES_CONSUL)                                                            \
    X(SAFE_LS, "safeLs", 1, 1, TMPL_USES_CONSUL)                                                   \
    X(TREE, "tree", 1, 1, TMPL_USES_CONSUL)                                                        \
    X(SAFE_TREE, "safeTree", 1, 1, TMPL_USES_CONSUL)                                               \
    X(SECRET, "secret", 1, 1, TMPL_USES_VAULT)                                                     \
    X(SECRETS, "secrets", 1, 1, TMPL_USES_VAULT)                                                   \
    X(NOMAD_VAR, "nomadVar", 1, 1, TMPL_USES_VARS)                                                 \
    X(NOMAD_VAR_EXISTS, "nomadVarExists", 1, 1, TMPL_USES_VARS)                                    \
    X(NOMAD_VAR_LIST, "nomadVarList", 0, 1, TMPL_USES_VARS)                                        \
    X(NOMAD_VAR_LIST_SAFE, "nomadVarListSafe", 0, 1, TMPL_USES_VARS)                               \
    X(SCRATCH_KEY, "scratch.Key", 1, 1, 0)                                                         \
    X(SCRATCH_GET, "scratch.Get", 1, 1, 0)                                                         \
    X(SCRATCH_SET, "scratch.Set", 2, 2, 0)                                                         \
    X(SCRATCH_SETX, "scratch.SetX", 2, 2, 0)                                                       \
    X(SCRATCH_MAP_SET, "scratch.MapSet", 3, 3, 0)                                                  \
    X(SCRATCH_MAP_SETX, "scratch.MapSetX", 3, 3, 0)                                                \
    X(SCRATCH_MAP_VALUES, "scratch.MapValues", 1, 1, 0)                                            \
    X(BASE64_DECODE, "base64Decode", 1, 1, 0)                                                      \
    X(BASE64_ENCODE, "base64Encode", 1, 1, 0)                                                      \
    X(BASE64_URL_DECODE, "base64URLDecode", 1, 1, 0)                                               \
    X(BASE64_URL_ENCODE, "base64URLEncode", 1, 1, 0)                                               \
    X(BY_KEY, "byKey", 1, 1, 0)                                                                    \
    X(CONTAINS, "contains", 2, 2, 0)                                                               \
    X(CONTAINS_ALL, "containsAll", 2, 2, 0)                                                        \
    X(CONTAINS_ANY, "containsAny", 2, 2, 0)                                                        \
    X(CONTAINS_NONE, "containsNone", 2, 2, 0)                                                      \
    X(CONTAINS_NOT_ALL, "containsNotAll", 2, 2, 0)                                                 \
    X(EXPLODE, "explode", 1, 1, 0)                                                                 \
    X(EXPLODE_MAP, "explodeMap", 1, 1, 0)                                                          \
    X(MERGE_MAP, "mergeMap", 2, 2, 0)                                                              \
    X(MERGE_MAP_OVER, "mergeMapWithOverride", 2, 2, 0)                                             \
    X(IN, "in", 2, 2, 0)                                                                           \
    X(INDENT, "indent", 2, 2, 0)                                                                   \
    X(JOIN, "join", 2, 2, 0)                                                                       \
    X(LOOP, "loop", 1, 2, 0)                                                                       \
    X(TRIM, "trim", 2, 2, 0)                                                                       \
    X(TRIM_PREFIX, "trimPrefix", 2, 2, 0)                                                          \
    X(TRIM_SUFFIX, "trimSuffix", 2, 2, 0)                                                          \
    X(TRIM_SPACE, "trimSpace", 1, 1, 0)                                                            \
    X(PARSE_BOOL, "parseBool", 1, 1, 0)                                                            \
    X(PARSE_FLOAT, "parseFloat", 1, 1, 0)                                                          \
    X(PARSE_INT, "parseInt", 1, 1, 0)                                                              \
    X(PARSE_UINT, "parseUint", 1, 1, 0)                                                            \
    X(PARSE_JSON, "parseJSON", 1, 1, 0)                                                            \
    X(PARSE_YAML, "parseYAML", 1, 1, 0)                                                            \
    X(REGEX_MATCH, "regexMatch", 2, 2, 0)                                                          \
    X(REGEX_REPLACE_ALL, "regexReplaceAll", 3, 3, 0)                                               \
    X(REPLACE_ALL, "replaceAll", 3, 3, 0)                                                          \
    X(SHA256_HEX, "sha256Hex", 1, 1, 0)                                                            \
    X(SHA256_SUM, "sha256sum", 1, 1, 0)                                                            \
    X(SHA1_SUM, "sha1sum", 1, 1, 0)                                                                \
    X(SHA512_SUM, "sha512sum", 1, 1, 0)                                                            \
    X(MD5_SUM, "md5sum", 1, 1, 0)                                                                  \
    X(HMAC_SHA256_HEX, "hmacSHA256Hex", 2, 2, 0)                                                   \
    X(SPLIT, "split", 2, 2, 0)                                                                     \
    X(SPLIT_TO_MAP, "splitToMap", 3, 3, 0)                                                         \
    X(TIMESTAMP, "timestamp", 0, 1, 0)                                                             \
    X(TO_JSON, "toJSON", 1, 1, 0)                                                                  \
    X(TO_JSON_PRETTY, "toJSONPretty", 1, 1, 0)                                                     \
    X(TO_PLAIN_JSON, "toUnescapedJSON", 1, 1, 0)                                                   \
    X(TO_PLAIN_JSON_PRETTY, "toUnescapedJSONPretty", 1, 1, 0)                                      \
    X(TO_TOML, "toTOML", 1, 1, 0)                                                                  \
    X(TO_YAML, "toYAML", 1, 1, 0)                                                                  \
    X(TO_LOWER, "toLower", 1, 1, 0)                                                                \
    X(TO_TITLE, "toTitle", 1, 1, 0)                                                                \
    X(TO_UPPER, "toUpper", 1, 1, 0)                                                                \
    X(ADD, "add", 2, 2, 0)                                                                         \
    X(SUBTRACT, "subtract", 2, 2, 0)                                                               \
    X(MULTIPLY, "multiply", 2, 2, 0)                                                               \
    X(DIVIDE, "divide", 2, 2, 0)                                                                   \
    X(MODULO, "modulo", 2, 2, 0)                                                                   \
    X(MINIMUM, "minimum", 2, 2, 0)                                                                 \
    X(MAXIMUM, "maximum", 2, 2, 0)

enum tmpl_function_id {
#define TMPL_FUNCTION_ID(id, name, least, most, uses) TMPL_FN_##id,
    TMPL_FUNCTIONS(TMPL_FUNCTION_ID)
#undef TMPL_FUNCTION_ID
    TMPL_FN_N
};

struct tmpl_function {
    const char *name;
    enum tmpl_function_id id;
    int least, most; /* arguments; `most` -1: any number */
    unsigned int uses;
};

/* NULL: there is none. */
const struct tmpl_function *tmpl_function_find(const char *name);

/* Why a function of consul-template's is not here, or what to use instead; NULL for names that it
 * does not know either. */
const char *tmpl_function_refused(const char *name);

/* The known name that is nearest to `name`, or NULL. */
const char *tmpl_function_nearest(const char *name);
