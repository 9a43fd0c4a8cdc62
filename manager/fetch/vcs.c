/* SPDX-License-Identifier: MIT
 *
 * The programs get a home of their own, ask nobody anything, and run no hooks. What they complain
 * about goes into a file, whose last lines are the reason for people.
 */
#include "manager/fetch/vcs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/fetch/report.h"
#include "shared/artifact.h"
#include "shared/cleanup.h"

enum {
    WORDS = 24,
    TEXT = 400,
};

#define COMPLAINTS "complaints"
#define SSH "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new"

struct line {
    char *words[WORDS];
    size_t n;
};

static void add(struct line *line, const char *word)
{
    if (line->n + 1 == WORDS)
        abort();
    line->words[line->n++] = (char *)word;
    line->words[line->n] = NULL;
}

static void add_all(struct line *line, const char *const *words)
{
    for (; *words; words++)
        add(line, *words);
}

/* The end of what the program said, on one line. */
static void read_complaints(int fd, char *text, size_t size)
{
    off_t end = lseek(fd, 0, SEEK_END), from = end > (off_t)size - 1 ? end - (off_t)size + 1 : 0;
    ssize_t n = pread(fd, text, size - 1, from);

    text[n > 0 ? n : 0] = '\0';
    (void)!write(STDERR_FILENO, text, strlen(text));
    while (n > 0 && (unsigned char)text[n - 1] <= ' ')
        text[--n] = '\0';
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
}

static int spawn(char *const *words, int out, pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    int r;

    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&files, out, 1);
    (void)posix_spawn_file_actions_adddup2(&files, out, 2);
    r = posix_spawnp(ret_pid, words[0], &files, NULL, words, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    return -r;
}

