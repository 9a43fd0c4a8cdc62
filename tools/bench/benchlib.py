# SPDX-License-Identifier: MIT
"""What the programs in tools/bench share: a session that cleans up after itself, the
supervisors to compare, cleat's own programs, and the printing of results.

A session makes this process the subreaper of all it starts, so whatever daemonizes stays below it
and is found, measured and in the end killed by walking its own tree; no process is ever named by
pattern. Temporary files, cgroups and mounts carry the session's token."""

import argparse
import contextlib
import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x4000 | 0x40000
MNT_DETACH = 2
CHROOT_ENV = "/bin /etc /lib /lib32 /lib64 /run/resolvconf /run/systemd/resolve /sbin /usr".split()

libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A measurement that could not be made; the text says why."""


def arguments(description, **defaults):
    """The options of all programs: --NAME for each default, --build, --dir, --only and --json."""
    parser = argparse.ArgumentParser(description=description)
    for name, (value, text) in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{text} ({value})")
    text = "only rows with this word in their name"
    parser.add_argument("--only", metavar="WORD", action="append", help=text)
    build = TOP / "build"
    parser.add_argument("--build", type=Path, default=build, help="build directory (build)")
    parser.add_argument("--dir", default="/var/tmp", help="where to put the data (/var/tmp)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE too")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("namespaces and cgroups need root: try sudo")
    if not (options.build / "bench/bench-task").exists():
        parser.error(f"{options.build} is not built: cmake -B build && cmake --build build")
    return options


# Processes


def parents():
    """{pid: parent} of all processes."""
    result = {}
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            stat = Path(f"/proc/{int(entry)}/stat").read_text()
            result[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    return result


def descendants(root=None):
    """All processes below `root` (this process), zombies too."""
    tree = {}
    for pid, parent in parents().items():
        tree.setdefault(parent, []).append(pid)
    found, todo = [], [root or os.getpid()]
    while todo:
        below = tree.get(todo.pop(), [])
        found += below
        todo += below
    return found


def comm(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def reap():
    """Collects the zombies that were given to us as subreaper."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def wait_until(condition, what, timeout=60, step=0.01):
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"waited {timeout} s in vain for {what}")
        time.sleep(step)
    return value


def kill_descendants():
    def all_gone():
        for pid in descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        reap()
        return not descendants()

    wait_until(all_gone, "killed processes to go", 30)


def rollup(pid):
    """(PSS, private, anonymous) of a process in KiB. Only the last is its own affair: who else maps the same
    files moves the others."""
    pss = private = anonymous = 0
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            key, _, rest = line.partition(":")
            if key == "Pss":
                pss = int(rest.split()[0])
            elif key in ("Private_Clean", "Private_Dirty"):
                private += int(rest.split()[0])
            elif key == "Anonymous":
                anonymous = int(rest.split()[0])
    return pss, private, anonymous


