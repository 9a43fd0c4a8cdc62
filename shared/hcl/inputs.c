/* SPDX-License-Identifier: MIT
 *
 * A list in the order of precedence, the strongest last.
 */
#include "shared/hcl/inputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"

static const char prefix[] = "NOMAD_VAR_";

static int add(struct hcl_inputs *inputs, struct hcl_input input, struct err *e)
{
    struct hcl_input *list = reallocarray(inputs->list, inputs->n + 1, sizeof(*list));

    if (!list)
        return err_sys(e, -ENOMEM, "%s", input.origin);
    inputs->list = list;
    list[inputs->n++] = input;
    if (inputs->n > HCL_INPUTS_MAX)
        return err_set(e, -E2BIG, "more than %d values for variables", HCL_INPUTS_MAX);
    return 0;
}

/* NAME=VALUE; the name is copied, and kept by the list. */
static int add_text(struct hcl_inputs *inputs, const char *text, const char *origin, bool of_others,
                    struct err *e)
{
    const char *equals = strchr(text, '=');
    char *name = equals ? strndup(text, (size_t)(equals - text)) : NULL;
    int r;

    if (!name)
        return err_sys(e, -ENOMEM, "%s", origin);
    r = add(inputs,
            (struct hcl_input){
                .name = name, .text = equals + 1, .origin = origin, .may_be_unknown = of_others},
            e);
    if (r == -ENOMEM)
        free(name);
    return r;
}

int hcl_inputs_add(struct hcl_inputs *inputs, const char *text, struct err *e)
{
    if (!strchr(text, '=') || *text == '=')
        return err_set(e, -EINVAL, "-var takes NAME=VALUE, not \"%.64s\"", text);
    return add_text(inputs, text, "-var", false, e);
}

int hcl_inputs_add_environment(struct hcl_inputs *inputs, char *const *environment, struct err *e)
{
    int r = 0;

    for (; r == 0 && *environment; environment++)
        if (strncmp(*environment, prefix, sizeof(prefix) - 1) == 0 && strchr(*environment, '='))
            r = add_text(inputs, *environment + sizeof(prefix) - 1, prefix, true, e);
    return r;
}

int hcl_inputs_add_file(struct hcl_inputs *inputs, struct hcl_file *file, bool files,
                        const char *origin, struct err *e)
{
    const struct hcl_eval_options options = {.files = files};
    int r;

    if (inputs->n_files == HCL_INPUT_FILES_MAX) {
        (void)hcl_file_free(file);
        return err_set(e, -E2BIG, "more than %d files of variables", HCL_INPUT_FILES_MAX);
    }
    inputs->files[inputs->n_files++] = file;
    if (file->body->n_blocks)
        return hcl_error(e, file, file->body->blocks[0].pos,
                         "a file of values has NAME = VALUE only");
    r = hcl_eval(file, &options, e);
    for (size_t i = 0; r == 0 && i < file->body->n_attrs; i++) {
        const struct hcl_attr *attr = &file->body->attrs[i];
        char *name = strdup(attr->name);

        if (!name)
            return err_sys(e, -ENOMEM, "%s", origin);
        r = add(inputs, (struct hcl_input){.name = name, .value = &attr->value, .origin = origin},
                e);
        if (r == -ENOMEM)
            free(name);
    }
    return r;
}

void hcl_inputs_deinit(struct hcl_inputs *inputs)
{
    for (size_t i = 0; i < inputs->n; i++)
        free((char *)inputs->list[i].name);
    free(inputs->list);
    while (inputs->n_files)
        (void)hcl_file_free(inputs->files[--inputs->n_files]);
    *inputs = (struct hcl_inputs){0};
}
