/* SPDX-License-Identifier: MIT
 *
 * Expressions: any bytes give a tree of plain values, or an error with a text, in bounded time.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/hcl/eval.h"
#include "shared/job/job.h"
#include "tests/fuzz/fuzz.h"

static void check_value(const struct hcl_value *value)
{
    if (value->kind >= HCL_EXPR || (value->kind == HCL_STRING && strlen(value->string) > 1 << 27))
        abort();
    for (size_t i = 0; (value->kind == HCL_LIST || value->kind == HCL_MAP) && i < value->n_items;
         i++) {
        if (value->kind == HCL_MAP && strlen(value->keys[i]) > 1 << 27)
            abort();
        check_value(&value->items[i]);
    }
}

static void check_body(const struct hcl_body *body)
{
    for (size_t i = 0; i < body->n_attrs; i++)
        check_value(&body->attrs[i].value);
    for (size_t i = 0; i < body->n_blocks; i++) {
        for (size_t k = 0; k < body->blocks[i].n_labels; k++)
            if (!body->blocks[i].labels[k])
                abort();
        check_body(body->blocks[i].body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hcl_input inputs[] = {
        {.name = "a", .text = "[1, \"x\"]", .origin = "-var", .may_be_unknown = true}};
    const struct hcl_eval_options options = {.inputs = inputs, .n_inputs = 1, .hasty = true};
    struct hcl_file *file = NULL;
    struct job *job = NULL;
    struct err e = ERR_INIT;
    int r = hcl_parse_expr("fuzz.hcl", (const char *)data, size, &file, &e);

    if (r == 0) {
        r = hcl_eval(file, &options, &e);
        if (r < 0 && !e.text[0])
            abort();
        if (r == 0) {
            check_body(file->body);
            (void)job_from_hcl(file, &job, &e);
        }
    }
    (void)job_free(job);
    (void)hcl_file_free(file);
    return 0;
}
