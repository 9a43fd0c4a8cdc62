/* SPDX-License-Identifier: MIT
 *
 * The source is cut at its query, its kind is found, then the options are taken out of query and
 * option map (the query's come first, as in Nomad). What no kind knows stays in the query of an
 * HTTP request: that is how tokens are passed.
 */
#include "shared/artifact.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/cleanup.h"

struct parse {
    struct artifact_source *to;
    char *rest;  /* the source without forced kind and query; then with a scheme */
    char *query; /* what is left for the request */
    char *archive;
    struct err *e;
};

/* ---- options ---- */

static bool replace(char **slot, const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        return false;
    free(*slot);
    *slot = copy;
    return true;
}

static int set_text(struct parse *p, char **slot, const char *value)
{
    (void)p;
    if (**slot)
        return 0; /* the first one stands */
    return replace(slot, value) ? 0 : -ENOMEM;
}

static int set_checksum(struct parse *p, const char *value)
{
    return p->to->checksum.type ? 0 : artifact_checksum_parse(value, &p->to->checksum, p->e);
}

static int set_filename(struct parse *p, const char *value)
{
    if (!*value || strchr(value, '/') || strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
        return err_set(p->e, -EINVAL,
                       "the option filename = \"%.80s\" is no plain file name; the place is the "
                       "artifact's destination",
                       value);
    return set_text(p, &p->to->filename, value);
}

static int set_depth(struct parse *p, const char *value)
{
    char *end;
    long depth = strtol(value, &end, 10);

    if (!*value || *end || depth < 0 || depth > INT32_MAX)
        return err_set(p->e, -EINVAL, "the option depth = \"%.40s\" is not a number of commits",
                       value);
    p->to->depth = depth;
    return 0;
}

/* They become arguments of programs, which take what begins with "-" for an option. */
static int set_ref(struct parse *p, const char *value)
{
    if (*value == '-')
        return err_set(p->e, -EINVAL, "\"%.80s\" is no branch, tag, commit or revision", value);
    return set_text(p, &p->to->ref, value);
}

/* `value` NULL: `key` is the whole piece. */
static int append_query(struct parse *p, const char *key, const char *value)
{
    char *joined;

    if (asprintf(&joined, "%s%s%s%s%s", p->query, *p->query ? "&" : "", key, value ? "=" : "",
                 value ? value : "") < 0)
        return -ENOMEM;
    free(p->query);
    p->query = joined;
    return 0;
}

static char *url_encode(const char *text)
{
    char *out = malloc(3 * strlen(text) + 1), *to = out;

    for (; out && *text; text++)
        if (isalnum((unsigned char)*text) || strchr("-_.~", *text))
            *to++ = *text;
        else
            to += sprintf(to, "%%%02X", (unsigned char)*text);
    if (out)
        *to = '\0';
    return out;
}

/* As take_option(). */
static int take_s3_option(struct parse *p, const char *key, const char *value)
{
    struct artifact_source *to = p->to;
    autofree char *encoded = NULL;

    if (strcmp(key, "aws_access_key_id") == 0)
        return set_text(p, &to->aws_id, value);
    if (strcmp(key, "aws_access_key_secret") == 0)
        return set_text(p, &to->aws_secret, value);
    if (strcmp(key, "aws_access_token") == 0)
        return set_text(p, &to->aws_token, value);
    if (strcmp(key, "region") == 0)
        return set_text(p, &to->region, value);
    if (strcmp(key, "version") == 0) {
        encoded = url_encode(value);
        return encoded ? append_query(p, "versionId", encoded) : -ENOMEM;
    }
    if (strcmp(key, "aws_profile") == 0)
        return err_set(p->e, -ENOTSUP,
                       "the option aws_profile names a part of a file that is not read here; give "
                       "aws_access_key_id and aws_access_key_secret");
    return 1;
}

/* 0: taken; 1: none of this kind's. */
static int take_option(struct parse *p, const char *key, const char *value)
{
    struct artifact_source *to = p->to;
    int r;

    if (to->kind == ARTIFACT_GIT || to->kind == ARTIFACT_HG) {
        if (strcmp(key, to->kind == ARTIFACT_GIT ? "ref" : "rev") == 0)
            return set_ref(p, value);
        if (to->kind == ARTIFACT_GIT && strcmp(key, "depth") == 0)
            return set_depth(p, value);
        if (to->kind == ARTIFACT_GIT && strcmp(key, "sshkey") == 0)
            return set_text(p, &to->sshkey, value);
        if (strcmp(key, "checksum") == 0)
            return err_set(p->e, -EINVAL,
                           "a repository has no checksum; name a commit in the option \"%s\"",
                           to->kind == ARTIFACT_GIT ? "ref" : "rev");
        return 1;
    }
    if (to->kind == ARTIFACT_S3 && (r = take_s3_option(p, key, value)) != 1)
        return r;
    if (strcmp(key, "checksum") == 0)
        return set_checksum(p, value);
    if (strcmp(key, "archive") == 0)
        return set_text(p, &p->archive, value);
    if (strcmp(key, "filename") == 0)
        return set_filename(p, value);
    return 1;
}

static void url_decode(char *text)
{
    char *to = text;

    for (; *text; text++)
        if (*text == '%' && artifact_hex(text[1]) >= 0 && artifact_hex(text[2]) >= 0 &&
            (text[1] != '0' || text[2] != '0')) {
            *to++ = (char)(artifact_hex(text[1]) << 4 | artifact_hex(text[2]));
            text += 2;
        } else {
            *to++ = *text == '+' ? ' ' : *text;
        }
    *to = '\0';
}

/* A base64 text may have been written into a query as it is: its "+" is no space. */
static void keep_plus(const char *key, char *value)
{
    for (; strcmp(key, "sshkey") == 0 && *value; value++)
        if (*value == ' ')
            *value = '+';
}

static int take_query(struct parse *p, char *query)
{
    char *save = NULL;
    int r = 0;

    for (char *pair = strtok_r(query, "&", &save); pair && r >= 0;
         pair = strtok_r(NULL, "&", &save)) {
        autofree char *key = strdup(pair);
        char *value = key ? strchr(key, '=') : NULL;

        if (!key)
            return -ENOMEM;
        if (value)
            *value++ = '\0';
        else
            value = key + strlen(key);
        url_decode(key);
        url_decode(value);
        keep_plus(key, value);
        r = take_option(p, key, value);
        if (r == 1)
            r = append_query(p, pair, NULL);
    }
    return r;
}

static int take_options(struct parse *p, const json_t *options)
{
    const char *key;
    json_t *value;
    int r = 0;

    json_object_foreach((json_t *)options, key, value)
    {
        const char *text = json_string_value(value);

        r = text ? take_option(p, key, text) : 0;
        if (r == 1) {
            autofree char *k = url_encode(key), *v = url_encode(text);

            r = k && v ? append_query(p, k, v) : -ENOMEM;
        }
        if (r < 0)
            return r;
    }
    return r < 0 ? r : 0;
}

/* ---- kinds ---- */

static int refuse_gcs(struct err *e)
{
    return err_set(
        e, -ENOTSUP,
        "artifacts from Google Cloud Storage (gcs) are not supported by this release; use "
        "the object's https:// address (https://storage.googleapis.com/BUCKET/OBJECT), "
        "signed or with a header, or the bucket's S3 interface: "
        "s3::https://storage.googleapis.com/BUCKET/OBJECT with HMAC keys");
}

static int set_rest(struct parse *p, char *text)
{
    if (!text)
        return -ENOMEM;
    free(p->rest);
    p->rest = text;
    return 0;
}

/* "git::…": what stands before the "::". */
static int take_forced(struct parse *p, bool *ret_forced)
{
    static const struct {
        const char *name;
        enum artifact_kind kind;
    } kinds[] = {{"http", ARTIFACT_HTTP}, {"https", ARTIFACT_HTTP}, {"s3", ARTIFACT_S3},
                 {"git", ARTIFACT_GIT},   {"hg", ARTIFACT_HG},      {"file", ARTIFACT_FILE}};
    size_t n = 0;

    while (isalnum((unsigned char)p->rest[n]))
        n++;
    if (n == 0 || strncmp(p->rest + n, "::", 2) != 0)
        return 0;
    if (n == 3 && strncmp(p->rest, "gcs", n) == 0)
        return refuse_gcs(p->e);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strlen(kinds[i].name) == n && strncmp(kinds[i].name, p->rest, n) == 0) {
            p->to->kind = kinds[i].kind;
            *ret_forced = true;
            return set_rest(p, strdup(p->rest + n + 2));
        }
    return err_set(p->e, -EINVAL,
                   "\"%.*s::\" is no kind of source; there are http, https, s3, git and hg",
                   (int)(n > 40 ? 40 : n), p->rest);
}

