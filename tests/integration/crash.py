# SPDX-License-Identifier: MIT
"""Lives of a manager and its executors with a SIGKILL at a chosen system call, by strace(1).

A life is a list of steps: (what is asked for, whether it has come about). When the manager is found
dead in one of them, another one is started and the step is done again, until the life is over; then,
and at some points between, everything is compared with what the tasks wrote down themselves. While
the manager that is to die runs, nothing is asked but what the life consists of: what there is to
wait for is read from the disk, so that one life makes the same system calls as another.
"""
import contextlib
import http.client
import json
import os
import signal
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import leftovers
import records
from harness import ApiError, Box, kill_hard, wait_for

STEP_S = 30
EXECUTOR = "executor"
EVENTS_MAX = 10
TERMINATED = 1  # among the types of a record's events


class Died(Exception):
    """The manager is no more."""


class Wrong(Exception):
    """An invariant does not hold."""


def need(condition, *facts):
    if not condition:
        raise Wrong(" ".join(map(str, facts)))


class World:
    """One data directory, the managers that serve it one after the other, and what they were asked."""

    def __init__(self, box, faults, config=""):
        self.box = box
        self.faults = faults  # {which manager, from 0, or EXECUTOR: options of strace}
        self.manager = box.manager(config=config)
        self.starts = 0
        self.promised = {}  # job id: what was acknowledged last, "run" or "stop"
        self.doubtful = None  # id of the job that a request is under way for
        self.restarts_asked = 0  # of the job's tasks
        self.due = {}  # (alloc id, task): how often it will have started once what was promised has come about
        self.log_at = 0
        if EXECUTOR in faults:
            self.break_executor()

    def strace(self, who):
        """The command to put before another; nothing where there is no fault."""
        if who not in self.faults:
            return []
        return ["strace", "-D", "-q", "-o", str(self.trace(who)), *self.faults[who]]

    def trace(self, who):
        return self.box.dir / f"trace-{who}"

    def was_killed(self, who):
        return "killed by SIGKILL" in self.trace(who).read_text(errors="replace")

    def break_executor(self):
        """The first executor that is started runs under strace."""
        strace = " ".join(f"'{word}'" for word in self.strace(EXECUTOR))
        program = self.manager.executor()
        self.manager.wrap_executor(f'! mkdir {self.box.dir}/taken 2>/dev/null || exec {strace} {program} "$@"')

    # The manager

    def dead(self):
        return self.manager.process is None or self.manager.process.poll() is not None

    def start(self):
        """One manager, until it serves."""
        self.log_at = len(self.manager.log())
        self.manager.spawn(self.strace(self.starts))
        self.starts += 1
        self.wait(lambda: " on /" in self.manager.log()[self.log_at:], "the manager to serve")

    def wait(self, condition, what):
        def look():
            if self.dead():
                raise Died
            with contextlib.suppress(records.Damaged, FileNotFoundError):
                return condition()

        try:
            wait_for(look, what, STEP_S)
        except AssertionError as e:
            raise Wrong(f"{e}\n{self.state()}") from None

    def ask(self, method, path, body=None):
        try:
            return self.manager.call(method, path, body)
        except (ConnectionError, FileNotFoundError, http.client.HTTPException):
            self.manager.process.wait()
            raise Died from None

    def recover(self):
        """Brings a manager back, and looks whether it knows what was acknowledged."""
        while self.dead():
            with contextlib.suppress(Died):
                self.start()
                if self.starts > 1:
                    self.check_promises()

    def check_promises(self):
        known = {j["ID"]: j for j in self.ask("GET", "/v1/jobs")}
        for job_id, promise in self.promised.items():
            need(job_id in known, f"job {job_id} was acknowledged and is lost")
            need(known[job_id]["Stop"] == (promise == "stop") or job_id == self.doubtful,
                 f"job {job_id} should {promise}:", known[job_id])  # fmt: skip
        for job_id in known:
            for version in self.record("jobs", job_id)["Versions"]:
                # What failed before the job was asked for again has others in its place.
                placed = [a["Group"] for a in version["Allocs"] if not a.get("Stopped")]
                need(sorted(placed) == sorted(g["Name"] for g in version["Job"]["TaskGroups"]),
                     f"job {job_id} is not whole:", version)  # fmt: skip

    # What is asked for

    def register(self, spec):
        self.change(spec["ID"], "run", "PUT", "/v1/jobs", {"Job": spec})

    def stop(self, job_id):
        self.change(job_id, "stop", "DELETE", f"/v1/job/{job_id}")

    def change(self, job_id, promise, *request):
        self.doubtful = job_id
        self.ask(*request)
        self.promised[job_id] = promise
        self.doubtful = None

    def restart(self, job_id):
        (alloc_id,) = {a for a, _ in self.tasks(job_id)}

        def knows():  # that they run: the executors' records say so first
            states = self.ask("GET", f"/v1/allocation/{alloc_id}")["TaskStates"].values()
            return all(state["State"] == "running" for state in states)

        def is_taken():
            # One that is under way already will do for this order, too.
            due = {t: self.account(*t).count("start") + 1 for t in self.tasks(job_id)}
            self.restarts_asked += 1
            try:
                self.ask("PUT", f"/v1/client/allocation/{alloc_id}/restart", {})
            except ApiError as e:
                # Between two runs, by the order that another manager died of.
                need(e.status == 409, e)
                self.restarts_asked -= 1
                return False
            self.due = due
            return True

        self.wait(lambda: knows() and is_taken(), "the order to be taken")

    def terminate(self):
        if self.manager.terminate() != 0:
            raise Died

    def kill_all_but_tasks(self):
        """The manager and the executors; the tasks die with these."""
        self.manager.kill9()
        for pid, _ in self.executors():
            kill_hard(pid)

    def collect(self):
        self.promised.clear()
        self.ask("PUT", "/v1/system/gc")

    # What is on the disk

    def record(self, kind, name):
        path = self.manager.data_dir / "state" / kind / name
        return json.loads(records.read_statefile(path))

    def versions(self, job_id):
        """For each version of the job its tasks: [[(alloc id, task) …] …]"""
        found = []
        for version in self.record("jobs", job_id)["Versions"]:
            groups = {g["Name"]: g["Tasks"] for g in version["Job"]["TaskGroups"]}
            found.append([(a["ID"], t["Name"]) for a in version["Allocs"] for t in groups[a["Group"]]])
        return found

    def tasks(self, job_id):
        return sum(self.versions(job_id), [])

    def account(self, alloc_id, name):
        path = self.manager.alloc_dir(alloc_id) / name / "local/account"
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def are_at(self, tasks, state, lines):
        """The executors' records say so, and the tasks wrote that."""
        return all(records.task_status(self.manager, *t)["state"] == state
                   and self.account(*t) == lines for t in tasks)  # fmt: skip

    def is_told(self, job_id):
        """The manager's own records say that all of the job is over."""
        return all(self.record("allocs", a)["Tidy"] for a, _ in self.tasks(job_id))

    def executors(self):
        """[(pid, the state directory it serves) …] by the status file it has open, whatever program it
        has become meanwhile. A stub init is none of them."""
        found = {}
        for pid in leftovers.processes(self.box.token):
            with contextlib.suppress(OSError):
                parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                for link in map(os.readlink, Path(f"/proc/{pid}/fd").iterdir()):
                    if link.endswith("/status") and pid != self.manager.process.pid:
                        found[pid] = (parent, link[: -len("/status")])
        return [(pid, path) for pid, (parent, path) in found.items() if parent not in found]

    def state(self):
        """For messages."""
        lines = [self.manager.log()[-3000:]]
        for path in sorted(self.manager.data_dir.glob("state/tasks/*/*")):
            alloc_id, name = path.parts[-2:]
            lines.append(f"{alloc_id} {name}: {self.account(alloc_id, name)}")
            with contextlib.suppress(Exception):
                status = records.task_status(self.manager, alloc_id, name)
                lines.append(f"  {status['state']} {[e['message'] for e in status['events']]}")
        return "\n".join(lines)

    # Checks

    def check_running(self, job_id):
        """One executor for each task of the newest version, none for any other."""
        wanted = sorted(str(records.task_dir(self.manager, *t)) for t in self.versions(job_id)[-1])
        self.wait(lambda: sorted(path for _, path in self.executors()) == wanted,
                  f"one executor for each of {wanted}")  # fmt: skip

    def check_ended(self, job_id, lines):
        """What manager and executors say of each task of a job, against what really happened."""
        codes = exit_codes(lines)
        for alloc_id, name in self.tasks(job_id):
            need(self.account(alloc_id, name) == lines, name, self.account(alloc_id, name))
            if records.task_dir(self.manager, alloc_id, name).exists():
                status = records.task_status(self.manager, alloc_id, name)
                own = [code for code in codes if code >= 0]
                need(told(status, "events", "type", 1, "exit_code") == own, name, status)
                need(status["restarts"] == len(codes) - 1, name, status)
            self.check_state(name, self.record("allocs", alloc_id)["Tasks"][name], codes)
            if self.starts > 1:
                shown = self.ask("GET", f"/v1/allocation/{alloc_id}")["TaskStates"]
                self.check_state(name, shown[name], codes)
        self.wait(lambda: not self.executors(), "the executors to end")

    def check_state(self, name, state, codes):
        kept = told(state, "Events", "Type", "Terminated", "ExitCode")
        full = len(state["Events"]) == EVENTS_MAX  # the oldest may have gone
        need(kept == codes[-len(kept):] if full else kept == codes, name, state)
        need(state["Restarts"] == len(codes) - 1, name, state)
        need(state["Failed"] == (codes[-1] == 3), name, state)

    def is_restarted(self, job_id):
        """Every task, after the order that was acknowledged."""
        return all(records.task_status(self.manager, *t)["state"] == "running"
                   and self.account(*t)[-1:] == ["start"]
                   and self.account(*t).count("start") >= self.due[t]
                   for t in self.tasks(job_id))  # fmt: skip

    def check_restarted(self, job_id, before):
        """What was promised came about, and nothing more often than it was asked for."""
        for alloc_id, name in self.tasks(job_id):
            lines = self.account(alloc_id, name)
            done = lines.count("start") - before.count("start")
            status = records.task_status(self.manager, alloc_id, name)
            # Told to end before it could say a word, or what to do then.
            silent = told(status, "events", "type", TERMINATED, "signal").count(signal.SIGTERM)
            need(lines == before + ["exit 0", "start"] * done, name, lines)
            need(done >= 1 and done + silent <= self.restarts_asked, name, lines, status)
            need(status["restarts"] == lines.count("start") - 1 + silent, name, status)

    def check_lost(self, job_id):
        """The first executor was killed, at whatever point: all of it is told."""
        self.wait(lambda: "+++ " in self.trace(EXECUTOR).read_text(errors="replace"),
                  "strace to tell the first executor's end")  # fmt: skip
        killed = self.was_killed(EXECUTOR)
        for alloc_id, name in self.tasks(job_id):
            lines = self.account(alloc_id, name)
            state = self.ask("GET", f"/v1/allocation/{alloc_id}")["TaskStates"][name]
            facts = (name, killed, lines, json.dumps(state, indent=1))
            named = any("executor" in e["DisplayMessage"] for e in state["Events"])
            codes = told(state, "Events", "Type", "Terminated", "ExitCode")
            own = [code for code in exit_codes(lines) if code >= 0]
            kept = [code for code in codes if code >= 0]
            full = len(state["Events"]) == EVENTS_MAX
            need(state["State"] == "dead" and not state["Failed"], *facts)
            # One run may have ended before it wrote its first line.
            need(len(codes) <= lines.count("start") + killed, *facts)
            need(lines.count("start") - 1 <= state["Restarts"] <= lines.count("start"), *facts)
            # One exit may go with the executor that was about to record it, and that is told.
            need(is_part(kept, own) and len(own) - len(kept) <= named + full, *facts)
            need(named == killed or killed and kept == own, *facts)
        self.wait(lambda: not self.executors(), "the executors to end")

    def check_nothing_kept(self):
        """After everything was stopped and collected."""
        for part in ("state/jobs", "state/allocs", "state/tasks", "allocs"):
            left = [p.name for p in (self.manager.data_dir / part).iterdir()]
            need(not left, f"left in {part}: {left}\n{self.state()}")

    def is_collected(self):
        data = self.manager.data_dir
        return not [*data.glob("allocs/*"), *data.glob("state/jobs/*")]

    def check_undamaged(self):
        damaged = list(self.manager.data_dir.rglob("*.damaged"))
        need(not damaged, "set aside:", damaged)
        need("double" not in self.state(), self.state())


