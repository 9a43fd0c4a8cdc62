/* SPDX-License-Identifier: MIT
 *
 * Of the document, only these are looked at:
 *   <ListBucketResult> <IsTruncated/> <NextContinuationToken/> <Contents> <Key/> <Size/>
 * A document type is refused: no server sends one, and entities are made there.
 */
#include "manager/fetch/s3_list.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"

enum field {
    FIELD_NONE,
    FIELD_KEY,
    FIELD_SIZE,
    FIELD_TRUNCATED,
    FIELD_TOKEN,
};

struct page {
    struct s3_list *list;
    XML_Parser parser;
    uint64_t max;
    int depth;
    bool in_contents;
    enum field field;
    char text[S3_TOKEN_MAX + 1];
    size_t len;
    char key[S3_KEY_MAX + 1];
    uint64_t size;
    bool truncated;
    char *next;
    struct err *e;
};

static void refuse(struct page *p, int code, const char *text)
{
    if (!p->e->code)
        (void)err_set(p->e, code, "the bucket's list of objects %s", text);
    (void)XML_StopParser(p->parser, XML_FALSE);
}

static void on_doctype(void *arg, const char *name, const char *system, const char *public,
                       int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    refuse(arg, -EBADMSG, "has a document type, which none should have");
}

static enum field find_field(const struct page *p, const char *name)
{
    if (p->depth == 2 && strcmp(name, "IsTruncated") == 0)
        return FIELD_TRUNCATED;
    if (p->depth == 2 && strcmp(name, "NextContinuationToken") == 0)
        return FIELD_TOKEN;
    if (p->depth == 3 && p->in_contents && strcmp(name, "Key") == 0)
        return FIELD_KEY;
    return p->depth == 3 && p->in_contents && strcmp(name, "Size") == 0 ? FIELD_SIZE : FIELD_NONE;
}

static void on_start(void *arg, const char *name, const char **attributes)
{
    struct page *p = arg;

    (void)attributes;
    if (++p->depth == 1 && strcmp(name, "ListBucketResult") != 0)
        refuse(p, -EBADMSG, "is something else");
    if (p->depth == 2) {
        p->in_contents = strcmp(name, "Contents") == 0;
        p->key[0] = '\0';
        p->size = 0;
    }
    p->field = find_field(p, name);
    p->len = 0;
}

static void on_text(void *arg, const char *text, int len)
{
    struct page *p = arg;
    size_t max = p->field == FIELD_KEY ? S3_KEY_MAX : S3_TOKEN_MAX;

    if (p->field == FIELD_NONE)
        return;
    if (p->len + (size_t)len > max) {
        refuse(p, -EBADMSG, "has a name that is too long");
        return;
    }
    memcpy(p->text + p->len, text, (size_t)len);
    p->len += (size_t)len;
}

static void add_key(struct page *p)
{
    struct s3_list *list = p->list;
    size_t len = strlen(p->key);
    char **keys;

    if (!len || p->key[len - 1] == '/')
        return;
    if (list->n >= p->max) {
        refuse(p, -EFBIG,
               "is longer than the agent's artifact decompression_file_count_limit allows");
        return;
    }
    keys = reallocarray(list->keys, list->n + 1, sizeof(*keys));
    if (keys)
        list->keys = keys;
    if (!keys || !(keys[list->n] = strdup(p->key))) {
        refuse(p, -ENOMEM, "does not fit into the memory");
        return;
    }
    list->n++;
    list->bytes += p->size;
}

static void take_field(struct page *p)
{
    char *end;

    p->text[p->len] = '\0';
    switch (p->field) {
    case FIELD_KEY:
        memcpy(p->key, p->text, p->len + 1);
        break;
    case FIELD_SIZE:
        p->size = strtoull(p->text, &end, 10);
        if (end == p->text || *end || p->size > INT64_MAX / 2)
            refuse(p, -EBADMSG, "has a size that is no number");
        break;
    case FIELD_TRUNCATED:
        p->truncated = strcmp(p->text, "true") == 0;
        break;
    case FIELD_TOKEN:
        free(p->next);
        p->next = strdup(p->text);
        break;
    default:
        break;
    }
}

static void on_end(void *arg, const char *name)
{
    struct page *p = arg;

    (void)name;
    if (p->e->code) /* handlers may still be called after a stop */
        return;
    take_field(p);
    p->field = FIELD_NONE;
    if (p->depth == 2 && p->in_contents)
        add_key(p);
    p->depth--;
}

/* A token that led here would lead here for ever. */
static int take_next(struct page *p)
{
    struct s3_list *list = p->list;

    if (p->truncated && (!p->next || !*p->next || (list->next && !strcmp(list->next, p->next))))
        return err_set(p->e, -EBADMSG,
                       "the bucket's list of objects goes on, but does not say where");
    free(list->next);
    list->next = p->truncated ? take_ptr(p->next) : NULL;
    return 0;
}

int s3_list_add(struct s3_list *list, const void *xml, size_t size, uint64_t max, struct err *e)
{
    struct page p = {.list = list, .parser = XML_ParserCreate(NULL), .max = max, .e = e};
    int r;

    if (!p.parser || size > INT_MAX)
        return err_sys(e, -ENOMEM, "read the bucket's list of objects");
    XML_SetUserData(p.parser, &p);
    XML_SetElementHandler(p.parser, on_start, on_end);
    XML_SetCharacterDataHandler(p.parser, on_text);
    XML_SetStartDoctypeDeclHandler(p.parser, on_doctype);
    if (XML_Parse(p.parser, xml, (int)size, 1) != XML_STATUS_OK && !e->code)
        (void)err_set(e, -EBADMSG, "the bucket's list of objects is damaged in line %lu: %s",
                      (unsigned long)XML_GetCurrentLineNumber(p.parser),
                      XML_ErrorString(XML_GetErrorCode(p.parser)));
    r = e->code ? e->code : take_next(&p);
    free(p.next);
    XML_ParserFree(p.parser);
    return r;
}

void s3_list_deinit(struct s3_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->keys[i]);
    free(list->keys);
    free(list->next);
    *list = (struct s3_list){0};
}
