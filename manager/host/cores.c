/* SPDX-License-Identifier: MIT
 *
 * Who has which CPU is in the tasks (task->cpus) and, for the next manager, in their specs; there
 * is no third account that could disagree.
 */
#include "manager/host/cores.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/core.h"
#include "shared/cleanup.h"
#include "shared/proto/spec.h"
#include "shared/proto/wire.h"
#include "shared/statefile.h"

static int parse_number(const char **text, unsigned long *ret)
{
    char *end;

    if (**text < '0' || **text > '9')
        return -EINVAL;
    *ret = strtoul(*text, &end, 10);
    *text = end;
    return *ret < CPU_SETSIZE ? 0 : -EINVAL;
}

int cores_parse(const char *text, cpu_set_t *ret_cpus)
{
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    while (*text && *text != '\n') {
        unsigned long first, last;

        if (parse_number(&text, &first) < 0)
            return -EINVAL;
        last = first;
        if (*text == '-' && (text++, parse_number(&text, &last) < 0))
            return -EINVAL;
        for (; first <= last; first++)
            CPU_SET(first, &cpus);
        if (*text == ',')
            text++;
        else if (*text && *text != '\n')
            return -EINVAL;
    }
    *ret_cpus = cpus;
    return 0;
}

void cores_format(const cpu_set_t *cpus, char buf[CORES_TEXT_MAX])
{
    size_t used = 0;

    buf[0] = '\0';
    for (unsigned int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        unsigned int first = cpu;

        if (!CPU_ISSET(cpu, cpus))
            continue;
        while (cpu + 1 < CPU_SETSIZE && CPU_ISSET(cpu + 1, cpus))
            cpu++;
        used += (size_t)snprintf(buf + used, CORES_TEXT_MAX - used,
                                 first == cpu ? "%s%u" : "%s%u-%u", used ? "," : "", first, cpu);
    }
}

/* All CPUs of this node but for reserved ones (the last one is for tasks in any case), and those of
 * them that are taken. */
static void take_stock(const struct manager *m, cpu_set_t *ret_all, cpu_set_t *ret_taken)
{
    CPU_ZERO(ret_all);
    CPU_ZERO(ret_taken);
    (void)cores_parse(m->cgroup.cpus ? m->cgroup.cpus : "", ret_all);
    for (unsigned int cpu = 0; cpu < CPU_SETSIZE && m->config; cpu++)
        if (config_has_number(m->config->reserved.cores, cpu) && CPU_COUNT(ret_all) > 1)
            CPU_CLR(cpu, ret_all);
    for (const struct alloc *alloc = m->allocs; alloc; alloc = alloc->next)
        for (size_t i = 0; !alloc->tidy && i < alloc->group->n_tasks; i++) {
            cpu_set_t cpus;

            if (alloc->tasks[i].cpus && cores_parse(alloc->tasks[i].cpus, &cpus) == 0)
                CPU_OR(ret_taken, ret_taken, &cpus);
        }
}

int cores_check(const struct manager *m, const struct job_task *def, struct err *e)
{
    cpu_set_t all, taken;

    if (!def->resources.cores)
        return 0;
    take_stock(m, &all, &taken);
    if (def->resources.cores < CPU_COUNT(&all))
        return 0;
    return err_set(
        e, -EINVAL,
        "it asks for %lld cores, and this node has %d of which one is for all tasks; ask "
        "for fewer, or for \"cpu\"",
        (long long)def->resources.cores, CPU_COUNT(&all));
}

/* Keeps the others off what is taken. */
static void share_the_rest(const struct manager *m)
{
    char text[CORES_TEXT_MAX];
    cpu_set_t all, taken;

    take_stock(m, &all, &taken);
    CPU_AND(&taken, &taken, &all);
    CPU_XOR(&all, &all, &taken);
    cores_format(&all, text);
    cgroup_layout_share(&m->cgroup, text);
}

void cores_share(const struct manager *m)
{
    if (m->cgroup.cpuset && m->cgroup.shared)
        share_the_rest(m);
}

int cores_reserve(struct task *task, struct err *e)
{
    const struct manager *m = task->alloc->manager;
    unsigned int wanted = (unsigned int)task->def->resources.cores, found = 0, first = 0;
    char text[CORES_TEXT_MAX];
    cpu_set_t all, taken, own;

    if (!wanted || task->cpus)
        return 0;
    take_stock(m, &all, &taken);
    CPU_ZERO(&own);
    while (first < CPU_SETSIZE && !CPU_ISSET(first, &all))
        first++;
    for (unsigned int cpu = first + 1; cpu < CPU_SETSIZE && found < wanted; cpu++)
        if (CPU_ISSET(cpu, &all) && !CPU_ISSET(cpu, &taken)) {
            CPU_SET(cpu, &own);
            found++;
        }
    if (found < wanted)
        return err_set(e, -EAGAIN,
                       "it asks for %u cores, and only %u are free: stop a task that has some, or "
                       "ask for fewer",
                       wanted, found);
    cores_format(&own, text);
    task->cpus = strdup(text);
    if (!task->cpus)
        return err_sys(e, -ENOMEM, "reserve cores");
    share_the_rest(m);
    return 0;
}

void cores_adopt(struct task *task, const char *dir)
{
    struct exec_spec *spec = NULL;
    autofree char *data = NULL;
    struct err e = ERR_INIT;
    autofd int fd = -1;
    uint32_t version;
    size_t size;

    if (!task->def->resources.cores || task->cpus)
        return;
    fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || statefile_read(fd, WIRE_SPEC, SPEC_MAX_BYTES, &version, &data, &size, &e) < 0 ||
        spec_decode(data, size, &spec, &e) < 0)
        return;
    if (spec->limits.cpus)
        task->cpus = strdup(spec->limits.cpus);
    spec_free(spec);
    share_the_rest(task->alloc->manager);
}

void cores_release(struct task *task)
{
    if (!task->cpus)
        return;
    free(task->cpus);
    task->cpus = NULL;
    share_the_rest(task->alloc->manager);
}
