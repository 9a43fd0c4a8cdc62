/* SPDX-License-Identifier: MIT
 *
 * Whether the parent lives is seen by the pipe that it reads: pids are used again.
 */
#include "shared/helper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "shared/cleanup.h"

void helper_die_with_parent(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (poll(&out, 1, 0) == 1 && (out.revents & POLLERR))
        _exit(EXIT_FAILURE);
}

static int read_all(char *buf, size_t size, size_t *ret_len)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = read(STDIN_FILENO, buf + len, size - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0) {
            *ret_len = len;
            return 0;
        }
        len += (size_t)n;
    }
    return -E2BIG;
}

int helper_read_order(json_t **ret_order, struct err *e)
{
    autofree char *text = malloc(HELPER_ORDER_MAX + 1);
    json_error_t bad = {.text = "it is another value"};
    json_t *order;
    size_t len = 0;
    int r = text ? read_all(text, HELPER_ORDER_MAX + 1, &len) : -ENOMEM;

    if (r)
        return err_sys(e, r, "read the order");
    order = json_loadb(text, len, JSON_REJECT_DUPLICATES, &bad);
    if (!json_is_object(order)) {
        json_decref(order);
        return err_set(e, -EBADMSG, "the order is no JSON object: %s", bad.text);
    }
    *ret_order = order;
    return 0;
}

void helper_say(json_t *message)
{
    autofree char *text = json_dumps(message, JSON_COMPACT);

    json_decref(message);
    if (!text || dprintf(STDOUT_FILENO, "%s\n", text) < 0)
        _exit(EXIT_FAILURE);
}
