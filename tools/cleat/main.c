/* SPDX-License-Identifier: MIT
 *
 * The `cleat` command line: finds the command, parses its options, runs it. Options take one or two
 * dashes and stand anywhere.
 */
#include <curl/curl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/place.h"
#include "tools/cleat/cli.h"

static const struct command *const groups[] = {job_commands,   version_commands, dispatch_commands,
                                               alloc_commands, log_commands,     node_commands,
                                               system_commands};

/* Every option there is; a command has those it names, and the common ones. */
static const struct option_help {
    const char *name;
    char letter;
    const char *arg; /* NULL: none but "=BOOL", which all of these take */
    bool common;
    const char *text;
} options[] = {
    {"detach", 'd', NULL, false, "do not wait: return when the manager has accepted"},
    {"stdout", 'o', NULL, false, "standard output; with -stderr, both"},
    {"stderr", 'e', NULL, false, "standard error"},
    {"f", 'f', NULL, false, "follow: go on with what comes"},
    {"tail", 't', NULL, false, "only the end: 10 lines unless -n or -c says otherwise"},
    {"n", 'n', "N", false, "the last N lines"},
    {"c", 'c', "N", false, "the last N bytes"},
    {"since", 'z', "WHEN", false,
     "from the segment on that was written to at that time: 10m (ago), or\n"
     "                 2026-01-31T12:00:00Z"},
    {"task", 'k', "TASK", false, "the task; may be left out where there is only one"},
    {"i", 'i', "=BOOL", false, "pass standard input on (default true)"},
    {"t", 'T', "=BOOL", false, "give it a terminal (default: if stdin and stdout are one)"},
    {"stat", 's', NULL, false, "show what a path is, not what is in it"},
    {"state", 'S', "STATE", false, "pause (the default) or run"},
    {"s", 'G', "SIGNAL", false, "the signal (default SIGKILL): SIGHUP, HUP or 1"},
    {"all-tasks", 'A', NULL, false, "every task"},
    {"status", 'p', NULL, false, "only show how it is"},
    {"stats", 'u', NULL, false, "show what the tasks use"},
    {"format", 'F', "FORMAT", false, "prometheus, instead of JSON"},
    {"meta", 'M', "KEY=VALUE", false, "meta of the launched job; may be repeated"},
    {"idempotency-token", 'I', "TOKEN", false,
     "launch it only if none was with this token; else that one is meant"},
    {"id-prefix-template", 'P', "TEXT", false, "the launched job's name has this in it"},
    {"priority", 'Y', "N", false, "of the launched job, 1 to 100 (default: that of its parent)"},
    {"var", 'V', "K=V", false, "a value for a variable of the job file; may be repeated"},
    {"var-file", 'W', "FILE", false, "a file of such values, a line K = V each; may be repeated"},
    {"check-index", 'X', "N", false,
     "only if that is the job's modify index, as \"job plan\" shows it; 0: only if\n"
     "                 there is no such job"},
    {"purge", 'U', NULL, false, "forget it as well, and remove its allocations"},
    {"force-reschedule", 'R', NULL, false, "replace the allocations that failed"},
    {"p", 'D', NULL, false, "with what each version changed"},
    {"version", 'E', "N", false, "that version"},
    {"json", 'j', NULL, true, "print JSON"},
    {"address", 'a', "ADDR", true,
     "where the manager is: unix:///PATH or http://127.0.0.1:PORT\n"
     "                 (default: $CLEAT_ADDR, or where your own or else the system's manager\n"
     "                 listens if nobody says where)"},
    /* Nomad's, which say nothing that is not so anyway. */
    {"short", '-', NULL, true, NULL},
    {"verbose", '-', NULL, true, NULL},
    {"self", '-', NULL, false, NULL},
    {"h", 'h', NULL, true, "this help (also -help)"},
    {"help", 'h', NULL, true, NULL},
};

int cli_fail(int code, const char *fmt, ...)
{
    va_list args;

    (void)fflush(stdout);
    (void)fputs("cleat: ", stderr);
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fputc('\n', stderr);
    return code;
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
    va_list args;

    (void)fputs("cleat: ", stderr);
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fprintf(stderr, "\nusage: cleat %s [options]%s%s\nhelp:  cleat %s -h\n", cli->name,
                  *cli->command->args ? " " : "", cli->command->args, cli->name);
    return CLI_USAGE;
}

static bool has_option(const struct command *command, const struct option_help *option)
{
    char word[32];

    (void)snprintf(word, sizeof(word), " %s ", option->name);
    return option->common || strstr(command->options, word);
}

