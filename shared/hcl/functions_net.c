/* SPDX-License-Identifier: MIT
 *
 * Networks in CIDR notation, of IPv4 and IPv6.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/hcl/functions.h"

struct network {
    unsigned char bytes[16]; /* those of an IPv4 address are the first four */
    unsigned int bits;       /* 32 or 128 */
    unsigned int prefix;
};

/* "10.1.2.0/24"; bits behind the prefix are cleared. */
static int read_network(struct call *c, size_t i, struct network *ret)
{
    char address[64];
    const char *text, *slash;
    char *end;
    unsigned long prefix;
    int r = call_text(c, i, &text);

    if (r < 0)
        return r;
    *ret = (struct network){.bits = 32};
    slash = strchr(text, '/');
    if (!slash || slash[1] < '0' || slash[1] > '9' || (size_t)(slash - text) >= sizeof(address))
        return call_fail(c, "\"%.64s\" is no network such as 10.1.0.0/16", text);
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    prefix = strtoul(slash + 1, &end, 10);
    if (inet_pton(AF_INET, address, ret->bytes) != 1) {
        ret->bits = 128;
        if (inet_pton(AF_INET6, address, ret->bytes) != 1)
            return call_fail(c, "\"%.64s\" is no network such as 10.1.0.0/16", text);
    }
    if (*end || prefix > ret->bits || (slash[1] == '0' && slash[2]))
        return call_fail(c, "the prefix of \"%.64s\" is 0 to %u bits", text, ret->bits);
    ret->prefix = (unsigned int)prefix;
    for (unsigned int bit = ret->prefix; bit < ret->bits; bit++)
        ret->bytes[bit / 8] &= (unsigned char)~(0x80U >> bit % 8);
    return 0;
}

/* Adds `number` to the bits that end before `end`. */
static void add_at(struct network *net, unsigned int end, unsigned long long number)
{
    for (unsigned int bit = end; bit > 0 && number; bit--) {
        unsigned char mask = (unsigned char)(0x80U >> (bit - 1) % 8);
        unsigned char *byte = &net->bytes[(bit - 1) / 8];

        if (number & 1) {
            if (*byte & mask)
                number += 2; /* carried */
            *byte ^= mask;
        }
        number >>= 1;
    }
}

static int give(struct call *c, const struct network *net, bool prefix)
{
    char text[80];

    if (!inet_ntop(net->bits == 32 ? AF_INET : AF_INET6, net->bytes, text, 64))
        return -EINVAL;
    if (prefix)
        (void)snprintf(text + strlen(text), 8, "/%u", net->prefix);
    return call_give_text(c, text, strlen(text));
}

/* A whole number of at most `bits` bits, or from the end where that is allowed. */
static int take_number(struct call *c, size_t i, unsigned int bits, bool negative, double *ret)
{
    double most = bits > 53 ? 9007199254740992.0 : ldexp(1, (int)bits);
    int r = call_number(c, i, ret);

    if (r < 0)
        return r;
    if (*ret != floor(*ret) || *ret >= most || *ret < (negative ? -most : 0))
        return call_fail(c, "argument %zu of %s() does not fit into %u bits", i + 1, c->name, bits);
    return 0;
}

static int f_cidrhost(struct call *c)
{
    struct network net;
    double host;
    int r = read_network(c, 0, &net);

    if (r == 0)
        r = take_number(c, 1, net.bits - net.prefix, true, &host);
    if (r < 0)
        return r;
    if (host < 0) { /* all ones are -1 */
        for (unsigned int bit = net.prefix; bit < net.bits; bit++)
            net.bytes[bit / 8] |= (unsigned char)(0x80U >> bit % 8);
        for (unsigned int bit = net.bits; bit > net.prefix; bit--) {
            unsigned int back = net.bits - bit;

            if (back < 53 && ((unsigned long long)(-host - 1) >> back & 1))
                net.bytes[(bit - 1) / 8] ^= (unsigned char)(0x80U >> (bit - 1) % 8);
        }
    } else {
        add_at(&net, net.bits, (unsigned long long)host);
    }
    return give(c, &net, false);
}

static int f_cidrnetmask(struct call *c)
{
    struct network net;
    int r = read_network(c, 0, &net);

    if (r < 0)
        return r;
    if (net.bits != 32)
        return call_fail(c, "only IPv4 networks have a netmask");
    memset(net.bytes, 0, sizeof(net.bytes));
    for (unsigned int bit = 0; bit < net.prefix; bit++)
        net.bytes[bit / 8] |= (unsigned char)(0x80U >> bit % 8);
    return give(c, &net, false);
}

static int f_cidrsubnet(struct call *c)
{
    struct network net;
    double more, number;
    int r = read_network(c, 0, &net);

    if (r == 0)
        r = call_number(c, 1, &more);
    if (r == 0 && (more < 0 || more != floor(more) || net.prefix + more > net.bits))
        r = call_fail(c, "there are %u bits behind the prefix", net.bits - net.prefix);
    if (r == 0)
        r = take_number(c, 2, (unsigned int)more, false, &number);
    if (r < 0)
        return r;
    net.prefix += (unsigned int)more;
    add_at(&net, net.prefix, (unsigned long long)number);
    return give(c, &net, true);
}

/* One behind the other, each of as many bits more. */
static int f_cidrsubnets(struct call *c)
{
    struct hcl_value *ret = c->ret, list = {.kind = HCL_LIST}, item;
    struct network whole, net;
    int r = read_network(c, 0, &whole);

    net = whole;
    c->ret = &item;
    for (size_t i = 1; r == 0 && i < c->n; i++) {
        struct network end;
        double more;
        unsigned int prefix;

        r = call_number(c, i, &more);
        if (r == 0 && (more < 1 || more != floor(more) || whole.prefix + more > whole.bits))
            r = call_fail(c, "argument %zu of cidrsubnets() is 1 to %u bits", i + 1,
                          whole.bits - whole.prefix);
        if (r < 0)
            break;
        prefix = whole.prefix + (unsigned int)more;
        if (i > 1) { /* begins where a network of its size may begin, behind the one before */
            add_at(&net, net.prefix, 1);
            end = net;
            for (unsigned int bit = prefix; bit < net.bits; bit++)
                end.bytes[bit / 8] &= (unsigned char)~(0x80U >> bit % 8);
            if (memcmp(end.bytes, net.bytes, sizeof(net.bytes)) != 0)
                add_at(&end, prefix, 1);
            net = end;
        }
        net.prefix = prefix;
        for (unsigned int bit = 0; r == 0 && bit < whole.prefix; bit++)
            if ((net.bytes[bit / 8] ^ whole.bytes[bit / 8]) & (0x80U >> bit % 8))
                r = call_fail(c, "there is no room for network %zu of cidrsubnets()", i);
        if (r == 0)
            r = give(c, &net, true);
        if (r == 0)
            r = value_append(c->x, &list, NULL, &item);
    }
    *ret = list;
    c->ret = ret;
    return r;
}

const struct function functions_net[] = {
    {"cidrhost", 2, 2, f_cidrhost},
    {"cidrnetmask", 1, 1, f_cidrnetmask},
    {"cidrsubnet", 3, 3, f_cidrsubnet},
    {"cidrsubnets", 1, 0, f_cidrsubnets},
    {0},
};
