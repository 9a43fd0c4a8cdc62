/* SPDX-License-Identifier: MIT
 *
 * The programs: manager and executor around the real modules, as their main() does; the tasks, and
 * the modules of the executor that only start, watch and kill processes or move log bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "executor/handover.h"
#include "executor/isolation/cgroup.h"
#include "executor/isolation/plan.h"
#include "executor/launch.h"
#include "executor/logs/housekeeper.h"
#include "executor/logs/log_dir.h"
#include "executor/logs/pump.h"
#include "executor/memory.h"
#include "executor/oom.h"
#include "executor/orphans.h"
#include "executor/record.h"
#include "executor/report.h"
#include "executor/supervisor.h"
#include "manager/manager.h"
#include "shared/cleanup.h"
#include "shared/proto/wire.h"
#include "shared/statefile.h"
#include "tests/sim/sim.h"

/* The manager */

static struct config config = {
    .data_dir = "/sim",
    .name = "sim",
    .datacenter = "dc1",
    .region = "global",
    .executor = "/sim/cleat-executor",
    .raw_exec_enabled = true,
    .cgroup_parent = "cleat",
    .max_kill_timeout_ns = 30 * SECOND,
};

static void start_manager(void *arg)
{
    struct manager *m = NULL;
    struct err e = ERR_INIT;

    (void)arg;
    if (manager_new(current->loop, &config, &m, &e))
        violated("the manager does not start: %s", e.text);
    manager_on_change(m, check_alloc, NULL);
    world.manager = m;
}

void manager_boot(void)
{
    struct proc *p = proc_new(PROC_MANAGER, NULL);

    p->loop = loop_new(p);
    if (!world.calm && one_in(4))
        p->crash_in = 1 + (int)dice(60);
    world.manager_proc = p;
    trace("a manager starts");
    if (proc_run(p, start_manager, NULL))
        check_manager_started();
}

static void end_manager(void *arg)
{
    struct manager *m = world.manager;

    (void)arg;
    world.manager = NULL;
    (void)manager_free(m);
    proc_exit(0);
}

void manager_down(void)
{
    trace("the manager is told to end");
    (void)proc_run(world.manager_proc, end_manager, NULL);
}

/* Executors */

static int read_spec(int dir, struct exec_spec **ret_spec, struct err *e)
{
    autofree char *data = NULL;
    uint32_t version;
    size_t size;
    int r = statefile_read(dir, WIRE_SPEC, SPEC_MAX_BYTES, &version, &data, &size, e);

    return r < 0 ? r : spec_decode(data, size, ret_spec, e);
}

static void learn_terms(struct dir *dir, const struct exec_spec *spec)
{
    dir->policy = spec->restart;
    dir->kill_timeout_ns = spec->kill_timeout_ns;
    dir->terms_id = spec->terms_id;
}

