/* SPDX-License-Identifier: MIT
 *
 * /v1/metrics: figures of this manager, its allocations and their tasks, read when somebody asks
 * and at no other time.
 *
 * Reading a task's control group takes a while, so a few tasks have their turn per turn of the
 * loop, until there is a row for each; then the text is written, figure by figure, because that
 * format wants all samples of a name in one place. Allocations may come and go meanwhile: they are
 * known by id, those that are gone are left out.
 *
 * Names and labels are Nomad's where it has them; what begins with "cleat." is ours. Nomad's JSON
 * has sums over ten seconds as counters. Nothing is counted here between questions, so that a count
 * since the beginning is a gauge there; to Prometheus it is the counter that it wants.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"
#include "manager/host/stats.h"
#include "shared/cleanup.h"
#include "shared/clock.h"

enum {
    TASKS_PER_TURN = 8
};

enum figure {
    ALLOCS_BLOCKED,
    ALLOCS_MIGRATING,
    ALLOCS_PENDING,
    ALLOCS_RUNNING,
    ALLOCS_TERMINAL,
    HOST_UPTIME,
    MANAGER_CPU,
    MANAGER_MEMORY,
    MEMORY_ALLOCATED,
    MEMORY_RSS,
    MEMORY_CACHE,
    MEMORY_SWAP,
    MEMORY_MAPPED,
    MEMORY_USAGE,
    MEMORY_MAX_USAGE,
    MEMORY_KERNEL,
    CPU_ALLOCATED,
    CPU_PERCENT,
    CPU_SYSTEM,
    CPU_USER,
    CPU_TICKS,
    CPU_THROTTLED_TIME,
    CPU_THROTTLED_PERIODS,
    CPU_USER_S,
    CPU_SYSTEM_S,
    PIDS,
    IO_READ,
    IO_WRITTEN,
    RESTARTS,
    LOST_STDOUT,
    LOST_STDERR,
    FIGURE_N
};

/* Those of one name stand together. */
static const struct {
    const char *name;
    bool counter;
    const char *label, *value; /* one more */
    const char *help;
} figures[FIGURE_N] = {
    [ALLOCS_BLOCKED] = {"nomad.client.allocations.blocked", .help = "Allocations that wait"},
    [ALLOCS_MIGRATING] = {"nomad.client.allocations.migrating", .help = "Allocations that move"},
    [ALLOCS_PENDING] = {"nomad.client.allocations.pending", .help = "Allocations to be started"},
    [ALLOCS_RUNNING] = {"nomad.client.allocations.running", .help = "Allocations that run"},
    [ALLOCS_TERMINAL] = {"nomad.client.allocations.terminal", .help = "Finished allocations"},
    [HOST_UPTIME] = {"nomad.client.uptime", .help = "Seconds since the host was started"},
    [MANAGER_CPU] = {"cleat.manager.cpu_seconds_total", true, .help = "CPU time of the manager"},
    [MANAGER_MEMORY] = {"cleat.manager.resident_bytes", .help = "Memory of the manager"},
    [MEMORY_ALLOCATED] = {"nomad.client.allocs.memory.allocated", .help = "Bytes asked for"},
    [MEMORY_RSS] = {"nomad.client.allocs.memory.rss", .help = "Bytes of anonymous memory"},
    [MEMORY_CACHE] = {"nomad.client.allocs.memory.cache", .help = "Bytes of cached files"},
    [MEMORY_SWAP] = {"nomad.client.allocs.memory.swap", .help = "Bytes swapped out"},
    [MEMORY_MAPPED] = {"nomad.client.allocs.memory.mapped_file", .help = "Bytes of mapped files"},
    [MEMORY_USAGE] = {"nomad.client.allocs.memory.usage", .help = "Bytes in all"},
    [MEMORY_MAX_USAGE] = {"nomad.client.allocs.memory.max_usage", .help = "Bytes at the most"},
    [MEMORY_KERNEL] = {"nomad.client.allocs.memory.kernel_usage", .help = "Bytes in the kernel"},
    [CPU_ALLOCATED] = {"nomad.client.allocs.cpu.allocated", .help = "MHz asked for"},
    [CPU_PERCENT] = {"nomad.client.allocs.cpu.total_percent",
                     .help = "Percent of one core since the last question"},
    [CPU_SYSTEM] = {"nomad.client.allocs.cpu.system", .help = "The same, in the kernel"},
    [CPU_USER] = {"nomad.client.allocs.cpu.user", .help = "The same, outside of it"},
    [CPU_TICKS] = {"nomad.client.allocs.cpu.total_ticks", .help = "MHz since the last question"},
    [CPU_THROTTLED_TIME] = {"nomad.client.allocs.cpu.throttled_time",
                            .help = "Nanoseconds held back by a limit"},
    [CPU_THROTTLED_PERIODS] = {"nomad.client.allocs.cpu.throttled_periods",
                               .help = "Times held back by a limit"},
    [CPU_USER_S] = {"cleat.cpu_seconds_total", true, "mode", "user",
                    "CPU time since the newest start"},
    [CPU_SYSTEM_S] = {"cleat.cpu_seconds_total", true, "mode", "system"},
    [PIDS] = {"cleat.pids", .help = "Processes and threads"},
    [IO_READ] = {"cleat.io_bytes_total", true, "direction", "read",
                 "Bytes to and from disks since the newest start"},
    [IO_WRITTEN] = {"cleat.io_bytes_total", true, "direction", "write"},
    [RESTARTS] = {"nomad.client.allocs.restart", true, .help = "Restarts"},
    [LOST_STDOUT] = {"cleat.log_lost_bytes_total", true, "stream", "stdout",
                     "Bytes of output that could not be written to a log segment"},
    [LOST_STDERR] = {"cleat.log_lost_bytes_total", true, "stream", "stderr"},
};

