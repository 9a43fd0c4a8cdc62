# SPDX-License-Identifier: MIT
"""Finished allocations go by count, age, disk and inodes: never one that runs, never through a mount."""
import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import pytest

from harness import ApiError, wait_for
from jobs import simple


@pytest.fixture
def gc_manager(box):
    """make(config): a manager with that in its client block."""

    def make(config, **options):
        return box.manager(config=config, **options).start()

    return make


def run_some(manager, n, script=None):
    """n jobs, one after the other; returns their allocations, oldest first."""
    ids = []
    for _ in range(n):
        config = {"command": "/bin/sh", "args": ["-c", script or "exit 0"]}
        ids.append(manager.run_one(simple(id=f"j{len(manager.get('/v1/jobs'))}", driver="raw_exec", config=config)))
        manager.wait_client(ids[-1], "complete")
    return ids


def kept(manager, ids):
    return [manager.alloc_dir(i).exists() for i in ids]


def test_by_count(gc_manager):
    """The oldest directories go; what is known of the allocations stays, a restart of the manager included."""
    manager = gc_manager('gc_max_allocs = 3\ngc_interval = "1s"\n')
    live = manager.run_one(simple("pause", id="live", driver="raw_exec"))
    manager.wait_running(live)
    ids = run_some(manager, 5)
    wait_for(lambda: kept(manager, ids) == [False, False, True, True, True], "the oldest two to go")
    assert "there are more than gc_max_allocs = 3" in manager.log()
    for _ in range(2):
        assert manager.get(f"/v1/allocation/{ids[0]}")["ClientStatus"] == "complete"
        with pytest.raises(ApiError, match="was removed some time after it had finished"):
            manager.call("GET", f"/v1/client/fs/ls/{ids[0]}?path=/")
        assert "gc_max_allocs" in manager.cli("alloc", "logs", ids[0], check=False).stderr
        assert manager.alloc_dir(live).exists()
        assert manager.terminate() == 0
        manager.start()
    assert kept(manager, ids) == [False, False, True, True, True]
    ids += run_some(manager, 1)
    wait_for(lambda: kept(manager, ids) == [False] * 3 + [True] * 3, "the next one to go")
    reply = json.loads(manager.cli("system", "gc", "-json").stdout)
    assert reply["Removed"] + reply["Left"] == 6
    assert manager.wait_running(live)


def test_by_age(gc_manager):
    manager = gc_manager('gc_max_age = "2s"\ngc_interval = "1s"\n')
    live = manager.run_one(simple("pause", id="live", driver="raw_exec"))
    (old,) = run_some(manager, 1)
    wait_for(lambda: [j["ID"] for j in manager.get("/v1/jobs")] == ["live"], "the old job to go")
    assert not manager.alloc_dir(old).exists()
    assert "gc_max_age" in manager.log()
    assert manager.wait_running(live)


@pytest.fixture
def small_disk(box):
    path = box.dir / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,nr_inodes=1000", "small", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.parametrize("limit,script,reason", [
    ("gc_disk_usage_threshold = 50", "head -c 6000000 /dev/zero >$NOMAD_ALLOC_DIR/data/x", "the disk is"),
    ("gc_inode_usage_threshold = 50", "cd $NOMAD_ALLOC_DIR/data; seq 200 | xargs touch", "of the inodes are used"),
])  # fmt: skip
def test_by_use(gc_manager, small_disk, limit, script, reason):
    """Only as many as it takes; another program may be what fills the disk, so the timer looks, too."""
    manager = gc_manager(f'alloc_dir = "{small_disk}/allocs"\ngc_interval = "1s"\n{limit}\n')
    manager.alloc_dir = lambda alloc_id: small_disk / "allocs" / alloc_id
    ids = run_some(manager, 3, script)
    wait_for(lambda: kept(manager, ids) == [False, True, True], "the oldest to go")
    assert reason in manager.log() and "the directories of" not in manager.log()
    other = small_disk / "other"
    other.mkdir()
    if "disk" in limit:
        (other / "x").write_bytes(bytes(8000000))
    else:
        for i in range(300):
            (other / str(i)).touch()
    wait_for(lambda: kept(manager, ids) == [False, False, False], "the others to go")
    subprocess.run(["rm", "-r", other], check=True)
    ids = run_some(manager, 1, script)
    assert kept(manager, ids) == [True]


