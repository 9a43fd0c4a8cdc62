/* SPDX-License-Identifier: MIT
 *
 * One transfer after the other into the same file. A later one asks for the rest only, of the same
 * version (If-Range): what tells versions apart is a strong ETag, or else Last-Modified, or that a
 * checksum will tell. A server that sends all of it again is fine; the file is begun anew then.
 */
#include "manager/fetch/download.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "manager/fetch/digest.h"
#include "manager/fetch/report.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/helper.h"

enum {
    TRIES = 5, /* one after the other that get nowhere */
    TRIES_ALL = 100,
    PROGRESS = 1 << 20, /* bytes: a try that brought so many got somewhere */
    REDIRECTS = 10,
    CONNECT_S = 30,
    STALLED_S = 60,       /* without a byte */
    RETRY_AFTER_MAX = 30, /* s: what a server may ask for */
    BUFFER = 256 << 10,
};

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct download {
    const struct fetch_order *order;
    CURL *curl;
    struct curl_slist *headers; /* those of the order */
    int netrc;
    double deadline_s;
    struct report report;
    uint64_t before; /* bytes of what was got already */
    uint64_t all;    /* bytes that there are to be; 0: not known */
};

struct transfer {
    struct download *with;
    const char *url;
    const struct artifact_checksum *checksum;
    struct part *part;
    struct digest *digest; /* of all that is in `part` */
    char shown[72];        /* the address, without what may be secret */
    char curl_text[CURL_ERROR_SIZE];

    uint64_t total; /* it is to have; 0: not known */
    char validator[PART_VERSION_MAX];
    bool ranges;

    /* Of the try under way: */
    uint64_t from;      /* the first byte that was asked for */
    bool begun;         /* the body has */
    bool restart;       /* the next one is to ask for all */
    uint64_t part_from; /* as Content-Range says; else UINT64_MAX */
    bool accepts;       /* parts can be asked for */
    long retry_after;
    char etag[256], modified[64];
    struct err why; /* it was given up from inside a callback */
};

static double now_s(void)
{
    return (double)clock_now_ns(CLOCK_MONOTONIC) / 1e9;
}

/* ---- what comes in ---- */

static bool header_is(const char *line, size_t len, const char *name, char *value, size_t size)
{
    size_t n = strlen(name);

    if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
        return false;
    line += n + 1;
    len -= n + 1;
    while (len && (*line == ' ' || *line == '\t')) {
        line++;
        len--;
    }
    while (len && (unsigned char)line[len - 1] <= ' ')
        len--;
    if (len >= size)
        len = 0; /* of no use when cut */
    memcpy(value, line, len);
    value[len] = '\0';
    return true;
}

static size_t on_header(char *line, size_t one, size_t len, void *arg)
{
    struct transfer *t = arg;
    unsigned long long from;
    char value[256];

    (void)one;
    if (len > 5 && strncmp(line, "HTTP/", 5) == 0) { /* of this answer; earlier ones led here */
        t->part_from = UINT64_MAX;
        t->etag[0] = t->modified[0] = '\0';
        t->retry_after = 0;
        t->accepts = false;
    } else if (header_is(line, len, "etag", t->etag, sizeof(t->etag)) ||
               header_is(line, len, "last-modified", t->modified, sizeof(t->modified))) {
        return len;
    } else if (header_is(line, len, "content-range", value, sizeof(value))) {
        if (sscanf(value, "bytes %llu-", &from) == 1)
            t->part_from = from;
    } else if (header_is(line, len, "accept-ranges", value, sizeof(value))) {
        t->accepts = strcasecmp(value, "bytes") == 0;
    } else if (header_is(line, len, "retry-after", value, sizeof(value))) {
        t->retry_after = strtol(value, NULL, 10);
    }
    return len;
}

static int give_up(struct transfer *t, int code, const char *text)
{
    (void)err_set(&t->why, code, "%s", text);
    return code;
}

static int begin_anew(struct transfer *t)
{
    int r = part_begin_anew(t->part);

    digest_restart(t->digest);
    return r ? give_up(t, r, strerror(-r)) : 0;
}

/* One version of the file from another, if need be by what comes out in the end. */
static bool is_told_apart(const struct transfer *t)
{
    return *t->validator || t->checksum->type;
}