struct row {
    char *labels;            /* in the format of the reply, without braces */
    double values[FIGURE_N]; /* NAN: there is none */
};

struct metrics {
    struct source source; /* first */
    struct manager *manager;
    bool prometheus;
    char host[HOST_NAME_MAX + 1];
    char (*ids)[37]; /* of the allocations */
    size_t n_ids, id;
    struct row *rows;
    size_t n_rows, room;
    bool begun, any, ended;
    int figure; /* with `row`: the value that is written next */
    size_t row;
    const char *told; /* the name whose samples are being written */
};

/* Rows */

static void write_label(FILE *out, const char *key, const char *value)
{
    (void)fprintf(out, "%s=\"", key);
    for (; *value; value++)
        if (*value == '\n')
            (void)fputs("\\n", out);
        else
            (void)fprintf(out, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    (void)fputc('"', out);
}

static char *labels_for_prometheus(json_t *labels)
{
    char *text = NULL;
    const char *key;
    json_t *value;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    json_object_foreach(labels, key, value)
    {
        if (ftell(out) > 0)
            (void)fputc(',', out);
        write_label(out, key, json_string_value(value));
    }
    if (fclose(out)) {
        free(text);
        return NULL;
    }
    return text;
}

/* The object without its braces. */
static char *labels_for_json(const json_t *labels)
{
    char *text = json_dumps(labels, JSON_COMPACT);
    size_t n = text ? strlen(text) : 0;

    if (n) {
        text[n - 1] = '\0';
        (void)memmove(text, text + 1, n - 1);
    }
    return text;
}

/* Takes over `labels`. NULL: no memory. */
static struct row *add_row(struct metrics *m, json_t *labels)
{
    struct row *row;

    if (m->n_rows == m->room) {
        size_t room = m->room ? m->room * 2 : 16;
        struct row *rows = reallocarray(m->rows, room, sizeof(*rows));

        if (rows) {
            m->rows = rows;
            m->room = room;
        }
    }
    row = labels && m->n_rows < m->room ? &m->rows[m->n_rows] : NULL;
    if (row) {
        row->labels = m->prometheus ? labels_for_prometheus(labels) : labels_for_json(labels);
        for (int i = 0; i < FIGURE_N; i++)
            row->values[i] = NAN;
    }
    json_decref(labels);
    if (!row || !row->labels)
        return NULL;
    m->n_rows++;
    return row;
}

static double resident_bytes(void)
{
    autoclose FILE *f = fopen("/proc/self/statm", "re");
    unsigned long pages;

    return f && fscanf(f, "%*u %lu", &pages) == 1 ? (double)pages * (double)sysconf(_SC_PAGESIZE)
                                                  : NAN;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void count_allocs(const struct manager *manager, double *values)
{
    for (int i = ALLOCS_BLOCKED; i <= ALLOCS_TERMINAL; i++)
        values[i] = 0;
    for (const struct alloc *a = manager_allocs(manager); a; a = a->next)
        values[a->client == CLIENT_PENDING   ? ALLOCS_PENDING
               : a->client == CLIENT_RUNNING ? ALLOCS_RUNNING
                                             : ALLOCS_TERMINAL]++;
}

static int add_node(struct metrics *m, const struct config *config)
{
    struct row *row =
        add_row(m, json_pack("{s:o,s:o,s:s}", "datacenter", encode_text(config->datacenter), "host",
                             encode_text(m->host), "node_id", manager_node_id(m->manager)));
    struct rusage usage;

    if (!row)
        return -ENOMEM;
    (void)getrusage(RUSAGE_SELF, &usage);
    count_allocs(m->manager, row->values);
    row->values[HOST_UPTIME] = (double)(clock_now_ns(CLOCK_BOOTTIME) / 1000000000);
    row->values[MANAGER_CPU] = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    row->values[MANAGER_MEMORY] = resident_bytes();
    return 0;
}

/* 0: not measured here. */
static double some(uint64_t value)
{
    return value ? (double)value : NAN;
}

static void fill_memory(double *values, const struct usage_memory *memory)
{
    values[MEMORY_RSS] = (double)memory->rss;
    values[MEMORY_CACHE] = (double)memory->cache;
    values[MEMORY_SWAP] = (double)memory->swap;
    values[MEMORY_MAPPED] = (double)memory->mapped;
    values[MEMORY_USAGE] = (double)memory->usage;
    values[MEMORY_MAX_USAGE] = some(memory->max_usage);
    values[MEMORY_KERNEL] = some(memory->kernel);
}

static void fill_cpu(double *values, const struct usage *u)
{
    values[CPU_PERCENT] = u->percent;
    values[CPU_SYSTEM] = u->system_percent;
    values[CPU_USER] = u->user_percent;
    values[CPU_TICKS] = u->ticks;
    values[CPU_THROTTLED_TIME] = (double)u->throttled_ns;
    values[CPU_THROTTLED_PERIODS] = (double)u->throttled_periods;
    values[CPU_USER_S] = (double)u->user_ns / 1e9;
    values[CPU_SYSTEM_S] = (double)u->system_ns / 1e9;
}

static void fill_usage(double *values, struct task *task)
{
    struct usage u;

    stats_task(task, clock_now_ns(CLOCK_REALTIME), &u);
    values[MEMORY_ALLOCATED] = some((uint64_t)task->def->resources.memory_mb << 20);
    values[CPU_ALLOCATED] = some((uint64_t)task->def->resources.cpu_mhz);
    if (u.has_memory)
        fill_memory(values, &u.memory);
    if (u.has_cpu)
        fill_cpu(values, &u);
    values[PIDS] = some(u.pids);
    values[IO_READ] = some(u.read_bytes);
    values[IO_WRITTEN] = some(u.write_bytes);
}

static int add_task(struct metrics *m, struct task *task)
{
    const struct alloc *alloc = task->alloc;
    const struct job *job = alloc->job->job;
    const struct task_summary *status = &task->status;
    struct row *row;

    if (status->state == TASK_STATE_DEAD && !status->log_lost_bytes)
        return 0;
    row = add_row(m, json_pack("{s:s,s:o,s:o,s:o,s:o,s:o}", "alloc_id", alloc->id, "host",
                               encode_text(m->host), "job", encode_text(job->name), "namespace",
                               encode_text(job->namespace_), "task", encode_text(task->def->name),
                               "task_group", encode_text(alloc->group->name)));
    if (!row)
        return -ENOMEM;
    row->values[RESTARTS] = status->restarts;
    row->values[LOST_STDOUT] = (double)(status->log_lost_bytes - status->log_lost_stderr_bytes);
    row->values[LOST_STDERR] = (double)status->log_lost_stderr_bytes;
    if (status->state == TASK_STATE_RUNNING)
        fill_usage(row->values, task);
    return 0;
}

static int gather(struct metrics *m)
{
    for (size_t n = 0; n < TASKS_PER_TURN && m->id < m->n_ids; m->id++, n++) {
        struct alloc *alloc = manager_find_alloc(m->manager, m->ids[m->id]);

        for (size_t i = 0; alloc && i < alloc->group->n_tasks; i++, n++)
            if (add_task(m, &alloc->tasks[i]))
                return -ENOMEM;
    }
    return 0;
}

/* Text */

struct text {
    char *buf;
    size_t size, n;
};

/* False: no room, and nothing is written. */
static bool put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool put(struct text *t, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(t->buf + t->n, t->size - t->n, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= t->size - t->n)
        return false;
    t->n += (size_t)n;
    return true;
}

static const char *prometheus_name(const char *name, char buf[64])
{
    (void)snprintf(buf, 64, "%s", name);
    for (char *p = buf; (p = strchr(p, '.'));)
        *p = '_';
    return buf;
}

static bool put_prometheus(struct metrics *m, struct text *t, double value)
{
    const char *label = figures[m->figure].label, *labels = m->rows[m->row].labels;
    char buf[64];
    const char *name = prometheus_name(figures[m->figure].name, buf);

    if (m->told != figures[m->figure].name &&
        !put(t, "# HELP %s %s\n# TYPE %s %s\n", name, figures[m->figure].help, name,
             figures[m->figure].counter ? "counter" : "gauge"))
        return false;
    m->told = figures[m->figure].name;
    return label ? put(t, "%s{%s,%s=\"%s\"} %.15g\n", name, labels, label, figures[m->figure].value,
                       value)
                 : put(t, "%s{%s} %.15g\n", name, labels, value);
}

static bool put_json(struct metrics *m, struct text *t, double value)
{
    const char *label = figures[m->figure].label, *labels = m->rows[m->row].labels;
    const char *name = figures[m->figure].name, *comma = m->any ? "," : "";
    bool ok = label ? put(t, "%s{\"Labels\":{%s,\"%s\":\"%s\"},\"Name\":\"%s\",\"Value\":%.15g}",
                          comma, labels, label, figures[m->figure].value, name, value)
                    : put(t, "%s{\"Labels\":{%s},\"Name\":\"%s\",\"Value\":%.15g}", comma, labels,
                          name, value);

    m->any |= ok;
    return ok;
}

static void put_values(struct metrics *m, struct text *t)
{
    for (; m->figure < FIGURE_N; m->figure++, m->row = 0)
        for (; m->row < m->n_rows; m->row++) {
            double value = m->rows[m->row].values[m->figure];

            if (!isnan(value) && !(m->prometheus ? put_prometheus : put_json)(m, t, value))
                return;
        }
}

/* The time as Go's time.Time.String() has it. */
static bool put_json_end(struct text *t)
{
    time_t now = time(NULL);
    char buf[32];
    struct tm tm;

    (void)strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S", gmtime_r(&now, &tm));
    return put(t, "],\"Points\":[],\"Samples\":[],\"Timestamp\":\"%s +0000 UTC\"}", buf);
}

static ssize_t metrics_read(struct source *source, char *buf, size_t size)
{
    struct metrics *m = container_of(source, struct metrics, source);
    struct text t = {.buf = buf, .size = size};

    if (m->id < m->n_ids) {
        int r = gather(m);

        return r ? r : -EINPROGRESS;
    }
    if (!m->begun && !m->prometheus)
        (void)put(&t, "{\"Counters\":[],\"Gauges\":[");
    m->begun = true;
    put_values(m, &t);
    if (m->figure == FIGURE_N && !m->ended)
        m->ended = m->prometheus || put_json_end(&t);
    return t.n || m->ended ? (ssize_t)t.n : -EMSGSIZE; /* labels longer than the buffer */
}

static void metrics_free(struct source *source)
{
    struct metrics *m = container_of(source, struct metrics, source);

    for (size_t i = 0; i < m->n_rows; i++)
        free(m->rows[i].labels);
    free(m->rows);
    free(m->ids);
    free(m);
}

static int list_allocs(struct metrics *m)
{
    size_t n = 0;

    for (const struct alloc *a = manager_allocs(m->manager); a; a = a->next)
        n++;
    m->ids = calloc(n + 1, sizeof(*m->ids));
    if (!m->ids)
        return -ENOMEM;
    for (const struct alloc *a = manager_allocs(m->manager); a; a = a->next)
        memcpy(m->ids[m->n_ids++], a->id, sizeof(a->id));
    return 0;
}

void metrics_get(struct request *r)
{
    const struct config_telemetry *telemetry = &r->api->config->telemetry;
    const char *format = request_param(r, "format");
    bool prometheus = format && !strcmp(format, "prometheus");
    struct metrics *m;

    if (format && *format && !prometheus) {
        request_reply_text(r, 400, "parameter \"format\" must be prometheus, not \"%s\"", format);
        return;
    }
    if (prometheus && !telemetry->prometheus_metrics) {
        request_reply_text(r, 415,
                           "Prometheus is not enabled: telemetry { prometheus_metrics } of "
                           "the agent's configuration is false");
        return;
    }
    m = calloc(1, sizeof(*m));
    if (m) {
        m->source = (struct source){.read = metrics_read, .free = metrics_free};
        m->manager = r->api->manager;
        m->prometheus = prometheus;
        (void)gethostname(m->host, sizeof(m->host) - 1);
    }
    if (!m || (telemetry->publish_allocation_metrics && list_allocs(m)) ||
        (telemetry->publish_node_metrics && add_node(m, r->api->config))) {
        if (m)
            metrics_free(&m->source);
        request_reply_text(r, 500, "out of memory");
        return;
    }
    request_reply_source(
        r, prometheus ? "text/plain; version=0.0.4; charset=utf-8" : "application/json",
        &m->source);
}
