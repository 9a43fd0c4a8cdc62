/* SPDX-License-Identifier: MIT
 *
 * Any bytes as HCL. What parses is walked to its last string, so that a dangling pointer or a
 * missing terminator is seen; what does not must come with a message.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/hcl/hcl.h"
#include "shared/job/job.h"
#include "tests/fuzz/fuzz.h"

static size_t walk_value(const struct hcl_value *value)
{
    size_t sum = value->kind == HCL_STRING ? strlen(value->string) : 1;

    for (size_t i = 0; i < value->n_items; i++)
        sum += walk_value(&value->items[i]) + (value->keys ? strlen(value->keys[i]) : 0);
    return sum;
}

static size_t walk_body(const struct hcl_body *body)
{
    size_t sum = 0;

    for (size_t i = 0; i < body->n_attrs; i++)
        sum += strlen(body->attrs[i].name) + walk_value(&body->attrs[i].value);
    for (size_t i = 0; i < body->n_blocks; i++) {
        const struct hcl_block *block = &body->blocks[i];

        sum += strlen(block->type) + walk_body(block->body);
        for (size_t j = 0; j < block->n_labels; j++)
            sum += strlen(block->labels[j]);
    }
    return sum;
}

static void check_outcome(int r, const void *result, const struct err *e)
{
    if (r < 0 ? e->code != r || e->text[0] == '\0' : result == NULL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hcl_file *file = NULL;
    struct job *job = NULL;
    struct err e = ERR_INIT;
    int r = hcl_parse("fuzz.hcl", (const char *)data, size, &file, &e);

    check_outcome(r, file, &e);
    if (r == 0) {
        if (walk_body(file->body) == SIZE_MAX) /* the walk is what matters */
            abort();
        r = job_from_hcl(file, &job, &e);
        check_outcome(r, job, &e);
    }
    (void)job_free(job);
    (void)hcl_file_free(file);
    return 0;
}
