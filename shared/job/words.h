/* SPDX-License-Identifier: MIT
 *
 * One command line to words, as a shell splits it, without any expansion.
 */
#pragma once

/* Blanks separate; '…' and "…" and a backslash keep what follows together (inside "…" a backslash
 * only escapes " and \ and $ and `). *ret_words is NULL-terminated; free it with
 * value_free_strings(). -EINVAL: a quote is not closed or a backslash ends the text; -ENOMEM. */
int words_split(const char *text, char ***ret_words);
