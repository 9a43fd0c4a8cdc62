/* SPDX-License-Identifier: MIT
 *
 * Questions that the rest of the manager has.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/config/config_tables.h"

char *config_alloc_dir(const struct config *config, const char *id)
{
    bool own = config->alloc_dir && *config->alloc_dir;
    char *dir;

    if (asprintf(&dir, "%s%s%s%s", own ? config->alloc_dir : config->data_dir, own ? "" : "/allocs",
                 id && *id ? "/" : "", id ? id : "") < 0)
        abort();
    return dir;
}

bool config_lists(const char *list, const char *name)
{
    size_t len = strlen(name);

    while (list && *list) {
        size_t n;

        list += strspn(list, ", \t");
        n = strcspn(list, ", \t");
        if (n == len && n && strncmp(list, name, n) == 0)
            return true;
        list += n;
    }
    return false;
}

bool config_allows_driver(const struct config *config, const char *driver)
{
    const char *only = config->driver_allowlist;

    return (!only || !*only || config_lists(only, driver)) &&
           !config_lists(config->driver_denylist, driver);
}

/* "3" or "3-5" at *text, which is moved behind it and the comma. */
static bool next_range(const char **text, unsigned long *ret_first, unsigned long *ret_last)
{
    char *end;

    if (**text < '0' || **text > '9')
        return false;
    *ret_first = *ret_last = strtoul(*text, &end, 10);
    if (*end == '-' && end[1] >= '0' && end[1] <= '9')
        *ret_last = strtoul(end + 1, &end, 10);
    if (*end == ',' && end[1])
        end++;
    else if (*end)
        return false;
    *text = end;
    return *ret_first <= *ret_last;
}

bool config_is_ranges(const char *text, unsigned long max)
{
    unsigned long first, last;

    while (*text)
        if (!next_range(&text, &first, &last) || last > max)
            return false;
    return true;
}

bool config_has_number(const char *ranges, unsigned long number)
{
    unsigned long first, last;

    while (ranges && *ranges && next_range(&ranges, &first, &last))
        if (number >= first && number <= last)
            return true;
    return false;
}

bool config_matches(char *const *patterns, const char *name)
{
    for (; patterns && *patterns; patterns++)
        if (fnmatch(*patterns, name, 0) == 0)
            return true;
    return false;
}
