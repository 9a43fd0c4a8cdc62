/* SPDX-License-Identifier: MIT
 *
 * Walks the tree. Values live in a pool until the end, so nobody counts references; what is put
 * into it is counted, so it cannot grow without end. Variables are a stack, which each block takes
 * back to where it was.
 */
#include "manager/template/eval.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/template/engine.h"
#include "shared/cleanup.h"

/* How a body ended. */
enum {
    GO_ON,
    BREAK = 1,
    CONTINUE,
};

int eval_fail(struct eval *ev, struct tmpl_pos pos, int code, const char *fmt, ...)
{
    char text[sizeof(ev->e->text)];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(ev->e, code, "%s:%u:%u: %s", ev->tmpl->name, pos.line, pos.col, text);
}

int call_fail(struct call *c, const char *fmt, ...)
{
    char text[sizeof(c->ev->e->text)];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return eval_fail(c->ev, c->pos, -EINVAL, "%s: %s", c->fn->name, text);
}

int eval_step(struct eval *ev, size_t n)
{
    if (ev->steps < n)
        return eval_fail(ev, ev->pos, -E2BIG,
                         "the template takes more than %d steps; does a loop run too long?",
                         EVAL_MAX_STEPS);
    ev->steps -= n;
    return 0;
}

int eval_spend(struct eval *ev, size_t bytes)
{
    if (ev->memory < bytes)
        return eval_fail(ev, ev->pos, -E2BIG, "the template makes more than %d bytes of values",
                         EVAL_MAX_MEMORY);
    ev->memory -= bytes;
    return 0;
}

int eval_keep(struct eval *ev, json_t *made, json_t **ret_value)
{
    int r = made ? eval_spend(ev, 64) : -ENOMEM;

    if (!r && ev->n_pool == ev->pool_room) {
        size_t room = ev->pool_room * 2 + 64;
        json_t **grown = reallocarray(ev->pool, room, sizeof(*grown));

        r = grown ? 0 : -ENOMEM;
        if (grown) {
            ev->pool = grown;
            ev->pool_room = room;
        }
    }
    if (r) {
        json_decref(made);
        return r;
    }
    ev->pool[ev->n_pool++] = made;
    *ret_value = made;
    return 0;
}

int eval_string(struct eval *ev, const char *bytes, size_t size, json_t **ret_value)
{
    int r = eval_spend(ev, size);

    return r ? r : eval_keep(ev, json_stringn_nocheck(bytes, size), ret_value);
}

/* ---- variables ---- */

