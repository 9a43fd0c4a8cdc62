# SPDX-License-Identifier: MIT
"""A hostile task tries to get out: as nobody and as root in the task, with the filter of system
calls and without it (what holds must not hang on the filter alone)."""
import contextlib
import os
import shutil
from pathlib import Path

import pytest

import records
from harness import PAYLOAD, kill_hard, process_gone, wait_for
from jobs import restart, simple
from test_isolation import values
from test_logs import log_config

REFUSED = {"EPERM", "EACCES", "EROFS", "ENOENT", "ESRCH", "ENOSYS", "ECONNREFUSED", "ENODEV"}


def results(output):
    """{"verb arg": result} of all lines that report an attempt."""
    return dict(line.rsplit("=", 1) for line in output.splitlines() if "=" in line)


@pytest.fixture(params=["nobody", "root"])
def user(request):
    return request.param


@pytest.fixture(params=["default", "unconfined"])
def attack(box, user, request):
    """A function that runs steps as a task and returns its output."""
    manager = box.manager(exec_plugin="allow_unconfined_seccomp = true").start()
    count = iter(range(100))

    def run(*steps, **fields):
        config = {"seccomp": request.param, **fields.pop("config", {})}
        job = simple(*steps, id=f"attack{next(count)}", User=user, config=config, **fields)
        return manager.run_to_end(job)[0]

    run.manager = manager
    run.filtered = request.param == "default"
    return run


def all_refused(output, count):
    found = results(output)
    assert len(found) == count, output
    assert set(found.values()) <= REFUSED, output


def test_nothing_is_inherited(attack):
    output = attack("fds", "cwd", "env")
    fds = {k: v for k, v in results(output).items() if k.startswith("fd ")}
    assert sorted(fds) == ["fd 0", "fd 1", "fd 2"]
    assert fds["fd 0"] == "/dev/null" and all(fds[f"fd {n}"].startswith("pipe:") for n in (1, 2))
    assert values(output, "cwd") == ["/"]


def test_the_stub_and_what_belongs_to_it(attack):
    """pid 1 of the task's namespace is ours, with all our privileges."""
    output = attack("ls:/proc/1/root", "ls:/proc/1/cwd", "cat:/proc/1/fd/3", "cat:/proc/1/environ",
                    "openmem:1", "readmem:1", "getfd:1", "ptrace:1", "setns:1",
                    "cat:/proc/1/maps")  # fmt: skip
    all_refused(output, 10)


def test_the_executor_of_a_task_that_sees_all_processes(attack):
    """Under pid_mode host it may see them; their memory, descriptors and roots stay theirs."""
    manager = attack.manager
    other = manager.run_one(simple("pause", id="other"))
    manager.wait_running(other)
    pid = records.task_status(manager, other)["executor_pid"]
    steps = [f"{verb}:{pid}" for verb in ("openmem", "readmem", "getfd", "ptrace", "setns")]
    output = attack(*steps, f"ls:/proc/{pid}/root", "ls:/proc/1/root", f"cat:/proc/{pid}/environ",
                    config={"pid_mode": "host"})  # fmt: skip
    all_refused(output, 8)


def test_mounts(attack):
    output = attack(
        "mount:tmpfs", "mount:proc", "mount:sysfs", "mount:cgroup", "mount:cgroup2",
        "mount:devtmpfs", "mount-api:tmpfs", "bind:/", "bind:/proc", "pivot:/tmp",
        *(f"remount:{p}" for p in ("/usr", "/proc/sys", "/sys", "/dev", "/payload")),
        *(f"umount:{p}" for p in ("/proc/sys", "/proc/keys", "/sys/firmware", "/secrets", "/usr")),
        *(f"unshare:{k}" for k in ("mnt", "pid", "net", "ipc", "uts", "cgroup")),
    )  # fmt: skip
    all_refused(output, 26)


