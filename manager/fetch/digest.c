/* SPDX-License-Identifier: MIT */
#include "manager/fetch/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct digest {
    EVP_MD_CTX *ctx;
    const EVP_MD *type;
    struct artifact_checksum wanted;
};

int digest_new(const struct artifact_checksum *wanted, struct digest **ret_digest, struct err *e)
{
    struct digest *digest = calloc(1, sizeof(*digest));

    if (!digest)
        return err_sys(e, -ENOMEM, "compute a checksum");
    digest->wanted = *wanted;
    if (wanted->type) {
        digest->type = EVP_get_digestbyname(wanted->type);
        digest->ctx = EVP_MD_CTX_new();
        if (!digest->type || !digest->ctx || !EVP_DigestInit_ex(digest->ctx, digest->type, NULL)) {
            (void)digest_free(digest);
            return err_set(e, -ENOTSUP, "this host's libcrypto computes no %s", wanted->type);
        }
    }
    *ret_digest = digest;
    return 0;
}

struct digest *digest_free(struct digest *digest)
{
    if (!digest)
        return NULL;
    EVP_MD_CTX_free(digest->ctx);
    free(digest);
    return NULL;
}

void digest_restart(struct digest *digest)
{
    if (digest->ctx && !EVP_DigestInit_ex(digest->ctx, digest->type, NULL))
        abort();
}

void digest_add(struct digest *digest, const void *data, size_t size)
{
    if (digest->ctx && !EVP_DigestUpdate(digest->ctx, data, size))
        abort();
}

static void to_hex(const unsigned char *bytes, size_t n, char *text)
{
    for (size_t i = 0; i < n; i++)
        (void)sprintf(text + 2 * i, "%02x", bytes[i]);
}

int digest_check(struct digest *digest, struct err *e)
{
    char is[2 * ARTIFACT_DIGEST_MAX + 1], should[2 * ARTIFACT_DIGEST_MAX + 1];
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned int size;

    if (!digest->ctx)
        return 0;
    if (!EVP_DigestFinal_ex(digest->ctx, value, &size) || size != digest->wanted.size)
        abort();
    if (memcmp(value, digest->wanted.digest, size) == 0)
        return 0;
    to_hex(value, size, is);
    to_hex(digest->wanted.digest, size, should);
    return err_set(e, -EBADMSG, "its checksum is %s:%s, not %s", digest->wanted.type, is, should);
}
