/* SPDX-License-Identifier: MIT
 *
 * Any bytes as the answer to a bucket's list, asked for page after page: each the same.
 */
#include <stdlib.h>
#include <string.h>

#include "manager/fetch/s3_list.h"
#include "tests/fuzz/fuzz.h"

enum {
    KEYS = 100,
    PAGES = 3,
};

static void check(const struct s3_list *list)
{
    if (list->n > KEYS || (list->next && (!*list->next || strlen(list->next) > S3_TOKEN_MAX)))
        abort();
    for (size_t i = 0; i < list->n; i++) {
        size_t len = strlen(list->keys[i]);

        if (!len || len > S3_KEY_MAX || list->keys[i][len - 1] == '/')
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct s3_list list = {0};
    int r = 0;

    for (int i = 0; !r && i < PAGES; i++) {
        struct err e = ERR_INIT;

        r = s3_list_add(&list, data, size, KEYS, &e);
        if (r ? e.code != r || !e.text[0] : i > 0 && list.next)
            abort();
        check(&list);
    }
    s3_list_deinit(&list);
    return 0;
}
