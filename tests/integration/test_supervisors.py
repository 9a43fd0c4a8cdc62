# SPDX-License-Identifier: MIT
"""The service directories for s6 and runit, under the real supervisors."""
import re
import signal
import subprocess

import pytest

import jobs
from harness import BUILD, SLOW, TOP, process_gone, wait_for
from test_service import READ


class Supervisor:
    """Runs the directory `scan` with our service in it; `verbs`: restart, hup, kill, down, up."""

    def __init__(self, name, command, control, verbs):
        self.name, self.command, self.control, self.verbs = name, command, control, verbs

    def install(self, box, manager):
        """The service directory as it is installed, but for where things are."""
        self.scan, self.log = box.dir / "scan", box.dir / "log"
        self.service = self.scan / "cleat-manager"
        (self.service / "log").mkdir(parents=True)
        source = {
            "run": BUILD / "tools/init" / self.name / "run",
            "log/run": TOP / "tools/init" / self.name / "log/run",
        }
        for target, path in source.items():
            text = path.read_text().replace("/var/log/cleat", str(self.log)).replace("/run/cleat", str(box.dir))
            text = re.sub(r"exec \S+/cleat-manager -config \S+", "exec " + " ".join(manager.command()), text)
            (self.service / target).write_text(text)
            (self.service / target).chmod(0o755)
        self.process = subprocess.Popen([*self.command, self.scan], env=box.env, start_new_session=True)

    def do(self, verb):
        subprocess.run([*self.control, self.verbs[verb], self.service], check=True, stdout=subprocess.DEVNULL)

    def pid(self):
        if self.name == "runit":
            path = self.service / "supervise/pid"
            text = path.read_text() if path.exists() else ""
        else:
            done = subprocess.run(["s6-svstat", "-o", "pid", self.service], capture_output=True, text=True)
            text = done.stdout
        return max(int(text or 0), 0)  # s6 says -1 for none


@pytest.fixture(params=["s6", "runit"])
def supervisor(request):
    if request.param == "s6":
        verbs = {"restart": "-r", "hup": "-h", "kill": "-k", "down": "-d", "up": "-u"}
        one = Supervisor("s6", ["s6-svscan"], ["s6-svc"], verbs)
    else:
        verbs = {verb: verb for verb in ("restart", "hup", "kill", "down", "up")}
        one = Supervisor("runit", ["runsvdir"], ["sv"], verbs)
    yield one
    one.process.send_signal(signal.SIGTERM if one.name == "s6" else signal.SIGHUP)
    one.process.wait(timeout=20 * SLOW)


def test_tasks_outlive_what_the_supervisor_does(box, supervisor):
    manager = box.manager()
    supervisor.install(box, manager)

    def next_after(old):
        wait_for(lambda: supervisor.pid() not in (0, old) and manager.responds(), "another manager")

    next_after(0)
    alloc = manager.run_one(jobs.simple("lines:0:20"))
    pid = manager.wait_running(alloc)
    for verb in ("restart", "kill"):
        old = supervisor.pid()
        supervisor.do(verb)
        next_after(old)
        assert manager.wait_running(alloc) == pid, verb
    old = supervisor.pid()
    supervisor.do("hup")
    wait_for(lambda: READ in (supervisor.log / "current").read_text(), "the configuration to be read")
    supervisor.do("down")
    wait_for(lambda: process_gone(old), "the manager to end")
    assert not process_gone(pid)
    supervisor.do("up")
    next_after(old)
    assert (manager.wait_running(alloc), manager.task(alloc)["Restarts"]) == (pid, 0)
    manager.call("PUT", "/v1/system/stop-all")
    supervisor.do("down")
    wait_for(lambda: supervisor.pid() == 0, "the manager to end")
