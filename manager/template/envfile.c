/* SPDX-License-Identifier: MIT */
#include "manager/template/envfile.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t\r");
}

/* Behind the opening quote; JSON knows the escapes. *ret_end: behind the closing one. */
static json_t *double_quoted(const char *at, const char **ret_end)
{
    const char *end = at + 1;

    while (*end && *end != '"')
        end += *end == '\\' && end[1] ? 2 : 1;
    if (!*end)
        return NULL;
    *ret_end = end + 1;
    return json_loadb(at, (size_t)(end + 1 - at), JSON_DECODE_ANY, NULL);
}

static json_t *single_quoted(const char *at, const char **ret_end)
{
    const char *end = strchr(at + 1, '\'');

    if (!end)
        return NULL;
    *ret_end = end + 1;
    return json_stringn_nocheck(at + 1, (size_t)(end - at - 1));
}

static json_t *bare(const char *at, const char **ret_end)
{
    const char *end = at;

    while (*end && !(*end == '#' && (end == at || isblank((unsigned char)end[-1]))))
        end++;
    *ret_end = end;
    while (end > at && isspace((unsigned char)end[-1]))
        end--;
    return json_stringn_nocheck(at, (size_t)(end - at));
}

static json_t *parse_value(const char *at)
{
    const char *end = at;
    json_t *value = *at == '"'    ? double_quoted(at, &end)
                    : *at == '\'' ? single_quoted(at, &end)
                                  : bare(at, &end);

    end = skip_blanks(end);
    if (value && (!*end || *end == '#') &&
        strlen(json_string_value(value)) == json_string_length(value))
        return value;
    json_decref(value);
    return NULL;
}

static int parse_line(char *line, unsigned int number, json_t *env, struct err *e)
{
    char *name = (char *)skip_blanks(line), *eq, *end;
    json_t *value;

    if (!*name || *name == '#')
        return 0;
    if (strncmp(name, "export ", 7) == 0)
        name = (char *)skip_blanks(name + 7);
    eq = strchr(name, '=');
    if (!eq || eq == name)
        return err_set(e, -EINVAL,
                       "line %u of the rendered environment is not of the form KEY=VALUE", number);
    for (end = eq; end > name && isblank((unsigned char)end[-1]);)
        end--;
    *end = '\0';
    if (end == name || strpbrk(name, " \t"))
        return err_set(e, -EINVAL,
                       "line %u of the rendered environment has white space in its name", number);
    value = parse_value(skip_blanks(eq + 1));
    if (!value)
        return err_set(e, -EINVAL,
                       "line %u of the rendered environment has a value that is not quoted as it "
                       "should be, or text behind the quotes",
                       number);
    return json_object_set_new_nocheck(env, name, value) ? -ENOMEM : 0;
}

int envfile_parse(const char *text, size_t size, json_t **ret_env, struct err *e)
{
    autofree char *copy = strndup(text, size);
    json_t *env = json_object();
    char *rest = copy, *line;
    int r = copy && env ? 0 : err_sys(e, -ENOMEM, "read the rendered environment");

    if (!r && strlen(copy) != size)
        r = err_set(e, -EINVAL, "the rendered environment has a NUL in it");
    for (unsigned int number = 1; !r && (line = strsep(&rest, "\n")); number++)
        r = parse_line(line, number, env, e);
    if (r) {
        json_decref(env);
        return r;
    }
    *ret_env = env;
    return 0;
}
