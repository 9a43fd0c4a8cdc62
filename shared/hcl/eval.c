/* SPDX-License-Identifier: MIT
 *
 * The blocks of a file: variables get their values, locals theirs when they are needed, `dynamic`
 * blocks become as many blocks as they ask for, and all else is copied with its values evaluated.
 */
#include "shared/hcl/eval.h"

#include <errno.h>
#include <string.h>

#include "shared/hcl/eval_internal.h"

#define fail_at(ev, pos, ...) hcl_error((ev)->e, (ev)->file, pos, __VA_ARGS__)

/* ---- values ---- */

static int eval_items(struct eval *ev, const struct scope *scope, const struct hcl_value *in,
                      struct hcl_value *ret)
{
    struct expr x = {.ev = ev, .start = "", .at = "", .pos = in->pos};
    int r = 0;

    *ret = (struct hcl_value){.kind = in->kind, .pos = in->pos};
    for (size_t i = 0; r == 0 && i < in->n_items; i++) {
        struct hcl_value item, key = {.string = in->kind == HCL_MAP ? in->keys[i] : NULL};

        r = eval_value(ev, scope, &in->items[i], &item);
        if (r == 0 && key.string && template_has_code(key.string)) {
            r = template_eval(ev, scope, key.string, in->items[i].pos, false, &key);
            if (r == 0 && key.kind != HCL_STRING)
                r = fail_at(ev, in->items[i].pos, "the key of this value is no text");
        }
        if (r == 0)
            r = value_append(&x, ret, key.string, &item);
    }
    return r;
}

/* What comes of an expression has no places of its own. */
static void set_pos(struct hcl_value *value, struct hcl_pos pos)
{
    if (!value->pos.line)
        value->pos = pos;
}

int eval_value(struct eval *ev, const struct scope *scope, const struct hcl_value *in,
               struct hcl_value *ret)
{
    int r = 0;

    if (in->kind == HCL_STRING && template_has_code(in->string))
        r = template_eval(ev, scope, in->string, in->pos, false, ret);
    else if (in->kind == HCL_EXPR)
        r = expr_eval(ev, scope, in->string, in->pos, true, ret);
    else if (in->kind == HCL_LIST || in->kind == HCL_MAP)
        return eval_items(ev, scope, in, ret);
    else
        *ret = *in;
    ret->pos = in->pos;
    for (size_t i = 0; r == 0 && i < ret->n_items; i++)
        set_pos(&ret->items[i], in->pos);
    return r;
}

/* ---- names ---- */

struct named *eval_find(const struct eval *ev, const char *root, const char *name, size_t len)
{
    for (size_t i = 0; i < ev->n_names; i++)
        if (strcmp(ev->names[i].root, root) == 0 && strlen(ev->names[i].name) == len &&
            strncmp(ev->names[i].name, name, len) == 0)
            return &ev->names[i];
    return NULL;
}

int eval_need(struct eval *ev, struct named *named)
{
    struct hcl_value in = named->value, value = {0};
    unsigned int depth = ev->depth;
    int r;

    if (named->state == NAMED_READY)
        return 0;
    if (named->state == NAMED_BUSY)
        return fail_at(ev, named->pos, "the local \"%.64s\" needs itself", named->name);
    if (depth >= HCL_EVAL_MAX_DEPTH - 1)
        return fail_at(ev, named->pos, "locals need each other too deeply");
    named->state = NAMED_BUSY;
    r = eval_value(ev, NULL, &in, &value);
    named->state = r < 0 ? NAMED_UNKNOWN : NAMED_READY; /* try() does not hide a wrong local */
    if (r == 0)
        named->value = value;
    return r;
}

static int add_name(struct eval *ev, const char *root, const struct hcl_attr *attr)
{
    struct named *names;

    if (eval_find(ev, root, attr->name, strlen(attr->name)))
        return fail_at(ev, attr->pos, "\"%.64s\" is there already; keep one", attr->name);
    names = arena_grow(ev->arena, ev->names, ev->n_names, sizeof(*names));
    if (!names)
        return -ENOMEM;
    ev->names = names;
    names[ev->n_names++] =
        (struct named){.root = root, .name = attr->name, .pos = attr->pos, .value = attr->value};
    return 0;
}

/* ---- variables ---- */

static const struct hcl_attr *find_attr(const struct hcl_body *body, const char *name)
{
    for (size_t i = 0; i < body->n_attrs; i++)
        if (strcmp(body->attrs[i].name, name) == 0)
            return &body->attrs[i];
    return NULL;
}