def cpu_ms(pids):
    """What the processes have used by the kernel's account of each."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e6


# Cgroups and mounts


def mounts():
    """[(mount point, type, super options)], in order."""
    result = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        point = left.split()[4].encode().decode("unicode_escape")
        result.append((point, right.split()[0], right.split()[-1]))
    return result


def cgroup_roots():
    return [Path(point) for point, kind, _ in mounts() if kind in ("cgroup", "cgroup2")]


def remove_cgroups(token):
    for root in cgroup_roots():
        for top in root.glob(f"{token}*"):
            for group, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(group)


def remove_mounts(directory):
    for point, _, _ in reversed(mounts()):
        if point.startswith(f"{directory}/"):
            libc.umount2(point.encode(), MNT_DETACH)


def hide_bare_v2():
    """For preexec_fn: crun refuses v1 hosts whose v2 tree has a controller too. Hides that tree."""
    if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "cannot make a mount namespace")
    libc.umount2(b"/sys/fs/cgroup/unified", MNT_DETACH)


class KernelMemory:
    """What the kernel holds for the processes of a cgroup and of those below it, in KiB."""

    def __init__(self, token):
        self.group = self.procs = None
        for point, kind, options in mounts():
            v1 = kind == "cgroup" and "memory" in options.split(",")
            v2 = kind == "cgroup2" and "memory" in self.text(Path(point) / "cgroup.controllers")
            if v1 or v2:
                if v2:
                    (Path(point) / "cgroup.subtree_control").write_text("+memory")
                self.group = Path(point) / token
                self.procs = self.group / "bench/cgroup.procs"  # v2: no processes beside child groups
                self.procs.parent.mkdir(parents=True)

    @staticmethod
    def text(path):
        with contextlib.suppress(OSError):
            return path.read_text()
        return ""

    def enter(self):
        """For preexec_fn."""
        if self.procs:
            self.procs.write_text("0")

    def kib(self):
        """None where the kernel does not tell."""
        if not self.group:
            return None
        used = self.text(self.group / "memory.kmem.usage_in_bytes")
        for line in self.text(self.group / "memory.stat").splitlines():
            if line.startswith("kernel "):
                used = line.split()[1]
        return int(used) / 1024 if used else None


# The session


class Session:
    def __init__(self, options):
        self.options = options
        self.bench = (options.build / "bench").resolve()
        self.dir = Path(tempfile.mkdtemp(prefix="cleat-bench-", dir=options.dir))
        # As installed: a program starts a little later as the linker has left it than from a copy.
        self.bin = shutil.copytree(options.build / "bin", self.dir / "bin")
        self.token = self.dir.name
        self.count = 0

    def __enter__(self):
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
        return self

    def __exit__(self, *_):
        self.end_row()
        shutil.rmtree(self.dir)

    def end_row(self):
        """Ends all that the measurement of one row has started."""
        kill_descendants()
        remove_mounts(self.dir)
        remove_cgroups(self.token)

    def subdir(self):
        """A new directory."""
        self.count += 1
        path = self.dir / str(self.count)
        path.mkdir()
        return path

    def program(self, name):
        """Path of one of our own programs."""
        for path in (self.bench / name, self.bin / name):
            if path.exists():
                return str(path)
        raise Failed(f"not built: {name}")

    def popen(self, command, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([str(word) for word in command], **more)

    def rootfs(self):
        """A root with the task and mount points in it."""
        root = self.subdir()
        for name in ("proc", "dev", "sys"):
            (root / name).mkdir()
        shutil.copy(self.program("bench-task"), root / "bench-task")
        return root

    def bundles(self, rootfs, count, *args):
        """OCI bundles 0, 1, … in one directory, lean: what cleat's exec isolates and no more."""
        top = self.subdir()
        config = {
            "ociVersion": "1.0.0",
            "process": {
                "user": {"uid": 65534, "gid": 65534},
                "args": ["/bench-task", *args],
                "env": ["PATH=/bin"],
                "cwd": "/",
                "noNewPrivileges": True,
            },
            "root": {"path": str(rootfs), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},  # for devices
            ],
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc")]},
        }
        for number in range(count):
            config["linux"]["cgroupsPath"] = f"/{self.token}/{number}"
            (top / str(number)).mkdir()
            (top / str(number) / "config.json").write_text(json.dumps(config))
        return top

    def enter_leaf(self):
        """A function for preexec_fn: into a session and a cgroup of its own, as our tasks are."""
        self.count += 1
        files = []
        for point, kind, options in mounts():
            v2 = kind == "cgroup2"
            if v2 or (kind == "cgroup" and {"cpu", "memory"} & set(options.split(","))):
                parent = Path(point) / self.token
                (parent / f"leaf-{self.count}").mkdir(parents=True)
                for above in (Path(point), parent) if v2 else ():
                    has = KernelMemory.text(above / "cgroup.controllers").split()
                    for name in {"cpu", "memory"} & set(has):
                        (above / "cgroup.subtree_control").write_text(f"+{name}")
                files.append(parent / f"leaf-{self.count}" / "cgroup.procs")

        def enter():
            os.setsid()
            for file in files:
                file.write_text("0")

        return enter

    def disk_sync_ms(self):
        """What making one small file durable costs: write, fsync, rename, fsync the directory."""
        directory = self.subdir()
        times = []
        fd = os.open(directory, os.O_RDONLY)
        for _ in range(50):
            begin = time.monotonic()
            with open(directory / "new", "wb") as file:
                file.write(bytes(4096))
                file.flush()
                os.fsync(file.fileno())
            os.rename(directory / "new", directory / "record")
            os.fsync(fd)
            times.append((time.monotonic() - begin) * 1000)
        os.close(fd)
        return percentile(times, 50)


