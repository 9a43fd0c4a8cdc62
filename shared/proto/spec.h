/* SPDX-License-Identifier: MIT
 *
 * The executor's order: all it needs to run one task for as long as the task lives, written by the
 * manager to <task state dir>/spec before it forks the executor (so the file is also the record of
 * the intent to run). On disk: one msgpack map in the envelope of shared/statefile.h.
 *
 * Encode and decode are pure over buffers. Unknown keys are skipped, missing required ones are
 * -EBADMSG, sizes are bounded by SPEC_MAX_BYTES.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/err.h"

enum {
    SPEC_VERSION = 1,
    SPEC_MAX_BYTES = 1 << 20,
    SPEC_USERNS_SIZE = 65536, /* how many ids a task's user namespace has */
};

/* What the task sees of the host's file system (Nomad's "filesystem isolation"). */
enum spec_isolation {
    SPEC_ISOLATION_NONE,   /* raw_exec: the host's root, a plain process */
    SPEC_ISOLATION_CHROOT, /* exec: own mount namespace, root = task_dir plus `binds` */
    SPEC_ISOLATION_N,
};

enum spec_restart_mode {
    SPEC_RESTART_FAIL,  /* attempts used up: the task is dead and failed */
    SPEC_RESTART_DELAY, /* attempts used up: wait for the end of the interval, then go on */
    SPEC_RESTART_MODE_N,
};

/* A host path shown at `target` (absolute, inside the task's root), read-only. */
struct spec_bind {
    char *source;
    char *target;
};

/* Where the task's leaf cgroups go: absolute paths of existing directories, NULL where the host has
 * no such hierarchy. On a pure v2 host only `unified` is set; on a hybrid host `unified` is the
 * controller-less tree used to kill, and the v1 trees carry the limits. All NULL: no cgroups. */
struct spec_cgroup {
    char *unified;
    char *memory;
    char *cpu;
    char *freezer;
    char *pids;
    char *cpuset;
    char *io;            /* blkio */
    char *devices;       /* only where they are not restricted through `unified` */
    char *cpuacct;       /* only where there is no `unified`, which counts CPU time too */
    bool v2_controllers; /* `unified` carries the cpu and memory controllers */
    char *executor; /* where the executor itself goes once its task runs; no place for leaves */
};

/* What a task may use beyond `cpu_shares` and `memory_bytes`; 0 and NULL: no such limit. */
struct spec_limits {
    uint64_t memory_low_bytes; /* soft limit: kept when memory runs short */
    uint64_t cpu_quota_us;     /* CPU time per cpu_period_us, which is then 1000 … 1000000 */
    uint64_t cpu_period_us;
    uint64_t pids;      /* processes and threads */
    char *cpus;         /* the only CPUs it runs on, "2-3,5" */
    uint32_t io_weight; /* 1 … 10000, 100 is what others have; best effort */
    bool oom_group;     /* out of memory kills all of the task, not only one process */
    bool own_devices;   /* it can open the usual devices and those in `devices`, no others */
};

enum spec_propagation {
    SPEC_PROPAGATION_PRIVATE,
    SPEC_PROPAGATION_SLAVE,  /* what the host mounts below it later appears */
    SPEC_PROPAGATION_SHARED, /* and what the task mounts appears on the host */
    SPEC_PROPAGATION_N
};

/* A file or directory of the host shown to the task, with all that is mounted below it. */
struct spec_mount {
    char *source;
    char *target;
    bool read_only;
    enum spec_propagation propagation;
};

struct spec_device {
    char *source;      /* on the host */
    char *target;      /* below /dev/ */
    char *permissions; /* of "rwm": becomes the node's mode, the task's user its owner */
};

struct spec_rlimit {
    uint32_t resource; /* RLIMIT_* */
    uint64_t soft;     /* UINT64_MAX: unlimited */
    uint64_t hard;
};

struct spec_restart {
    uint32_t attempts;
    uint64_t interval_ns;
    uint64_t delay_ns;
    enum spec_restart_mode mode;
    bool on_success; /* restart after exit code 0 too (service jobs) */
};

/* When a segment cannot be written. */
enum spec_on_full {
    SPEC_ON_FULL_DROP,  /* output is dropped and counted, the task goes on */
    SPEC_ON_FULL_BLOCK, /* the pipe is left to fill, the task waits when it writes more */
    SPEC_ON_FULL_N
};

enum spec_compress {
    SPEC_COMPRESS_NONE,
    SPEC_COMPRESS_GZIP,
    SPEC_COMPRESS_N
};