static int check_variable(struct eval *ev, const struct hcl_block *block)
{
    static const char *const known[] = {"type",     "default",   "description", "sensitive",
                                        "nullable", "ephemeral", NULL};

    if (block->n_labels != 1)
        return fail_at(ev, block->pos, "write variable \"NAME\" { }");
    for (size_t i = 0; i < block->body->n_attrs; i++) {
        size_t k = 0;

        while (known[k] && strcmp(known[k], block->body->attrs[i].name) != 0)
            k++;
        if (!known[k])
            return fail_at(ev, block->body->attrs[i].pos,
                           "unknown attribute \"%.64s\" in a variable; it has type, default and "
                           "description",
                           block->body->attrs[i].name);
    }
    for (size_t i = 0; i < block->body->n_blocks; i++)
        if (strcmp(block->body->blocks[i].type, "validation") != 0)
            return fail_at(ev, block->body->blocks[i].pos,
                           "unknown block \"%.64s\" in a variable; it has validation { }",
                           block->body->blocks[i].type);
    return 0;
}

/* The type as text: a word or an expression such as list(string); NULL: any. */
static const char *variable_type(const struct hcl_block *block)
{
    const struct hcl_attr *attr = find_attr(block->body, "type");

    return attr ? attr->value.string : NULL;
}

/* Text of a command line is a text if that is what the variable is, else HCL. */
static int read_input(struct eval *ev, const struct hcl_block *block, const struct hcl_input *input,
                      struct hcl_value *ret)
{
    const char *type = variable_type(block);

    if (input->value) {
        *ret = *input->value;
        return 0;
    }
    if (type && strchr(type, '('))
        return expr_eval(ev, NULL, input->text, block->pos, false, ret);
    *ret = (struct hcl_value){.kind = HCL_STRING, .string = (char *)input->text};
    return 0;
}

static int set_variable(struct eval *ev, const struct hcl_block *block)
{
    const struct hcl_attr *def = find_attr(block->body, "default");
    struct hcl_attr attr = {.name = block->labels[0], .pos = block->pos};
    struct expr x = {.ev = ev, .start = "", .at = "", .pos = block->pos};
    const struct hcl_input *input = NULL;
    int r = 0;

    for (size_t i = 0; i < ev->options->n_inputs; i++)
        if (strcmp(ev->options->inputs[i].name, attr.name) == 0)
            input = &ev->options->inputs[i];
    if (input)
        r = read_input(ev, block, input, &attr.value);
    else if (def)
        r = eval_value(ev, NULL, &def->value, &attr.value);
    else
        r = fail_at(ev, block->pos,
                    "the variable \"%.64s\" has no value: give it a default, -var NAME=VALUE, "
                    "-var-file or NOMAD_VAR_NAME",
                    attr.name);
    if (r == 0 && variable_type(block))
        r = type_convert(&x, variable_type(block), &attr.value);
    if (r < 0 && input && ev->e)
        (void)err_wrap(ev->e, "%s \"%.64s\"", input->origin, attr.name);
    if (r < 0)
        return r;
    attr.value.pos = def ? def->value.pos : block->pos;
    r = add_name(ev, "var", &attr);
    if (r == 0)
        ev->names[ev->n_names - 1].state = NAMED_READY;
    return r;
}

static int validate_variable(struct eval *ev, const struct hcl_block *block)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < block->body->n_blocks; i++) {
        const struct hcl_block *rule = &block->body->blocks[i];
        const struct hcl_attr *condition = find_attr(rule->body, "condition");
        const struct hcl_attr *message = find_attr(rule->body, "error_message");
        struct hcl_value holds = {0};
        bool ok = false;

        if (!condition || !message || message->value.kind != HCL_STRING)
            return fail_at(ev, rule->pos, "validation { } has a condition and an error_message");
        r = eval_value(ev, NULL, &condition->value, &holds);
        if (r == 0 && !value_to_bool(&holds, &ok))
            r = fail_at(ev, condition->pos, "the condition is neither true nor false");
        if (r == 0 && !ok)
            r = hcl_error(ev->e, ev->file, condition->pos, "the variable \"%.64s\": %.160s",
                          block->labels[0], message->value.string);
    }
    return r;
}

static bool is_type(const struct hcl_block *block, const char *type)
{
    return strcmp(block->type, type) == 0;
}

