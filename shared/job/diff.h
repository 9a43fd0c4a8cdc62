/* SPDX-License-Identifier: MIT
 *
 * What differs between two definitions of a job, in the shape of Nomad's JobDiff: an object
 * {"Type": "None" | "Added" | "Deleted" | "Edited", "ID", "Fields": [{"Type", "Name", "Old", "New",
 * "Annotations"}], "Objects": [{"Type", "Name", "Fields", "Objects"}], "TaskGroups": [the same with
 * "Tasks", "Updates"]}. Fields of an object that differs are all there, others only where they do.
 */
#pragma once

#include <jansson.h>

/* Of two jobs as job_to_json() gives them; `from` may be NULL. New reference. */
json_t *job_diff(const json_t *from, const json_t *to);

/* Appends a note for people to the "Annotations" of a field, task or group of the result. */
void job_diff_annotate(json_t *diff, const char *note);
