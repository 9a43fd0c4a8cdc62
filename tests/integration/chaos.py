# SPDX-License-Identifier: MIT
"""A manager and its executors under random blows, with the books kept outside: what was promised for
each job, how often each task was hit, and what the tasks wrote down themselves (crash.py)."""
import contextlib
import os
import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait

import records
from crash import Died, World, is_part, need, told
from harness import process_gone, wait_for
from jobs import MS, group, job, restart, task

GROUPS = 5  # of each job, a task each
ENDLESS = restart(1000, 20 * MS)
PLACED_MAX = 450  # tasks; the manager keeps the 500 newest that are finished
FLAPS = 4  # runs of a task that fails each time
FIELDS = {"executor": ("executor_pid", "executor_start"), "task": ("pid", "pid_start")}


def make_job(kind, number, pause_ms, **fields):
    """stays: until it is stopped; ends: with 0, after a while; flaps: fails as often as it may."""
    steps = {  # the account comes first: it is to hold every exit that a step makes
        "stays": ["account:local/account", "quit:TERM:0", "pause"],
        "ends": ["account:local/account", f"wait:{pause_ms}", "exit:0"],
        "flaps": ["account:local/account", f"wait:{pause_ms}", "exit:1"],
    }[kind]
    groups = [
        group(task(*steps, driver=("exec", "raw_exec")[i % 2], KillSignal="SIGTERM"), name=f"g{i}",
              policy=restart(FLAPS - 1, 50 * MS) if kind == "flaps" else ENDLESS)
        for i in range(GROUPS)
    ]  # fmt: skip
    return job(*groups, id=f"{kind}-{number}", type="service" if kind == "stays" else "batch", **fields)