def need(*programs):
    """Fails, naming the first of the peer's programs that is not installed."""
    for program in programs:
        if not shutil.which(program):
            raise Failed(f"not installed: {program}")


def bwrap_command(root, *args):
    """bench-task under bubblewrap, with the namespaces and mounts nearest to exec's."""
    need("bwrap")
    isolation = "--unshare-pid --unshare-ipc --die-with-parent --proc /proc --dev /dev".split()
    return ["bwrap", "--ro-bind", root, "/", *isolation, "/bench-task", *args]


# Our manager


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Manager:
    """cleat-manager with a data directory in the session. A context: leaving it stops everything."""

    def __init__(self, session, **popen):
        self.session = session
        self.dir = session.subdir()
        self.data = self.dir / "data"
        self.socket = self.dir / "sock"
        self.log = self.dir / "log"
        shown = {path: path for path in CHROOT_ENV if os.path.exists(path)}
        shown[str(session.bench)] = "/bench"
        lines = "\n".join(f'    "{host}" = "{inside}"' for host, inside in shown.items())
        config = self.dir / "agent.hcl"
        config.write_text(
            f'data_dir = "{self.data}"\n'
            'plugin "raw_exec" {\n  config {\n    enabled = true\n  }\n}\n'
            f'client {{\n  cgroup_parent = "{session.token}"\n  chroot_env {{\n{lines}\n  }}\n}}\n'
        )
        address = f"unix://{self.socket}"
        self.command = [session.program("cleat-manager"), "-config", config, "-address", address]
        self.spawn(**popen)

    def spawn(self, **popen):
        with open(self.log, "ab") as log:
            self.process = self.session.popen(self.command, stdout=log, stderr=log, **popen)

    def __enter__(self):
        wait_until(self.answers, "the manager to answer")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.session.end_row()

    def answers(self):
        if self.process.poll() is not None:
            raise Failed(f"the manager ended: {self.log.read_text().strip()[-300:]}")
        with contextlib.suppress(ConnectionError, FileNotFoundError):
            return self.call("GET", "/v1/agent/health")

    def call(self, method, path, body=None):
        connection = UnixConnection(self.socket)
        connection.request(method, path, body and json.dumps(body))
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        if response.status != 200:
            raise Failed(f"{method} {path}: {response.status} {text.strip()[:200]}")
        return json.loads(text)

    def register(self, name, driver, count, *args, cpu=20):
        """Registers `count` bench-tasks. Returns the time just before, as CLOCK_MONOTONIC ns."""
        command = "/bench/bench-task" if driver == "exec" else self.session.program("bench-task")
        task = {
            "Name": "t", "Driver": driver, "Config": {"command": command, "args": list(args)},
            "Resources": {"CPU": cpu, "MemoryMB": 16},
        }  # fmt: skip
        group = {"Name": "g", "Count": count, "Tasks": [task]}
        job = {"ID": name, "Name": name, "Type": "batch", "TaskGroups": [group]}
        job["Datacenters"] = ["dc1"]
        begin = time.monotonic_ns()
        self.call("PUT", "/v1/jobs", {"Job": job})
        return begin

    def statuses(self, name):
        return [alloc["ClientStatus"] for alloc in self.call("GET", f"/v1/job/{name}/allocations")]

    def reports(self, known):
        """Adds to `known`, {alloc id: ns}, what tasks have reported since; returns it."""
        allocs = self.data / "allocs"
        for alloc in os.listdir(allocs) if allocs.exists() else ():
            if alloc not in known:
                with contextlib.suppress(OSError, ValueError):
                    known[alloc] = int((allocs / alloc / "alloc/logs/t.stdout.0").read_text())
        return known

    def wait_running(self, name, count):
        """Waits until the API says of all allocations of a job that they are running."""
        running = lambda: self.statuses(name).count("running") == count  # noqa: E731
        wait_until(running, f"{count} tasks to be shown as running", step=0.2)

    def wait_reports(self, count, timeout=120):
        known = {}
        wait_until(lambda: len(self.reports(known)) >= count, f"{count} tasks to begin", timeout)
        return known