static int push(struct eval *ev, const char *name, json_t *value)
{
    if (ev->n_vars == ev->vars_room) {
        size_t room = ev->vars_room * 2 + 16;
        struct eval_variable *grown = reallocarray(ev->vars, room, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        ev->vars = grown;
        ev->vars_room = room;
    }
    ev->vars[ev->n_vars++] = (struct eval_variable){name, value};
    return 0;
}

/* The parser has seen to it that there is one. */
static struct eval_variable *find(struct eval *ev, const char *name)
{
    for (size_t i = ev->n_vars; i; i--)
        if (strcmp(ev->vars[i - 1].name, name) == 0)
            return &ev->vars[i - 1];
    abort();
}

static int set(struct eval *ev, const struct tmpl_node *pipe, const char *name, json_t *value)
{
    if (!pipe->assigns)
        return push(ev, name, value);
    find(ev, name)->value = value;
    return 0;
}

/* ---- operands ---- */

static int eval_pipe(struct eval *ev, const struct tmpl_node *pipe, json_t *dot, json_t **ret);
static int eval_function(struct eval *ev, const struct tmpl_node *first, json_t *dot,
                         json_t *const *piped, json_t **ret);

static int get_field(struct eval *ev, const struct tmpl_node *node, json_t *of, const char *name,
                     json_t **ret)
{
    json_t *value;

    if (!of) {
        *ret = NULL;
        return ev->in->error_on_missing_key
                   ? eval_fail(ev, node->pos, -EINVAL, "there is no data, so no \".%.64s\"", name)
                   : 0;
    }
    if (json_is_null(of))
        return eval_fail(ev, node->pos, -EINVAL, "\".%.64s\" of nothing (nil)", name);
    if (!json_is_object(of))
        return eval_fail(ev, node->pos, -EINVAL, "a value of the type %s has no field \".%.64s\"",
                         value_type(of), name);
    value = json_object_get(of, name);
    if (!value && ev->in->error_on_missing_key)
        return eval_fail(ev, node->pos, -EINVAL, "the map has no key \"%.64s\"", name);
    *ret = value;
    return 0;
}

static int get_fields(struct eval *ev, const struct tmpl_node *node, json_t *of, json_t **ret)
{
    int r = 0;

    for (size_t i = 0; !r && i < node->n_fields; i++)
        r = get_field(ev, node, of, node->fields[i], &of);
    *ret = of;
    return r;
}

static int eval_operand(struct eval *ev, const struct tmpl_node *node, json_t *dot, json_t **ret)
{
    int r = eval_step(ev, 1);

    if (r)
        return r;
    switch (node->kind) {
    case TMPL_DOT:
        *ret = dot;
        return 0;
    case TMPL_NIL:
        *ret = NULL;
        return 0;
    case TMPL_BOOL:
        return eval_keep(ev, json_boolean(node->integer), ret);
    case TMPL_INT:
        return eval_keep(ev, json_integer(node->integer), ret);
    case TMPL_FLOAT:
        return eval_keep(ev, json_real(node->real), ret);
    case TMPL_STRING:
        return eval_string(ev, node->text, node->size, ret);
    case TMPL_FIELD:
        return get_fields(ev, node, dot, ret);
    case TMPL_VARIABLE:
        return get_fields(ev, node, find(ev, node->text)->value, ret);
    case TMPL_CHAIN:
        r = eval_operand(ev, node->first, dot, ret);
        return r ? r : get_fields(ev, node, *ret, ret);
    case TMPL_PIPE:
        return eval_pipe(ev, node, dot, ret);
    case TMPL_FUNCTION:
        return eval_function(ev, node, dot, NULL, ret);
    default:
        abort();
    }
}

/* ---- calls ---- */

/* They look at no more arguments than they need. */
static int eval_and_or(struct eval *ev, const struct tmpl_node *first, json_t *dot,
                       json_t *const *piped, json_t **ret)
{
    bool stop_at = first->function->id == TMPL_FN_OR;
    int r = 0;

    *ret = NULL;
    for (const struct tmpl_node *node = first->next; node; node = node->next) {
        r = eval_operand(ev, node, dot, ret);
        if (r || value_is_true(*ret) == stop_at)
            return r;
    }
    if (piped)
        *ret = *piped;
    return r;
}

static function find_function(enum tmpl_function_id id)
{
    static const function *const tables[] = {functions_core, functions_string, functions_code,
                                             functions_map,  functions_time,   functions_source};

    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        if (tables[i][id])
            return tables[i][id];
    abort();
}

static int eval_function(struct eval *ev, const struct tmpl_node *first, json_t *dot,
                         json_t *const *piped, json_t **ret)
{
    struct call c = {.ev = ev, .fn = first->function, .pos = first->pos};
    autofree json_t **args = NULL;
    int r = 0;

    if (c.fn->id == TMPL_FN_AND || c.fn->id == TMPL_FN_OR)
        return eval_and_or(ev, first, dot, piped, ret);
    for (const struct tmpl_node *node = first->next; node; node = node->next)
        c.n++;
    args = calloc(c.n + 1, sizeof(*args));
    if (!args)
        return -ENOMEM;
    c.args = args;
    c.n = 0;
    for (const struct tmpl_node *node = first->next; node && !r; node = node->next)
        r = eval_operand(ev, node, dot, &args[c.n++]);
    if (piped)
        args[c.n++] = *piped;
    ev->pos = first->pos;
    *ret = NULL;
    return r ? r : find_function(c.fn->id)(&c, ret);
}

static int eval_command(struct eval *ev, const struct tmpl_node *command, json_t *dot,
                        json_t *const *piped, json_t **ret)
{
    const struct tmpl_node *first = command->first;

    if (first->kind == TMPL_FUNCTION)
        return eval_function(ev, first, dot, piped, ret);
    return eval_operand(ev, first, dot, ret);
}

static int eval_pipe(struct eval *ev, const struct tmpl_node *pipe, json_t *dot, json_t **ret)
{
    json_t *value = NULL;
    int r = 0;

    ev->pos = pipe->pos;
    for (const struct tmpl_node *command = pipe->first; command && !r; command = command->next) {
        json_t *piped = value;

        r = eval_command(ev, command, dot, command == pipe->first ? NULL : &piped, &value);
    }
    for (size_t i = 0; i < pipe->n_vars && !r; i++)
        r = set(ev, pipe, pipe->vars[i], value);
    *ret = value;
    return r;
}

/* ---- blocks ---- */

static int eval_body(struct eval *ev, const struct tmpl_node *node, json_t *dot);

static int eval_action(struct eval *ev, const struct tmpl_node *node, json_t *dot)
{
    json_t *value;
    int r = eval_pipe(ev, node->first, dot, &value);

    if (r || node->first->n_vars)
        return r;
    ev->pos = node->pos;
    return value_is_nil(value) ? text_puts(&ev->out, "<no value>") : format_value(&ev->out, value);
}

static int eval_if_with(struct eval *ev, const struct tmpl_node *node, json_t *dot)
{
    size_t scope = ev->n_vars;
    json_t *value;
    int r = eval_pipe(ev, node->first, dot, &value);

    if (!r && value_is_true(value))
        r = eval_body(ev, node->body, node->kind == TMPL_WITH ? value : dot);
    else if (!r)
        r = eval_body(ev, node->other, dot);
    ev->n_vars = scope;
    return r;
}

/* With one variable, it is the element; with two, the first is index or key. */
static int eval_turn(struct eval *ev, const struct tmpl_node *node, json_t *key, json_t *item)
{
    const struct tmpl_node *pipe = node->first;
    size_t scope = ev->n_vars;
    int r = eval_step(ev, 1);

    if (!r && pipe->n_vars == 2)
        r = set(ev, pipe, pipe->vars[0], key);
    if (!r && pipe->n_vars)
        r = set(ev, pipe, pipe->vars[pipe->n_vars - 1], item);
    if (!r)
        r = eval_body(ev, node->body, item);
    ev->n_vars = scope;
    return r == CONTINUE ? GO_ON : r;
}

static int range_list(struct eval *ev, const struct tmpl_node *node, json_t *list)
{
    int r = 0;

    for (size_t i = 0; !r && i < json_array_size(list); i++) {
        json_t *index = NULL;

        if (node->first->n_vars == 2)
            r = eval_keep(ev, json_integer((json_int_t)i), &index);
        if (!r)
            r = eval_turn(ev, node, index, json_array_get(list, i));
    }
    return r;
}

static int range_map(struct eval *ev, const struct tmpl_node *node, json_t *map)
{
    autofree const char **keys = value_keys(map);
    int r = keys ? eval_step(ev, json_object_size(map)) : -ENOMEM;

    for (size_t i = 0; !r && keys[i]; i++) {
        json_t *key = NULL;

        if (node->first->n_vars == 2)
            r = eval_string(ev, keys[i], strlen(keys[i]), &key);
        if (!r)
            r = eval_turn(ev, node, key, json_object_get(map, keys[i]));
    }
    return r;
}

static int range_int(struct eval *ev, const struct tmpl_node *node, json_int_t n)
{
    int r = 0;

    for (json_int_t i = 0; !r && i < n; i++) {
        json_t *value = NULL;

        r = eval_keep(ev, json_integer(i), &value);
        if (!r)
            r = eval_turn(ev, node, value, value);
    }
    return r;
}

static int eval_range_over(struct eval *ev, const struct tmpl_node *node, json_t *over)
{
    switch (json_typeof(over)) {
    case JSON_ARRAY:
        return range_list(ev, node, over);
    case JSON_OBJECT:
        return range_map(ev, node, over);
    case JSON_INTEGER:
        return range_int(ev, node, json_integer_value(over));
    default:
        return eval_fail(ev, node->pos, -EINVAL, "range cannot go over a value of the type %s",
                         value_type(over));
    }
}

/* What cannot be gone over at all is for eval_range_over() to refuse. */
static bool has_turns(const json_t *over)
{
    if (json_is_array(over) || json_is_object(over) || json_is_integer(over))
        return value_is_true(over);
    return !value_is_nil(over);
}

static int eval_range(struct eval *ev, const struct tmpl_node *node, json_t *dot)
{
    size_t scope = ev->n_vars;
    json_t *over;
    int r = eval_pipe(ev, node->first, dot, &over);

    if (!r && has_turns(over))
        r = eval_range_over(ev, node, over);
    else if (!r)
        r = eval_body(ev, node->other, dot);
    r = r == BREAK ? GO_ON : r;
    ev->n_vars = scope;
    return r;
}

static int eval_call(struct eval *ev, const struct tmpl_node *node, json_t *dot)
{
    const struct tmpl_node *body = tmpl_find(ev->tmpl, node->text);
    struct eval_variable *outer = ev->vars;
    size_t n_outer = ev->n_vars, outer_room = ev->vars_room;
    json_t *value = NULL;
    int r = node->first ? eval_pipe(ev, node->first, dot, &value) : 0;

    if (!r && ev->calls >= EVAL_MAX_CALLS)
        r = eval_fail(ev, node->pos, -E2BIG, "templates call each other more than %d deep",
                      EVAL_MAX_CALLS);
    if (r)
        return r;
    outer = take_ptr(ev->vars);
    outer_room = ev->vars_room;
    ev->n_vars = ev->vars_room = 0;
    ev->calls++;
    r = push(ev, "$", value);
    if (!r)
        r = eval_body(ev, body, value);
    ev->calls--;
    free(ev->vars);
    ev->vars = outer;
    ev->n_vars = n_outer;
    ev->vars_room = outer_room;
    return r;
}

static int eval_node(struct eval *ev, const struct tmpl_node *node, json_t *dot)
{
    int r = eval_step(ev, 1);

    if (r)
        return r;
    switch (node->kind) {
    case TMPL_TEXT:
        ev->pos = node->pos;
        return text_add(&ev->out, node->text, node->size);
    case TMPL_ACTION:
        return eval_action(ev, node, dot);
    case TMPL_IF:
    case TMPL_WITH:
        return eval_if_with(ev, node, dot);
    case TMPL_RANGE:
        return eval_range(ev, node, dot);
    case TMPL_CALL:
        return eval_call(ev, node, dot);
    case TMPL_BREAK:
        return BREAK;
    case TMPL_CONTINUE:
        return CONTINUE;
    default:
        abort();
    }
}

static int eval_body(struct eval *ev, const struct tmpl_node *node, json_t *dot)
{
    int r = 0;

    for (; node && !r; node = node->next)
        r = eval_node(ev, node, dot);
    return r;
}

/* ---- interface ---- */

static int run(struct eval *ev)
{
    int r = ev->missing ? 0 : -ENOMEM;

    if (!r)
        r = eval_keep(ev, json_object(), &ev->scratch);
    if (!r)
        r = push(ev, "$", NULL);
    if (!r)
        r = eval_body(ev, ev->tmpl->body, NULL);
    if (!r)
        r = text_add(&ev->out, "", 1) ? -ENOMEM : 0;
    return r;
}

int eval_run(const struct tmpl *tmpl, const struct eval_input *input,
             struct eval_output *ret_output, struct err *e)
{
    struct err dropped = ERR_INIT;
    struct eval ev = {
        .tmpl = tmpl,
        .in = input,
        .e = e ? e : &dropped,
        .memory = EVAL_MAX_MEMORY,
        .steps = EVAL_MAX_STEPS,
        .missing = json_array(),
        .pos = {.line = 1, .col = 1},
    };
    int r;

    text_init(&ev.out, &ev);
    r = run(&ev);
    if (r == -ENOMEM)
        err_set(ev.e, r, "%s: no memory to render the template", tmpl->name);
    if (r == -EINVAL && json_array_size(ev.missing)) { /* what there is of the text is no result */
        ev.out.size = 0;
        r = text_add(&ev.out, "", 1);
    }
    *ret_output = (struct eval_output){0};
    if (!r)
        *ret_output = (struct eval_output){
            .text = take_ptr(ev.out.data), .size = ev.out.size, .missing = take_ptr(ev.missing)};
    if (!r && ret_output->size)
        ret_output->size--; /* the NUL */
    for (size_t i = ev.n_pool; i; i--)
        json_decref(ev.pool[i - 1]);
    free(ev.pool);
    free(ev.vars);
    text_deinit(&ev.out);
    json_decref(ev.missing);
    return r;
}

void eval_output_deinit(struct eval_output *output)
{
    free(take_ptr(output->text));
    json_decref(output->missing);
    output->missing = NULL;
}