class Chaos(World):
    """One run. Jobs are looked at for the last time when they are over, and then forgotten."""

    def __init__(self, box, n_tasks, seed):
        # The directories hold what the tasks wrote down; fifty would not reach until a job is over.
        super().__init__(box, {}, f"gc_max_allocs = {PLACED_MAX + n_tasks}\n")
        self.n_jobs = max(2, n_tasks // GROUPS)
        self.random = random.Random(seed)
        self.hits = Counter()  # {(alloc id, task): executors and main processes killed}
        self.stopped = set()  # jobs that were asked to stop, and old versions: {(job, version)}
        self.live = {}  # job id: its definition
        self.made = self.placed = 0
        self.done = Counter()  # what was done, by name

    # Blows

    def killed_meanwhile(self, request):
        """Makes the request and kills the manager in it, a little later each time; then, unless it was
        answered before that, again."""
        with ThreadPoolExecutor(1) as pool:
            made = pool.submit(request)
            wait([made], self.random.uniform(0, 0.05))
            self.manager.kill9()
        self.recover()
        try:
            made.result()
        except Died:
            request()

    def maybe_killed_meanwhile(self, request):
        if self.random.random() < 0.3:
            self.done["manager killed in a request"] += 1
            self.killed_meanwhile(request)
        else:
            request()

    def kill_manager(self):
        """Often again while it is starting."""
        self.manager.kill9()
        while self.random.random() < 0.3:
            self.manager.spawn()
            with contextlib.suppress(Exception):
                self.manager.process.wait(timeout=self.random.uniform(0, 0.1))
            self.manager.kill9()
        self.recover()

    def end_manager(self):
        self.terminate()
        self.recover()

    def hit(self, what):
        """Kills some executors, or main processes of tasks, at the same time."""
        tasks = [t for job_id in self.live for t in self.tasks(job_id)]
        for who in self.random.sample(tasks, min(len(tasks), self.random.choice((1, 1, 3)))):
            with contextlib.suppress(records.Damaged, OSError):
                status = records.task_status(self.manager, *who)
                pid, start = (status[field] for field in FIELDS[what])
                if pid and status["boot_id"] and records.start_time(pid) == start:
                    self.hits[who] += 1
                    os.kill(pid, signal.SIGKILL)
                    wait_for(lambda: process_gone(pid), f"process {pid} to be gone")

    def both(self):
        """Executors die while there is no manager."""
        self.manager.kill9()
        self.hit("executor")
        self.recover()

    def upgrade(self):
        def request():
            for result in self.ask("PUT", "/v1/system/upgrade-executors"):
                need(not result["Error"] or "ended" in result["Error"], result)

        self.maybe_killed_meanwhile(request)

    # Jobs

    def add(self, kind=None):
        if len(self.live) >= self.n_jobs:
            return
        kind = kind or self.random.choice(("stays", "stays", "ends", "flaps"))
        spec = make_job(kind, self.made, self.random.randrange(20, 1500))
        self.made += 1
        self.placed += GROUPS
        self.maybe_killed_meanwhile(lambda: self.register(spec))
        self.live[spec["ID"]] = spec

    def change_one(self):
        """Another version, once for each job: the first one's allocations are stopped."""
        spec = self.pick(lambda j: "Meta" not in self.live[j])
        if spec:
            self.stopped.add((spec["ID"], 0))
            spec["Meta"] = {"k": "v"}
            self.placed += GROUPS
            self.maybe_killed_meanwhile(lambda: self.register(spec))

    def stop_one(self):
        spec = self.pick(lambda j: self.promised[j] == "run")
        if spec:
            self.stopped |= {(spec["ID"], 0), (spec["ID"], 1)}
            self.maybe_killed_meanwhile(lambda: self.stop(spec["ID"]))

    def pick(self, condition):
        found = [job_id for job_id in self.live if condition(job_id)]
        return self.live[self.random.choice(found)] if found else None

    # Checks

    def check_promises(self):
        """Of jobs that are not over; the others may be gone."""
        known = {j["ID"]: j for j in self.ask("GET", "/v1/jobs")}
        for job_id in self.live:
            promise = self.promised.get(job_id)
            need(job_id in known or not promise, f"job {job_id} was acknowledged and is lost")
            if promise and job_id != self.doubtful:
                need(known[job_id]["Stop"] == (promise == "stop"), job_id, promise, known[job_id])
                for version in self.record("jobs", job_id)["Versions"]:
                    need(len(version["Allocs"]) == GROUPS, f"job {job_id} is not whole:", version)

    def check_standing(self):
        """Each task that is to run does, under one executor, whatever happened."""
        staying = [j for j in self.live if j.startswith("stays") and self.promised[j] == "run"]
        wanted = [t for j in staying for t in self.versions(j)[-1]]
        paths = {str(records.task_dir(self.manager, *t)) for t in wanted}

        def stand():  # the records alone may be those of executors that were just killed
            if all(records.task_status(self.manager, *t)["state"] == "running"
                   and self.account(*t)[-1:] == ["start"] for t in wanted):  # fmt: skip
                found = Counter(path for _, path in self.executors())
                return paths <= found.keys() and set(found.values()) <= {1}

        self.wait(stand, f"the tasks of {staying} to run, under one executor each")

    def is_over(self, job_id):
        with contextlib.suppress(FileNotFoundError):  # no record yet: it is still in line
            return self.is_told(job_id)

    def harvest(self):
        """Checks and forgets the jobs that are over."""
        for job_id in list(self.live):
            if self.is_over(job_id):
                for number, version in enumerate(self.versions(job_id)):
                    for who in version:
                        self.check_task(job_id, who, (job_id, number) in self.stopped)
                del self.live[job_id]
                self.done["tasks checked"] += GROUPS

    def check_task(self, job_id, who, stopped):
        """The manager's account of a task against the task's own, and the blows it got."""
        lines, hits = self.account(*who), self.hits[who]
        state = self.record("allocs", who[0])["Tasks"][who[1]]
        starts, restarts = lines.count("start"), state["Restarts"]
        exits = [int(line.split()[1]) for line in lines if line.startswith("exit")]
        facts = (job_id, who, f"hits {hits} stopped {stopped}", lines, state)
        need("double" not in lines, *facts)
        need(state["State"] == "dead", *facts)
        need(starts - 1 <= restarts <= starts - 1 + hits + stopped, *facts)
        events = [e for e in state["Events"] if not e["Signal"] and e["ExitCode"] >= 0]
        codes = told({"Events": events}, "Events", "Type", "Terminated", "ExitCode")
        need(is_part(codes, exits), *facts)
        need(len(exits) - len(codes) <= hits or len(state["Events"]) == 10, *facts)
        self.check_end(job_id.partition("-")[0], starts, exits, hits, stopped, state, facts)

    def check_end(self, kind, starts, exits, hits, stopped, state, facts):
        if kind == "stays":  # whatever happens to managers, it runs on
            need(stopped and starts <= 1 + hits and not state["Failed"], *facts)
            return
        need(starts <= (FLAPS if kind == "flaps" else 1) + hits, *facts)
        if stopped:
            return
        need(exits and starts >= 1, *facts)
        need(state["Failed"] == (kind == "flaps"), *facts)
        if not hits:
            need(exits == ([1] * FLAPS if kind == "flaps" else [0]), *facts)
            need(state["ExitCode"] == exits[-1], *facts)

    # All of it

    def blow(self):
        blows = {
            self.kill_manager: 4, self.end_manager: 1, self.both: 2, self.upgrade: 1, self.add: 6,
            self.change_one: 1, self.stop_one: 2, self.hit_executors: 4, self.hit_tasks: 3,
        }  # fmt: skip
        (chosen,) = self.random.choices(list(blows), list(blows.values()))
        self.done[chosen.__name__] += 1
        chosen()

    def hit_executors(self):
        self.hit("executor")

    def hit_tasks(self):
        self.hit("task")

    def run(self, seconds):
        end = time.monotonic() + seconds
        self.recover()
        while time.monotonic() < end:
            self.run_epoch(end)
        self.terminate()
        self.check_nothing_kept()
        self.manager.process = None  # it has ended by itself

    def run_epoch(self, end):
        """Until `end`, or until so much is finished that the manager would collect it unlooked at. Then
        everything is stopped and checked, and nothing is left."""
        self.placed = 0
        while len(self.live) < self.n_jobs:
            self.add()
        checked = time.monotonic()
        while time.monotonic() < end and self.placed < PLACED_MAX:
            self.blow()
            if time.monotonic() > checked + 3:
                self.check_standing()
                self.harvest()
                checked = time.monotonic()
        self.check_standing()
        for job_id in list(self.live):
            if self.promised[job_id] == "run" and job_id.startswith("stays"):
                self.stopped |= {(job_id, 0), (job_id, 1)}
                self.stop(job_id)
        self.wait(lambda: all(self.is_over(j) for j in self.live), "every job to end")
        self.harvest()
        self.check_undamaged()
        self.wait(lambda: not self.executors(), "the executors to end")
        self.collect()
        self.wait(self.is_collected, "everything to be collected")