# Results


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, round(percent / 100 * (len(values) - 1)))]


class Table:
    """Rows of figures; `ours` is the name of the row the ratios refer to, by column `ratio_of`.

    A row may be measured several times: what its function returns is appended to the row's list,
    from which `summary` makes the columns."""

    def __init__(self, title, columns, ours, ratio_of, summary=lambda figures: figures[-1]):
        self.title, self.columns, self.ours, self.ratio_of = title, columns, ours, ratio_of
        self.summary = summary
        self.figures = {}
        self.rows = []

    def measure(self, session, name, function, *args):
        """Measures a row with function(*args), which returns a list. A failure is a row too."""
        only = session.options.only
        if only and not any(word in name for word in only):
            return
        if name not in self.figures:
            self.rows.append({"name": name})
            self.figures[name] = []
        row = next(row for row in self.rows if row["name"] == name)
        if "missing" in row:
            return
        print(f"… {name}", file=sys.stderr, flush=True)
        try:
            self.figures[name] += function(*args)
            row.update(self.summary(self.figures[name]))
        except (Failed, OSError, subprocess.SubprocessError) as error:
            row["missing"] = " ".join(str(error).split())
        finally:
            session.end_row()

    def ratio(self, row):
        ours = next((r for r in self.rows if r["name"] == self.ours), {})
        if row.get(self.ratio_of) and ours.get(self.ratio_of):
            return row[self.ratio_of] / ours[self.ratio_of]
        return None

    def cells(self):
        """The header and a line for each row that could be measured."""
        lines = [["", *self.columns, "× ours"]]
        for row in self.rows:
            if "missing" not in row:
                cells = [*(row.get(column) for column in self.columns), self.ratio(row)]
                lines.append([row["name"], *(show(cell) for cell in cells)])
        return lines

    def markdown(self):
        head, *lines = self.cells()
        head[0] = self.title
        lines = [head, ["---"] * len(head)] + [
            [f"**{name}**" if name == self.ours else name, *cells] for name, *cells in lines
        ]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def text(self):
        lines = self.cells()
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        result = [self.title]
        for line in lines:
            cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
            result.append("  ".join(["  " + line[0].ljust(widths[0]), *cells]))
        for row in self.rows:
            if "missing" in row:
                result.append(f"  {row['name']}: not measured: {row['missing']}")
        return "\n".join(result) + "\n"

    def as_json(self):
        rows = [{**row, "ratio": self.ratio(row)} for row in self.rows]
        return {"title": self.title, "ratio_of": self.ratio_of, "ours": self.ours, "rows": rows}


def show(value):
    if value is None:
        return "-"
    if isinstance(value, int) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def publish(options, tables, **more):
    """Prints the tables and writes the JSON file."""
    form = Table.markdown if options.markdown else Table.text
    print("\n".join(form(table) for table in tables), end="\n" if options.markdown else "")
    for name, value in more.items():
        print(f"{name}: {show(value)}")
    if options.json:
        host = os.uname()
        about = {"kernel": host.release, "machine": host.machine, "cpus": os.cpu_count(), **more}
        result = {**about, "tables": [table.as_json() for table in tables]}
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n")
