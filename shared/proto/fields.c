/* SPDX-License-Identifier: MIT
 *
 * Two recursive walks over the same tables. Nothing here knows a message.
 */
#include "shared/proto/fields.h"

#include <errno.h>
#include <string.h>

#include "shared/proto/scan.h"

static size_t strings_count(char *const *list)
{
    size_t n = 0;

    while (list[n])
        n++;
    return n;
}

static int64_t get_int(const void *at, size_t size)
{
    int64_t wide = 0;

    switch (size) {
    case 4:
        return *(const int32_t *)at;
    default:
        memcpy(&wide, at, sizeof(wide));
        return wide;
    }
}

static uint64_t get_uint(const void *at, size_t size)
{
    uint64_t wide = 0;

    memcpy(&wide, at, size); /* little-endian hosts only; checked below */
    return wide;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "integer access assumes little-endian");

static int pack_str(msgpack_packer *pk, const char *s)
{
    size_t n = strlen(s);
    int r = msgpack_pack_str(pk, n);

    return r ? r : msgpack_pack_str_body(pk, s, n);
}

static int pack_strings(msgpack_packer *pk, char *const *list)
{
    int r;

    if (!list)
        return msgpack_pack_nil(pk);
    r = msgpack_pack_array(pk, strings_count(list));
    for (; !r && *list; list++)
        r = pack_str(pk, *list);
    return r;
}

static int pack_list(msgpack_packer *pk, const struct field *f, const char *base)
{
    size_t n = *(const size_t *)(base + f->count_offset);
    const char *element = f->max ? base + f->offset : *(char *const *)(base + f->offset);
    int r = msgpack_pack_array(pk, n);

    for (; !r && n; n--, element += f->size)
        r = fields_pack(pk, f->sub, element);
    return r;
}

static int pack_value(msgpack_packer *pk, const struct field *f, const char *base)
{
    const void *at = base + f->offset;
    const char *s;

    switch (f->kind) {
    case FIELD_BOOL:
        return *(const bool *)at ? msgpack_pack_true(pk) : msgpack_pack_false(pk);
    case FIELD_INT:
        return msgpack_pack_int64(pk, get_int(at, f->size));
    case FIELD_UINT:
        return msgpack_pack_uint64(pk, get_uint(at, f->size));
    case FIELD_TEXT:
        return pack_str(pk, at);
    case FIELD_STRING:
        s = *(char *const *)at;
        return s ? pack_str(pk, s) : msgpack_pack_nil(pk);
    case FIELD_STRINGS:
        return pack_strings(pk, *(char **const *)at);
    case FIELD_MAP:
        return fields_pack(pk, f->sub, at);
    case FIELD_LIST:
        return pack_list(pk, f, base);
    }
    return -1;
}

static bool is_left_out(const struct field *f, const char *base)
{
    const char *at = base + f->offset;

    if (!f->sparse)
        return false;
    if (f->kind == FIELD_LIST)
        return *(const size_t *)(base + f->count_offset) == 0;
    for (size_t i = 0; i < f->size; i++)
        if (at[i])
            return false;
    return true;
}

int fields_pack(msgpack_packer *pk, const struct field *fields, const void *base)
{
    size_t n = 0;
    int r;

    for (const struct field *f = fields; f->key; f++)
        n += !is_left_out(f, base);
    r = msgpack_pack_map(pk, n);
    for (const struct field *f = fields; !r && f->key; f++) {
        if (is_left_out(f, base))
            continue;
        r = pack_str(pk, f->key);
        if (!r)
            r = pack_value(pk, f, base);
    }
    return r;
}

static int bad(struct err *e, const struct field *f, const char *what)
{
    return err_set(e, -EBADMSG, "message key \"%s\": %s", f->key, what);
}

static char *zone_string(msgpack_zone *zone, const msgpack_object_str *s)
{
    char *copy = msgpack_zone_malloc(zone, s->size + 1);

    if (copy) {
        memcpy(copy, s->ptr, s->size);
        copy[s->size] = '\0';
    }
    return copy;
}

static int unpack_int(const msgpack_object *o, const struct field *f, void *at, struct err *e)
{
    if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 > INT64_MAX)
        return bad(e, f, "number out of range");
    if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER && o->type != MSGPACK_OBJECT_NEGATIVE_INTEGER)
        return bad(e, f, "not an integer");
    if (f->size == 4 && (o->via.i64 < INT32_MIN || o->via.i64 > INT32_MAX))
        return bad(e, f, "number out of range");
    memcpy(at, &o->via.i64, f->size);
    return 0;
}

static int unpack_uint(const msgpack_object *o, const struct field *f, void *at, struct err *e)
{
    uint64_t limit = f->size == 8 ? UINT64_MAX : (1ULL << (8 * f->size)) - 1;

    if (f->max && f->max < limit)
        limit = f->max;
    if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return bad(e, f, "not a positive integer");
    if (o->via.u64 > limit)
        return bad(e, f, "number out of range");
    memcpy(at, &o->via.u64, f->size);
    return 0;
}

/* A string the struct can hold: text without a NUL inside. */
static int check_str(const msgpack_object *o, const struct field *f, struct err *e)
{
    if (o->type != MSGPACK_OBJECT_STR)
        return bad(e, f, "not a string");
    if (memchr(o->via.str.ptr, '\0', o->via.str.size))
        return bad(e, f, "string with a NUL inside");
    return 0;
}