def exit_codes(lines):
    """Of a task by its own account; -1 for a start without an end: it was killed."""
    ends = [line for i, line in enumerate(lines) if line != "start" or lines[i + 1:i + 2] == ["start"]]
    return [-1 if end == "start" else int(end.split()[1]) for end in ends]


def is_part(part, whole):
    """True if `part` is `whole` with some left out."""
    rest = iter(whole)
    return all(one in rest for one in part)


def told(record, events, key, kind, value):
    """That value of the record's events of one kind."""
    return [e.get(value, 0) for e in record[events] if e[key] == kind]


def run_through(world, life):
    """Every step until it has come about, however often a manager dies in it; then nothing is left."""
    for ask, until in life:
        while True:
            with contextlib.suppress(Died):
                world.recover()
                ask(world)
                if until:
                    world.wait(lambda: until(world), "what was asked for")
                break
    world.check_nothing_kept()


# System calls

# They change nothing outside their process: a kill there leaves the same as one at the next call.
INWARD = {
    "arch_prctl", "brk", "getegid", "geteuid", "getgid", "getrandom", "getuid", "mmap", "mprotect",
    "munmap", "prctl", "prlimit64", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "set_robust_list", "set_tid_address", "sysinfo", "uname",
}  # fmt: skip


def kill_at(call):
    """Options of strace."""
    name, n = call
    return ["-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={n}"]