static void print_examples(const char *name, const char *examples)
{
    (void)puts("\nExamples:");
    do {
        int n = (int)strcspn(examples, "\n");

        (void)printf("  cleat %s%s%.*s\n", name, n ? " " : "", n, examples);
        examples += n + (examples[n] == '\n');
    } while (*examples);
}

static void print_help(const struct cli *cli)
{
    const struct command *command = cli->command;

    (void)printf("Usage: cleat %s [options]%s%s\n\n%s.\n%s\nOptions:\n", cli->name,
                 *command->args ? " " : "", command->args, command->summary, command->text);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        char left[32];

        if (!options[i].text || !has_option(command, &options[i]) ||
            (options[i].letter == 'a' && strstr(command->options, " local ")))
            continue;
        (void)snprintf(left, sizeof(left), "-%s%s%s", options[i].name,
                       options[i].arg && options[i].arg[0] != '=' ? " " : "",
                       options[i].arg ? options[i].arg : "");
        (void)printf(strlen(left) < 15 ? "  %-15s%s\n" : "  %s\n                 %s\n", left,
                     options[i].text);
    }
    print_examples(cli->name, command->examples);
}

static void print_overview(FILE *out)
{
    (void)fputs("Usage: cleat COMMAND [options] [arguments]\n\nCommands:\n", out);
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        for (const struct command *c = groups[i]; c->name; c++)
            (void)fprintf(out, "  %-26s%s%s%s%s\n", c->name, c->summary,
                          c->alias ? " (short: " : "", c->alias ? c->alias : "",
                          c->alias ? ")" : "");
    (void)fputs("\nEvery command has -json, -address ADDR and -h, which shows examples.\n"
                "Ids may be shortened as long as they are unique.\n\n"
                "Exit codes: 0 done, 1 failed, 2 wrong use, 3 no manager answers, 4 not found or "
                "not unique.\n",
                out);
}

/* Whether a flag is set ("-t=true") or not ("-t=false"), in the spellings of Go's flag package,
 * which Nomad's users know; a NULL leaves on as it is. Returns false if value is none of them. */
static bool parse_flag(const char *value, bool *on)
{
    static const char *const words[] = {"false", "true", "0",     "1",    "f",     "t",
                                        "F",     "T",    "FALSE", "TRUE", "False", "True"};

    for (size_t i = 0; value && i < ARRAY_LEN(words); i++) {
        if (strcmp(value, words[i]) != 0)
            continue;
        *on = i % 2;
        return true;
    }
    return !value;
}

/* Sets one option: a flag to on, one with an argument to value. */
static void set_option(struct cli *cli, int letter, const char *value, bool on)
{
    switch (letter) {
    case 'd':
        cli->detach = on;
        break;
    case 'o':
        cli->from_stdout = on;
        break;
    case 'z':
        cli->since = value;
        break;
    case 'e':
        cli->from_stderr = on;
        break;
    case 'f':
        cli->follow = on;
        break;
    case 't':
        cli->tail = on;
        break;
    case 'n':
        cli->lines = value;
        break;
    case 'c':
        cli->bytes = value;
        break;
    case 'k':
        cli->task = value;
        break;
    case 'i':
        cli->stdin_ = on;
        break;
    case 'T':
        cli->tty = on;
        cli->set_tty = true;
        break;
    case 'F':
        cli->format = value;
        break;
    case 'S':
        cli->state = value;
        break;
    case 'G':
        cli->signal = value;
        break;
    case 'A':
        cli->all_tasks = on;
        break;
    case 'p':
        cli->status = on;
        break;
    case 'u':
        cli->stats = on;
        break;
    case 's':
        cli->stat = on;
        break;
    case 'I':
        cli->token = value;
        break;
    case 'P':
        cli->id_prefix = value;
        break;
    case 'Y':
        cli->priority = value;
        break;
    case 'V':
    case 'W':
        cli->inputs[cli->n_inputs].text = value;
        cli->inputs[cli->n_inputs++].is_file = letter == 'W';
        break;
    case 'X':
        cli->check_index = value;
        break;
    case 'U':
        cli->purge = on;
        break;
    case 'R':
        cli->force = on;
        break;
    case 'D':
        cli->diffs = on;
        break;
    case 'E':
        cli->version = value;
        break;
    case 'j':
        cli->json = on;
        break;
    case 'a':
        cli->address = value;
        break;
    }
}

static int argument_of(const struct option_help *option)
{
    return !option->arg || option->arg[0] == '=' ? optional_argument : required_argument;
}