static int run(const struct line *line, struct err *e)
{
    autofd int out = open(COMPLAINTS, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const char *program = line->words[0];
    char text[TEXT];
    int status, r;
    pid_t pid;

    if (out < 0)
        return err_sys(e, -errno, "run %s", program);
    r = spawn(line->words, out, &pid);
    if (r == -ENOENT)
        return err_set(e, r, "there is no %s on this host; install it, or use another source",
                       program);
    if (r)
        return err_sys(e, r, "run %s", program);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(e, -errno, "wait for %s", program);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    read_complaints(out, text, sizeof(text));
    if (WIFSIGNALED(status))
        return err_set(e, -EIO, "%s was ended by signal %d: %s", program, WTERMSIG(status), text);
    return err_set(e, -EIO, "%s failed with code %d: %s", program, WEXITSTATUS(status), text);
}

/* ---- surroundings ---- */

static void set(const char *name, const char *value)
{
    if (setenv(name, value, 1) < 0)
        abort();
}

static int write_key(const char *key, struct err *e)
{
    autoclose FILE *f = fopen("home/key", "we");
    autofree unsigned char *bytes = malloc(strlen(key) + 4);
    EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
    int n = 0, rest = 0, r = -1;

    if (ctx && bytes) {
        EVP_DecodeInit(ctx);
        r = EVP_DecodeUpdate(ctx, bytes, &n, (const unsigned char *)key, (int)strlen(key));
        if (r >= 0)
            r = EVP_DecodeFinal(ctx, bytes + n, &rest);
    }
    EVP_ENCODE_CTX_free(ctx);
    if (r < 0 || n + rest == 0)
        return err_set(e, -EINVAL,
                       "the option sshkey is not base64; write it as `base64 -w0 KEY` prints it");
    if (!f || fchmod(fileno(f), 0600) < 0 ||
        fwrite(bytes, 1, (size_t)(n + rest), f) != (size_t)(n + rest) || fflush(f))
        return err_sys(e, -errno, "write the option sshkey to a file");
    return 0;
}

static int set_ssh(const struct artifact_source *source, struct err *e)
{
    char here[PATH_MAX], command[PATH_MAX + 256];
    int r;

    if (!getcwd(here, sizeof(here)))
        return err_sys(e, -errno, "find the current directory");
    (void)snprintf(command, sizeof(command), SSH " -o UserKnownHostsFile=%s/home/known_hosts",
                   here);
    if (*source->sshkey) {
        size_t n = strlen(command);

        r = write_key(source->sshkey, e);
        if (r)
            return r;
        (void)snprintf(command + n, sizeof(command) - n, " -o IdentitiesOnly=yes -i %s/home/key",
                       here);
    }
    set("GIT_SSH_COMMAND", command);
    return 0;
}

static int set_up(const struct fetch_order *order, struct err *e)
{
    char here[PATH_MAX - 16], path[PATH_MAX];

    if (!getcwd(here, sizeof(here)))
        return err_sys(e, -errno, "find the current directory");
    (void)snprintf(path, sizeof(path), "%s/home", here);
    set("HOME", path);
    (void)snprintf(path, sizeof(path), "%s/tmp", here);
    if (mkdir("tmp", 0700) < 0)
        return err_sys(e, -errno, "make a directory for temporary files");
    set("TMPDIR", path);
    set("GIT_TERMINAL_PROMPT", "0");
    set("GIT_ASKPASS", "/bin/false");
    set("GIT_ALLOW_PROTOCOL", "http:https:git:ssh");
    set("GIT_COMMITTER_NAME", "cleat");
    set("GIT_COMMITTER_EMAIL", "cleat@localhost");
    set("HGPLAIN", "1");
    if (order->insecure)
        set("GIT_SSL_NO_VERIFY", "1");
    return set_ssh(&order->source, e);
}

/* ---- git and hg ---- */

static struct line git_line(const char *tree)
{
    static const char *const quiet[] = {
        "git",       "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", "-c",
        "gc.auto=0", NULL};
    struct line line = {.n = 0};

    add_all(&line, quiet);
    if (tree) {
        add(&line, "-C");
        add(&line, tree);
    }
    return line;
}

static int git_get(const struct artifact_source *source, const char *tree, struct err *e)
{
    struct line line = git_line(NULL), checkout = git_line(tree), modules = git_line(tree);
    char depth[32];
    int r;

    (void)snprintf(depth, sizeof(depth), "--depth=%lld", (long long)source->depth);
    add(&line, "clone");
    add(&line, "--quiet");
    if (source->depth) {
        add(&line, depth);
        if (*source->ref) {
            add(&line, "--branch");
            add(&line, source->ref);
        }
    }
    add(&line, "--");
    add(&line, source->url);
    add(&line, tree);
    r = run(&line, e);
    if (!r && *source->ref && !source->depth) {
        add_all(&checkout, (const char *const[]){"checkout", "--quiet", source->ref, "--", NULL});
        r = run(&checkout, e);
    }
    if (r || faccessat(AT_FDCWD, tree, F_OK, 0) < 0)
        return r;
    add_all(&modules,
            (const char *const[]){"submodule", "--quiet", "update", "--init", "--recursive", NULL});
    if (source->depth)
        add(&modules, depth);
    return run(&modules, e);
}

static int hg_get(const struct fetch_order *order, const char *tree, struct err *e)
{
    struct line line = {.n = 0};

    add_all(&line, (const char *const[]){"hg", "--noninteractive", "--quiet", "clone", NULL});
    if (order->insecure)
        add(&line, "--insecure");
    if (*order->source.ref) {
        add(&line, "--updaterev");
        add(&line, order->source.ref);
    }
    add(&line, "--");
    add(&line, order->source.url);
    add(&line, tree);
    return run(&line, e);
}

int vcs_get(const struct fetch_order *order, const char *tree, struct err *e)
{
    struct report report;
    int r = set_up(order, e);

    if (r)
        return r;
    report_begin(&report, "download", 0);
    return order->source.kind == ARTIFACT_GIT ? git_get(&order->source, tree, e)
                                              : hg_get(order, tree, e);
}
