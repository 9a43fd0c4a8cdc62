/* SPDX-License-Identifier: MIT
 *
 * The words are built in one buffer of the text's size first: taking quotes away never makes a word
 * longer.
 */
#include "shared/job/words.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/job/value.h"

static const char blanks[] = " \t\r\n";

/* Copies the quoted part at *at (its opening quote) and moves behind the closing one. */
static int copy_quoted(const char **at, char **out)
{
    const char *p = *at;
    char quote = *p++;

    for (; *p != quote; p++) {
        if (quote == '"' && *p == '\\' && p[1] && strchr("\"\\$`", p[1]))
            p++;
        if (*p == '\0')
            return -EINVAL;
        *(*out)++ = *p;
    }
    *at = p + 1;
    return 0;
}

/* Copies the word at *at, terminated, and moves behind it. */
static int copy_word(const char **at, char *out)
{
    const char *p = *at;

    while (*p && !strchr(blanks, *p)) {
        if (*p == '\'' || *p == '"') {
            int r = copy_quoted(&p, &out);

            if (r < 0)
                return r;
            continue;
        }
        if (*p == '\\' && *++p == '\0')
            return -EINVAL;
        *out++ = *p++;
    }
    *out = '\0';
    *at = p;
    return 0;
}

int words_split(const char *text, char ***ret_words)
{
    autofree char *word = malloc(strlen(text) + 1);
    char **words = calloc(strlen(text) / 2 + 2, sizeof(*words)); /* "a b c": every second byte */
    size_t n = 0;
    int r = word && words ? 0 : -ENOMEM;

    while (r == 0) {
        text += strspn(text, blanks);
        if (!*text) {
            *ret_words = words;
            return 0;
        }
        r = copy_word(&text, word);
        if (r == 0 && !(words[n++] = strdup(word)))
            r = -ENOMEM;
    }
    value_free_strings(words);
    return r;
}
