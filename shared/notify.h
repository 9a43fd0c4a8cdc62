/* SPDX-License-Identifier: MIT
 *
 * What a service tells the init system that started it: sd_notify(3), which is a datagram, and so
 * nothing that needs a library.
 */
#pragma once

/* Sends `state`, lines such as "READY=1", to the socket at `path`: what NOTIFY_SOCKET says, NULL
 * where nobody wants to be told. Negative errno. */
int notify_send(const char *path, const char *state);
