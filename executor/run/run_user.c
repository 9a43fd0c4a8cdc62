/* SPDX-License-Identifier: MIT
 *
 * Not getpwnam(3): statically linked, it would want the dynamic loader for NSS, and a task's ids
 * should not hang on a directory server. Nor fgetpwent(3), which makes two system calls for each
 * line.
 */
#include "executor/run/run_user.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/cleanup.h"

/* Reads the next line of a file like /etc/passwd and cuts it at its colons; false at the end. */
static bool next_entry(FILE *f, char **line, size_t *size, char *fields[4])
{
    char *rest;

    if (!f || getline(line, size, f) < 0)
        return false;
    rest = *line;
    rest[strcspn(rest, "\n")] = '\0';
    for (int i = 0; i < 4; i++)
        fields[i] = rest ? strsep(&rest, ":") : (char *)"";
    return true;
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);

    for (; *list; list += strcspn(list, ","), list += *list == ',')
        if (strncmp(list, word, n) == 0 && (list[n] == ',' || !list[n]))
            return true;
    return false;
}

/* False: no id, which the largest number is not either. */
static bool parse_id(const char *text, uint32_t *ret)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end || n >= UINT32_MAX)
        return false;
    *ret = (uint32_t)n;
    return true;
}

/* The entry of a file like /etc/passwd with that name or, for a number, that id. */
static bool find_entry(FILE *f, const char *text, char **line, size_t *size, char *fields[4])
{
    while (next_entry(f, line, size, fields))
        if (strcmp(fields[0], text) == 0 || strcmp(fields[2], text) == 0)
            return true;
    return false;
}

static int resolve_group(const char *text, gid_t *ret, struct err *e)
{
    autoclose FILE *group = fopen("/etc/group", "re");
    autofree char *line = NULL;
    size_t size = 0;
    char *fields[4];

    if (parse_id(find_entry(group, text, &line, &size, fields) ? fields[2] : text, ret))
        return 0;
    return err_set(e, -ENOENT, "-user: group \"%s\" is not in /etc/group", text);
}

static int add_groups(const char *name, struct exec_spec *spec, size_t max, struct err *e)
{
    autoclose FILE *group = fopen("/etc/group", "re");
    autofree char *line = NULL;
    size_t size = 0;
    char *fields[4];

    while (spec->n_groups < max && next_entry(group, &line, &size, fields)) {
        if (!has_word(fields[3], name))
            continue;
        if (!parse_id(fields[2], &spec->groups[spec->n_groups]))
            return err_set(e, -EINVAL, "-user: group %s has no number in /etc/group", fields[0]);
        spec->n_groups++;
    }
    return 0;
}

/* Who is not root runs a task as itself, or as root of the task's user namespace. */
static int check_own_user(const struct exec_spec *spec, struct err *e)
{
    bool is_self = spec->uid == geteuid() && spec->gid == getegid();

    if (is_self || (spec->rootless && spec->uid == 0 && spec->gid == 0))
        return 0;
    return err_set(e, -EPERM,
                   "-user: only root can run a task as %s; leave it out%s, or run this as root",
                   spec->user, spec->rootless ? ", say root (of the task alone)" : "");
}

int run_user_resolve(char *text, struct exec_spec *spec, gid_t *groups, size_t max, struct err *e)
{
    autoclose FILE *passwd = fopen("/etc/passwd", "re");
    char *group = strchr(text, ':');
    autofree char *line = NULL;
    char *fields[4];
    size_t size = 0;
    bool known;
    int r = 0;

    if (group)
        *group++ = '\0';
    spec->user = text;
    spec->groups = groups;
    known = find_entry(passwd, text, &line, &size, fields);
    if (!parse_id(known ? fields[2] : text, &spec->uid))
        return err_set(e, -ENOENT, "-user: \"%s\" is not in /etc/passwd", text);
    if (group)
        r = resolve_group(group, &spec->gid, e);
    else if (!known)
        r = err_set(e, -ENOENT, "-user: %s is not in /etc/passwd: add a group, as in %s:%s", text,
                    text, text);
    else if (geteuid() != 0 && spec->uid == geteuid())
        spec->gid = getegid();
    else if (!parse_id(fields[3], &spec->gid))
        r = err_set(e, -EINVAL, "-user: %s has no group in /etc/passwd", text);
    if (r < 0 || geteuid() != 0)
        return r < 0 ? r : check_own_user(spec, e);
    spec->set_user = true;
    return group ? 0 : add_groups(fields[0], spec, max, e);
}