struct spec_logs {
    uint32_t max_files;       /* per stream, >= 1 */
    uint64_t max_file_size;   /* bytes, >= 1 */
    bool disabled;            /* the task's output goes to /dev/null */
    uint64_t max_age_ns;      /* of a finished segment, since it was last written; 0: any */
    uint64_t max_total_bytes; /* both streams together; 0: what the other limits come to */
    enum spec_compress compress;
    uint64_t compress_after_ns; /* since a finished segment was last written */
    enum spec_on_full on_full;
};

/* Strings are owned by the spec (spec_free). Lists of strings are NULL-terminated. */
struct exec_spec {
    char *alloc_id;
    char *task;
    enum spec_isolation isolation;

    /* argv: args[0] is the command as written in the job; see executor/launch for the look-up. */
    char **args;
    char **env;       /* "KEY=value", complete: nothing is inherited */
    char *task_dir;   /* <alloc dir>/<task>: work dir or root */
    char *shared_dir; /* <alloc dir>/alloc, shown at /alloc under chroot isolation */
    char *log_dir;    /* <alloc dir>/alloc/logs */
    char *work_dir;   /* NULL: "/" under chroot isolation, else task_dir */

    char *user; /* for messages and USER/LOGNAME; ids below count */
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* supplementary groups, n_groups of them */
    size_t n_groups;
    /* With userns_size: a user namespace in which the ids above are, from 0 to userns_size - 1. On
     * the host they are userns_base and up. */
    uint32_t userns_base;
    uint32_t userns_size;
    bool set_user; /* false: keep the executor's ids (raw_exec without `user`) */
    /* The executor's user is not root: all namespaces belong to a user namespace made first. In it
     * `uid` and `gid` are the executor's own, and there are no others; or, with n_subids, 0 is its
     * own, and ids from 1 on are those from subuid and subgid on. */
    bool rootless;
    uint32_t subuid;
    uint32_t subgid;
    uint32_t n_subids;

    struct spec_bind *binds;
    size_t n_binds;
    struct spec_mount *mounts; /* chroot isolation, as the devices */
    size_t n_mounts;
    struct spec_device *devices;
    size_t n_devices;
    bool private_pid;
    bool private_ipc;
    bool private_uts;
    bool private_cgroup;
    bool private_net;   /* with nothing in it but the loopback interface */
    char *hostname;     /* with private_uts; NULL: the host's */
    bool no_pivot_root; /* the root is moved over the old one and entered by chroot(2) */
    bool no_new_privs;
    bool seccomp; /* the default filter (executor/isolation/sysfilter.h); needs no_new_privs */
    char **caps;  /* names of the capabilities kept, NULL: leave capabilities alone */

    char *stdin_path;  /* as the task sees it; NULL: /dev/null */
    int oom_score_adj; /* 0 to 1000 */
    int nice;          /* -20 to 19 */
    struct spec_rlimit *rlimits;
    size_t n_rlimits;

    struct spec_cgroup cgroup;
    uint64_t cpu_shares;   /* MHz in the job = cpu.shares; 0: no weight set */
    uint64_t memory_bytes; /* hard limit; 0: none */
    struct spec_limits limits;

    struct spec_restart restart;
    int kill_signal;
    uint64_t kill_timeout_ns;
    uint64_t shutdown_delay_ns;
    struct spec_logs logs;

    /* A record with this number or a higher one is of an executor that the manager did not know of
     * when it wrote this: then what became of that one comes first. 0: go on from any. */
    uint64_t foreign_seq;

    char *order; /* names the executor it was written for (proto/wire.h); NULL: an older release */

    uint64_t definition; /* the manager's: which version of the job it is of, if not the first */
    uint64_t terms_id;   /* … what it calls these terms (proto/terms.h); 0: an older release */
};

/* An id of the task as the host sees it. */
static inline uint32_t spec_host_id(const struct exec_spec *spec, uint32_t id)
{
    return id + (spec->userns_size ? spec->userns_base : 0);
}

/* The delay before a restart: up to a quarter longer, so that what failed together does not start
 * together. */
static inline uint64_t spec_restart_delay(const struct spec_restart *restart, uint32_t random)
{
    return restart->delay_ns + (uint64_t)((double)restart->delay_ns / 4 * random / UINT32_MAX);
}

/* Encodes `spec`. On success 0, and *ret_data (malloc'ed, the caller frees) of *ret_size bytes.
 * -ENOMEM, or -E2BIG over SPEC_MAX_BYTES. */
int spec_encode(const struct exec_spec *spec, char **ret_data, size_t *ret_size);

/* Decodes into a new spec the caller frees with spec_free(). -EBADMSG with the key at fault in `e`,
 * -ENOMEM. */
int spec_decode(const char *data, size_t size, struct exec_spec **ret_spec, struct err *e);

/* NULL is fine. Always returns NULL. A decoded spec lives in one arena and is freed whole. */
struct exec_spec *spec_free(struct exec_spec *spec);
