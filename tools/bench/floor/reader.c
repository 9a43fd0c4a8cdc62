/* SPDX-License-Identifier: MIT
 *
 * reader KIND FILE: reads a file into memory, then turns it `rounds` times into what KIND says, and
 * prints the shortest time of one in nanoseconds and the peak of resident memory in KiB above what
 * it was before. Kinds: nothing (reads each byte once), json (jansson's tree), hcl (our tree), eval
 * (and evaluated), job (and decoded, checked and completed), job-json (the same from Nomad's JSON).
 */
#include <fcntl.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shared/hcl/eval.h"
#include "shared/job/job.h"

static const char *text;
static size_t size;
static volatile uint64_t sink;

static void die(const char *what)
{
    (void)fprintf(stderr, "reader: %s\n", what);
    exit(1);
}

static void read_nothing(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += (unsigned char)text[i];
    sink = sum;
}

static void read_json(void)
{
    json_t *json = json_loadb(text, size, 0, NULL);

    if (!json)
        die("not JSON");
    json_decref(json);
}

static struct hcl_file *parse(void)
{
    struct hcl_file *file = NULL;
    struct err e = ERR_INIT;

    if (hcl_parse_expr("bench.hcl", text, size, &file, &e) < 0)
        die(e.text);
    return file;
}

static struct hcl_file *evaluate(void)
{
    const struct hcl_eval_options options = {0};
    struct hcl_file *file = parse();
    struct err e = ERR_INIT;

    if (hcl_eval(file, &options, &e) < 0)
        die(e.text);
    return file;
}

static void read_hcl(void)
{
    (void)hcl_file_free(parse());
}

static void read_eval(void)
{
    (void)hcl_file_free(evaluate());
}

static void read_job(void)
{
    struct hcl_file *file = evaluate();
    struct err e = ERR_INIT;
    struct job *job;

    if (job_from_hcl(file, &job, &e) < 0)
        die(e.text);
    (void)job_free(job);
    (void)hcl_file_free(file);
}

static void read_job_json(void)
{
    json_t *json = json_loadb(text, size, 0, NULL);
    struct err e = ERR_INIT;
    struct job *job;

    if (!json || job_from_json(json, &job, &e) < 0)
        die(json ? e.text : "not JSON");
    (void)job_free(job);
    json_decref(json);
}

static const struct {
    const char *name;
    void (*read)(void);
} kinds[] = {
    {"nothing", read_nothing}, {"json", read_json}, {"hcl", read_hcl},
    {"eval", read_eval},       {"job", read_job},   {"job-json", read_job_json},
};

static void load(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *bytes;

    if (fd < 0 || fstat(fd, &st) < 0)
        die("cannot open the file");
    size = (size_t)st.st_size;
    bytes = malloc(size + 1);
    if (!bytes || read(fd, bytes, size) != (ssize_t)size)
        die("cannot read the file");
    bytes[size] = '\0';
    text = bytes;
    (void)close(fd);
}

/* Of /proc/self/status, in KiB. */
static long status(const char *key)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    long value = 0;

    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtol(line + strlen(key), NULL, 10);
    if (f)
        (void)fclose(f);
    return value;
}

static uint64_t now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int main(int argc, char **argv)
{
    uint64_t best = UINT64_MAX;
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    long before;

    if (argc < 3)
        die("usage: reader KIND FILE [ROUNDS]");
    load(argv[2]);
    before = status("VmHWM:");
    for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++)
        for (int i = 0; strcmp(kinds[k].name, argv[1]) == 0 && i < rounds; i++) {
            uint64_t start = now(), took;

            kinds[k].read();
            took = now() - start;
            best = took < best ? took : best;
        }
    if (best == UINT64_MAX)
        die("no such kind");
    (void)printf("%llu %ld\n", (unsigned long long)best, status("VmHWM:") - before);
    return 0;
}
