/* SPDX-License-Identifier: MIT
 *
 * The manager as a service of an init system that wants to be told how it is (sd_notify(3)). Under
 * any other all of this does nothing.
 */
#pragma once

#include <ev.h>

/* First of all: takes what the init system says in the environment out of that, since tasks may
 * have their part of it and are not who is meant. */
void service_init(void);

/* The manager answers. From now on the watchdog, if there is one, is told that the loop turns. */
void service_ready(struct ev_loop *loop);

/* Between these two the configuration is read again. */
void service_reloading(void);
void service_reloaded(void);

/* The manager ends; stops the watchdog's timer. */
void service_stopping(struct ev_loop *loop);
