/* SPDX-License-Identifier: MIT
 *
 * shared/artifact.h, and the rules of manager/fetch/unpack.h for names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "manager/fetch/confine.h"
#include "manager/fetch/s3.h"
#include "manager/fetch/unpack.h"
#include "shared/artifact.h"
#include "shared/cleanup.h"

static const struct good {
    const char *source, *options;
    enum artifact_kind kind;
    const char *url, *filename, *subdir;
    enum artifact_archive archive;
} good[] = {
    {"https://h/a/b.bin", "{}", ARTIFACT_HTTP, "https://h/a/b.bin", "b.bin", "", ARCHIVE_NONE},
    {"http://h/a.tar.gz?x=1&archive=false&y", "{\"z\": \"a&b\"}", ARTIFACT_HTTP,
     "http://h/a.tar.gz?x=1&y&z=a%26b", "a.tar.gz", "", ARCHIVE_NONE},
    {"http://h/a.zip?archive=0", "{}", ARTIFACT_HTTP, "http://h/a.zip", "a.zip", "", ARCHIVE_NONE},
    {"http://h/a.zip", "{\"archive\": \"False\"}", ARTIFACT_HTTP, "http://h/a.zip", "a.zip", "",
     ARCHIVE_NONE},
    {"http://h/a%20b.gz#part", "{}", ARTIFACT_HTTP, "http://h/a%20b.gz", "a b", "", ARCHIVE_GZ},
    {"http://h/x", "{\"archive\": \"zip\"}", ARTIFACT_HTTP, "http://h/x", "x", "", ARCHIVE_ZIP},
    {"http://h/x.zip//in/side", "{}", ARTIFACT_HTTP, "http://h/x.zip", "x.zip", "in/side",
     ARCHIVE_ZIP},
    {"http://h//x//y", "{}", ARTIFACT_HTTP, "http://h//x//y", "y", "", ARCHIVE_NONE},
    {"http://h/", "{}", ARTIFACT_HTTP, "http://h/", "artifact", "", ARCHIVE_NONE},
    {"http://h", "{}", ARTIFACT_HTTP, "http://h", "artifact", "", ARCHIVE_NONE},
    {"http://h/%2e%2e", "{}", ARTIFACT_HTTP, "http://h/%2e%2e", "artifact", "", ARCHIVE_NONE},
    {"http://h/a%2fb", "{}", ARTIFACT_HTTP, "http://h/a%2fb", "artifact", "", ARCHIVE_NONE},
    {"http://h/x?filename=y", "{}", ARTIFACT_HTTP, "http://h/x", "y", "", ARCHIVE_NONE},
    {"git::https://h/r.git?ref=v1&keep=1", "{}", ARTIFACT_GIT, "https://h/r.git?keep=1", "r.git",
     "", ARCHIVE_NONE},
    {"git@github.com:o/r.git", "{}", ARTIFACT_GIT, "ssh://git@github.com/o/r.git", "r.git", "",
     ARCHIVE_NONE},
    {"git::git@h:/o/r.git//sub", "{}", ARTIFACT_GIT, "ssh://git@h/o/r.git", "r.git", "sub",
     ARCHIVE_NONE},
    {"github.com/o/r/a/b", "{\"ref\": \"x\"}", ARTIFACT_GIT, "https://github.com/o/r.git", "r.git",
     "a/b", ARCHIVE_NONE},
    {"hg::http://h/r", "{\"rev\": \"1\"}", ARTIFACT_HG, "http://h/r", "r", "", ARCHIVE_NONE},
    {"s3::https://s3-eu-west-1.amazonaws.com/b/k.zip", "{}", ARTIFACT_S3,
     "https://s3-eu-west-1.amazonaws.com/b/k.zip", "k.zip", "", ARCHIVE_ZIP},
    {"b.s3.amazonaws.com/k", "{}", ARTIFACT_S3, "https://b.s3.amazonaws.com/k", "k", "",
     ARCHIVE_NONE},
    {"s3://b/k/l", "{\"region\": \"eu-north-1\"}", ARTIFACT_S3,
     "https://b.s3.eu-north-1.amazonaws.com/k/l", "l", "", ARCHIVE_NONE},
    {"s3::http://h/b/k?version=a%20b", "{}", ARTIFACT_S3, "http://h/b/k?versionId=a%20b", "k", "",
     ARCHIVE_NONE},
    {"file:///a/b.tgz", "{}", ARTIFACT_FILE, "/a/b.tgz", "b.tgz", "", ARCHIVE_TAR_GZ},
    {"/a/b%20c", "{}", ARTIFACT_FILE, "/a/b%20c", "b%20c", "", ARCHIVE_NONE},
};

static int parse(const char *source, const char *options, struct artifact_source *ret,
                 struct err *e)
{
    json_t *json = json_loads(options, 0, NULL);
    int r;

    assert_non_null(json);
    r = artifact_source_parse(source, json, ret, e);
    json_decref(json);
    return r;
}

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct artifact_source s;
        struct err e = ERR_INIT;

        if (parse(good[i].source, good[i].options, &s, &e))
            fail_msg("%s: %s", good[i].source, e.text);
        assert_int_equal(s.kind, good[i].kind);
        assert_string_equal(s.url, good[i].url);
        assert_string_equal(s.filename, good[i].filename);
        assert_string_equal(s.subdir, good[i].subdir);
        assert_int_equal(s.archive, good[i].archive);
        artifact_source_deinit(&s);
    }
}

static void test_options(void **state)
{
    struct artifact_source s;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(parse("git::ssh://git@h/r?sshkey=a+b/=&ref=one",
                           "{\"ref\": \"two\", \"depth\": \"3\"}", &s, &e),
                     0);
    assert_string_equal(s.ref, "one"); /* the source's come first */
    assert_string_equal(s.sshkey, "a+b/=");
    assert_int_equal(s.depth, 3);
    artifact_source_deinit(&s);
    assert_int_equal(parse("s3::https://minio:9000/b/k",
                           "{\"aws_access_key_id\": \"i\", \"aws_access_key_secret\": \"s\","
                           " \"aws_access_token\": \"t\", \"checksum\": "
                           "\"md5:00112233445566778899AABBCCDDEEFF\"}",
                           &s, &e),
                     0);
    assert_string_equal(s.region, "us-east-1");
    assert_string_equal(s.aws_id, "i");
    assert_string_equal(s.aws_secret, "s");
    assert_string_equal(s.aws_token, "t");
    assert_string_equal(s.checksum.type, "md5");
    assert_int_equal(s.checksum.size, 16);
    assert_int_equal(s.checksum.digest[15], 0xff);
    artifact_source_deinit(&s);
    assert_int_equal(parse("s3::https://s3.eu-west-3.amazonaws.com/b/k", "{}", &s, &e), 0);
    assert_string_equal(s.region, "eu-west-3");
    artifact_source_deinit(&s);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *source, *options;
        int result;
        const char *message;
    } cases[] = {
        {"", "{}", -EINVAL, "has no source"},
        {"http://h/a\nb", "{}", -EINVAL, "write it as %0A"},
        {"h/a", "{}", -EINVAL, "begin it with https://"},
        {"ftp://h/a", "{}", -EINVAL, "ftp://h/a"},
        {"ext::sh -c x", "{}", -EINVAL, "\"ext::\" is no kind"},
        {"git::ext::sh -c x", "{}", -EINVAL, "does not say how to get it"},
        {"gcs::https://www.googleapis.com/storage/v1/b/k", "{}", -ENOTSUP,
         "storage.googleapis.com"},
        {"gs://b/k", "{}", -ENOTSUP, "Google Cloud Storage"},
        {"http::ssh://h/x", "{}", -EINVAL, "no address to ask by HTTP"},
        {"git::https://h/r?ref=--upload-pack=x", "{}", -EINVAL, "is no branch"},
        {"git::https://h/r", "{\"depth\": \"-1\"}", -EINVAL, "not a number of commits"},
        {"git::https://h/r//a/../..", "{}", -EINVAL, "leads out"},
        {"http://h/x", "{\"filename\": \"../x\"}", -EINVAL, "no plain file name"},
        {"http://h/x", "{\"checksum\": \"x\"}", -EINVAL, "has no type"},
        {"http://h/x", "{\"checksum\": \"sha1:zz\"}", -EINVAL, "has 40 hex digits, not 2"},
        {"http://h/x?checksum=md5:0011223344556677889900112233445g", "{}", -EINVAL,
         "is not hexadecimal"},
        {"http://h/x", "{\"archive\": \"rar\"}", -EINVAL, "no kind of archive"},
        {"s3://b", "{}", -EINVAL, "is not s3://BUCKET/KEY"},
        {"s3::https://h/b/k", "{\"aws_access_key_id\": \"x\"}", -EINVAL, "one is missing"},
        {"s3::https://h/b/k", "{\"aws_profile\": \"x\"}", -ENOTSUP, "give aws_access_key_id"},
        {"github.com/o", "{}", -EINVAL, "names no repository"},
        {"file::x", "{}", -EINVAL, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct artifact_source s;
        struct err e = ERR_INIT;

        if (parse(cases[i].source, cases[i].options, &s, &e) != cases[i].result ||
            !strstr(e.text, cases[i].message))
            fail_msg("%s: %d %s", cases[i].source, e.code, e.text);
    }
}