static int unpack_strings(const msgpack_object *o, const struct field *f, char ***at,
                          msgpack_zone *zone, struct err *e)
{
    char **list;

    if (o->type != MSGPACK_OBJECT_ARRAY)
        return bad(e, f, "not a list");
    list = msgpack_zone_malloc(zone, (o->via.array.size + 1) * sizeof(*list));
    if (!list)
        return err_sys(e, -ENOMEM, "message key \"%s\"", f->key);
    for (uint32_t i = 0; i < o->via.array.size; i++) {
        int r = check_str(&o->via.array.ptr[i], f, e);

        if (r < 0)
            return r;
        list[i] = zone_string(zone, &o->via.array.ptr[i].via.str);
        if (!list[i])
            return err_sys(e, -ENOMEM, "message key \"%s\"", f->key);
    }
    list[o->via.array.size] = NULL;
    *at = list;
    return 0;
}

static int unpack_list(const msgpack_object *o, const struct field *f, char *base,
                       msgpack_zone *zone, struct err *e)
{
    char *element = base + f->offset;

    if (o->type != MSGPACK_OBJECT_ARRAY)
        return bad(e, f, "not a list");
    if (f->max && o->via.array.size > f->max)
        return bad(e, f, "list too long");
    if (!f->max) {
        element = msgpack_zone_malloc(zone, (o->via.array.size + 1) * f->size);
        if (!element)
            return err_sys(e, -ENOMEM, "message key \"%s\"", f->key);
        memset(element, 0, (o->via.array.size + 1) * f->size);
        *(char **)(base + f->offset) = element;
    }
    for (uint32_t i = 0; i < o->via.array.size; i++, element += f->size) {
        int r = fields_unpack(&o->via.array.ptr[i], f->sub, element, zone, e);

        if (r < 0)
            return r;
    }
    *(size_t *)(base + f->count_offset) = o->via.array.size;
    return 0;
}

static int unpack_value(const msgpack_object *o, const struct field *f, char *base,
                        msgpack_zone *zone, struct err *e)
{
    void *at = base + f->offset;
    int r;

    switch (f->kind) {
    case FIELD_BOOL:
        if (o->type != MSGPACK_OBJECT_BOOLEAN)
            return bad(e, f, "not a boolean");
        *(bool *)at = o->via.boolean;
        return 0;
    case FIELD_INT:
        return unpack_int(o, f, at, e);
    case FIELD_UINT:
        return unpack_uint(o, f, at, e);
    case FIELD_TEXT:
        r = check_str(o, f, e);
        if (r < 0)
            return r;
        if (o->via.str.size >= f->size)
            return bad(e, f, "string too long");
        memcpy(at, o->via.str.ptr, o->via.str.size);
        ((char *)at)[o->via.str.size] = '\0';
        return 0;
    case FIELD_STRING:
        r = check_str(o, f, e);
        if (r < 0)
            return r;
        *(char **)at = zone_string(zone, &o->via.str);
        return *(char **)at ? 0 : err_sys(e, -ENOMEM, "message key \"%s\"", f->key);
    case FIELD_STRINGS:
        return unpack_strings(o, f, at, zone, e);
    case FIELD_MAP:
        return fields_unpack(o, f->sub, at, zone, e);
    case FIELD_LIST:
        return unpack_list(o, f, base, zone, e);
    }
    return bad(e, f, "unknown kind");
}

static const msgpack_object *map_get(const msgpack_object *map, const char *key)
{
    size_t n = strlen(key);

    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object *k = &map->via.map.ptr[i].key;

        if (k->type == MSGPACK_OBJECT_STR && k->via.str.size == n &&
            memcmp(k->via.str.ptr, key, n) == 0)
            return &map->via.map.ptr[i].val;
    }
    return NULL;
}

int fields_unpack(const msgpack_object *map, const struct field *fields, void *base,
                  msgpack_zone *zone, struct err *e)
{
    if (map->type != MSGPACK_OBJECT_MAP)
        return err_set(e, -EBADMSG, "message: not a map");
    for (const struct field *f = fields; f->key; f++) {
        const msgpack_object *value = map_get(map, f->key);
        int r;

        if (!value || value->type == MSGPACK_OBJECT_NIL) {
            if (f->optional || f->sparse)
                continue;
            return bad(e, f, "missing");
        }
        r = unpack_value(value, f, base, zone, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int parse(const char *data, size_t size, msgpack_zone *parsed, msgpack_object *map,
                 struct err *e)
{
    size_t used = 0;

    if (!msgpack_counts_fit(data, size))
        return err_set(e, -EBADMSG, "message: more elements announced than there are");
    switch (msgpack_unpack(data, size, &used, parsed, map)) {
    case MSGPACK_UNPACK_SUCCESS:
        if (used == size)
            return 0;
        return err_set(e, -EBADMSG, "message: %zu bytes behind its end", size - used);
    case MSGPACK_UNPACK_NOMEM_ERROR:
        return err_sys(e, -ENOMEM, "message");
    default:
        return err_set(e, -EBADMSG, "message: not msgpack, or cut short");
    }
}

int fields_decode(const char *data, size_t size, const struct field *fields, void *base,
                  msgpack_zone *zone, struct err *e)
{
    msgpack_zone parsed; /* the tree of objects is several times as large as what is kept of it */
    msgpack_object map;
    int r;

    if (!msgpack_zone_init(&parsed, 4096))
        return err_sys(e, -ENOMEM, "message");
    r = parse(data, size, &parsed, &map, e);
    if (!r)
        r = fields_unpack(&map, fields, base, zone, e);
    msgpack_zone_destroy(&parsed);
    return r;
}

int fixed_buf_write(void *buf, const char *data, size_t size)
{
    struct fixed_buf *b = buf;

    if (size > b->size - b->used)
        return -1;
    memcpy(b->data + b->used, data, size);
    b->used += size;
    return 0;
}
