/* SPDX-License-Identifier: MIT
 *
 * Simulates episodes: a machine, a few jobs, a few hundred to thousand turns of its processes with
 * faults between and within them; then calm, in which everything must come right, and a stop of
 * everything, which must end. Everything follows from the seed. An invariant that breaks ends the
 * program with status 1, after a search for a shorter episode that breaks the same one.
 */
#include <getopt.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "executor/supervisor.h"
#include "manager/alloc/alloc.h"
#include "manager/core.h"
#include "shared/proto/wire.h"
#include "tests/sim/sim.h"

enum {
    JOBS = 4,
    EPISODE_STEPS = 3000,
    CALM_TURNS = 200000,
    SEARCHED = 1000, /* episodes, for a shorter one */
};

struct job_model {
    bool known; /* acknowledged at least once */
    bool stop;
    uint64_t version;
    unsigned int variant;
    bool unsure; /* the manager crashed while it changed it */
    size_t allocs;
};

struct world world;
struct proc *volatile current;

static struct job_model jobs[JOBS];
static bool collected; /* finished allocations may be gone */
static int depth;      /* of processes running within each other's system calls */
static jmp_buf episode_end;
static char violation[512];

/* Chance */

static uint64_t mix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

uint32_t dice(uint32_t n)
{
    return (uint32_t)(mix(&world.random) >> 32) % n;
}

bool one_in(uint32_t n)
{
    return dice(n) == 0;
}

void trace(const char *fmt, ...)
{
    va_list ap;

    if (!world.trace)
        return;
    printf("%6llu %10.3fs ", (unsigned long long)world.step, (double)world.mono_ns / 1e9);
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    (void)putchar('\n');
}

void violated(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(violation, sizeof(violation), fmt, ap);
    va_end(ap);
    trace("VIOLATED: %s", violation);
    longjmp(episode_end, 1);
}

/* Turns */

static struct proc *pick(enum proc_kind kind, bool (*wants)(const struct proc *p))
{
    struct proc *found = NULL;
    uint32_t n = 0;

    for (int i = 0; i < world.n_procs; i++) {
        struct proc *p = &world.procs[i];

        if (p->alive && !p->running && p->kind == kind && wants(p) && one_in(++n))
            found = p;
    }
    return found;
}

/* Once there is calm, what was forked before it begins at last. */
static bool has_begun(const struct proc *p)
{
    return world.calm || p->begins <= world.step;
}

static bool is_late(const struct proc *p)
{
    return !has_begun(p);
}

static bool has_work(const struct proc *p)
{
    return p->killed || (has_begun(p) && (!p->supervisor || loop_has_event(p->loop)));
}

static bool any(const struct proc *p)
{
    (void)p;
    return true;
}

/* It would go on by itself, in calm as well. */
static bool is_moving(const struct proc *p)
{
    return p->killed || p->kind == PROC_HELPER ||
           (!p->frozen && (p->setup_error || (p->main && strchr("paz", role_of(p->dir))) ||
                           (p->main && !p->executed) || (p->signalled && !p->stubborn)));
}

static bool turn_of_executor(void)
{
    struct proc *p = pick(PROC_EXECUTOR, has_work);

    if (!p)
        return false;
    if (p->killed) {
        trace("executor %d is killed", p->pid);
        proc_die(p, SIGKILL);
        return true;
    }
    (void)proc_run(p, executor_code, NULL);
    return true;
}

static bool turn_of_task(void)
{
    struct proc *p = pick(PROC_HELPER, any);

    if (!p)
        p = pick(PROC_TASK, world.calm ? is_moving : any);
    if (!p)
        return false;
    task_act(p);
    return true;
}

static void manager_code(void *arg)
{
    (void)arg;
    if (one_in(2) || !loop_has_event(current->loop))
        loop_prepare(current->loop);
    loop_run_event(current->loop);
}

static bool turn_of_manager(void)
{
    struct proc *p = world.manager_proc;

    if (!p || p->running || !world.manager)
        return false;
    if (!loop_has_event(p->loop) && !world.manager->dirty)
        return false;
    (void)proc_run(p, manager_code, NULL);
    return true;
}

void tick(void)
{
    if (depth >= 2 || !one_in(16))
        return;
    depth++;
    switch (dice(3)) {
    case 0:
        (void)turn_of_executor();
        break;
    case 1:
        (void)turn_of_task();
        break;
    default:
        (void)turn_of_manager();
    }
    depth--;
}

/* Time */