/* What Nomad calls otherwise, or has and we have not. */
static const struct other_name {
    const char *name, *ours;
} other_names[] = {
    {"alloc-status", "cleat alloc status"},
    {"dispatch", "cleat job dispatch"},
    {"eval", "cleat job eval"},
    {"exec", "cleat alloc exec"},
    {"fs", "cleat alloc fs"},
    {"gc", "cleat system gc"},
    {"history", "cleat job history"},
    {"inspect", "cleat job inspect"},
    {"node-status", "cleat node status"},
    {"revert", "cleat job revert"},
    {"scale", "cleat job scale"},
    {"signal", "cleat alloc signal"},
    {"validate", "cleat job validate"},
    {"agent", "cleat-manager"},
    {"agent-info", "cleat node status"},
    {"job allocs", "cleat job status JOB"},
    {"system reconcile", "cleat system gc"},
};

/* Of the command's options those of Nomad's that we have not. */
static void tell_other_option(const char *option)
{
    option += strspn(option, "-");
    if (!strncmp(option, "job", 3) && strchr("=", option[3]))
        (void)fputs("give an allocation's ID; cleat job status JOB shows those of a job\n", stderr);
}

/* Parses what follows the command's name. Returns -1, or an exit code when that was all. */
static int parse_options(struct cli *cli, int argc, char **argv)
{
    const char *order = cli->command->max_args == ARGS_ANY ? "+" : "";
    struct option known[ARRAY_LEN(options) + 1] = {{0}};
    int index, letter;
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (has_option(cli->command, &options[i]))
            known[n++] =
                (struct option){options[i].name, argument_of(&options[i]), NULL, options[i].letter};
    optind = 0; /* glibc: start anew */
    while ((letter = getopt_long_only(argc, argv, order, known, &index)) != -1) {
        bool on = true;

        if (letter == '?') {
            tell_other_option(argv[optind - 1]);
            (void)fprintf(stderr, "help:  cleat %s -h\n", cli->name);
            return CLI_USAGE;
        }
        if (letter == 'h') {
            print_help(cli);
            return CLI_OK;
        }
        if (known[index].has_arg == optional_argument && !parse_flag(optarg, &on))
            return cli_usage(cli, "-%s=%s: write true or false", known[index].name, optarg);
        if (letter == 'M') {
            if (cli->n_meta == ARRAY_LEN(cli->meta))
                return cli_usage(cli, "more than %zu of -meta", ARRAY_LEN(cli->meta));
            cli->meta[cli->n_meta++] = optarg;
        } else if ((letter == 'V' || letter == 'W') && cli->n_inputs == ARRAY_LEN(cli->inputs)) {
            return cli_usage(cli, "more than %zu of -var and -var-file", ARRAY_LEN(cli->inputs));
        } else {
            set_option(cli, letter, optarg, on);
        }
    }
    cli->args = argv + optind;
    cli->n_args = argc - optind;
    return -1;
}

/* Where the second argument may be a task, it is another way to say -task. */
static int take_task(struct cli *cli)
{
    if (cli->command->max_args != 2 || cli->n_args < 2 || !strstr(cli->command->options, " task "))
        return CLI_OK;
    if (cli->task)
        return cli_usage(cli, "two tasks are named, \"%s\" and \"%s\"", cli->task, cli->args[1]);
    cli->task = cli->args[1];
    return CLI_OK;
}

static int check_args(struct cli *cli)
{
    /* Another program's arguments may be empty. */
    int n_checked = cli->command->max_args == ARGS_ANY ? cli->command->min_args : cli->n_args;

    if (cli->n_args < cli->command->min_args)
        return cli_usage(cli, "cleat %s needs %s", cli->name, cli->command->args);
    if (cli->n_args > cli->command->max_args)
        return cli_usage(cli, "cleat %s: \"%s\" is one argument too many", cli->name,
                         cli->args[cli->command->max_args]);
    for (int i = 0; i < cli->n_args && i < n_checked; i++)
        if (!*cli->args[i])
            return cli_usage(cli, "cleat %s: an argument is empty", cli->name);
    return take_task(cli);
}

/* The command that the words begin with, and how many of them are its name. */
static const struct command *find_command(int n_words, char **words, int *ret_used)
{
    char two[64] = "";

    if (n_words > 1)
        (void)snprintf(two, sizeof(two), "%s %s", words[0], words[1]);
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        for (const struct command *c = groups[i]; c->name; c++) {
            bool one = !strcmp(words[0], c->name) || (c->alias && !strcmp(words[0], c->alias));

            if (one || !strcmp(two, c->name)) {
                *ret_used = one ? 1 : 2;
                return c;
            }
        }
    return NULL;
}

