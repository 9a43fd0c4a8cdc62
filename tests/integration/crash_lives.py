# SPDX-License-Identifier: MIT
"""The lives that crash.py leads, and which of the processes in each meets the fault."""
import records
from crash import EXECUTOR, Scenario, World
from jobs import MS, group, job, restart, task

DRIVERS = ["exec", "raw_exec"]
STRIDE = 37  # from one call to the next, where not all are taken

POLICY = restart(1, 20 * MS)
STAYS = ["start", "exit 7", "start", "exit 0"]
KILLED = [*STAYS[:3], "start", "exit 0"]
ENDS = ["start", "exit 3"] * 2


def stays(drivers=DRIVERS, signal="SIGTERM", **fields):
    """Tasks that fail once, then stay until they are stopped."""
    steps = ["quit:TERM:0", "quit:USR1:5", "account:local/account", "once:local/ran:7", "pause"]
    tasks = (task(*steps, name=d, driver=d, KillSignal=signal) for d in drivers)
    return job(group(*tasks, policy=POLICY), id="stays", type="service", **fields)


def ends():
    """Two groups whose tasks fail until the policy has had enough."""
    steps = ["account:local/account", "exit:3"]
    groups = (group(task(*steps, name=d, driver=d), name=d, policy=POLICY) for d in DRIVERS)
    return job(*groups, id="ends")


def stand(world, version=0, lines=STAYS):
    """That version of the job that stays runs, and the one before has ended."""
    *old, new = world.versions("stays")
    return (len(old) == version and world.are_at(new, "running", lines[:-1])
            and all(world.record("allocs", a)["Tidy"] for v in old for a, _ in v))  # fmt: skip


def stand_somehow(world):
    """The tasks run, and not for the first time, whatever happened before."""
    return all(records.task_status(world.manager, *t)["state"] == "running"
               and world.account(*t)[-1:] == ["start"] and world.account(*t).count("start") > 1
               for t in world.tasks("stays"))  # fmt: skip


END = [
    (World.check_undamaged, None),
    (World.collect, World.is_collected),
    (World.terminate, None),
]

WHOLE_LIFE = [
    (lambda w: w.register(stays()), stand),
    (lambda w: w.check_running("stays"), None),
    (lambda w: w.register(stays(Meta={"k": "v"})), lambda w: stand(w, 1)),
    (lambda w: w.check_running("stays"), None),
    (lambda w: w.stop("stays"), lambda w: w.is_told("stays")),
    (lambda w: w.check_ended("stays", STAYS), None),
    (lambda w: w.register(ends()), lambda w: w.is_told("ends")),
    (lambda w: w.check_ended("ends", ENDS), None),
    *END,
]

# The fault is the second manager's, which finds the first one's tasks running …
ADOPTION = [
    (lambda w: w.register(stays()), stand),
    (lambda w: w.manager.kill9(), None),
    (lambda w: w.check_running("stays"), None),
    (lambda w: w.stop("stays"), lambda w: w.is_told("stays")),
    (lambda w: w.check_ended("stays", STAYS), None),
    *END,
]

# … or dead with their executors.
REVIVAL = [
    (lambda w: w.register(stays()), stand),
    (World.kill_all_but_tasks, None),
    (lambda w: None, lambda w: stand(w, 0, KILLED)),
    (lambda w: w.check_running("stays"), None),
    (lambda w: w.stop("stays"), lambda w: w.is_told("stays")),
    (lambda w: w.check_ended("stays", KILLED), None),
    *END,
]


# The restart of a running task, while the policy would allow none.
ORDER = [
    (lambda w: w.register(stays()), stand),
    (lambda w: w.restart("stays"), lambda w: w.is_restarted("stays")),
    (lambda w: w.check_restarted("stays", STAYS[:-1]), None),
    (lambda w: w.stop("stays"), lambda w: w.is_told("stays")),
    *END,
]


def has_new_terms(world):
    """The executors act by others than were in their orders."""
    return all(records.task_status(world.manager, *t)["terms_id"]
               != records.read_statefile(records.task_dir(world.manager, *t) / "spec")["terms_id"]
               for t in world.tasks("stays"))  # fmt: skip


# A changed stop, which the tasks are not started anew for.
TERMS = [
    (lambda w: w.register(stays()), stand),
    (lambda w: w.register(stays(signal="SIGUSR1")), has_new_terms),
    (lambda w: w.check_running("stays"), None),
    (lambda w: w.stop("stays"), lambda w: w.is_told("stays")),
    (lambda w: w.check_ended("stays", [*STAYS[:-1], "exit 5"]), None),
    *END,
]


def executors_life(driver):
    """The fault is the first executor's."""
    return [
        (lambda w: w.register(stays([driver])), stand_somehow),
        (lambda w: w.check_running("stays"), None),
        (lambda w: w.stop("stays"), lambda w: w.is_told("stays")),
        (lambda w: w.check_lost("stays"), None),
        *END,
    ]


SCENARIOS = {
    "life": Scenario(WHOLE_LIFE, 0),
    "adoption": Scenario(ADOPTION, 1),
    "revival": Scenario(REVIVAL, 1),
    "executor-exec": Scenario(executors_life("exec"), EXECUTOR),
    "executor-raw_exec": Scenario(executors_life("raw_exec"), EXECUTOR),
    "order": Scenario(ORDER, 0),
    "terms": Scenario(TERMS, 0),
    "double": Scenario(WHOLE_LIFE, 1),
}


def all_kills(name):
    """Every system call of the process in question; for "double" every one of the first manager, each
    with another one of the second, which finds what is left."""
    if name != "double":
        scenario = SCENARIOS[name]
        return [{scenario.who: call} for call in scenario.calls()]
    first, second = SCENARIOS["life"].calls(), SCENARIOS["adoption"].calls()
    return [{0: call, 1: second[i * STRIDE % len(second)]} for i, call in enumerate(first)]