static bool advance(uint64_t limit_ns)
{
    uint64_t next = FOREVER;

    for (int i = 0; i < world.n_procs; i++) {
        const struct proc *p = &world.procs[i];
        uint64_t at = p->alive && p->loop ? loop_next_timer(p->loop) : FOREVER;

        if (p->alive && p->kind == PROC_EXECUTOR && !p->supervisor && has_begun(p))
            return false; /* it has its timers yet to arm */
        if (at < next)
            next = at;
    }
    if (next == FOREVER || next <= world.mono_ns || next > limit_ns)
        return false;
    if (!world.calm && one_in(3))
        next = world.mono_ns + (next - world.mono_ns) / (1 + dice(4));
    world.real_ns += next - world.mono_ns;
    world.mono_ns = next;
    check_clock();
    return true;
}

/* What people and machines do */

struct change {
    unsigned int job;
    unsigned int variant;
    bool stop;
    bool done;
};

static json_t *task_json(char role, int number, uint64_t *r)
{
    static const char *const hooks[] = {['p'] = "prestart",
                                        ['s'] = "prestart",
                                        ['a'] = "poststart",
                                        ['b'] = "poststart",
                                        ['z'] = "poststop"};
    bool hooked = !strchr("ml", role);
    char name[16];
    json_t *task;

    (void)snprintf(name, sizeof(name), "%c%d", role, number);
    task = json_pack("{s:s, s:s, s:{s:s}, s:{s:i}, s:s, s:I, s:I, s:b}", "Name", name, "Driver",
                     "raw_exec", "Config", "command", "/bin/true", "Env", "V", (int)(mix(r) % 2),
                     "KillSignal", "SIGINT", "KillTimeout", (json_int_t)(mix(r) % 4 * 2 * SECOND),
                     "ShutdownDelay", (json_int_t)(mix(r) % 3 * SECOND), "Leader", role == 'l');
    if (hooked)
        (void)json_object_set_new(task, "Lifecycle",
                                  json_pack("{s:s, s:b}", "Hook", hooks[(unsigned char)role],
                                            "Sidecar", role == 's' || role == 'b'));
    if (hooked) /* so that its end is not far when calm comes */
        (void)json_object_set_new(task, "RestartPolicy",
                                  json_pack("{s:i, s:I, s:I, s:s}", "Attempts", 2, "Interval",
                                            (json_int_t)(20 * SECOND), "Delay", (json_int_t)SECOND,
                                            "Mode", "fail"));
    return task;
}

/* One or two main tasks, and what comes before, beside and after them; `kinds` says which. */
static json_t *tasks_json(uint64_t *r, uint64_t *kinds)
{
    static const char others[] = "ppsabz";
    int n = 1 + (int)(mix(kinds) % 2);
    bool leader = mix(kinds) % 4 == 0, plain = mix(kinds) % 2;
    json_t *tasks = json_array();

    for (int i = 0; i < n; i++)
        (void)json_array_append_new(tasks, task_json(leader && !i ? 'l' : 'm', i, r));
    for (int i = 0; !plain && others[i]; i++)
        if (mix(kinds) % 3 == 0)
            (void)json_array_append_new(tasks, task_json(others[i], i, r));
    return tasks;
}

/* A definition follows from the episode, the job and the variant, but for what cannot change. Two
 * of them may differ in what needs no restart, in one task of two, or in all. */
static json_t *define(unsigned int job, unsigned int variant, size_t *ret_allocs)
{
    uint64_t r = world.seed * 1000 + job * 100 + variant,
             fixed = world.seed * 1000 + job * 100 + 99;
    json_int_t interval = (json_int_t)((10 + mix(&r) % 60) * SECOND);
    bool service = mix(&fixed) % 2;
    int count = 1 + (int)(mix(&r) % 2), attempts = (int)(mix(&r) % 4);
    json_t *tasks = tasks_json(&r, mix(&r) % 4 ? &fixed : &r);
    char id[16];

    (void)snprintf(id, sizeof(id), "job%u", job);
    *ret_allocs = (size_t)count;
    return json_pack("{s:s, s:s, s:s, s:[s], s:[{s:s, s:i, s:I, s:{s:i, s:I, s:I, s:s}, s:o}]}",
                     "ID", id, "Name", id, "Type", service ? "service" : "batch", "Datacenters",
                     "dc1", "TaskGroups", "Name", "g", "Count", count, "ShutdownDelay",
                     (json_int_t)(mix(&r) % 4 / 2 * SECOND), "RestartPolicy", "Attempts", attempts,
                     "Interval", interval, "Delay", (json_int_t)(mix(&r) % 3 * SECOND), "Mode",
                     attempts && mix(&r) % 2 ? "delay" : "fail", "Tasks", tasks);
}

