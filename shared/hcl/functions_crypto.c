/* SPDX-License-Identifier: MIT
 *
 * Digests, passwords, RSA and UUIDs, by libcrypto and libcrypt.
 */
#include <crypt.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "shared/cleanup.h"
#include "shared/hcl/functions.h"

enum {
    BCRYPT_COST = 10,
    BCRYPT_COST_MIN = 4,
    BCRYPT_COST_MAX = 14, /* a second */
    BCRYPT_MAX_BYTES = 72,
    UUID_BYTES = 16,
};

static int give_hex(struct call *c, const unsigned char *bytes, size_t n)
{
    char hex[2 * EVP_MAX_MD_SIZE + 1];

    for (size_t i = 0; i < n; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return call_give_text(c, hex, 2 * n);
}

static int digest(struct call *c, const EVP_MD *kind)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    const char *text;
    int r = call_text(c, 0, &text);

    if (r < 0)
        return r;
    if (EVP_Digest(text, strlen(text), bytes, &n, kind, NULL) != 1)
        return call_fail(c, "this host's OpenSSL does not compute %s()", c->name);
    return give_hex(c, bytes, n);
}

static int f_md5(struct call *c)
{
    return digest(c, EVP_md5());
}

static int f_sha1(struct call *c)
{
    return digest(c, EVP_sha1());
}

static int f_sha256(struct call *c)
{
    return digest(c, EVP_sha256());
}

static int f_sha512(struct call *c)
{
    return digest(c, EVP_sha512());
}

/* What takes long on purpose is not for whoever must not wait. */
static int unhurried(struct call *c)
{
    if (!c->x->ev->options->hasty)
        return 0;
    return call_fail(c, "%s() takes too long for the manager: it is for the command line", c->name);
}

static int f_bcrypt(struct call *c)
{
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    autofree struct crypt_data *data = NULL;
    double cost = BCRYPT_COST;
    const char *text, *hash;
    int r = call_text(c, 0, &text);

    if (r == 0 && c->n > 1)
        r = call_number(c, 1, &cost);
    if (r == 0)
        r = unhurried(c);
    if (r < 0)
        return r;
    if (cost < BCRYPT_COST_MIN || cost > BCRYPT_COST_MAX || cost != floor(cost))
        return call_fail(c, "the cost of bcrypt() is %d to %d", BCRYPT_COST_MIN, BCRYPT_COST_MAX);
    if (strlen(text) > BCRYPT_MAX_BYTES)
        return call_fail(c, "bcrypt() takes up to %d bytes", BCRYPT_MAX_BYTES);
    data = calloc(1, sizeof(*data));
    if (!data)
        return -ENOMEM;
    hash = crypt_gensalt_rn("$2a$", (unsigned long)cost, NULL, 0, salt, sizeof(salt))
               ? crypt_r(text, salt, data)
               : NULL;
    if (!hash || *hash == '*')
        return call_fail(c, "this host's libcrypt has no bcrypt");
    return call_give_text(c, hash, strlen(hash));
}

/* A key with a password is not asked for it. */
static int no_password(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

static EVP_PKEY *read_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;

    BIO_free(bio);
    return key;
}

/* -EINVAL: it is not for this key. */
static int rsa_decrypt(EVP_PKEY *key, const unsigned char *in, size_t n, unsigned char *out,
                       size_t *size)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    int ok = context && EVP_PKEY_decrypt_init(context) == 1 &&
             EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
             EVP_PKEY_decrypt(context, out, size, in, n) == 1;

    EVP_PKEY_CTX_free(context);
    return ok ? 0 : -EINVAL;
}

