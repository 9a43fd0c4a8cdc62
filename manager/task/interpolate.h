/* SPDX-License-Identifier: MIT
 *
 * ${…} in the texts of a job, in all places where they mean something: env, meta, user, the
 * driver's config, mount destinations, artifacts, templates, constraints.
 *
 * Known are the variables of an environment, as ${NAME} and ${env["NAME"]}, and of the node
 * ${attr.*}, ${meta.*}, ${node.unique.id}, ${node.unique.name}, ${node.datacenter},
 * ${node.region}, ${node.class} and ${node.pool}. What is unknown stays as written; "$${" is a
 * literal "${".
 */
#pragma once

#include <jansson.h>

#include "manager/bag.h"
#include "manager/config/config.h"

/* Where values come from; all borrowed. */
struct interpolation {
    const struct config *config;
    const char *node_id;
    const json_t *attributes; /* of the node: string to string */
    const json_t *vars;       /* string to string; NULL: the node's names alone */
};

/* `text` with its references replaced. */
char *interpolate(const struct interpolation *in, const char *text, struct bag *bag);

/* The same, and $NAME, as Nomad before 0.3 had it: names of letters, digits and "_". */
char *interpolate_legacy(const struct interpolation *in, const char *text, struct bag *bag);

/* A copy of `json` with all its strings, but no keys, replaced (new reference). Strings need be no
 * UTF-8. */
json_t *interpolate_json(const struct interpolation *in, const json_t *json);

/* The value of what stands between "${" and "}"; NULL: unknown. */
const char *interpolate_find(const struct interpolation *in, const char *name);

/* Calls `each` for every reference in `text`, "$${" aside. */
void interpolate_references(const char *text, void (*each)(void *arg, const char *name), void *arg);