static const char *job_id(unsigned int job)
{
    static char id[16];

    (void)snprintf(id, sizeof(id), "job%u", job);
    return id;
}

/* What the manager has just acknowledged, or says after a start. */
static void learn(struct job_model *model, const struct job_record *record)
{
    model->known = record != NULL;
    model->stop = record && record->stop;
    model->version = record ? record->version : 0;
    model->unsure = false;
}

static void change_job(void *arg)
{
    struct change *c = arg;
    struct job_model *model = &jobs[c->job];
    struct job_record *record = NULL;
    struct err e = ERR_INIT;
    struct job *job;
    size_t allocs = model->allocs;
    bool unsure = model->unsure;
    json_t *json;
    int r;

    model->unsure = true;
    if (c->stop) {
        r = manager_job_deregister(world.manager, job_id(c->job), false, &e);
        record = manager_find_job(world.manager, job_id(c->job));
    } else {
        json = define(c->job, c->variant, &allocs);
        if (job_from_json(json, &job, &e))
            violated("a job of the simulator is no good: %s", e.text);
        json_decref(json);
        r = manager_job_register(world.manager, job, &record, &e);
        if (r)
            job_free(job);
    }
    trace("%s %s: %s", c->stop ? "stop" : "register", job_id(c->job), r ? e.text : "acknowledged");
    model->unsure = r && (unsure || c->stop); /* a stop holds, but may be on no record */
    if (r && c->stop)
        check_stop_unsaved(job_id(c->job));
    if (r)
        return;
    learn(model, record);
    model->variant = c->variant;
    model->allocs = allocs;
    c->done = true;
}

static void change(unsigned int job, bool stop)
{
    struct change c = {job, jobs[job].variant + !one_in(4), stop, false};

    if (!jobs[job].known && stop)
        return;
    (void)proc_run(world.manager_proc, change_job, &c);
}

static size_t count_allocs(const char *id, const struct job_record *newest)
{
    size_t n = 0;

    for (const struct alloc *a = manager_allocs(world.manager); a; a = a->next) {
        bool wanted = a->desired == DESIRED_RUN;

        if (strcmp(a->job->job->id, id) != 0)
            continue;
        if (wanted && (a->job != newest || newest->stop))
            violated("alloc %s of an old version of %s is to run", a->id, id);
        n += wanted;
    }
    return n;
}

void check_manager_started(void)
{
    for (unsigned int i = 0; i < JOBS; i++) {
        struct job_model *model = &jobs[i];
        const struct job_record *record = manager_find_job(world.manager, job_id(i));
        size_t n;

        if (!model->known && !model->unsure && record)
            violated("%s was never acknowledged", job_id(i));
        if (model->known && !model->unsure && !model->stop &&
            (!record || record->stop || record->version != model->version))
            violated("%s version %llu was acknowledged", job_id(i),
                     (unsigned long long)model->version);
        if (model->known && model->stop && !model->unsure && record && !record->stop)
            violated("%s was stopped", job_id(i));
        n = record ? count_allocs(job_id(i), record) : 0;
        if (record && !record->stop && !model->unsure &&
            (collected ? n > model->allocs : n != model->allocs))
            violated("%s has %zu allocations instead of %zu", job_id(i), n, model->allocs);
        if (model->unsure)
            model->allocs = n;
        learn(model, record);
    }
}

/* By the collection of what is finished. */
void check_job_removed(const char *id)
{
    struct job_model *model = &jobs[id[strlen("job")] - '0'];

    trace("%s is forgotten", id);
    for (const struct alloc *a = manager_allocs(world.manager); a; a = a->next)
        if (strcmp(a->job->job->id, id) == 0 && !alloc_is_terminal(a))
            violated("%s is forgotten, and alloc %s is not dead", id, a->id);
    learn(model, NULL);
}

static struct task *some_task(void)
{
    struct task *found = NULL;
    uint32_t n = 0;

    for (struct alloc *a = manager_allocs(world.manager); a; a = a->next)
        for (size_t i = 0; i < a->group->n_tasks; i++)
            if (a->tasks[i].handle && *a->tasks[i].def->name != 'z' && one_in(++n))
                found = &a->tasks[i]; /* no stop would let a poststop task go on */
    return found;
}

static void pause_some(void *arg)
{
    struct task *task = some_task();
    struct err e = ERR_INIT;

    (void)arg;
    if (task)
        (void)manager_pause(world.manager, task, one_in(2), &e);
}

