# SPDX-License-Identifier: MIT
"""The allocation directory: what is in it, its modes and owners, as Nomad's file system page."""
import os
import pwd
import stat

import pytest

from harness import DEFAULT_CHROOT
from jobs import group, job, simple, task

NOBODY = pwd.getpwnam("nobody").pw_uid


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_modes_and_owners(manager, driver):
    alloc_id = manager.run_one(simple("print:x", "pause", driver=driver))
    manager.wait_running(alloc_id)
    base = manager.alloc_dir(alloc_id)
    assert (mode(base), os.stat(base).st_uid) == (0o755, 0)
    for path in ("alloc", "alloc/data", "alloc/logs", "alloc/tmp", "t", "t/local", "t/secrets"):
        assert mode(base / path) == 0o777, path
    for path in ("alloc", "alloc/data", "alloc/tmp", "t", "t/local"):
        assert os.stat(base / path).st_uid == NOBODY, path
    assert mode(base / "t/tmp") == 0o1777
    assert mode(base / "t/executor.out") == 0o644
    assert mode(base / "alloc/logs/t.stdout.0") == 0o644


def test_state_is_for_root_only(manager):
    alloc_id = manager.run_one(simple("pause"))
    manager.wait_running(alloc_id)
    for path, _, files in os.walk(manager.data_dir / "state"):
        assert mode(path) & 0o077 == 0, path
        for name in files:
            info = os.lstat(os.path.join(path, name))
            # A FIFO for the task's output would be elsewhere: all of these are root's alone.
            assert stat.S_IMODE(info.st_mode) & 0o077 == 0 and info.st_uid == 0, name


def listing(manager, alloc_id, path):
    return {f["Name"]: f for f in manager.get(f"/v1/client/fs/ls/{alloc_id}?path={path}")}


def test_listing_of_raw_exec(manager):
    alloc_id = manager.run_one(simple("print:x", "pause", driver="raw_exec"))
    manager.wait_running(alloc_id)
    root = listing(manager, alloc_id, "/")
    assert set(root) == {"alloc", "t"}
    assert all(f["IsDir"] and f["FileMode"] == "drwxrwxrwx" for f in root.values())
    assert set(listing(manager, alloc_id, "/alloc")) == {"data", "logs", "tmp"}
    assert set(listing(manager, alloc_id, "/alloc/logs")) == {"t.stdout.0", "t.stderr.0"}
    own = listing(manager, alloc_id, "/t")
    assert set(own) == {"executor.out", "local", "secrets", "tmp"}
    assert own["executor.out"]["FileMode"] == "-rw-r--r--"
    assert own["tmp"]["FileMode"] == "dtrwxrwxrwx"


def test_listing_of_exec(manager):
    alloc_id = manager.run_one(simple("print:x", "pause"))
    manager.wait_running(alloc_id)
    own = listing(manager, alloc_id, "/t")
    shown = {path.split("/")[1] for path in DEFAULT_CHROOT if os.path.lexists(path)}
    assert set(own) == shown | {
        "alloc", "dev", "executor.out", "local", "payload", "proc", "secrets", "sys", "tmp"
    }  # fmt: skip


def test_two_tasks_share_the_alloc_directory(manager):
    writer = task("write:/alloc/data/note", "pause", name="writer")
    reader = task("once:/alloc/data/seen:1", "cat:/alloc/data/note", name="reader")
    policy = {"Attempts": 3, "Delay": 300_000_000, "Interval": 60 * 10**9, "Mode": "fail"}
    alloc_id = manager.run_one(job(group(writer, reader, policy=policy)))
    manager.wait_dead(alloc_id, "reader")
    assert manager.output(alloc_id, "reader") == "written by the task\n"


def test_executor_out_has_a_line_per_step(manager):
    alloc_id = manager.run_one(simple("exit:3"))
    manager.wait_client(alloc_id, "failed")
    lines = (manager.alloc_dir(alloc_id) / "t/executor.out").read_text().splitlines()
    assert len(lines) >= 2
    assert any("exit code 3" in line.lower() or "code 3" in line for line in lines)


def test_the_directory_stays_and_the_secrets_go(manager):
    alloc_id = manager.run_one(simple("write:/local/kept", "write:/secrets/key", "pause"))
    manager.wait_running(alloc_id)
    manager.stop("job")
    manager.wait_dead(alloc_id)
    base = manager.alloc_dir(alloc_id)
    assert (base / "t/local/kept").read_text() == "written by the task\n"
    assert not (base / "t/secrets/key").exists()