/* Lists the commands of the group that the first word names; false if it names none. */
static bool print_group(const char *word, FILE *out)
{
    bool found = false;

    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        for (const struct command *c = groups[i]; c->name; c++)
            if (!strncmp(c->name, word, strlen(word)) && c->name[strlen(word)] == ' ') {
                (void)fprintf(out, "  %-26s%s\n", c->name, c->summary);
                found = true;
            }
    return found;
}

static bool is_help(const char *word)
{
    return !strcmp(word, "-h") || !strcmp(word, "-help") || !strcmp(word, "--help") ||
           !strcmp(word, "--h") || !strcmp(word, "help");
}

static bool is_version(const char *word)
{
    return !strcmp(word, "-version") || !strcmp(word, "--version");
}

static const char *find_other_name(int n_words, char **words)
{
    char two[64];

    if (!n_words)
        return NULL;
    (void)snprintf(two, sizeof(two), "%s %s", words[0], n_words > 1 ? words[1] : "");
    for (size_t i = 0; i < ARRAY_LEN(other_names); i++)
        if (!strcmp(words[0], other_names[i].name) || !strcmp(two, other_names[i].name))
            return other_names[i].ours;
    return NULL;
}

static int unknown_command(int n_words, char **words)
{
    bool wants_help = n_words > 1 && is_help(words[1]);
    const char *ours = find_other_name(n_words, words);

    if (ours)
        return cli_fail(CLI_USAGE, "the command is called otherwise here: %s", ours);
    if (n_words && (n_words == 1 || wants_help) &&
        print_group(words[0], wants_help ? stdout : stderr))
        return wants_help ? CLI_OK : CLI_USAGE;
    if (n_words > 1 && print_group(words[0], stderr))
        return cli_fail(CLI_USAGE, "\"%s\" has no command \"%s\"; those above are all", words[0],
                        words[1]);
    if (n_words)
        (void)cli_fail(0, "there is no command \"%s\"", words[0]);
    print_overview(stderr);
    return CLI_USAGE;
}

/* -json and -address may stand before the command's name: moves `argv` on to it. */
static int skip_leading_options(struct cli *cli, int *argc, char ***argv)
{
    static const struct command any = {.name = "", .args = "", .options = ""};
    int n = 1;

    while (n < *argc && (*argv)[n][0] == '-' && !is_help((*argv)[n]) && !is_version((*argv)[n])) {
        const char *name = (*argv)[n] + strspn((*argv)[n], "-");

        n += !strcmp(name, "address") || !strcmp(name, "a") ? 2 : 1;
    }
    if (n > *argc)
        n = *argc;
    cli->command = &any;
    cli->name = "COMMAND";
    if (n > 1) {
        int r = parse_options(cli, n, *argv);

        if (r >= 0)
            return r;
    }
    *argc -= n - 1;
    *argv += n - 1;
    return -1;
}

int main(int argc, char **argv)
{
    const char *address = getenv("CLEAT_ADDR");
    autofree char *usual = place_address_to_call();
    struct cli cli = {.address = address && *address ? address : usual, .stdin_ = true};
    char name[64], program[] = "cleat";
    int used, r;

    if (!usual)
        abort();
    argv[0] = program; /* getopt's messages begin with it */
    r = skip_leading_options(&cli, &argc, &argv);
    if (r >= 0)
        return r;
    if (argc > 1 && is_help(argv[1])) {
        print_overview(stdout);
        return CLI_OK;
    }
    if (argc > 1 && is_version(argv[1]))
        argv[1] += strspn(argv[1], "-"); /* as the daemons have it */
    cli.command = argc > 1 ? find_command(argc - 1, argv + 1, &used) : NULL;
    if (!cli.command)
        return unknown_command(argc - 1, argv + 1);
    (void)snprintf(name, sizeof(name), "%s%s%s", argv[1], used > 1 ? " " : "",
                   used > 1 ? argv[2] : "");
    cli.name = name;
    argv[used] = program;
    r = parse_options(&cli, argc - used, argv + used);
    if (r < 0)
        r = check_args(&cli);
    else
        return r;
    if (r)
        return r;
    if (curl_global_init(CURL_GLOBAL_NOTHING))
        return cli_fail(CLI_FAILED, "libcurl does not start");
    r = cli.command->run(&cli);
    curl_global_cleanup();
    if (fflush(stdout) || ferror(stdout))
        return cli_fail(CLI_FAILED, "cannot write to stdout");
    return r;
}