static int check_size(struct transfer *t, uint64_t size)
{
    if (t->with->before + size <= t->with->order->max_bytes)
        return 0;
    return give_up(t, -EFBIG, "it is larger than the agent's artifact http_max_size allows");
}

static int begin_body(struct transfer *t)
{
    curl_off_t length = -1;
    long status = 0;

    t->begun = true;
    (void)curl_easy_getinfo(t->with->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(t->with->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (status == 206 && (!t->from || t->part_from != t->from)) {
        t->restart = true;
        return give_up(t, -EAGAIN, "the server sent another part than asked for");
    }
    if (status != 206 && begin_anew(t))
        return t->why.code;
    if (strncmp(t->etag, "W/", 2) != 0 && *t->etag)
        (void)snprintf(t->validator, sizeof(t->validator), "%s", t->etag);
    else
        (void)snprintf(t->validator, sizeof(t->validator), "%s", t->modified);
    t->ranges = t->accepts || status == 206;
    t->total = length >= 0 ? t->part->size + (uint64_t)length : 0;
    part_note(t->part, t->ranges && is_told_apart(t), t->validator, t->total);
    t->with->report.total = t->with->all ? t->with->all : t->total;
    return check_size(t, t->total);
}

static size_t on_data(char *data, size_t one, size_t len, void *arg)
{
    struct transfer *t = arg;
    int r;

    (void)one;
    if (!t->begun && begin_body(t))
        return 0;
    if (check_size(t, t->part->size + len))
        return 0;
    r = part_add(t->part, data, len);
    if (r) {
        (void)give_up(t, r, strerror(-r));
        return 0;
    }
    digest_add(t->digest, data, len);
    report_progress(&t->with->report, t->with->before + t->part->size);
    return len;
}

/* ---- one try ---- */

static void set_protocols(CURL *curl, bool tls_only)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, tls_only ? "https" : "http,https");
#else
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
    (void)curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS,
                           tls_only ? CURLPROTO_HTTPS : CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
}

/* Those of the order, else those the operator passes on in the environment; without any the request
 * is not signed, which is right for what is public. */
static void set_signature(struct download *d)
{
    const struct artifact_source *source = &d->order->source;
    const char *id = *source->aws_id ? source->aws_id : getenv("AWS_ACCESS_KEY_ID");
    const char *secret = *source->aws_id ? source->aws_secret : getenv("AWS_SECRET_ACCESS_KEY");
    const char *token = *source->aws_id ? source->aws_token : getenv("AWS_SESSION_TOKEN");
    autofree char *signature = NULL, *header = NULL;

    if (!id || !secret)
        return;
    if (asprintf(&signature, "aws:amz:%s:s3", source->region) < 0)
        abort();
    (void)curl_easy_setopt(d->curl, CURLOPT_AWS_SIGV4, signature);
    (void)curl_easy_setopt(d->curl, CURLOPT_USERNAME, id);
    (void)curl_easy_setopt(d->curl, CURLOPT_PASSWORD, secret);
    /* S3 insists on it, and not every libcurl adds it: the hash of no content. */
    d->headers = curl_slist_append(d->headers, "x-amz-content-sha256: " EMPTY_SHA256);
    if (!token || !*token)
        return;
    if (asprintf(&header, "x-amz-security-token: %s", token) < 0)
        abort();
    d->headers = curl_slist_append(d->headers, header);
}

static void set_trust(struct download *d)
{
    const char *file = getenv("SSL_CERT_FILE"), *dir = getenv("SSL_CERT_DIR");

    if (file)
        (void)curl_easy_setopt(d->curl, CURLOPT_CAINFO, file);
    if (dir)
        (void)curl_easy_setopt(d->curl, CURLOPT_CAPATH, dir);
    if (!d->order->insecure)
        return;
    (void)curl_easy_setopt(d->curl, CURLOPT_SSL_VERIFYPEER, 0L);
    (void)curl_easy_setopt(d->curl, CURLOPT_SSL_VERIFYHOST, 0L);
}

static void add_headers(struct download *d)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)d->order->headers, name, value)
    {
        autofree char *line = NULL;
        const char *text = json_string_value(value);

        if (asprintf(&line, *text ? "%s: %s" : "%s;", name, text) < 0)
            abort();
        d->headers = curl_slist_append(d->headers, line);
    }
}