/* user@host:path */
static bool is_scp(const char *text)
{
    const char *at = strchr(text, '@'), *colon = strchr(text, ':'), *slash = strchr(text, '/');

    return at && colon && at > text && at < colon - 1 && (!slash || colon < slash) && colon[1];
}

static int from_scp(struct parse *p)
{
    char *colon = strchr(p->rest, ':'), *url;

    *colon = '\0';
    return asprintf(&url, "ssh://%s/%s", p->rest, colon + 1 + (colon[1] == '/')) < 0
               ? -ENOMEM
               : set_rest(p, url);
}

/* github.com/owner/repository/directory. */
static int from_forge(struct parse *p)
{
    char *slash = strchr(p->rest, '/'), *name = slash ? strchr(slash + 1, '/') : NULL, *dir, *url;
    size_t n;

    if (!name || !name[1])
        return err_set(p->e, -EINVAL, "\"%.80s\" names no repository; write HOST/OWNER/REPOSITORY",
                       p->rest);
    dir = strchr(name + 1, '/');
    n = dir ? (size_t)(dir - p->rest) : strlen(p->rest);
    while (dir && *dir == '/')
        dir++;
    if (asprintf(&url, "https://%.*s%s%s%s", (int)n, p->rest,
                 n > 4 && strncmp(p->rest + n - 4, ".git", 4) == 0 ? "" : ".git",
                 dir && *dir ? "//" : "", dir && *dir ? dir : "") < 0)
        return -ENOMEM;
    return set_rest(p, url);
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Nothing says how to get it: Nomad goes by the beginning. */
static int detect(struct parse *p, bool forced)
{
    struct artifact_source *to = p->to;
    char *url;

    if ((!forced || to->kind == ARTIFACT_GIT) && is_scp(p->rest)) {
        to->kind = ARTIFACT_GIT;
        return from_scp(p);
    }
    if (*p->rest == '/' || starts(p->rest, "./") || starts(p->rest, "../")) {
        if (!forced)
            to->kind = ARTIFACT_FILE;
        return 0;
    }
    if ((!forced || to->kind == ARTIFACT_GIT) &&
        (starts(p->rest, "github.com/") || starts(p->rest, "gitlab.com/") ||
         starts(p->rest, "bitbucket.org/"))) {
        to->kind = ARTIFACT_GIT;
        return from_forge(p);
    }
    if (starts(p->rest, "www.googleapis.com/"))
        return refuse_gcs(p->e);
    if ((!forced || to->kind == ARTIFACT_S3) && strstr(p->rest, ".amazonaws.com/")) {
        to->kind = ARTIFACT_S3;
        return asprintf(&url, "https://%s", p->rest) < 0 ? -ENOMEM : set_rest(p, url);
    }
    return err_set(p->e, -EINVAL,
                   "the source \"%.100s\" does not say how to get it; begin it with https:// (or "
                   "http://, git::, hg::, s3::)",
                   p->rest);
}

/* s3://bucket/key, of Amazon's; the region comes later. */
static int from_s3_scheme(struct parse *p)
{
    char *bucket = p->rest + strlen("s3://"), *slash = strchr(bucket, '/'), *url;

    if (!slash || slash == bucket || !slash[1])
        return err_set(p->e, -EINVAL, "\"%.80s\" is not s3://BUCKET/KEY", p->rest);
    if (asprintf(&url, "https://%.*s.s3.%s.amazonaws.com%s", (int)(slash - bucket), bucket,
                 *p->to->region ? p->to->region : "us-east-1", slash) < 0)
        return -ENOMEM;
    return set_rest(p, url);
}

static int by_scheme(struct parse *p, bool forced)
{
    static const struct {
        const char *scheme;
        enum artifact_kind kind;
    } schemes[] = {{"http://", ARTIFACT_HTTP}, {"https://", ARTIFACT_HTTP},
                   {"git://", ARTIFACT_GIT},   {"ssh://", ARTIFACT_GIT},
                   {"file://", ARTIFACT_FILE}, {"s3://", ARTIFACT_S3}};
    int scheme = -1;

    if (starts(p->rest, "gs://") || starts(p->rest, "gcs://"))
        return refuse_gcs(p->e);
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (starts(p->rest, schemes[i].scheme))
            scheme = (int)i;
    if (scheme < 0)
        return err_set(
            p->e, -EINVAL,
            "artifacts cannot be got by the scheme of \"%.100s\"; there are https, http, "
            "and by prefix git::, hg::, s3::",
            p->rest);
    if (!forced)
        p->to->kind = schemes[scheme].kind;
    if ((p->to->kind == ARTIFACT_HTTP && scheme > 1) ||
        (p->to->kind == ARTIFACT_S3 && scheme > 1 && scheme != 5))
        return err_set(p->e, -EINVAL, "\"%.80s\" is no address to ask by HTTP", p->rest);
    return 0;
}

static int find_kind(struct parse *p)
{
    bool forced = false;
    int r = take_forced(p, &forced);

    if (!r && !strstr(p->rest, "://")) {
        r = detect(p, forced);
        forced = true;
    }
    if (!r && strstr(p->rest, "://"))
        r = by_scheme(p, forced);
    if (!r && p->to->kind == ARTIFACT_FILE && starts(p->rest, "file://"))
        r = set_rest(p, strdup(p->rest + strlen("file://")));
    if (!r && p->to->kind == ARTIFACT_FILE && *p->rest != '/')
        r = err_set(p->e, -EINVAL, "the file \"%.80s\" is no absolute path", p->rest);
    return r;
}

/* ---- what follows from all of it ---- */

/* "…//directory". Of what is one file, a "//" is just part of its address. */
static int split_subdir(struct parse *p)
{
    char *scheme = strstr(p->rest, "://");
    char *cut = strstr(scheme ? scheme + 3 : p->rest + 1, "//");
    struct artifact_source *to = p->to;
    bool tree = to->kind == ARTIFACT_GIT || to->kind == ARTIFACT_HG;
    char *dir;

    if (!cut)
        return 0;
    *cut = '\0';
    if (!tree && !*p->archive && artifact_archive_of(p->rest, NULL) == ARCHIVE_NONE) {
        *cut = '/';
        return 0;
    }
    for (dir = cut + 2; *dir == '/'; dir++)
        ;
    for (const char *part = dir; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (starts(part, "..") && (part[2] == '/' || !part[2]))
            return err_set(p->e, -EINVAL,
                           "the directory \"%.80s\" of the source leads out of it by \"..\"", dir);
    }
    return replace(&to->subdir, dir) ? 0 : -ENOMEM;
}

/* `name`: as asked for, or "". */
static int find_archive(struct parse *p)
{
    struct artifact_source *to = p->to;
    const char *asked = p->archive;
    char dotted[32];

    if (!*asked) {
        to->archive = artifact_archive_of(p->rest, NULL);
        return 0;
    }
    if (strcasecmp(asked, "false") == 0 || strcasecmp(asked, "f") == 0 || strcmp(asked, "0") == 0)
        return 0;
    (void)snprintf(dotted, sizeof(dotted), "x.%s", asked);
    to->archive = artifact_archive_of(dotted, NULL);
    if (to->archive == ARCHIVE_NONE || strlen(asked) > 20)
        return err_set(p->e, -EINVAL,
                       "archive = \"%.40s\" is no kind of archive; there are tar, tar.gz, tar.bz2, "
                       "tar.xz, tar.zst, zip, gz, bz2, xz, zst, and false to unpack nothing",
                       asked);
    return 0;
}

static int find_filename(struct parse *p)
{
    struct artifact_source *to = p->to;
    const char *scheme = strstr(p->rest, "://"), *path = strchr(scheme ? scheme + 3 : p->rest, '/');
    const char *slash = path ? strrchr(path, '/') : NULL;
    autofree char *name = NULL;
    size_t suffix = 0;

    if (*to->filename)
        return 0;
    name = strdup(slash ? slash + 1 : "");
    if (!name)
        return -ENOMEM;
    if (to->kind != ARTIFACT_FILE)
        url_decode(name);
    if (to->archive >= ARCHIVE_GZ && artifact_archive_of(name, &suffix) >= ARCHIVE_GZ)
        name[strlen(name) - suffix] = '\0';
    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return replace(&to->filename, "artifact") ? 0 : -ENOMEM; /* Nomad's would be "." */
    return replace(&to->filename, name) ? 0 : -ENOMEM;
}

/* What Amazon's addresses say of the region. */
static int find_region(struct parse *p)
{
    const char *host = strstr(p->rest, "://") + 3, *end = strstr(host, ".amazonaws.com");
    const char *start = NULL;
    char region[32] = "us-east-1";

    if (*p->to->region)
        return 0;
    for (const char *at = host; end && (at = strstr(at, "s3")) && at < end; at += 2)
        if ((at == host || at[-1] == '.') && (at[2] == '.' || at[2] == '-'))
            start = at + 3;
    if (start && start < end && end - start < (int)sizeof(region))
        (void)snprintf(region, sizeof(region), "%.*s", (int)(end - start), start);
    return replace(&p->to->region, region) ? 0 : -ENOMEM;
}

static int finish(struct parse *p)
{
    struct artifact_source *to = p->to;
    int r = 0;

    if (to->kind == ARTIFACT_S3 && starts(p->rest, "s3://"))
        r = from_s3_scheme(p);
    if (!r && to->kind == ARTIFACT_S3)
        r = find_region(p);
    if (!r)
        r = split_subdir(p);
    if (!r && to->kind != ARTIFACT_GIT && to->kind != ARTIFACT_HG)
        r = find_archive(p);
    if (!r)
        r = find_filename(p);
    if (!r && (!*to->aws_id != !*to->aws_secret))
        r = err_set(p->e, -EINVAL,
                    "aws_access_key_id and aws_access_key_secret go together; one is missing");
    if (r)
        return r;
    if (asprintf(&to->url, "%s%s%s", p->rest, *p->query ? "?" : "", p->query) < 0) {
        to->url = NULL;
        return -ENOMEM;
    }
    if (*to->url == '-')
        return err_set(p->e, -EINVAL, "\"%.80s\" is no address", to->url);
    return 0;
}

static int check_text(const char *source, struct err *e)
{
    if (!*source)
        return err_set(e, -EINVAL, "the artifact has no source; write source = \"https://…\"");
    if (strlen(source) > ARTIFACT_TEXT_MAX)
        return err_set(e, -EINVAL, "the artifact's source is longer than %d bytes",
                       ARTIFACT_TEXT_MAX);
    for (; *source; source++)
        if ((unsigned char)*source < ' ' || *source == 0x7f)
            return err_set(e, -EINVAL,
                           "the artifact's source has a control character; write it as %%%02X",
                           (unsigned char)*source);
    return 0;
}

static bool make_texts(struct parse *p)
{
    struct artifact_source *to = p->to;
    char **slots[] = {&to->filename, &to->subdir,     &to->ref,       &to->sshkey, &to->region,
                      &to->aws_id,   &to->aws_secret, &to->aws_token, &p->query,   &p->archive};

    for (size_t i = 0; i < ARRAY_LEN(slots); i++)
        if (!(*slots[i] = strdup("")))
            return false;
    return true;
}

int artifact_source_parse(const char *source, const json_t *options, struct artifact_source *ret,
                          struct err *e)
{
    struct artifact_source to = {0};
    struct parse p = {.to = &to, .e = e};
    autofree char *query = NULL;
    char *cut;
    int r = check_text(source, e);

    if (r)
        return r;
    p.rest = strdup(source);
    if (!make_texts(&p) || !p.rest)
        r = -ENOMEM;
    if (!r) {
        p.rest[strcspn(p.rest, "#")] = '\0';
        cut = strchr(p.rest, '?');
        if (cut)
            *cut++ = '\0';
        query = strdup(cut ? cut : "");
        r = query ? find_kind(&p) : -ENOMEM;
    }
    if (!r)
        r = take_query(&p, query);
    if (r >= 0)
        r = take_options(&p, options);
    if (!r)
        r = finish(&p);
    if (r == -ENOMEM)
        (void)err_sys(e, r, "read the artifact's source");
    free(p.rest);
    free(p.query);
    free(p.archive);
    if (r)
        artifact_source_deinit(&to);
    else
        *ret = to;
    return r;
}

void artifact_source_deinit(struct artifact_source *source)
{
    char *const texts[] = {source->url,    source->filename,   source->subdir,
                           source->ref,    source->sshkey,     source->region,
                           source->aws_id, source->aws_secret, source->aws_token};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
    *source = (struct artifact_source){0};
}