static void on_upgraded(void *arg, json_t *results)
{
    (void)arg;
    (void)results;
}

static void upgrade_all(void *arg)
{
    (void)arg;
    (void)manager_upgrade_executors(world.manager, on_upgraded, NULL);
}

static void on_collected(void *arg, size_t removed, size_t left)
{
    (void)arg;
    (void)removed;
    (void)left;
}

static void collect_garbage(void *arg)
{
    (void)arg;
    collected = true;
    manager_gc(world.manager, on_collected, NULL);
}

/* As a manager of another release may, which knows this command. */
static void restart_some(void)
{
    struct proc *p = pick(PROC_EXECUTOR, any);
    struct ctl_msg msg = {.type = CTL_RESTART};
    char frame[WIRE_FRAME_MAX];

    if (!p || !p->dir->ctl.opens)
        return;
    trace("%s is told to restart", p->dir->path);
    (void)fifo_put(&p->dir->ctl, frame, ctl_encode(&msg, frame));
}

/* One of the executors' pipes; rather one with something in it. */
static struct fifo *some_pipe(void)
{
    struct fifo *found = NULL;

    for (int i = 0; i < world.n_dirs; i++) {
        struct fifo *fifo = one_in(2) ? &world.dirs[i].evt : &world.dirs[i].ctl;

        if (fifo->opens && (!found || fifo->len > found->len))
            found = fifo;
    }
    return found;
}

static bool has_executor(const struct dir *dir)
{
    for (int i = 0; i < world.n_procs; i++)
        if (world.procs[i].alive && world.procs[i].kind == PROC_EXECUTOR &&
            world.procs[i].dir == dir)
            return true;
    return false;
}

/* Rather one that an executor is to go on from; but not of those that would take themselves for the
 * first, whoever they were forked for. */
static void lose_record(void)
{
    struct proc *p = world.old_executors ? NULL : pick(PROC_EXECUTOR, is_late);
    struct dir *dir = p ? p->dir : NULL;

    if (!dir && world.n_dirs)
        dir = &world.dirs[dice((uint32_t)world.n_dirs)];
    if (dir && !(world.old_executors && has_executor(dir)))
        status_spoil(dir);
}

static void operate(void)
{
    uint32_t what = dice(10);

    if (what < 2) {
        restart_some();
        return;
    }
    if (!world.manager || world.manager_proc->running)
        return;
    if (what < 5)
        change(dice(JOBS), false);
    else if (what < 7)
        change(dice(JOBS), true);
    else if (what < 8)
        (void)proc_run(world.manager_proc, pause_some, NULL);
    else if (what < 9)
        (void)proc_run(world.manager_proc, upgrade_all, NULL);
    else
        (void)proc_run(world.manager_proc, collect_garbage, NULL);
}

static void disturb(void)
{
    struct proc *p = pick(PROC_EXECUTOR, any);
    struct fifo *fifo;

    switch (dice(12)) {
    case 0:
    case 1: /* at some system call to come */
        if (world.manager)
            world.manager_proc->crash_in = 1 + (int)dice(60);
        break;
    case 2:
        if (world.manager_proc) {
            trace("the manager is killed");
            proc_die(world.manager_proc, SIGKILL);
        }
        break;
    case 3:
        if (world.manager)
            manager_down();
        break;
    case 4:
    case 5:
    case 6:
        if (p)
            p->crash_in = 1 + (int)dice(30);
        break;
    case 7:
        if (p)
            p->killed = true;
        break;
    case 8:
        world.real_ns += one_in(2) ? dice(100000) * SECOND : -(uint64_t)dice(100000) * SECOND;
        trace("the clock jumps");
        break;
    case 9:
        if (one_in(3)) {
            trace("the machine restarts");
            power_cut();
        }
        break;
    case 10:
        fifo = some_pipe();
        if (fifo)
            fifo_litter(fifo);
        break;
    case 11:
        lose_record();
        break;
    default:
        break;
    }
}

static void take_turn(void)
{
    uint32_t what = dice(200);

    if (!world.manager_proc && one_in(10))
        manager_boot();
    else if (what < 60)
        (void)turn_of_executor();
    else if (what < 110)
        (void)turn_of_manager();
    else if (what < 160)
        (void)turn_of_task();
    else if (what < 190)
        (void)advance(FOREVER - 1);
    else if (what < 197)
        operate();
    else
        disturb();
}

/* Episodes */

