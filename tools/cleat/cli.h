/* SPDX-License-Identifier: MIT
 *
 * What the commands of `cleat` share: the parsed command line, exit codes, calls to the manager.
 *
 * A command prints its result on stdout and everything else on stderr, and returns an exit code.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* the manager refused, or what was asked for went wrong */
    CLI_USAGE = 2,       /* wrong command line */
    CLI_UNREACHABLE = 3, /* no answer from the manager */
    CLI_NOT_FOUND = 4,   /* no such job, allocation or task, or the short id fits several */
};

struct cli {
    const struct command *command;
    const char *name; /* of the command, as it was typed: "job run", "run" */
    const char *address;
    bool json;
    bool detach;
    bool follow;
    bool tail;
    bool from_stdout, from_stderr;
    bool stat;
    const char *task;
    bool stdin_, tty; /* -i, -t */
    bool set_tty;     /* -t was given */
    bool stats;
    const char *state; /* -state */
    bool status;
    const char *signal; /* -s */
    bool all_tasks;
    const char *lines; /* -n */
    const char *bytes; /* -c */
    const char *since;
    const char *format;
    const char *meta[64]; /* -meta, each time */
    int n_meta;
    const char *token;
    const char *check_index, *version;
    bool purge, diffs, force;
    const char *id_prefix;
    const char *priority;
    struct {
        const char *text;
        bool is_file;
    } inputs[64]; /* -var, -var-file, in their order */
    int n_inputs;
    char **args;
    int n_args;
};

enum {
    ARGS_ANY = 1 << 20 /* as max_args: a command line, with options of its own that are not ours */
};

struct command {
    const char *name;  /* "job run" */
    const char *alias; /* "run", or NULL */
    const char *args;  /* "FILE|-" */
    int min_args, max_args;
    const char *options;  /* names of its own options, each between spaces: " detach stat "; and
                             "local": asks no manager, so its help does not speak of -address */
    const char *summary;  /* one line */
    const char *text;     /* the rest of the help; examples come after it */
    const char *examples; /* lines, each the part after "cleat NAME" */
    int (*run)(struct cli *cli);
};

/* job.c, job_versions.c, dispatch.c, alloc.c, logcat.c, node.c, system.c; each array ends with a
 * zeroed entry. */
extern const struct command job_commands[];
extern const struct command version_commands[];
extern const struct command dispatch_commands[];
extern const struct command alloc_commands[];
extern const struct command log_commands[];
extern const struct command node_commands[];
extern const struct command system_commands[];

/* "cleat: …" on stderr; returns `code`. */
int cli_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Wrong use: the message, and where the help is. Returns CLI_USAGE. */
int cli_usage(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