def test_a_user_namespace_of_its_own_gives_no_power_over_ours(attack):
    """The filter forbids one; without it the kernel gives power over the new namespaces only."""
    output = attack("unshare:user", "sysctl:/proc/sys/kernel/core_pattern", "hostname:x",
                    "remount:/usr", "umount:/proc/sys", "by-handle:/local",
                    "device:/tmp/mem")  # fmt: skip
    found = results(output)
    assert found.pop("unshare user") == "EPERM" or not attack.filtered
    assert len(found) == 6 and set(found.values()) <= REFUSED, output


def test_breaking_out_of_the_root(attack):
    output = attack("ls:/", "print:---", "breakout:/tmp/jail", "ls:/")
    before, _, after = output.partition("---\n")
    inside = set(values(before, "entry"))
    assert "usr" in inside and "home" not in inside
    assert set(values(after, "entry")) <= inside | {"jail"}, after


def test_devices(attack):
    places = ["/tmp/mem", "/local/mem", "/alloc/data/mem", "/secrets/mem", "/dev/shm/mem",
              "/dev/mem"]  # fmt: skip
    all_refused(attack(*(f"device:{p}" for p in places), "by-handle:/local"), 7)


def test_the_kernels_switches(attack):
    output = attack(
        *(f"sysctl:{p}" for p in (
            "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger",
            "/proc/sys/vm/panic_on_oom", "/proc/sys/fs/binfmt_misc/register",
            "/sys/kernel/uevent_helper", "/sys/kernel/mm/ksm/run", "/sys/fs/cgroup/cgroup.procs",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/proc/self/attr/current",
        )),
        "hostname:x", "module:x", "oom:-500",
    )  # fmt: skip
    found = results(output)
    assert len(found) == 13
    assert set(found.values()) <= REFUSED | {"EINVAL"}, output  # EINVAL: no security module, or none that knows such a label


def test_keyrings(attack):
    """Its session keyring is its own, so nothing of the manager's session is to be had there."""
    found = results(attack("keyring:session"))
    if attack.filtered:
        assert found == {"keyring session": "EPERM"}
        return
    output, _ = attack.manager.run_to_end(simple("keyring:session", id="raw", driver="raw_exec"))
    assert "keyring" in found and found != results(output)


def test_signals_to_the_host(attack):
    pids = [os.getpid(), attack.manager.process.pid]
    all_refused(attack(*(f"kill:{pid}" for pid in pids)), 2)
    assert attack.manager.alive()


