# SPDX-License-Identifier: MIT
"""The configurations in tools/shippers, in the shippers that can be had here: numbered lines at full
speed through rotations, shipped and compared. CLEAT_SOAK=1: a million lines of each stream."""
import collections
import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

from harness import SOAK, TOP, wait_for
from jobs import simple

LINES, WIDTH = (1000000 if SOAK else 50000), 100
UNPACKED = TOP / "build-deps"  # by tools/install-deps


def unpacked(package):
    """(the root the package lies under, environment for its programs)."""
    root = UNPACKED / package
    if not root.is_dir():
        return Path("/"), os.environ
    libraries = {str(path.parent) for path in (root / "usr/lib").rglob("lib*.so.*")}
    return root, {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(libraries))}


class Shipper:
    """A shipper on one manager's allocations, with our configuration of it, only its paths changed."""

    def __init__(self, manager):
        self.dir = manager.box.dir / self.name
        self.out = self.dir / "cleat-tasks.json"
        self.log = self.dir / "log"
        self.config = self.dir / "config"
        self.dir.mkdir()
        ours = (TOP / f"tools/shippers/{self.name}.conf").read_text()
        assert "/var/lib/cleat/" in ours and "/var/log/cleat-tasks.json" in ours
        ours = ours.replace("/var/lib/cleat/", f"{manager.data_dir}/")
        self.config.write_text(self.head() + ours.replace("/var/log/", f"{self.dir}/"))
        self.process = None
        self.counted = self.offset = 0  # lines, in the first so many bytes of `out`

    def start(self):
        command, env = self.command()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env
            )

    def stop(self):
        """As init would stop it: it finishes what it has begun and writes down where it was."""
        self.process.terminate()
        assert self.process.wait(timeout=30) == 0, self.log.read_text()

    def lines(self):
        """How many lines have arrived."""
        if self.out.exists():
            with open(self.out, "rb") as file:
                file.seek(self.offset)
                while block := file.read(1 << 20):
                    self.counted += block.count(b"\n")
                    self.offset += len(block)
        return self.counted


class Rsyslog(Shipper):
    name = "rsyslog"

    def head(self):
        return f'global(workDirectory="{self.dir}" maxMessageSize="128k")\n'

    def command(self):
        root, env = unpacked("rsyslog")
        modules = [str(path.parent) for path in (root / "usr/lib").rglob("imfile.so")]
        program = [root / "usr/sbin/rsyslogd", "-n", "-f", self.config, "-i", self.dir / "pid"]
        return [*program, "-M", *modules], env


class SyslogNg(Shipper):
    name = "syslog-ng"

    def head(self):
        return '@version: 3.38\noptions { log-msg-size(131072); };\n'

    def command(self):
        root, env = unpacked("syslog-ng-core")
        modules = [str(path.parent) for path in (root / "usr/lib").rglob("libaffile.so")]
        state = ["-R", self.dir / "persist", "-c", self.dir / "control", "-p", self.dir / "pid"]
        program = [root / "usr/sbin/syslog-ng", "-F", "--no-caps", "-f", self.config, *state]
        return [*program, "--module-path", *modules], env


def compressed_beside(manager, alloc_id):
    """What compression leaves beside the segments, which no shipper may read."""
    logs = manager.alloc_dir(alloc_id) / "alloc/logs"
    for name in ("t.stdout.100000.gz", ".t.stdout.100001.tmp"):
        with gzip.open(logs / name, "wb") as file:
            file.write(b"not for shippers\n" * 1000)


@pytest.mark.timeout(900 if SOAK else 60)
@pytest.mark.parametrize("kind", [Rsyslog, SyslogNg], ids=lambda kind: kind.name)
def test_every_line_arrives_once(manager, kind):
    """Over a restart of the shipper, too."""
    shipper = kind(manager)
    shipper.start()
    try:
        alloc_id = manager.run_one(
            simple("both", f"lines:{LINES}:0:{WIDTH}", "pause", driver="raw_exec",
                   LogConfig={"MaxFiles": 1000, "MaxFileSizeMB": 1})
        )  # fmt: skip
        manager.wait_running(alloc_id)
        compressed_beside(manager, alloc_id)
        wait_for(shipper.lines, f"the first lines; {shipper.log.read_text()}", 30)
        shipper.stop()
        shipper.start()
        wait_for(lambda: shipper.lines() >= 2 * LINES, "all lines to be shipped", 600)
    finally:
        shipper.stop()
    assert len(manager.segments(alloc_id)) > LINES * WIDTH >> 20
    seen, wrong, last = collections.Counter(), [], {}
    with open(shipper.out) as file:
        for line in file:
            record = json.loads(line)
            text = record["message"]
            number = int(text.partition(".")[0].split()[0])
            seen[record["stream"], number] += 1
            place = record["stream"], record["segment"]
            if number < last.get(place, 0):
                wrong.append(record)  # it came after a later one of its segment
            last[place] = number
            if len(text) != WIDTH - 1 or (record["alloc"], record["task"]) != (alloc_id, "t"):
                wrong.append(record)
    assert wrong == []
    assert seen == {(s, n): 1 for s in ("stdout", "stderr") for n in range(LINES)}