def test_full_for_other_reasons(gc_manager, small_disk):
    """What runs is never removed, however full the disk is; and that is said once."""
    (small_disk / "other").write_bytes(bytes(22000000))
    manager = gc_manager(f'alloc_dir = "{small_disk}/allocs"\ngc_interval = "1s"\ngc_max_age = "3s"\n')
    live = manager.run_one(simple("pause", id="live", driver="raw_exec"))
    run_some(manager, 2)
    wait_for(lambda: "no finished allocation is left" in manager.log(), "the warning")
    # Records that age keep the timer running: it looks at the disk with each turn.
    wait_for(lambda: [a["ID"] for a in manager.get("/v1/allocations")] == [live], "the records to go as well")
    assert manager.log().count("no finished allocation is left") == 1
    assert (small_disk / "allocs" / live).exists() and manager.wait_running(live)


def test_never_through_a_mount(gc_manager, box):
    """A bind mount of the same file system, which no device number tells from a directory."""
    manager = gc_manager('gc_max_allocs = 0\ngc_interval = "1s"\n')
    precious = box.dir / "precious"
    precious.mkdir()
    (precious / "file").write_text("still here")
    alloc = manager.run_one(simple(driver="raw_exec", config={
        "command": "/bin/sh", "args": ["-c", "mkdir $NOMAD_ALLOC_DIR/m; until test -e $NOMAD_ALLOC_DIR/m/file; do sleep 0.05; done"]}))  # fmt: skip
    point = manager.alloc_dir(alloc) / "alloc" / "m"
    wait_for(point.exists, "the directory")
    subprocess.run(["mount", "--bind", precious, point], check=True)
    try:
        manager.wait_client(alloc, "complete")
        wait_for(lambda: "could not be removed" in manager.log(), "the refusal")
        assert "something is mounted there" in manager.log()
        reply = json.loads(manager.cli("system", "gc", "-json").stdout)
        assert reply == {"Removed": 0, "Left": 1}
        assert (precious / "file").read_text() == "still here"
        assert manager.get(f"/v1/allocation/{alloc}")["ClientStatus"] == "complete"
    finally:
        subprocess.run(["umount", point], check=True)
    wait_for(lambda: not manager.alloc_dir(alloc).exists(), "the next round")
    assert (precious / "file").read_text() == "still here"


def test_parallel(box):
    """system gc waits for all of them; at most gc_parallel_destroys children at a time."""
    manager = box.manager(config="gc_parallel_destroys = 3\ngc_max_allocs = 1000\n")
    calls, go = box.dir / "calls", box.dir / "go"
    calls.touch()
    manager.wrap_executor(f"""[ "$1" != remove ] || {{
        echo 1 >>{calls}; until [ -e {go} ]; do sleep 0.05; done
        {manager.executor()} "$@"; status=$?; echo -1 >>{calls}; exit $status; }}""")
    manager.start()
    manager.run(simple(count=160, driver="raw_exec", config={"command": "/bin/true"}))
    wait_for(lambda: all(a["ClientStatus"] == "complete" for a in manager.get("/v1/allocations")), "the end of all",
             timeout=40)  # fmt: skip
    wait_for(lambda: subprocess.run(["pgrep", "-P", str(manager.process.pid)], stdout=subprocess.DEVNULL).returncode,
             "their executors to have gone")  # fmt: skip
    with ThreadPoolExecutor() as pool:
        gc = pool.submit(manager.cli, "system", "gc", "-json")
        try:
            wait_for(lambda: calls.read_text().count("1") == 3, "three children")
            assert not gc.done()
        finally:
            go.touch()
    assert json.loads(gc.result().stdout) == {"Removed": 160, "Left": 0}
    assert max(accumulate(map(int, calls.read_text().split()))) == 3
    assert not list((manager.data_dir / "allocs").iterdir())


def test_several_at_one_directory(box):
    """A manager that was killed leaves its child at work on what the next manager removes, too."""
    executor = box.manager().executor()
    for n in range(20):
        top = box.dir / f"tree-{n}"
        for i in range(20):
            (top / f"{i}/sub/deeper").mkdir(parents=True)
            for name in "abc":
                (top / f"{i}/sub/{name}").touch()
        removers = [subprocess.Popen([executor, "remove", "0", "0", "0", top],
                                     stderr=subprocess.PIPE, env=box.env) for k in range(3)]  # fmt: skip
        assert [(r.wait(), r.stderr.read()) for r in removers] == 3 * [(0, b"")]
        assert not top.exists()


def test_no_waking_for_nothing(gc_manager):
    """Without a finished allocation there is no timer."""
    manager = gc_manager('gc_interval = "1s"\n')
    manager.wait_running(manager.run_one(simple("pause", id="live", driver="raw_exec")))
    status = f"/proc/{manager.process.pid}/status"

    def switches():
        return sum(int(line.split()[1]) for line in open(status) if "ctxt_switches" in line)

    def idle_for(seconds):
        before = switches()
        time.sleep(seconds)  # nothing may happen in this time: there is no event to wait for
        return switches() == before

    wait_for(lambda: idle_for(2.5), "the manager to sleep through gc_interval")
