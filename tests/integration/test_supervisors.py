# SPDX-License-Identifier: MIT
"""The service directories for s6 and runit and the script for OpenRC, under the real supervisors."""
import os
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
            self.write(target, text)
        self.write("finish", f'#!/bin/sh\necho "$1 $2" >>{self.scan}/ends\n')
        self.process = subprocess.Popen([*self.command, self.scan], env=box.env, start_new_session=True)

    def write(self, name, script):
        (self.service / name).write_text(script)
        (self.service / name).chmod(0o755)

    def wait_end(self, n):
        """For the nth end of a manager, by itself."""
        ends = self.scan / "ends"
        wait_for(lambda: self.pid() == 0 and len(ends.read_text().splitlines()) == n, "the manager to end")
        assert ends.read_text().splitlines()[-1] == "0 0"

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


UNPACKED = TOP / "build-deps/openrc"  # by tools/install-deps
# What OpenRC has laid over the host's, for it alone, and its own /run.
PRIVATE = """set -e
for dir in lib sbin usr/lib usr/sbin; do
    [ ! -d "$1/$dir" ] || mount -t overlay overlay -o "ro,lowerdir=$1/$dir:/$dir" "/$dir"
done
mount -t overlay overlay -o "ro,lowerdir=$2/etc:/etc" /etc
for tasks in /sys/fs/cgroup/*/tasks; do # it would leave the groups of cgroup v1 that we are held in
    [ ! -e "$tasks" ] || { mount --bind "$tasks" "$tasks"; mount -o remount,bind,ro "$tasks"; }
done
mount --bind "$2/run" /run
mount --bind "$2/init.d" /etc/init.d
echo ready
exec sleep infinity
"""
STATES = "started starting stopping inactive wasinactive failed hotplugged daemons options exclusive scheduled tmp"


class OpenRC(Supervisor):
    """A service that is started and stopped by hand on a host that has booted, in a mount namespace.
    Its name is the box's, as OpenRC makes a cgroup of that name."""

    def install(self, box, manager):
        self.service, self.log, self.root = f"cleat-{box.dir.name}", box.dir / "log", box.dir / "openrc"
        for path in ("etc/init.d", "etc/runlevels/default", "init.d", *(f"run/openrc/{s}" for s in STATES.split())):
            (self.root / path).mkdir(parents=True)
        (self.root / "run/openrc/softlevel").touch()
        (self.root / "etc/insserv.conf").touch()  # Debian's OpenRC reads it
        mode = "hybrid" if os.path.ismount("/sys/fs/cgroup/unified") else "unified"
        (self.root / "etc/rc.conf").write_text(f'rc_env_allow="*"\nrc_cgroup_mode={mode}\n')
        self.log.mkdir()
        text = (BUILD / "tools/init/openrc/cleat-manager").read_text().replace("/run/cleat", str(box.dir / "run"))
        text = text.replace("/var/log/cleat-manager.log", str(self.log / "current"))
        program, *args = manager.command()
        text = re.sub("(?m)^command=.*", f"command={program}", text)
        text = re.sub("(?m)^command_args=.*", f'command_args="{" ".join(args)}"', text)
        for name, script in ((self.service, text), ("localmount", "#!/sbin/openrc-run\nstart() { :; }\n")):
            (self.root / "init.d" / name).write_text(script)
            (self.root / "init.d" / name).chmod(0o755)
        self.env = box.env
        self.process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", PRIVATE, "sh", UNPACKED, self.root], stdout=subprocess.PIPE
        )
        assert self.process.stdout.readline() == b"ready\n"
        self.do("up")

    def do(self, verb):
        if verb == "kill":
            os.kill(self.pid(), signal.SIGKILL)
            return
        command = ["nsenter", "-t", str(self.process.pid), "-m", "rc-service", self.service, self.verbs[verb]]
        subprocess.run(command, check=True, env=self.env, stdout=subprocess.DEVNULL, timeout=60 * SLOW)

    def wait_end(self, n):
        wait_for(lambda: self.pid() == 0, "the manager to end")

    def pid(self):
        path = self.root / f"run/openrc/options/{self.service}/child_pid"
        return int(path.read_text() or 0) if path.exists() else 0


@pytest.fixture(params=["s6", "runit", "openrc"])
def supervisor(request):
    if request.param == "openrc":
        verbs = {"restart": "restart", "hup": "reload", "down": "stop", "up": "start"}
        one = OpenRC("openrc", None, None, verbs)
    elif request.param == "s6":
        verbs = {"restart": "-r", "hup": "-h", "kill": "-k", "down": "-d", "up": "-u"}
        one = Supervisor("s6", ["s6-svscan"], ["s6-svc"], verbs)
    else:
        verbs = {verb: verb for verb in ("restart", "hup", "kill", "down", "up")}
        one = Supervisor("runit", ["runsvdir"], ["sv", "-w", str(20 * SLOW)], verbs)
    yield one
    if one.name == "openrc":
        one.do("down")
    one.process.send_signal(signal.SIGHUP if one.name == "runit" else signal.SIGTERM)
    one.process.wait(timeout=20 * SLOW)


def test_tasks_outlive_what_the_supervisor_does(box, supervisor):
    box.expect_continue()  # s6 and runit send it after SIGTERM
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
    supervisor.wait_end(3)
    assert process_gone(old) and not process_gone(pid)
    supervisor.do("up")
    next_after(old)
    assert (manager.wait_running(alloc), manager.task(alloc)["Restarts"]) == (pid, 0)
    manager.call("PUT", "/v1/system/stop-all")
    supervisor.do("down")
    supervisor.wait_end(4)