static void test_links(void **state)
{
    static const struct {
        const char *path, *target;
        bool stays;
    } cases[] = {
        {"l", "a", true},        {"l", "./a/b", true},       {"l", "..", false},
        {"l", "/a", false},      {"l", "", false},           {"d/l", "..", true},
        {"d/l", "../..", false}, {"d/e/l", "../../x", true}, {"d/l", "a/../b", false},
        {"./l", "../x", false},  {"d//l", "../x", true},     {"d/./l", "../../x", false},
        {"l", "a/..", false},    {"l", "...", true},         {"d/l", ".././../x", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (unpack_link_stays(cases[i].path, cases[i].target) != cases[i].stays)
            fail_msg("%s -> %s", cases[i].path, cases[i].target);
    assert_int_equal(unpack_check_path("a/..b/c..", NULL), 0);
    assert_int_equal(unpack_check_path("a/..", NULL), -EINVAL);
    assert_int_equal(unpack_check_path("../a", NULL), -EINVAL);
    assert_int_equal(unpack_check_path("/a", NULL), -EINVAL);
}

static void test_s3_places(void **state)
{
    static const struct {
        const char *url, *bucket, *key, *object; /* bucket NULL: refused */
    } cases[] = {
        {"https://h:9000/b/k/l", "https://h:9000/b", "k/l", "https://h:9000/b/k/l"},
        {"http://h/b/a%20b+c%2Fd?versionId=1", "http://h/b", "a b+c/d",
         "http://h/b/a%20b%2Bc/d?versionId=1"},
        {"http://h/b/", "http://h/b", "", "http://h/b/"},
        {"http://h/b", "http://h/b", "", "http://h/b/"},
        {"http://h/b/k/", "http://h/b", "k/", "http://h/b/k/"},
        {"http://h/b//k", "http://h/b", "/k", "http://h/b//k"},
        {"https://b.s3.amazonaws.com/k", "https://b.s3.amazonaws.com", "k",
         "https://b.s3.amazonaws.com/k"},
        {"https://a.b.s3.eu-west-1.amazonaws.com.cn/k", "https://a.b.s3.eu-west-1.amazonaws.com.cn",
         "k", "https://a.b.s3.eu-west-1.amazonaws.com.cn/k"},
        {"https://b.s3.amazonaws.com", "https://b.s3.amazonaws.com", "",
         "https://b.s3.amazonaws.com/"},
        {"https://s3.eu-west-1.amazonaws.com/b/k", "https://s3.eu-west-1.amazonaws.com/b", "k",
         "https://s3.eu-west-1.amazonaws.com/b/k"},
        {"https://s3-eu-west-1.amazonaws.com/b/\xc3\xbc%", "https://s3-eu-west-1.amazonaws.com/b",
         "\xc3\xbc%", "https://s3-eu-west-1.amazonaws.com/b/%C3%BC%25"},
        {"https://h", NULL, NULL, NULL},
        {"https://h/", NULL, NULL, NULL},
        {"https://h//k", NULL, NULL, NULL},
        {"https://h/?x", NULL, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct s3_place place;
        struct err e = ERR_INIT;
        autofree char *url = NULL;

        if (!cases[i].bucket) {
            assert_int_equal(s3_place_parse(cases[i].url, &place, &e), -EINVAL);
            continue;
        }
        assert_int_equal(s3_place_parse(cases[i].url, &place, &e), 0);
        assert_string_equal(place.bucket, cases[i].bucket);
        assert_string_equal(place.key, cases[i].key);
        url = s3_object_url(&place, place.key);
        assert_string_equal(url, cases[i].object);
        s3_place_deinit(&place);
    }
}

static void test_extra_paths(void **state)
{
    const char *path;
    unsigned rights;
    bool dir;

    (void)state;
    assert_int_equal(confine_parse_path("d:rx:/opt", &dir, &rights, &path), 0);
    assert_true(dir);
    assert_string_equal(path, "/opt");
    assert_int_equal(confine_parse_path("f:r:/opt/x", &dir, &rights, &path), 0);
    assert_false(dir);
    assert_int_equal(confine_parse_path("x:r:/opt", &dir, &rights, &path), -EINVAL);
    assert_int_equal(confine_parse_path("d:q:/opt", &dir, &rights, &path), -EINVAL);
    assert_int_equal(confine_parse_path("d::/opt", &dir, &rights, &path), -EINVAL);
    assert_int_equal(confine_parse_path("d:r:opt", &dir, &rights, &path), -EINVAL);
    assert_int_equal(confine_parse_path("", &dir, &rights, &path), -EINVAL);
    assert_int_equal(confine_parse_path("d:", &dir, &rights, &path), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),        cmocka_unit_test(test_options),
        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_links),
        cmocka_unit_test(test_extra_paths), cmocka_unit_test(test_s3_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
