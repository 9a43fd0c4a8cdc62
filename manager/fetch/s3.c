/* SPDX-License-Identifier: MIT
 *
 * A query is written in the order of its names, as signatures are made: not every libcurl sorts it.
 */
#include "manager/fetch/s3.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/fetch/s3_list.h"
#include "manager/fetch/unpack.h"
#include "shared/cleanup.h"

enum {
    PAGE_MAX = 32 << 20, /* bytes; there are 1000 keys in it */
};

static const struct artifact_checksum unchecked;

/* ---- addresses ---- */

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static char *escape(const char *text)
{
    char *curls = must(curl_easy_escape(NULL, text, 0)), *copy = must(strdup(curls));

    curl_free(curls);
    return copy;
}

int s3_place_parse(const char *url, struct s3_place *ret_place, struct err *e)
{
    const char *scheme = strstr(url, "://"), *host = scheme ? scheme + 3 : url;
    const char *path = host + strcspn(host, "/?"), *query = strchr(path, '?');
    const char *amazon = memmem(host, (size_t)(path - host), ".amazonaws.com", 14);
    autofree char *encoded = NULL;
    char *key;

    if (!amazon || strncmp(host, "s3.", 3) == 0 || strncmp(host, "s3-", 3) == 0) {
        if (*path != '/' || !path[1] || path[1] == '/' || path[1] == '?')
            return err_set(e, -EINVAL,
                           "\"%.200s\" names no bucket; write s3::https://HOST/BUCKET/KEY", url);
        path += 1 + strcspn(path + 1, "/?");
    }
    encoded = must(*path == '/' ? strndup(path + 1, strcspn(path + 1, "?")) : strdup(""));
    key = must(curl_easy_unescape(NULL, encoded, 0, NULL));
    *ret_place = (struct s3_place){.bucket = must(strndup(url, (size_t)(path - url))),
                                   .key = must(strdup(key)),
                                   .query = must(strdup(query ? query : ""))};
    curl_free(key);
    return 0;
}

void s3_place_deinit(struct s3_place *place)
{
    free(place->bucket);
    free(place->key);
    free(place->query);
    *place = (struct s3_place){0};
}

char *s3_object_url(const struct s3_place *place, const char *key)
{
    char *url = must(strdup(place->bucket));
    size_t n;

    for (const char *part = key;; part += n + 1) {
        autofree char *plain = NULL, *escaped = NULL, *before = url;

        n = strcspn(part, "/");
        plain = must(strndup(part, n));
        escaped = escape(plain);
        if (asprintf(&url, "%s/%s%s", before, escaped,
                     !part[n] && key == place->key ? place->query : "") < 0)
            abort();
        if (!part[n])
            return url;
    }
}

static char *list_url(const struct s3_place *place, const char *prefix, const char *next)
{
    autofree char *token = escape(next ? next : ""), *begin = escape(prefix);
    char *url;

    if (asprintf(&url, "%s/?%s%s%slist-type=2&prefix=%s", place->bucket,
                 next ? "continuation-token=" : "", token, next ? "&" : "", begin) < 0)
        abort();
    return url;
}

/* ---- the list ---- */

static int read_page(int fd, size_t size, uint64_t max, struct s3_list *list, struct err *e)
{
    autofree char *text = size <= PAGE_MAX ? malloc(size + 1) : NULL;

    if (!text || pread(fd, text, size, 0) != (ssize_t)size)
        return err_set(e, -EBADMSG, "the bucket's list of objects cannot be read");
    return s3_list_add(list, text, size, max, e);
}

static int get_page(struct download *download, const char *url, uint64_t max, struct s3_list *list,
                    struct err *e)
{
    struct part part;
    int fd = open("list", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r;

    if (fd < 0 || unlink("list") < 0)
        return err_sys(e, -errno, "make a file for the bucket's list of objects");
    part_init(&part, fd);
    r = download_get(download, url, &unchecked, &part, e);
    if (!r)
        r = read_page(fd, part.size, max, list, e);
    part_deinit(&part);
    return r;
}

static int get_list(struct download *download, const struct fetch_order *order,
                    const struct s3_place *place, const char *prefix, struct s3_list *list,
                    struct err *e)
{
    int r;

    do {
        autofree char *url = list_url(place, prefix, list->next);

        download_expect(download, 0);
        r = get_page(download, url, order->max_files, list, e);
    } while (!r && list->next);
    if (!r && list->bytes > order->max_bytes)
        r = err_set(e, -EFBIG,
                    "the objects are larger than the agent's artifact http_max_size "
                    "allows");
    return r;
}

/* ---- files ---- */

/* As mkdir -p does for all but the last name. */
static int make_dirs(const char *path)
{
    autofree char *copy = must(strdup(path));

    for (char *slash = strchr(copy, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return 0;
}

static int get_object(struct download *download, const struct s3_place *place, const char *key,
                      const char *path, struct err *e)
{
    autofree char *url = s3_object_url(place, key);
    struct part part;
    int fd, r = unpack_check_path(path, e);

    if (r)
        return r;
    r = make_dirs(path);
    fd = r ? -1 : open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(e, r ? r : -errno, "make a file for the object \"%.200s\"", key);
    part_init(&part, fd);
    r = download_get(download, url, &unchecked, &part, e);
    part_deinit(&part);
    return r;
}

int s3_get_tree(struct download *download, const struct fetch_order *order,
                const struct s3_place *place, size_t *ret_n, struct err *e)
{
    autofree char *prefix = NULL;
    struct s3_list list = {0};
    size_t len = strlen(place->key);
    int r;

    if (asprintf(&prefix, "%s%s", place->key, len && place->key[len - 1] != '/' ? "/" : "") < 0)
        abort();
    len = strlen(prefix);
    r = get_list(download, order, place, prefix, &list, e);
    *ret_n = r ? 0 : list.n;
    download_expect(download, list.bytes);
    for (size_t i = 0; !r && i < list.n; i++)
        r = strncmp(list.keys[i], prefix, len) == 0
                ? get_object(download, place, list.keys[i], list.keys[i] + len, e)
                : err_set(e, -EBADMSG,
                          "the bucket's list of objects has \"%.200s\", which was not asked for",
                          list.keys[i]);
    s3_list_deinit(&list);
    return r;
}