def test_sockets_of_the_manager(attack):
    """Neither by path nor, in a namespace of networks that is shared, by an abstract name."""
    manager = attack.manager
    all_refused(attack(f"connect:{manager.socket}", "connect:@cleat"), 2)
    sockets = set()
    for fd in Path(f"/proc/{manager.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            sockets.add(os.readlink(fd))
    assert any(link.startswith("socket:") for link in sockets)
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        assert f"socket:[{words[6]}]" not in sockets or not words[7:] or words[7][0] != "@"


def test_secrets_of_others(attack):
    manager = attack.manager
    other = manager.run_one(simple("write:/secrets/key", "pause", id="other"))
    pid = manager.wait_running(other)
    wait_for(lambda: manager.output(other), "the file to be written")
    host_path = manager.alloc_dir(other) / "t/secrets/key"
    assert host_path.read_text()
    all_refused(attack(f"cat:{host_path}", f"cat:/proc/{pid}/root/secrets/key",
                       f"cat:/proc/{pid}/environ"), 3)  # fmt: skip


def test_setuid_programs(box):
    """One that belongs to root, in a directory of the host that tasks see."""
    where = box.dir / "suid"
    where.mkdir()
    shutil.copy(PAYLOAD, where / "payload")
    (where / "payload").chmod(0o6755)
    manager = box.manager(
        chroot_env={"/usr": "/usr", str(where): "/suid"},
        exec_plugin="allow_unconfined_seccomp = true",
    ).start()
    output, _ = manager.run_to_end(
        simple("ids", command="/suid/payload", config={"seccomp": "unconfined"})
    )
    assert values(output, "uid") == values(output, "euid") != ["0"]
    assert values(output, "egid") != ["0"]


@pytest.mark.parametrize("step", ["restart", "new executor"])
def test_directories_replaced_by_links(box, user, step):
    """Before a restart the task puts links to a directory of the host where its own are."""
    victim = box.dir / "victim"
    victim.mkdir()
    victim.chmod(0o777)
    (victim / "file").write_text("host\n")
    names = ["/local", "/alloc/logs", "/alloc/data", "/tmp", "/dev", "/etc", "/secrets"]
    manager = box.manager().start()
    alloc_id = manager.run_one(
        simple(*(f"swap:{name}>{victim}" for name in names), f"link:{victim}/file>/alloc/logs/t.stdout.1",
               "write:/local/x", "write:/alloc/data/x", "write:/tmp/x", "print:tried", "exit:1",
               User=user, policy=restart(attempts=2, delay=0))
        if step == "restart" else
        simple(*(f"swap:{name}>{victim}" for name in names), "print:tried", "pause",
               User=user, type="service", policy=restart(attempts=2, delay=0))
    )  # fmt: skip
    if step == "restart":
        manager.wait_dead(alloc_id)
    else:
        manager.wait_running(alloc_id)
        wait_for(lambda: "swap /local" in str(list((manager.alloc_dir(alloc_id) / "t").iterdir()))
                 or (manager.alloc_dir(alloc_id) / "t/local").is_symlink(), "the links")  # fmt: skip
        kill_hard(records.task_status(manager, alloc_id)["executor_pid"])
        manager.wait_event(alloc_id, "Started", count=1)
        wait_for(lambda: manager.task(alloc_id).get("Restarts", 0) >= 1
                 or manager.task(alloc_id).get("State") == "dead", "a second start")  # fmt: skip
    assert [p.name for p in victim.iterdir()] == ["file"]
    assert (victim / "file").read_text() == "host\n"


def test_descriptor_bomb(manager):
    output, _ = manager.run_to_end(
        simple("bomb:descriptors", config={"ulimit": {"nofile": 64}})
    )
    assert output == "descriptors=61 EMFILE\n"


def test_process_bomb(manager):
    """Held by its own limit; nothing of it is left, and others start meanwhile."""
    limit = {"CPU": 100, "MemoryMB": 64, "PIDs": 40}
    alloc_id = manager.run_one(simple("bomb:processes", "pause", Resources=limit, id="bomb"))
    pid = manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id), "the bomb to go off")
    count, error = manager.output(alloc_id).split("=")[1].split()
    assert int(count) <= 40 and error == "EAGAIN"
    assert manager.run_to_end(simple("print:fine", id="beside"))[0] == "fine\n"
    manager.stop("bomb")
    manager.wait_dead(alloc_id)
    assert process_gone(pid)


def test_memory_bomb(manager):
    job = simple("hog:512", Resources={"CPU": 100, "MemoryMB": 32})
    _, state = manager.run_to_end(job)
    event = next(e for e in state["Events"] if e["Type"] == "Terminated")
    assert "oom" in str(event).lower()


def test_log_flood(manager):
    """It has its own files and no more; who writes little beside it loses nothing, and the manager answers."""
    flood = manager.run_one(simple("lines:0:0:100", id="flood", type="service", LogConfig=log_config(2, 1)))
    wait_for(lambda: len(s := manager.segments(flood)) and int(s[-1].suffix[1:]) >= 5, "the flood to rotate")
    output, _ = manager.run_to_end(simple("lines:100:5", id="beside"))
    assert [int(line.split()[0]) for line in output.splitlines()] == list(range(100))
    manager.stop("flood")
    manager.wait_dead(flood)
    sizes = [p.stat().st_size for p in manager.segments(flood)]
    assert len(sizes) == 2 and max(sizes) <= 1 << 20