static void supervise(struct proc *p)
{
    int dir = open(p->dir->path, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;
    struct exec_spec *spec = NULL;
    struct err e = ERR_INIT;
    struct task_status status;
    bool was_dead = false;
    int r;

    if (dir < 0)
        proc_exit(WIRE_EXIT_STATE);
    fd = record_lock(dir, &e);
    if (fd < 0)
        proc_exit(fd == -EBUSY ? WIRE_EXIT_LOCKED : WIRE_EXIT_STATE);
    if (read_spec(dir, &spec, &e) < 0)
        proc_exit(WIRE_EXIT_STATE);
    if (!world.old_executors && record_check_order(spec, p->order, &e))
        proc_exit(WIRE_EXIT_LOCKED);
    learn_terms(p->dir, spec);
    p->dir->recall |= p->dir->definition != spec->definition;
    p->dir->definition = spec->definition;
    if (status_read(fd, &status, &e) == 0) {
        p->base_restarts = status.restarts + (status.started_ns > 0);
        was_dead = status.state == TASK_STATE_DEAD && status.definition == spec->definition;
    } else {
        p->dir->window_open = false;
    }
    r = supervisor_new(p->loop, spec, dir, fd, &p->supervisor, &e);
    if (r)
        proc_exit(r == -EBUSY ? WIRE_EXIT_LOCKED : WIRE_EXIT_STATE);
    if (was_dead)
        violated("%s was dead on record, and is started again", p->dir->path);
}

static void resume(struct proc *p)
{
    struct exec_spec *spec = NULL;
    struct err e = ERR_INIT;
    struct task_status status;
    struct handover h;

    if (handover_read(p->memfd, &h, &spec, &status, &e))
        violated("an upgraded executor cannot go on: %s", e.text);
    close_fd(&p->memfd);
    if (supervisor_resume(p->loop, &h, spec, &status, &p->supervisor, &e))
        violated("an upgraded executor cannot go on: %s", e.text);
    handover_free_held(&h);
}

void executor_code(void *arg)
{
    struct proc *p = current;

    (void)arg;
    p->looped = false;
    if (!p->supervisor) {
        if (p->memfd >= 0)
            resume(p);
        else
            supervise(p);
    }
    supervisor_run(p->supervisor);
    check_executor_end(p);
    p->supervisor = supervisor_free(p->supervisor);
    proc_exit(WIRE_EXIT_OK);
}

/* Their cgroups: dir_fd[0] is the attempt's number */

static bool is_in(const struct proc *p, const struct cgroup *cg)
{
    return p->kind == PROC_TASK && p->alive && p->dir == current->dir &&
           (int)p->attempt == cg->dir_fd[0];
}

void cgroup_init(struct cgroup *cg)
{
    *cg = (struct cgroup){0};
}

int cgroup_adopt(struct cgroup *cg, const struct exec_spec *spec, uint32_t attempt, struct err *e)
{
    (void)spec;
    (void)e;
    cg->made[0] = true;
    cg->dir_fd[0] = (int)attempt;
    return 0;
}

int cgroup_create(struct cgroup *cg, const struct exec_spec *spec, uint32_t attempt, struct err *e)
{
    sys_enter();
    if (!world.calm && one_in(50))
        return err_set(e, one_in(2) ? -EAGAIN : -EACCES, "no cgroup");
    if (attempt < current->dir->next_leaf)
        violated("leaf %u of %s is made again", attempt, current->dir->path);
    current->dir->next_leaf = attempt + 1;
    return cgroup_adopt(cg, spec, attempt, e);
}

bool cgroup_usable(const struct cgroup *cg)
{
    return cg->made[0];
}

int cgroup_kill(const struct cgroup *cg)
{
    sys_enter();
    check_kill(current, (uint32_t)cg->dir_fd[0]);
    for (int i = 0; i < world.n_procs; i++)
        if (is_in(&world.procs[i], cg))
            world.procs[i].killed = true;
    return 0;
}

int cgroup_freeze(const struct cgroup *cg, bool frozen)
{
    sys_enter();
    for (int i = 0; i < world.n_procs; i++)
        if (is_in(&world.procs[i], cg))
            world.procs[i].frozen = frozen;
    return 0;
}

int cgroup_remove(struct cgroup *cg)
{
    sys_enter();
    for (int i = 0; cg->made[0] && i < world.n_procs; i++)
        if (is_in(&world.procs[i], cg))
            return -EBUSY;
    cg->made[0] = false;
    return 0;
}

void orphans_start(struct orphans *o, struct ev_loop *loop, const pid_t *const spare[ORPHANS_SPARE])
{
    (void)o;
    (void)loop;
    (void)spare;
}

bool orphans_kill(struct orphans *o)
{
    (void)o;
    return false;
}

void orphans_stop(struct orphans *o)
{
    (void)o;
}

void oom_watch_start(struct oom_watch *w, struct ev_loop *loop, const struct cgroup *cgroup,
                     uint64_t told, oom_cb *cb, void *arg)
{
    (void)w;
    (void)loop;
    (void)cgroup;
    (void)told;
    (void)cb;
    (void)arg;
}

void oom_watch_stop(struct oom_watch *w)
{
    (void)w;
}

bool oom_watch_is_cause(const struct oom_watch *w, const struct cgroup *cgroup)
{
    (void)w;
    (void)cgroup;
    return false;
}

/* … starting, */

const struct stage stages[] = {{.name = "exec"}};
const unsigned int n_stages = 1;

const char *plan_hint(const char *stage, int error, bool standalone)
{
    (void)stage;
    (void)error;
    (void)standalone;
    return "";
}

bool plan_may_pass(int error)
{
    return error == -EAGAIN;
}

int launch(const struct exec_spec *spec, const struct cgroup *cgroup, bool tmpfs_root,
           const int fds[3], struct launched *ret_launched, const char **ret_stage, struct err *e)
{
    struct proc *p;

    (void)spec;
    (void)tmpfs_root;
    (void)fds;
    sys_enter();
    *ret_stage = "clone";
    if (!world.calm && one_in(50))
        return err_set(e, -EAGAIN, "no process");
    p = proc_new(PROC_TASK, current->dir);
    p->executor = current;
    p->attempt = (uint32_t)cgroup->dir_fd[0];
    p->main = true;
    p->stubborn = one_in(4);
    check_launch(current->dir, p);
    ret_launched->pid = p->pid;
    ret_launched->pidfd = fd_new(FD_PID, NULL, p);
    ret_launched->report_fd = fd_new(FD_REPORT, NULL, p);
    return 0;
}

/* The end of the socket says that the program was executed, or that it was killed before. */
int report_receive(int fd, struct report *ret_report, int *ret_pidfd, pid_t *ret_pid)
{
    struct proc *p = fd_target(fd);
    bool failed = p->setup_error && !p->told;

    sys_enter();
    *ret_pidfd = -1;
    *ret_pid = 0;
    if (p->alive && !p->executed && !p->setup_error)
        return -EAGAIN;
    p->told = true;
    if (failed)
        *ret_report = (struct report){.kind = REPORT_FAILED, .value = -p->setup_error};
    p->dir->ran |= !failed;
    return failed;
}

/* … and logs */

int log_dir_open(struct log_dir *d, const struct exec_spec *spec, struct err *e)
{
    (void)d;
    (void)spec;
    (void)e;
    return 0;
}

void log_dir_adopt(struct log_dir *d, const struct exec_spec *spec, int fd)
{
    (void)d;
    (void)spec;
    (void)fd;
}

void log_dir_close(struct log_dir *d)
{
    (void)d;
}

void pump_init(struct pump *p, struct ev_loop *loop, struct log_dir *dir, const char *name,
               const struct spec_logs *limits, uint64_t *lost_bytes, pump_news_cb *on_news,
               void *arg)
{
    (void)loop;
    (void)dir;
    (void)on_news;
    *p = (struct pump){
        .fd = -1, .name = name, .limits = limits, .lost_bytes = lost_bytes, .arg = arg};
}

int pump_attach(struct pump *p, uid_t uid, gid_t gid, int *ret_write_fd, struct err *e)
{
    (void)p;
    (void)uid;
    (void)gid;
    (void)e;
    *ret_write_fd = -1;
    return 0;
}

void pump_adopt(struct pump *p, int fd, const struct pump_loss *loss, const char *held, size_t size)
{
    (void)p;
    (void)fd;
    (void)loss;
    (void)held;
    (void)size;
}

bool pump_is_blocked(const struct pump *p)
{
    (void)p;
    return false;
}

void pump_settle(struct pump *p)
{
    (void)p;
}

void pump_put(struct pump *p, const char *data, size_t size)
{
    (void)p;
    (void)data;
    (void)size;
}

void pump_drain(struct pump *p)
{
    (void)p;
}

/* The limits are part of the executor's order, which has other terms now. */
void pump_limits_changed(struct pump *p)
{
    trace("%s: the executor takes other terms", current->dir->path);
    learn_terms(current->dir, container_of(p->limits, struct exec_spec, logs));
}

void pump_end(struct pump *p)
{
    (void)p;
}

void housekeeper_init(struct housekeeper *h, struct ev_loop *loop, const struct spec_logs *limits,
                      const struct log_dir *dir, const struct pump *pumps, size_t n_pumps,
                      void (*say)(void *arg, const char *text), void *arg)
{
    (void)h;
    (void)loop;
    (void)limits;
    (void)dir;
    (void)pumps;
    (void)n_pumps;
    (void)say;
    (void)arg;
}

void housekeeper_stir(struct housekeeper *h)
{
    (void)h;
}

void housekeeper_resume(struct housekeeper *h, pid_t child)
{
    (void)h;
    (void)child;
}

void housekeeper_deinit(struct housekeeper *h)
{
    (void)h;
}

void memory_trim(void)
{
}

/* Tasks */

static void leave_child(const struct proc *parent)
{
    struct proc *p = proc_new(PROC_TASK, parent->dir);

    p->parent = NULL;
    p->executor = parent->executor;
    p->attempt = parent->attempt;
}

static void end_task(struct proc *p, int wait_status)
{
    if (p->main && p->executed && p->executor->alive) {
        p->dir->exit_unrecorded = true;
        p->dir->exit_status = wait_status;
    }
    if (p->main && p->executed && !p->killed && one_in(4))
        leave_child(p);
    trace("task pid %d ends with status %#x", p->pid, (unsigned int)wait_status);
    proc_die(p, wait_status);
}

void task_act(struct proc *p)
{
    if (p->kind == PROC_HELPER) {
        proc_die(p, !world.calm && one_in(8) ? 1 << 8 : 0);
    } else if (p->killed) {
        end_task(p, SIGKILL);
    } else if (p->frozen) {
        return;
    } else if (p->setup_error) {
        end_task(p, 1 << 8);
    } else if (p->main && !p->executed) {
        if (!world.calm && one_in(10))
            p->setup_error = one_in(2) ? EAGAIN : ENOENT;
        else
            p->executed = true;
    } else if (p->signalled && !p->stubborn) {
        end_task(p, one_in(2) ? 0 : SIGINT);
    } else if (world.calm && p->main) {
        end_task(p, 0);
    } else if (one_in(8)) {
        end_task(p, one_in(2) ? 0 : one_in(4) ? SIGSEGV : (int)(1 + dice(200)) << 8);
    }
}