static int check_inputs(struct eval *ev)
{
    for (size_t i = 0; i < ev->options->n_inputs; i++) {
        const struct hcl_input *input = &ev->options->inputs[i];

        if (!input->may_be_unknown && !eval_find(ev, "var", input->name, strlen(input->name)))
            return err_set(
                ev->e, -EINVAL,
                "%s \"%.64s\": the file %.64s has no variable of that name; add variable "
                "\"%.64s\" { } or leave it out",
                input->origin, input->name, ev->file->name, input->name);
    }
    return 0;
}

static int set_names(struct eval *ev, const struct hcl_body *body)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < body->n_blocks; i++) {
        const struct hcl_block *block = &body->blocks[i];

        if (is_type(block, "variable")) {
            r = check_variable(ev, block);
            if (r == 0)
                r = set_variable(ev, block);
        } else if (is_type(block, "variables")) { /* the short form: NAME = default */
            for (size_t k = 0; r == 0 && k < block->body->n_attrs; k++) {
                struct hcl_body one = {.attrs = &(struct hcl_attr){0}, .n_attrs = 1};
                struct hcl_block as = {.type = (char *)"variable",
                                       .pos = block->body->attrs[k].pos,
                                       .labels = &block->body->attrs[k].name,
                                       .n_labels = 1,
                                       .body = &one};

                one.attrs[0] = block->body->attrs[k];
                one.attrs[0].name = (char *)"default";
                r = set_variable(ev, &as);
            }
        } else if (is_type(block, "locals")) {
            for (size_t k = 0; r == 0 && k < block->body->n_attrs; k++)
                r = add_name(ev, "local", &block->body->attrs[k]);
        }
    }
    for (size_t i = 0; r == 0 && i < body->n_blocks; i++)
        if (is_type(&body->blocks[i], "variable"))
            r = validate_variable(ev, &body->blocks[i]);
    for (size_t i = 0; r == 0 && i < ev->n_names; i++)
        r = eval_need(ev, &ev->names[i]);
    return r < 0 ? r : check_inputs(ev);
}

/* ---- bodies ---- */

static int eval_body(struct eval *ev, const struct scope *scope, const struct hcl_body *in,
                     struct hcl_body **ret);

static int append_block(struct eval *ev, struct hcl_body *out, const struct hcl_block *block)
{
    struct expr x = {.ev = ev, .start = "", .at = "", .pos = block->pos};
    struct hcl_block *blocks = arena_grow(ev->arena, out->blocks, out->n_blocks, sizeof(*blocks));
    int r = eval_account(&x, "", sizeof(*block) + sizeof(struct hcl_body));

    if (r < 0)
        return r;
    if (!blocks)
        return -ENOMEM;
    out->blocks = blocks;
    blocks[out->n_blocks++] = *block;
    return 0;
}

/* Each label is evaluated in the scope of its element. */
static int dynamic_labels(struct eval *ev, const struct scope *scope, const struct hcl_attr *labels,
                          struct hcl_block *block)
{
    struct hcl_value list = {0};
    int r = eval_value(ev, scope, &labels->value, &list);

    if (r == 0 && list.kind != HCL_LIST)
        r = fail_at(ev, labels->pos, "\"labels\" is a list of texts");
    for (size_t i = 0; r == 0 && i < list.n_items; i++) {
        char **grown = arena_grow(ev->arena, block->labels, block->n_labels, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        block->labels = grown;
        if (list.items[i].kind != HCL_STRING)
            return fail_at(ev, labels->pos, "\"labels\" is a list of texts");
        grown[block->n_labels++] = list.items[i].string;
    }
    return r;
}

/* dynamic "TYPE" { for_each = …, labels = [ ], iterator = NAME, content { } } */
static int dynamic(struct eval *ev, const struct scope *scope, const struct hcl_block *in,
                   struct hcl_body *out)
{
    const struct hcl_attr *each = find_attr(in->body, "for_each");
    const struct hcl_attr *labels = find_attr(in->body, "labels");
    const struct hcl_attr *iterator = find_attr(in->body, "iterator");
    const struct hcl_block *content = in->body->n_blocks == 1 ? in->body->blocks : NULL;
    const char *name = iterator ? iterator->value.string : in->n_labels ? in->labels[0] : NULL;
    static char *keys[] = {(char *)"key", (char *)"value"};
    struct expr x = {.ev = ev, .start = "", .at = "", .pos = in->pos};
    struct hcl_value over = {0};
    int r;

