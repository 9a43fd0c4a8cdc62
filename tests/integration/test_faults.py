# SPDX-License-Identifier: MIT
"""Faults at every system call of an executor, injected by strace(1), one per run.

CLEAT_FAULT_STEP=1 takes every call, else every fourth is taken.
`error`: the call fails. Then the task either ran as it should, or what failed is told; in both cases
nothing of it is left. `KILL`: the executor is killed there. Then its task dies with it.
"""
import os
import subprocess
from pathlib import Path

import pytest

import leftovers
from bare import Executor
from harness import BUILD, DEFAULT_CHROOT, PAYLOAD, PAYLOAD_IN_ROOT, wait_for

# wait4 fails when there is no child (wait(2)), and ours is there; strace(1) spares its own execve.
LEFT_OUT = {"wait4": "error", "execve": "signal"}
TREES = {"unified": "unified", "memory": "memory", "cpu": "cpu"}


@pytest.fixture
def cgroup(box):
    """Cgroup parents as a manager on this host would name them."""
    made, layout = [], {"v2_controllers": False}
    for root in leftovers.cgroup_roots():
        names = root.name.split(",")
        for key in TREES:
            if key in names:
                path = root / box.token / "node"
                path.mkdir(parents=True)
                made.append(path)
                layout[key] = str(path)
    yield layout
    for path in made:
        for leaf in path.iterdir():
            if leaf.is_dir():
                leaf.rmdir()
        path.rmdir()
        path.parent.rmdir()


def exec_spec(cgroup):
    """What the exec driver makes of a task."""
    binds = {d: d for d in DEFAULT_CHROOT} | {str(PAYLOAD.parent): str(Path(PAYLOAD_IN_ROOT).parent)}
    return {
        "isolation": 1,
        "binds": [{"source": s, "target": t} for s, t in binds.items()],
        "set_user": True,
        "user": "nobody",
        "uid": 65534,
        "gid": 65534,
        "private_pid": True,
        "private_ipc": True,
        "no_new_privs": True,
        "caps": ["chown", "kill"],
        "cgroup": cgroup,
        "cpu_shares": 100,
        "memory_bytes": 64 << 20,
        "args": [PAYLOAD_IN_ROOT],
    }


class Faulty(Executor):
    """An executor that runs under strace and meets one fault."""

    def start_with(self, name, fault, follow=False):
        self.write_spec()
        self.process = subprocess.Popen(
            ["strace", "-qq", "-o", "/dev/null", *(["-f"] if follow else []),
             "-e", f"inject={name}:{fault}", BUILD / "bin/cleat-executor", "supervise", self.state_dir],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=self.box.env,
            errors="replace",
        )  # fmt: skip
        return self.process.communicate(timeout=10)[1]

    def forget(self):
        """Makes room for the next run."""
        for path in [*self.state_dir.iterdir(), *self.log_dir.iterdir()]:
            path.unlink()
        out = self.task_dir / "executor.out"
        if out.exists():
            out.unlink()

    def told(self):
        """All that is on record about the run."""
        out = self.task_dir / "executor.out"
        events = self.status()["events"] if self.has_status() else []
        return (out.read_text() if out.exists() else "") + " ".join(e["message"] for e in events)


def leaves(cgroup):
    return [leaf for path in cgroup.values() if isinstance(path, str)
            for leaf in Path(path).iterdir() if leaf.is_dir()]  # fmt: skip


def system_calls(one, follow):
    """What an undisturbed run asks of the kernel, each as (name, how often by that process so far): by the
    executor, or (follow) by its children up to their exec."""
    one.write_spec()
    trace = one.box.dir / "trace"
    subprocess.run(["strace", "-f", "-qq", "-o", trace, BUILD / "bin/cleat-executor", "supervise",
                    one.state_dir], check=True, env=one.box.env)  # fmt: skip
    one.forget()
    seen, calls, done, first = {}, [], set(), None
    for line in trace.read_text(errors="replace").splitlines():
        pid, call = line.split(None, 1)
        name = call.partition("(")[0]
        if not name.isidentifier() or pid in done:
            continue
        first = first or pid
        seen[pid, name] = seen.get((pid, name), 0) + 1
        fault = (name, seen[pid, name])
        if (pid != first) == follow and fault not in calls:
            calls.append(fault)
        if pid != first and name == "execve" and "= 0" in call:
            done.add(pid)
    return calls


def make(box, cgroup, driver):
    """One executor whose task prints a line and ends."""
    fields = exec_spec(cgroup) if driver == "exec" else {"cgroup": cgroup}
    one = Faulty(box, **fields)
    one.spec["args"].append("print:ran")
    return one


def nothing_runs(box):
    own = os.getpid()
    return not [p for p in leftovers.processes(box.token) if p != own]


def survey(box, cgroup, driver, fault, follow):
    """Runs once per system call; returns what was wrong with which."""
    one = make(box, cgroup, driver)
    step = int(os.environ.get("CLEAT_FAULT_STEP", "4"))
    calls = system_calls(one, follow)
    assert len(calls) > 8
    wrong = []
    for name, n in [c for c in calls if not fault.startswith(LEFT_OUT.get(c[0], "-"))][::step]:
        # Until it waits for the first time, the executor has a task that would not end by itself.
        early = "signal" in fault and calls.index((name, n)) < calls.index(("epoll_wait", 1))
        one.spec["args"] = one.spec["args"][:1] + ["print:ran"] + ["wait:60000"] * early
        text = one.start_with(name, fault.format(n=n), follow)
        wait_for(lambda: nothing_runs(box), f"all processes to end after a fault in {name} {n}")
        told = text + one.told()
        dead = one.has_status() and one.status()["state"] == "dead"
        verdict = judge(one, dead, told, leaves(cgroup))
        if verdict:
            wrong.append(f"{name} {n}: {verdict}: {told!r}")
        for leaf in leaves(cgroup):
            leaf.rmdir()
        one.forget()
    return wrong


def judge(one, dead, told, left):
    """What is wrong with a run that had a failing system call, or None."""
    died = one.process.returncode not in (0, 64, 65, 66)
    if left and not died:
        return f"left {left}"
    if dead:
        status = one.status()
        ran = status["exit_code"] == 0 and one.output() == "ran\n"
        named = 'stage "' in told or "cannot" in told or status["exit_code"]
        return None if ran or named else "neither ran nor told why"
    return None if told or died else "ended without a word"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("follow", [False, True], ids=["executor", "child"])
@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_a_system_call_fails(box, cgroup, driver, follow):
    assert not survey(box, cgroup, driver, "error=EIO:when={n}", follow)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_killed_at_a_system_call(box, cgroup, driver):
    """Nothing runs on without its executor: survey() waits for all processes to end by themselves."""
    assert not survey(box, cgroup, driver, "signal=KILL:when={n}", False)