static void set_up(struct download *d)
{
    char path[40];

    add_headers(d);
    set_trust(d);
    if (d->order->source.kind == ARTIFACT_S3)
        set_signature(d);
    if (d->netrc >= 0) {
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", d->netrc);
        (void)curl_easy_setopt(d->curl, CURLOPT_NETRC_FILE, path);
        (void)curl_easy_setopt(d->curl, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
    }
    (void)curl_easy_setopt(d->curl, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(d->curl, CURLOPT_MAXREDIRS, (long)REDIRECTS);
    (void)curl_easy_setopt(d->curl, CURLOPT_FAILONERROR, 1L);
    (void)curl_easy_setopt(d->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(d->curl, CURLOPT_USERAGENT, "cleat-fetch/" CLEAT_VERSION);
    (void)curl_easy_setopt(d->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    (void)curl_easy_setopt(d->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(d->curl, CURLOPT_LOW_SPEED_TIME, (long)STALLED_S);
    (void)curl_easy_setopt(d->curl, CURLOPT_BUFFERSIZE, (long)BUFFER);
    (void)curl_easy_setopt(d->curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(d->curl, CURLOPT_WRITEFUNCTION, on_data);
}

static void aim(struct transfer *t)
{
    CURL *curl = t->with->curl;

    (void)curl_easy_setopt(curl, CURLOPT_URL, t->url);
    set_protocols(curl, strncasecmp(t->url, "https:", 6) == 0);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->curl_text);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
}

/* The order's headers, and what asks for the rest only. */
static struct curl_slist *request_headers(struct transfer *t)
{
    struct curl_slist *list = NULL;
    char line[320];

    for (const struct curl_slist *item = t->with->headers; item; item = item->next)
        list = curl_slist_append(list, item->data);
    if (t->from && *t->validator) {
        (void)snprintf(line, sizeof(line), "If-Range: %s", t->validator);
        list = curl_slist_append(list, line);
    }
    return list;
}

static CURLcode try_once(struct transfer *t)
{
    double left = t->with->deadline_s - now_s();
    struct curl_slist *headers;
    char range[32];
    CURLcode r;

    t->from = t->ranges && !t->restart && is_told_apart(t) ? t->part->size : 0;
    t->begun = t->restart = false;
    t->curl_text[0] = '\0';
    t->why = (struct err)ERR_INIT;
    headers = request_headers(t);
    (void)snprintf(range, sizeof(range), "%llu-", (unsigned long long)t->from);
    (void)curl_easy_setopt(t->with->curl, CURLOPT_RANGE, t->from ? range : NULL);
    (void)curl_easy_setopt(t->with->curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(t->with->curl, CURLOPT_TIMEOUT_MS,
                           left > 0.001 ? (long)(left * 1000) : 1L);
    r = curl_easy_perform(t->with->curl);
    if (r == CURLE_OK && !t->begun && begin_body(t)) /* it is empty */
        r = CURLE_WRITE_ERROR;
    curl_slist_free_all(headers);
    return r;
}

/* ---- again? ---- */

static bool may_pass(const struct transfer *t, CURLcode r, long status)
{
    static const CURLcode passing[] = {
        CURLE_COULDNT_RESOLVE_HOST,
        CURLE_COULDNT_RESOLVE_PROXY,
        CURLE_COULDNT_CONNECT,
        CURLE_OPERATION_TIMEDOUT,
        CURLE_RECV_ERROR,
        CURLE_SEND_ERROR,
        CURLE_GOT_NOTHING,
        CURLE_PARTIAL_FILE,
        CURLE_HTTP2,
        CURLE_HTTP2_STREAM,
        CURLE_SSL_CONNECT_ERROR,
        CURLE_WEIRD_SERVER_REPLY,
    };

    if (r == CURLE_WRITE_ERROR)
        return t->why.code == -EAGAIN;
    if (r == CURLE_HTTP_RETURNED_ERROR)
        return status == 408 || status == 416 || status == 425 || status == 429 || status >= 500;
    for (size_t i = 0; i < ARRAY_LEN(passing); i++)
        if (r == passing[i])
            return true;
    return false;
}

/* curl says how long its last try took, which is no matter. */
static void drop_duration(char *text)
{
    char *at = strstr(text, " after "), *end;

    if (!at)
        return;
    end = at + strlen(" after ");
    end += strspn(end, "0123456789");
    if (strncmp(end, " ms", 3) == 0)
        (void)memmove(at, end + 3, strlen(end + 3) + 1);
}

static int explain(struct transfer *t, CURLcode r, long status, struct err *e)
{
    const char *text = *t->curl_text ? t->curl_text : curl_easy_strerror(r);

    drop_duration(t->curl_text);
    if (t->why.code)
        return err_set(e, t->why.code, "%s: %s", t->shown, t->why.text);
    switch (r) {
    case CURLE_HTTP_RETURNED_ERROR:
        return err_set(e, status == 404 ? -ENOENT : -EREMOTEIO,
                       "%s: the server answered with HTTP status %ld%s", t->shown, status,
                       status == 404 ? ": there is no such file"
                       : status == 401 || status == 403
                           ? ": give what it asks for in the artifact's options or headers, or in "
                             "the agent's .netrc"
                           : "");
    case CURLE_PEER_FAILED_VERIFICATION:
        return err_set(
            e, -EACCES,
            "%s: the server's certificate is not to be trusted (%s); mend it, or add its "
            "issuer to this host's certificates",
            t->shown, text);
    case CURLE_TOO_MANY_REDIRECTS:
        return err_set(e, -EREMOTEIO, "%s: it was redirected more than %d times", t->shown,
                       REDIRECTS);
    case CURLE_UNSUPPORTED_PROTOCOL:
        return err_set(e, -EPROTONOSUPPORT,
                       "%s: it is redirected to what is not https (or http, from http): %s",
                       t->shown, text);
    default:
        return err_set(e, -EREMOTEIO, "%s: %s", t->shown, text);
    }
}

/* How often and how long it was tried, in the text of the last failure. */
static void tell_tries(struct err *e, int tries, double seconds)
{
    size_t n = strlen(e->text);

    if (tries > 1)
        (void)snprintf(e->text + n, sizeof(e->text) - n, " (tried %d times in %.0f s)", tries,
                       seconds);
}

static void tell_again(const struct err *e, int tries)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "try %d of %d", tries + 2, TRIES);
    helper_say(json_pack("{s:s}", "again", text));
    (void)fprintf(stderr, "%s; %s\n", e->text, text);
}

static void wait_before(const struct transfer *t, int tries)
{
    double wait = 0.5 * (1 << (tries < 4 ? tries : 4)), left = t->with->deadline_s - now_s();
    unsigned char dice = 0;
    struct timespec ts;

    (void)!getrandom(&dice, sizeof(dice), GRND_NONBLOCK);
    wait *= 0.75 + 0.5 * dice / 255;
    if (t->retry_after > wait)
        wait = t->retry_after > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : (double)t->retry_after;
    if (wait > left)
        wait = left > 0 ? left : 0;
    ts = (struct timespec){(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)};
    (void)nanosleep(&ts, NULL);
}

/* All of it came; a part of another version may be among it. */
static int check(struct transfer *t, struct err *e)
{
    struct err why = ERR_INIT;
    int r = digest_check(t->digest, &why);

    if (!r)
        return 0;
    if (t->from) {
        t->restart = true;
        return -EAGAIN;
    }
    return err_set(e, r, "%s: %s", t->shown, why.text);
}

static int transfer(struct transfer *t, struct err *e)
{
    double begun_s = now_s();

    for (int all = 0, tries = 0;; all++, tries++) {
        uint64_t before = t->part->size;
        CURLcode code = try_once(t);
        long status = 0;
        int r;

        (void)curl_easy_getinfo(t->with->curl, CURLINFO_RESPONSE_CODE, &status);
        if (code == CURLE_OK) {
            r = check(t, e);
            if (r != -EAGAIN)
                return r;
            continue;
        }
        r = explain(t, code, status, e);
        if (status == 416)
            t->restart = true;
        if (t->part->size > before + PROGRESS)
            tries = 0;
        if (!may_pass(t, code, status) || tries + 1 >= TRIES || all >= TRIES_ALL ||
            now_s() >= t->with->deadline_s) {
            tell_tries(e, all + 1, now_s() - begun_s);
            return r;
        }
        tell_again(e, tries);
        wait_before(t, tries);
        if (now_s() >= t->with->deadline_s) {
            tell_tries(e, all + 1, now_s() - begun_s);
            return r;
        }
    }
}

/* Without user, password and query; of a long one beginning and end. */
static void show(const char *url, char *buf, size_t size)
{
    const char *host = strstr(url, "://"), *at;
    int scheme = host ? (int)(host + 3 - url) : 0, n;

    host = url + scheme;
    at = memrchr(host, '@', strcspn(host, "/?"));
    if (at)
        host = at + 1;
    n = (int)strcspn(host, "?");
    if (scheme + n < (int)size)
        (void)snprintf(buf, size, "%.*s%.*s", scheme, url, n, host);
    else
        (void)snprintf(buf, size, "%.*s%.24s...%.*s", scheme > 8 ? 8 : scheme, url, host, 32,
                       host + n - 32);
}

/* What is there already. */
static int take_up(struct transfer *t, struct err *e)
{
    autofree char *buf = malloc(BUFFER);
    ssize_t n = -ENOMEM;

    while (buf && (n = part_take_up(t->part, buf, BUFFER)) > 0)
        digest_add(t->digest, buf, (size_t)n);
    t->ranges = t->part->size > 0;
    (void)snprintf(t->validator, sizeof(t->validator), "%s", t->part->version);
    return n < 0 ? err_sys(e, (int)n, "read what an earlier attempt left") : 0;
}

struct download *download_new(const struct fetch_order *order, int netrc)
{
    struct download *d = calloc(1, sizeof(*d));

    if (!d)
        abort();
    *d = (struct download){.order = order,
                           .netrc = netrc,
                           .deadline_s = now_s() + order->timeout_s,
                           .curl = curl_easy_init()};
    if (!d->curl)
        abort();
    report_begin(&d->report, "download", 0);
    set_up(d);
    return d;
}

struct download *download_free(struct download *d)
{
    curl_easy_cleanup(d->curl);
    curl_slist_free_all(d->headers);
    free(d);
    return NULL;
}

void download_expect(struct download *d, uint64_t all)
{
    d->before = 0;
    d->all = all;
}

int download_get(struct download *d, const char *url, const struct artifact_checksum *checksum,
                 struct part *part, struct err *e)
{
    struct transfer t = {.with = d, .url = url, .checksum = checksum, .part = part};
    int r = digest_new(checksum, &t.digest, e);

    if (!r)
        r = take_up(&t, e);
    if (!r) {
        show(url, t.shown, sizeof(t.shown));
        aim(&t);
        r = transfer(&t, e);
        (void)curl_easy_setopt(d->curl, CURLOPT_ERRORBUFFER, NULL);
    }
    if (!r)
        d->before += part->size;
    (void)digest_free(t.digest);
    return r;
}

/* ---- files of this host ---- */

static int copy(struct transfer *t, int from, struct err *e)
{
    autofree char *buf = malloc(BUFFER);
    ssize_t n;

    if (!buf)
        return err_sys(e, -ENOMEM, "copy %s", t->shown);
    while ((n = read(from, buf, BUFFER)) > 0)
        if (on_data(buf, 1, (size_t)n, t) == 0)
            return err_set(e, t->why.code, "copy %s: %s", t->shown, t->why.text);
    return n < 0 ? err_sys(e, -errno, "read %s", t->shown) : digest_check(t->digest, e);
}

int download_copy(const struct fetch_order *order, struct part *part, struct err *e)
{
    struct download with = {.order = order};
    struct transfer t = {.with = &with, .part = part, .begun = true};
    autofd int from = open(order->source.url, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    int r;

    (void)snprintf(t.shown, sizeof(t.shown), "%s", order->source.url);
    if (from < 0 || fstat(from, &st) < 0)
        return err_sys(e, -errno, "open %s", t.shown);
    if (!S_ISREG(st.st_mode))
        return err_set(e, -EINVAL, "%s is no plain file", t.shown);
    r = digest_new(&order->source.checksum, &t.digest, e);
    if (r)
        return r;
    report_begin(&with.report, "download", (uint64_t)st.st_size);
    r = copy(&t, from, e);
    (void)digest_free(t.digest);
    return r;
}
