# SPDX-License-Identifier: MIT
"""The configurations in tools/shippers, in the shippers that can be had here: numbered lines at full
speed through rotations, shipped and compared. CLEAT_SOAK=1: a million lines of each stream.
CLEAT_FLUENT_BIT and CLEAT_PROMTAIL name programs that cannot be had everywhere."""
import collections
import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import SOAK, TOP, wait_for
from jobs import simple
from loki import Loki

LINES, WIDTH = (1000000 if SOAK else 50000), 100
OTHERS = 20  # allocations
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

    twice = 0  # so many lines of a segment may come again after a stop

    def __init__(self, manager):
        self.dir = manager.box.dir / self.name
        self.out = self.dir / "cleat-tasks.json"
        self.log = self.dir / "log"
        self.config = self.dir / self.ours
        self.dir.mkdir()
        text = (TOP / "tools/shippers" / self.ours).read_text()
        for theirs, here in {"/var/lib/cleat/": f"{manager.data_dir}/", **self.places()}.items():
            assert theirs in text
            text = text.replace(theirs, here)
        self.config.write_text(self.head() + text)
        self.process = None
        self.counted = self.offset = 0  # lines, in the first so many bytes of `out`

    def places(self):
        """What else of the configuration's text is replaced."""
        return {"/var/log/cleat-tasks.json": str(self.out)}

    def head(self):
        return ""

    def command(self):
        """(the command, its environment)."""
        raise NotImplementedError

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

    def close(self):
        """For good."""
        self.stop()

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
    name, ours = "rsyslog", "rsyslog.conf"

    def head(self):
        return f'global(workDirectory="{self.dir}" maxMessageSize="128k")\n'

    def command(self):
        root, env = unpacked("rsyslog")
        modules = [str(path.parent) for path in (root / "usr/lib").rglob("imfile.so")]
        program = [root / "usr/sbin/rsyslogd", "-n", "-f", self.config, "-i", self.dir / "pid"]
        return [*program, "-M", *modules], env


class SyslogNg(Shipper):
    name, ours = "syslog-ng", "syslog-ng.conf"

    def head(self):
        return '@version: 3.38\noptions { log-msg-size(131072); };\n'

    def command(self):
        root, env = unpacked("syslog-ng-core")
        modules = [str(path.parent) for path in (root / "usr/lib").rglob("libaffile.so")]
        state = ["-R", self.dir / "persist", "-c", self.dir / "control", "-p", self.dir / "pid"]
        program = [root / "usr/sbin/syslog-ng", "-F", "--no-caps", "-f", self.config, *state]
        return [*program, "--module-path", *modules], env


class FluentBit(Shipper):
    name, ours, variable = "fluent-bit", "fluent-bit.yaml", "CLEAT_FLUENT_BIT"

    def places(self):
        shutil.copy(TOP / "tools/shippers/fluent-bit.lua", self.dir)
        return {"/var/lib/fluent-bit": str(self.dir), "path: /var/log": f"path: {self.dir}"}

    def command(self):
        return [os.environ[self.variable], "-c", self.config], None


class Promtail(Shipper):
    name, ours, variable = "promtail", "promtail.yaml", "CLEAT_PROMTAIL"
    twice = 100  # it notes where it is, then sends what it has read beyond that

    def places(self):
        self.loki = Loki(self.out)
        return {"/var/lib/promtail": str(self.dir), "http://127.0.0.1:3100": self.loki.url}

    def command(self):
        return [os.environ[self.variable], f"-config.file={self.config}"], None

    def lines(self):
        return len(self.loki.seen)

    def close(self):
        try:
            super().close()
        finally:
            self.loki.close()


HERE = [Rsyslog, SyslogNg, *(k for k in (FluentBit, Promtail) if os.environ.get(k.variable))]


def compressed_beside(manager, alloc_id):
    """What compression leaves beside the segments, which no shipper may read."""
    logs = manager.alloc_dir(alloc_id) / "alloc/logs"
    for name in ("t.stdout.100000.gz", ".t.stdout.100001.tmp"):
        with gzip.open(logs / name, "wb") as file:
            file.write(b"not for shippers\n" * 1000)


@pytest.mark.timeout(900 if SOAK else 60)
@pytest.mark.parametrize("kind", HERE, ids=lambda kind: kind.name)
def test_every_line_arrives_once(manager, kind):
    """Over a restart of the shipper, and of other allocations, too: more than a shipper can watch that
    takes inotify instances for each."""
    shipper = kind(manager)
    shipper.start()
    try:
        others = manager.run(simple("print:other", "pause", id="others", driver="raw_exec", count=OTHERS))
        alloc_id = manager.run_one(
            simple("both", f"lines:{LINES}:0:{WIDTH}", "pause", driver="raw_exec",
                   LogConfig={"MaxFiles": 1000, "MaxFileSizeMB": 1})
        )  # fmt: skip
        manager.wait_running(alloc_id)
        compressed_beside(manager, alloc_id)
        wait_for(shipper.lines, f"the first lines; {shipper.log.read_text()}", 30)
        shipper.stop()
        shipper.start()
        wait_for(lambda: shipper.lines() >= 2 * LINES + OTHERS, "all lines to be shipped", 600)
    finally:
        shipper.close()
    assert len(manager.segments(alloc_id)) > LINES * WIDTH >> 20
    seen, wrong, last, heard = collections.Counter(), [], {}, []
    with open(shipper.out) as file:
        for line in file:
            record = json.loads(line)
            text = record["message"]
            if record["alloc"] in others:
                heard.append((record["alloc"], record["task"], text))
                continue
            number = int(text.partition(".")[0].split()[0])
            seen[record["stream"], number] += 1
            place = record["stream"], record["segment"]
            if seen[record["stream"], number] == 1:
                if number < last.get(place, 0):
                    wrong.append(record)  # it came after a later one of its segment
                last[place] = number
            if len(text) != WIDTH - 1 or (record["alloc"], record["task"]) != (alloc_id, "t"):
                wrong.append(record)
    assert wrong == []
    assert sorted(heard) == sorted((other, "t", "other") for other in others)
    assert set(seen) == {(s, n) for s in ("stdout", "stderr") for n in range(LINES)}
    assert seen.total() - len(seen) <= shipper.twice * len(manager.segments(alloc_id))
