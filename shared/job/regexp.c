/* SPDX-License-Identifier: MIT
 *
 * Regular expressions are PCRE2's, of which those of Nomad (Go's, which are RE2's) are nearly a
 * part; POSIX has no \d, (?i) or non-greedy ones.
 */
#include "shared/job/regexp.h"

#include <errno.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    MATCH_STEPS_MAX = 100000, /* milliseconds, of what a loop can wait for */
};

/* NULL: it is none, and `e` (may be NULL) says why. */
static pcre2_code *compile(const char *pattern, struct err *e)
{
    PCRE2_UCHAR text[128];
    PCRE2_SIZE at;
    int code;
    pcre2_code *regexp = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                       PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY |
                                           PCRE2_NEVER_BACKSLASH_C,
                                       &code, &at, NULL);

    if (!regexp) {
        (void)pcre2_get_error_message(code, text, sizeof(text));
        (void)err_set(e, -EINVAL, "\"%.64s\" is no regular expression: at its character %zu: %s",
                      pattern, (size_t)at + 1, (const char *)text);
    }
    return regexp;
}

int regexp_check(const char *pattern, struct err *e)
{
    pcre2_code *regexp = compile(pattern, e);
    bool ok = regexp;

    pcre2_code_free(regexp);
    return ok ? 0 : -EINVAL;
}

bool regexp_matches(const char *pattern, const char *text)
{
    pcre2_code *regexp = compile(pattern, NULL);
    pcre2_match_data *data = regexp ? pcre2_match_data_create(1, NULL) : NULL;
    pcre2_match_context *limits = data ? pcre2_match_context_create(NULL) : NULL;
    bool matched = false;

    if (limits) {
        (void)pcre2_set_match_limit(limits, MATCH_STEPS_MAX);
        matched =
            pcre2_match(regexp, (PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, 0, data, limits) >= 0;
    }
    pcre2_match_context_free(limits);
    pcre2_match_data_free(data);
    pcre2_code_free(regexp);
    return matched;
}