static int f_rsadecrypt(struct call *c)
{
    autofree unsigned char *in = NULL, *out = NULL;
    const char *text, *pem;
    EVP_PKEY *key;
    size_t size = 0;
    int r = call_text(c, 0, &text), n;

    if (r == 0)
        r = call_text(c, 1, &pem);
    if (r == 0)
        r = unhurried(c);
    if (r < 0)
        return r;
    in = malloc(strlen(text) + 4);
    if (!in)
        return -ENOMEM;
    n = EVP_DecodeBlock(in, (const unsigned char *)text, (int)strlen(text));
    if (n < 0)
        return call_fail(c, "the first argument of rsadecrypt() is not base64");
    for (size_t i = strlen(text); n > 0 && i > 0 && text[i - 1] == '='; i--)
        n--;
    key = read_key(pem);
    if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
        EVP_PKEY_free(key);
        return call_fail(c, "the second argument of rsadecrypt() is no RSA key in PEM without a "
                            "password");
    }
    size = (size_t)EVP_PKEY_get_size(key);
    out = malloc(size + 1);
    r = out ? rsa_decrypt(key, in, (size_t)n, out, &size) : -ENOMEM;
    EVP_PKEY_free(key);
    if (r == -EINVAL)
        return call_fail(c, "this cannot be decrypted with this key");
    if (r == 0)
        out[size] = '\0';
    return r < 0 ? r : call_give_bytes(c, (char *)out, size);
}

/* ---- UUIDs ---- */

static int give_uuid(struct call *c, unsigned char id[UUID_BYTES], unsigned int version)
{
    char text[40];
    size_t at = 0;

    id[6] = (unsigned char)((id[6] & 0x0f) | version << 4);
    id[8] = (id[8] & 0x3f) | 0x80;
    for (size_t i = 0; i < UUID_BYTES; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%02x",
                               i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id[i]);
    return call_give_text(c, text, at);
}

static int f_uuidv4(struct call *c)
{
    unsigned char id[UUID_BYTES];

    if (getrandom(id, sizeof(id), 0) != sizeof(id))
        return call_fail(c, "this host gives no random numbers");
    return give_uuid(c, id, 4);
}

/* XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX */
static bool read_uuid(const char *text, unsigned char id[UUID_BYTES])
{
    for (size_t i = 0; i < UUID_BYTES; i++) {
        char pair[3] = {0};

        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return false;
        if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]))
            return false;
        memcpy(pair, text, 2);
        id[i] = (unsigned char)strtoul(pair, NULL, 16);
        text += 2;
    }
    return !*text;
}

static int f_uuidv5(struct call *c)
{
    /* RFC 4122, appendix C: they differ in one byte */
    static const char *const names[] = {"dns", "url", "oid", NULL, "x500"};
    unsigned char id[UUID_BYTES], bytes[EVP_MAX_MD_SIZE];
    autofree unsigned char *text = NULL;
    const char *space, *name;
    bool known = false;
    int r = call_text(c, 0, &space);

    if (r == 0)
        r = call_text(c, 1, &name);
    if (r < 0)
        return r;
    (void)read_uuid("6ba7b810-9dad-11d1-80b4-00c04fd430c8", id);
    for (size_t i = 0; !known && i < ARRAY_LEN(names); i++)
        if (names[i] && strcmp(space, names[i]) == 0) {
            id[3] = (unsigned char)(id[3] + i);
            known = true;
        }
    if (!known && !read_uuid(space, id))
        return call_fail(c, "the namespace of uuidv5() is \"dns\", \"url\", \"oid\", \"x500\" or a "
                            "UUID");
    text = malloc(UUID_BYTES + strlen(name));
    if (!text)
        return -ENOMEM;
    memcpy(text, id, UUID_BYTES);
    memcpy(text + UUID_BYTES, name, strlen(name));
    if (EVP_Digest(text, UUID_BYTES + strlen(name), bytes, NULL, EVP_sha1(), NULL) != 1)
        return call_fail(c, "this host's OpenSSL does not compute SHA-1");
    return give_uuid(c, bytes, 5);
}

const struct function functions_crypto[] = {
    {"bcrypt", 1, 2, f_bcrypt}, {"md5", 1, 1, f_md5},       {"rsadecrypt", 2, 2, f_rsadecrypt},
    {"sha1", 1, 1, f_sha1},     {"sha256", 1, 1, f_sha256}, {"sha512", 1, 1, f_sha512},
    {"uuidv4", 0, 0, f_uuidv4}, {"uuidv5", 2, 2, f_uuidv5}, {0},
};