    if (!each || !name || !content || !is_type(content, "content"))
        return fail_at(ev, in->pos, "write dynamic \"TYPE\" { for_each = LIST, content { } }");
    r = eval_value(ev, scope, &each->value, &over);
    if (r == 0 && over.kind != HCL_LIST && over.kind != HCL_MAP)
        r = fail_at(ev, each->pos, "\"for_each\" is a list or a map");
    if (r == 0)
        r = value_in_order(&x, &over, &over);
    for (size_t i = 0; r == 0 && i < over.n_items; i++) {
        struct hcl_value *pair = arena_alloc(ev->arena, 2 * sizeof(*pair));
        struct hcl_value item = {.kind = HCL_MAP, .items = pair, .keys = keys, .n_items = 2};
        struct scope inner = {name, &item, scope};
        struct hcl_block block = {.type = in->labels[0], .pos = in->pos};

        if (!pair)
            return -ENOMEM;
        pair[0] = (struct hcl_value){.kind = HCL_NUMBER, .number = (double)i};
        if (over.kind == HCL_MAP)
            pair[0] = (struct hcl_value){.kind = HCL_STRING, .string = over.keys[i]};
        pair[1] = over.items[i];
        r = eval_body(ev, &inner, content->body, &block.body);
        if (r == 0 && labels)
            r = dynamic_labels(ev, &inner, labels, &block);
        if (r == 0)
            r = append_block(ev, out, &block);
    }
    return r;
}

/* Whether to go on and find more that is wrong: then 0. What takes too much is the last error. */
static int told(struct eval *ev, int r)
{
    if (r != -EINVAL || !ev->options->on_error || !ev->e)
        return r;
    ev->options->on_error(ev->options->arg, ev->e->text);
    ev->e = &ev->later;
    if (++ev->n_errors == HCL_EVAL_MAX_ERRORS || ev->steps > HCL_EVAL_MAX_STEPS ||
        ev->bytes > HCL_EVAL_MAX_BYTES)
        ev->n_errors = HCL_EVAL_MAX_ERRORS;
    return ev->n_errors == HCL_EVAL_MAX_ERRORS ? r : 0;
}

static int eval_block(struct eval *ev, const struct scope *scope, const struct hcl_block *in,
                      struct hcl_body *out)
{
    struct hcl_block block = *in;
    int r;

    if (is_type(in, "dynamic")) {
        unsigned int before = ev->n_errors;

        r = dynamic(ev, scope, in, out);
        return ev->n_errors == before ? told(ev, r) : r; /* what is in it was told already */
    }
    r = eval_body(ev, scope, in->body, &block.body);
    return r < 0 ? r : append_block(ev, out, &block);
}

static int eval_body(struct eval *ev, const struct scope *scope, const struct hcl_body *in,
                     struct hcl_body **ret)
{
    const struct expr x = {
        .ev = ev, .start = "", .pos = in->n_attrs ? in->attrs[0].pos : (struct hcl_pos){0}};
    struct hcl_body *out = arena_alloc(ev->arena, sizeof(*out));
    int r = eval_account(&x, x.start, in->n_attrs * sizeof(*out->attrs));

    if (r < 0)
        return r;
    if (!out)
        return -ENOMEM;
    out->attrs = arena_alloc(ev->arena, (in->n_attrs + 1) * sizeof(*out->attrs));
    if (!out->attrs)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < in->n_attrs; i++) {
        struct hcl_attr *attr = &out->attrs[out->n_attrs++];

        *attr = in->attrs[i];
        r = told(ev, eval_value(ev, scope, &in->attrs[i].value, &attr->value));
    }
    for (size_t i = 0; r == 0 && i < in->n_blocks; i++)
        r = eval_block(ev, scope, &in->blocks[i], out);
    *ret = out;
    return r;
}

int hcl_eval(struct hcl_file *file, const struct hcl_eval_options *options, struct err *e)
{
    struct eval ev = {.file = file, .arena = file->arena, .options = options, .e = e};
    struct hcl_body rest = {.attrs = file->body->attrs, .n_attrs = file->body->n_attrs}, *out;
    int r = set_names(&ev, file->body);

    for (size_t i = 0; r == 0 && i < file->body->n_blocks; i++) {
        const struct hcl_block *block = &file->body->blocks[i];

        if (!is_type(block, "variable") && !is_type(block, "variables") &&
            !is_type(block, "locals"))
            r = append_block(&ev, &rest, block);
    }
    if (r == 0)
        r = eval_body(&ev, NULL, &rest, &out);
    if (r == 0 && ev.n_errors)
        r = -EINVAL;
    if (r == 0)
        file->body = out;
    return r == -ENOMEM ? err_sys(e, r, "reading %s", file->name) : r;
}