static void calm_down(uint64_t for_ns)
{
    uint64_t limit = world.mono_ns + for_ns;

    for (int i = 0; i < CALM_TURNS; i++) {
        world.step++;
        if (!turn_of_executor() && !turn_of_manager() && !turn_of_task() && !advance(limit))
            return;
    }
    violated("there is no end of it");
}

static void come_right(void)
{
    world.calm = true;
    for (int i = 0; i < world.n_procs; i++)
        world.procs[i].crash_in = 0;
    trace("calm");
    if (!world.manager_proc)
        manager_boot();
    calm_down(SECOND);
    check_quiet();
    trace("everything is told to stop");
    for (unsigned int i = 0; i < JOBS; i++)
        change(i, true);
    calm_down(40 * SECOND);
    check_stopped();
}

static void run_episode(uint64_t seed, uint64_t steps)
{
    world.n_procs = world.n_dirs = world.boot = 0;
    world.calm = world.full = false;
    memset(jobs, 0, sizeof(jobs));
    collected = false;
    store_reset();
    depth = 0;
    world.seed = seed;
    world.step = 0;
    world.random = seed;
    world.old_executors = one_in(4);
    world.mono_ns = 1000 * SECOND;
    world.real_ns = 1700000000 * SECOND;
    manager_boot();
    while (world.step < steps && !world.full) {
        world.step++;
        take_turn();
    }
    come_right();
}

/* True when nothing was violated. */
static bool simulate(uint64_t seed, uint64_t steps)
{
    bool good = setjmp(episode_end) == 0;

    if (good)
        run_episode(seed, steps);
    current = NULL;
    kernel_reset();
    return good;
}

static int usage(void)
{
    fputs("usage: sim [-seed N] [-steps M] [-episode STEPS] [-trace] [-quick]\n", stderr);
    return 2;
}

/* What was violated, without names and numbers. */
static void shape(const char *text, char *buf, size_t size)
{
    size_t n = 0;

    for (; *text && n + 1 < size; text++)
        if (!strchr("0123456789", *text))
            buf[n++] = *text;
    buf[n] = '\0';
}

static void tell(uint64_t seed, uint64_t episode)
{
    char wanted[sizeof(violation)], found[sizeof(violation)];
    uint64_t shortest = world.step, best = seed, steps = episode;

    printf("sim: seed %llu, step %llu: %s\n", (unsigned long long)seed,
           (unsigned long long)world.step, violation);
    shape(violation, wanted, sizeof(wanted));
    for (uint64_t i = 1; i <= SEARCHED; i++) {
        if (simulate(seed + i, shortest < episode ? shortest : episode))
            continue;
        shape(violation, found, sizeof(found));
        if (strcmp(found, wanted) != 0 || world.step >= shortest)
            continue;
        steps = shortest < episode ? shortest : episode;
        shortest = world.step;
        best = seed + i;
    }
    printf("sim: the shortest found is: sim -seed %llu -steps 1 -episode %llu -trace\n",
           (unsigned long long)best, (unsigned long long)steps);
    world.trace = true;
    (void)simulate(best, steps);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},    {"steps", required_argument, NULL, 'n'},
        {"episode", required_argument, NULL, 'e'}, {"trace", no_argument, NULL, 't'},
        {"quick", no_argument, NULL, 'q'},         {0}};
    uint64_t seed = (uint64_t)time(NULL) / 86400, wanted = 1000000, episode = EPISODE_STEPS;
    uint64_t done = 0, episodes = 0;
    bool quick = false;
    int c;

    while ((c = getopt_long_only(argc, argv, "", options, NULL)) != -1) {
        uint64_t n = optarg ? strtoull(optarg, NULL, 10) : 0;

        if (c == '?')
            return usage();
        if (c == 's')
            seed = n;
        else if (c == 'n')
            wanted = n;
        else if (c == 'e')
            episode = n;
        else if (c == 'q')
            quick = true;
        else
            world.trace = true;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    json_object_seed(1); /* the order of keys is to follow from nothing else */
    json_set_alloc_funcs(malloc, free);
    printf("sim: from seed %llu\n", (unsigned long long)seed);
    for (; done < wanted; episodes++, done += world.step)
        if (!simulate(seed + episodes, episode)) {
            printf("sim: after %llu turns: %s\n", (unsigned long long)(done + world.step),
                   violation);
            if (!quick)
                tell(seed + episodes, episode);
            return 1;
        }
    printf("sim: %llu steps in %llu episodes\n", (unsigned long long)done,
           (unsigned long long)episodes);
    return 0;
}