class Scenario:
    """A life, and the process in it that meets the fault."""

    def __init__(self, life, who):
        self.life = life
        self.who = who

    def run(self, faults):
        """One life; returns (what was wrong or None, the trace of the process in question)."""
        box = Box()
        world = World(box, faults)
        wrong = None
        try:
            run_through(world, self.life)
            world.manager.process = None  # it has ended by itself
        except Exception:  # each one is a finding
            wrong = traceback.format_exc()
        trace = world.trace(self.who)
        text = trace.read_text(errors="replace") if trace.exists() else ""
        try:
            box.close()
        except AssertionError as e:
            wrong = wrong or str(e)
        return wrong, text

    def calls(self):
        """The system calls in an undisturbed life: [(name, how often by then) …]"""
        wrong, trace = self.run({self.who: []})
        assert not wrong, wrong
        calls, seen = [], {}
        for line in trace.splitlines():
            name = line.partition("(")[0]
            # strace spares its own execve.
            if name.isidentifier() and name not in INWARD and name != "execve":
                seen[name] = seen.get(name, 0) + 1
                calls.append((name, seen[name]))
        return calls


def survey(scenario, kills, workers=2):
    """A life for each of [{process: system call to kill it at}, …]. Returns (the lives that went
    wrong, with the reason; how many did not come to the last of their kills)."""
    wrong, missed = [], 0
    with ThreadPoolExecutor(workers) as pool:
        faults = [{who: kill_at(call) for who, call in kill.items()} for kill in kills]
        for kill, (text, trace) in zip(kills, pool.map(scenario.run, faults)):
            missed += "killed by SIGKILL" not in trace
            if text:
                wrong.append((kill, text))
    return wrong, missed
