# SPDX-License-Identifier: MIT
"""A manager, its executors and tasks of an ordinary user; the escape suite once more from there."""
import os
import pwd
import signal
import subprocess
import sys

import pytest

import artifact_server
import leftovers
import records
from fetching import repository
from harness import BUILD, PAYLOAD_IN_ROOT, ApiError, kill_hard, process_gone, wait_for
from jobs import MS, group, job, restart, simple, task
from test_escape import (  # noqa: F401  they run with the fixtures of this module
    REFUSED,
    results,
    test_a_user_namespace_of_its_own_gives_no_power_over_ours,
    test_breaking_out_of_the_root,
    test_devices,
    test_directories_replaced_by_links,
    test_keyrings,
    test_mounts,
    test_nothing_is_inherited,
    test_secrets_of_others,
    test_signals_to_the_host,
    test_sockets_of_the_manager,
    test_the_executor_of_a_task_that_sees_all_processes,
    test_the_kernels_switches,
    test_the_stub_and_what_belongs_to_it,
)
from test_fetch import FILES, tar
from test_isolation import values
from test_volumes import SHARED, WRITTEN, host_volumes, mount_late, mount_lines, mounted

SUBIDS = 1_900_000_000, 65536

# No template waits for changes to calm down.
QUICK_TEMPLATES = '  template {\n    wait {\n      min = "0s"\n      max = "1s"\n    }\n  }\n'

# Runs its arguments in a user namespace that has every id, and allows no further ones below it.
NO_MORE_NAMESPACES = """
import ctypes, os, sys
ready, told = os.pipe()
me = os.getpid()
if os.fork() == 0:
    os.close(told)
    os.read(ready, 1)
    for file in "uid_map", "gid_map":
        open(f"/proc/{me}/{file}", "w").write("0 0 4294967295")
    os._exit(0)
os.close(ready)
assert ctypes.CDLL(None).unshare(0x10000000) == 0
os.close(told)
os.wait()
open("/proc/sys/user/max_user_namespaces", "w").write("0")
os.execvp(sys.argv[1], sys.argv[1:])
"""


def change_accounts(*command):
    """One at a time: whoever comes second is refused."""
    wait_for(lambda: subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0, command)


@pytest.fixture(scope="module")
def account():
    """An ordinary user without any further ids."""
    name = f"cleat{os.getpid()}"
    change_accounts("useradd", "--no-create-home", "--home-dir", "/nonexistent", "--user-group",
                    "-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0", name)  # fmt: skip
    yield pwd.getpwnam(name)
    change_accounts("userdel", name)


@pytest.fixture
def subids(account):
    """Gives the account further ids; returns the first. To be named before `box`, so that the account
    has no processes when it loses them."""
    first, size = SUBIDS
    ids = f"{first}-{first + size - 1}"
    change_accounts("usermod", "--add-subuids", ids, "--add-subgids", ids, account.pw_name)
    yield first
    change_accounts("usermod", "--del-subuids", ids, "--del-subgids", ids, account.pw_name)


@pytest.fixture
def rootless(box, account):
    """A manager that the account has started."""
    return box.manager(user=account.pw_name).start()


@pytest.fixture(params=["own", "root"])
def user(request, account):
    return account.pw_name if request.param == "own" else "root"


@pytest.fixture
def attack(box, user, account):
    """As the one of test_escape, without the filter of system calls."""
    manager = box.manager(user=account.pw_name, exec_plugin="allow_unconfined_seccomp = true").start()
    count = iter(range(100))

    def run(*steps, **fields):
        config = {"seccomp": "unconfined", **fields.pop("config", {})}
        return manager.run_to_end(
            simple(*steps, id=f"attack{next(count)}", User=user, config=config, **fields)
        )[0]

    run.manager = manager
    run.filtered = False
    return run


def raw(manager, *steps, **fields):
    return simple(*steps, driver="raw_exec", command=str(manager.payload), **fields)


def refusal(manager, job):
    with pytest.raises(ApiError) as refused:
        manager.run(job)
    assert refused.value.status == 400
    return refused.value.text


# Who a task is


def test_a_task_is_the_user_itself(rootless, account):
    output, state = rootless.run_to_end(simple("ids", "write:/local/file", "cat:/proc/self/uid_map",
                                               "ls:/", "reopen"))  # fmt: skip
    assert values(output, "uid") == [str(account.pw_uid)] and values(output, "gid") == [str(account.pw_gid)]
    assert f"{account.pw_uid} {account.pw_uid} 1" in " ".join(output.split())
    assert "write /local/file=ok" in output and "reopened=ok" in output
    assert not state["Failed"] and "home" not in values(output, "entry")
    (alloc_id,) = (p.name for p in (rootless.data_dir / "allocs").iterdir())
    assert (rootless.alloc_dir(alloc_id) / "t/local/file").stat().st_uid == account.pw_uid


def test_root_of_a_task_is_the_user_on_the_host(box, rootless, account):
    """It may do with the host's files what the user may, though they are shown to it writable."""
    secret = box.dir / "secret"
    secret.mkdir(mode=0o755)
    (secret / "roots").write_text("x")
    (secret / "roots").chmod(0o600)
    manager = box.manager("n", user=account.pw_name, chroot_env={str(secret): "/shown", "/etc": "/etc"})
    output, _ = manager.start().run_to_end(
        simple("ids", "cat:/shown/roots", "cat:/etc/shadow", "write:/shown/new", "write:/etc/new",
               "mknod:/local/node", "write:/local/mine", User="root")
    )  # fmt: skip
    assert values(output, "uid") == ["0"]
    found = results(output)
    assert found["write /local/mine"] == "ok"
    assert all(found[k] in REFUSED for k in ("cat /shown/roots", "cat /etc/shadow", "write /shown/new",
                                             "write /etc/new", "mknod /local/node"))  # fmt: skip
    (mine,) = manager.data_dir.glob("allocs/*/t/local/mine")
    assert mine.stat().st_uid == account.pw_uid


def test_another_user_by_further_ids(subids, box, account):
    manager = box.manager(user=account.pw_name).start()
    alloc_id = manager.run_one(simple("ids", "write:/local/file", "write:/secrets/file", "mkdir:/local/dir",
                                      "reopen", "pause", User="nobody", id="other"))  # fmt: skip
    manager.wait_running(alloc_id)
    output = wait_for(lambda: "reopened" in manager.output(alloc_id) and manager.output(alloc_id), "its output")
    assert values(output, "uid") == ["65534"]
    assert {results(output)[k] for k in ("write /local/file", "write /secrets/file", "reopened")} == {"ok"}
    host = manager.alloc_dir(alloc_id) / "t/local/dir"
    assert host.stat().st_uid == subids + 65534 - 1
    done = manager.cli("alloc", "exec", alloc_id, PAYLOAD_IN_ROOT, "ids")
    assert values(done.stdout, "uid") == ["65534"]
    manager.stop("other")
    manager.wait_client(alloc_id, "complete")
    # It is passed over while its executor is about to end.
    wait_for(lambda: manager.cli("system", "gc") and not manager.alloc_dir(alloc_id).exists(),
             "what belongs to other ids to be removed")  # fmt: skip
    assert "could not be removed" not in manager.log()


def test_userns_is_a_namespace_of_further_ids(subids, box, account):
    manager = box.manager(user=account.pw_name).start()
    output, _ = manager.run_to_end(simple("ids", "cat:/proc/self/uid_map", config={"userns": True}))
    assert values(output, "uid") == ["65534"]
    assert f"0 {account.pw_uid} 1 1 {subids} 65536" in " ".join(output.split())


@pytest.mark.parametrize("fields, mend", [
    ({"User": "nobody"}, "newuidmap"),
    ({"config": {"userns": True}}, "/etc/subuid"),
    ({"User": "nobody", "driver": "raw_exec"}, "start cleat-manager as root"),
    ({"User": "root", "driver": "raw_exec"}, "start cleat-manager as root"),
    ({"Resources": {"CPU": 100, "MemoryMB": 64, "PIDs": 10}}, "pids"),
])  # fmt: skip
def test_what_needs_more_is_refused_with_the_mend(rootless, fields, mend):
    assert mend in refusal(rootless, simple("ids", **fields))


def test_devices_are_refused(box, account):
    manager = box.manager(user=account.pw_name, exec_plugin='allow_devices = ["/dev/*"]').start()
    text = refusal(manager, simple("ids", config={"devices": [{"host_path": "/dev/null"}]}))
    assert "only root can give a task devices" in text


def test_a_user_known_only_at_the_start(rootless):
    """Its name hangs on a variable: the refusal comes from the start, not from the kernel."""
    alloc_id = rootless.run_one(simple("ids", User="${meta.nothing}nobody"))
    rootless.wait_dead(alloc_id)
    assert "newuidmap" in str(rootless.task(alloc_id)["Events"])


# What it has


def test_volumes(box, account):
    """What is read-only or sealed on the host stays so, and its mounts follow; the task's don't."""
    data = box.dir / "data"
    data.mkdir()
    manager = box.manager(user=account.pw_name, config=host_volumes(rw=data))
    manager.start(wrapper=[*SHARED, str(data)])
    steps = ["write:/rw/x", "write:/rw/sealed/x", "write:/ro/x", "cat:/ro/x", "pause"]
    mounts = [("rw", "/rw", {"PropagationMode": "host-to-task"}), ("rw", "/ro", {"ReadOnly": True})]
    alloc_id = manager.run_one(mounted(*steps, mounts=mounts))
    pid = manager.wait_running(alloc_id)
    wait_for(lambda: WRITTEN in manager.output(alloc_id), "the task's last word")
    assert manager.output(alloc_id).splitlines() == [
        "write /rw/x=ok", "write /rw/sealed/x=EROFS", "write /ro/x=EROFS", WRITTEN.strip(),
    ]  # fmt: skip
    options = {line.split()[4]: line.split()[5] for line in mount_lines(pid)}
    assert "noexec" in options["/rw/sealed"] and "ro" in options["/ro/sealed"].split(",")
    mount_late(manager, data / "late")
    points = [line.split()[4] for line in mount_lines(pid)]
    assert "/rw/late" in points and "/ro/late" not in points
    shared = mounted("pause", id="no", mounts=[("rw", "/v", {"PropagationMode": "bidirectional"})])
    assert "only root can let a task's mounts appear" in refusal(manager, shared)


def test_secrets_are_the_users_alone(rootless):
    alloc_id = rootless.run_one(simple("write:/secrets/file", "pause"))
    rootless.wait_running(alloc_id)
    secrets = rootless.alloc_dir(alloc_id) / "t/secrets"
    wait_for((secrets / "file").exists, "the file")
    assert secrets.stat().st_mode & 0o7777 == 0o700
    assert (rootless.data_dir / "allocs").stat().st_mode & 0o7777 == 0o700
    assert rootless.data_dir.stat().st_mode & 0o7777 == 0o700


def templated(manager, *templates, steps=("pause",), driver="exec"):
    """A running task whose templates read data/in; returns its id, and that file."""
    fields = {"command": str(manager.payload)} if driver == "raw_exec" else {}
    the_task = task(*steps, driver=driver, Templates=list(templates), **fields)
    alloc_id = manager.run_one(job(group(the_task, policy=restart()), type="service"))
    manager.wait_event(alloc_id, "Template")
    path = manager.alloc_dir(alloc_id) / "alloc/data/in"
    path.write_text("one")
    manager.wait_running(alloc_id)
    return alloc_id, path


def rendered(manager, alloc_id, destination="local/out"):
    return manager.alloc_dir(alloc_id) / "t" / destination


def replace(path, text):
    fresh = path.with_name("new")
    fresh.write_text(text)
    fresh.rename(path)


READS = {"EmbeddedTmpl": '{{ file "/alloc/data/in" }}', "Splay": 0}


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_templates(box, account, driver):
    """They are the user's files; a change restarts the task."""
    manager = box.manager(user=account.pw_name, config=QUICK_TEMPLATES).start()
    alloc_id, path = templated(manager, {**READS, "DestPath": "local/out", "Perms": "0640"}, driver=driver)
    out = rendered(manager, alloc_id)
    assert (out.read_text(), out.stat().st_uid, out.stat().st_mode & 0o7777) == ("one", account.pw_uid, 0o640)
    replace(path, "two")
    wait_for(lambda: manager.task(alloc_id)["Restarts"] == 1, "the restart")
    manager.wait_running(alloc_id)
    assert out.read_text() == "two" and out.stat().st_uid == account.pw_uid


def test_templates_that_signal_and_run_scripts(box, account):
    manager = box.manager(user=account.pw_name, config=QUICK_TEMPLATES).start()
    change = {"Command": str(PAYLOAD_IN_ROOT), "Args": ["write:/local/ran"], "Timeout": 10**10}
    alloc_id, path = templated(
        manager, {**READS, "DestPath": "local/a", "ChangeMode": "signal", "ChangeSignal": "SIGUSR1"},
        {**READS, "DestPath": "secrets/b", "ChangeMode": "script", "ChangeScript": change},
        steps=("handle:USR1", "print:ready", "pause"),
    )  # fmt: skip
    wait_for(lambda: "ready" in manager.output(alloc_id), "the handler")
    replace(path, "two")
    wait_for(lambda: "caught=USR1" in manager.output(alloc_id), "the signal")
    wait_for(lambda: rendered(manager, alloc_id, "local/ran").exists(), "the script")
    assert rendered(manager, alloc_id, "secrets/b").read_text() == "two"
    assert manager.task(alloc_id)["Restarts"] == 0


def test_namespaces(rootless):
    config = {"hostname": "inside", "network_mode": "none", "cgroup_mode": "private"}
    alloc_id = rootless.run_one(simple("pause", config=config))
    pid = rootless.wait_running(alloc_id)
    for kind in ("user", "mnt", "pid", "ipc", "uts", "net", "cgroup"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind
    done = rootless.cli("alloc", "exec", alloc_id, "/bin/sh", "-c", "hostname; id -u; cat /proc/1/comm")
    assert done.stdout.split() == ["inside", str(os.stat(f"/proc/{pid}").st_uid), "cleat-init"]
    for kind in ("user", "mnt", "pid", "ipc", "uts", "net", "cgroup"):
        done = rootless.cli("alloc", "exec", alloc_id, "/bin/readlink", f"/proc/self/ns/{kind}")
        assert done.stdout.strip() == os.readlink(f"/proc/{pid}/ns/{kind}")


def test_the_hosts_proc_where_none_may_be_mounted(box, account):
    """As in a container that covers parts of it. What is shown tells nothing of others."""
    manager = box.manager(user=account.pw_name)
    manager.start(["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc/fs && exec "$@"', "sh"])
    (node,) = manager.get("/v1/nodes")
    drivers = manager.get(f"/v1/node/{node['ID']}")["Drivers"]
    assert drivers["exec"]["Healthy"] and "the host's /proc" in drivers["exec"]["HealthDescription"]
    assert "/proc" not in drivers["raw_exec"]["HealthDescription"]
    other = manager.process.pid
    warnings = manager.call("PUT", "/v1/jobs", {"Job": simple("ids", id="told")})["Warnings"]
    assert "it sees the host's /proc" in warnings
    alloc_id = manager.run_one(simple("write:/proc/self/oom_score_adj", f"cat:/proc/{other}/environ",
                                      f"ls:/proc/{other}/root", "reopen"))  # fmt: skip
    state = manager.wait_dead(alloc_id)
    output = manager.output(alloc_id)
    assert not state["Failed"] and "reopened=ok" in output
    found = results(output)
    assert found["write /proc/self/oom_score_adj"] == "EROFS"
    assert found[f"cat /proc/{other}/environ"] in REFUSED and found[f"ls /proc/{other}/root"] in REFUSED
    assert "sees the host's" in (manager.alloc_dir(alloc_id) / "t/executor.out").read_text()


def test_limits_that_cannot_be_kept_are_told(rootless):
    (node,) = rootless.get("/v1/nodes")
    node = rootless.get(f"/v1/node/{node['ID']}")
    assert node["Attributes"]["cleat.rootless"] == "1"
    assert "unique.cgroup.controllers" not in node["Attributes"]
    for driver in ("exec", "raw_exec"):
        assert "no limits" in node["Drivers"][driver]["HealthDescription"]
    assert "no limits" in rootless.cli("node", "status").stdout
    for resources, told in (({"CPU": 200, "MemoryMB": 64}, True), (None, False)):
        job = simple("ids", Resources=resources)
        warnings = rootless.call("PUT", "/v1/jobs", {"Job": job})["Warnings"]
        assert ('"cpu" has no effect' in warnings) is told
        assert ('"memory" has no effect' in warnings) is told


def test_what_is_not_measured_is_unknown(rootless):
    alloc_id = rootless.run_one(simple("pause", driver="raw_exec"))
    rootless.wait_running(alloc_id)
    usage = rootless.get(f"/v1/client/allocation/{alloc_id}/stats")["ResourceUsage"]
    for kind in ("MemoryStats", "CpuStats", "IoStats"):
        assert usage[kind]["Measured"] == []
    text = rootless.cli("alloc", "status", "-stats", alloc_id).stdout
    assert text.rpartition(" uses\n")[2].count("unknown") == 9


def test_a_cgroup_that_was_left_to_the_user(box, account):
    """By an init system. Its tasks are held together by it, and limited as far as it can."""
    (root,) = [r for r in leftovers.cgroup_roots() if (r / "cgroup.controllers").exists()]
    left = root / box.token / "left"
    left.mkdir(parents=True)
    controllers = {"cpu", "memory"} <= set((root / "cgroup.controllers").read_text().split())
    if controllers:
        for group_ in (root, left.parent):
            (group_ / "cgroup.subtree_control").write_text("+cpu +memory +pids")
    for path in (left, *(left / f"cgroup.{name}" for name in ("procs", "threads", "subtree_control"))):
        os.chown(path, account.pw_uid, account.pw_gid)
    manager = box.manager(user=account.pw_name)
    manager.start(["sh", "-c", f'echo $$ >{left}/cgroup.procs && exec "$@"', "sh"])
    (node,) = manager.get("/v1/nodes")
    node = manager.get(f"/v1/node/{node['ID']}")
    assert node["Attributes"]["cgroup.memory_limit"] == ("true" if controllers else "false")
    assert ("no limits" in node["Drivers"]["exec"]["HealthDescription"]) is not controllers
    for driver, command in ("exec", PAYLOAD_IN_ROOT), ("raw_exec", str(manager.payload)):
        alloc_id = manager.run_one(simple("daemon", "pause", id=driver, type="service", driver=driver,
                                          command=command))  # fmt: skip
        pid = manager.wait_running(alloc_id)
        (line,) = [l for l in open(f"/proc/{pid}/cgroup") if l.startswith("0::")]
        leaf = root / line.strip().removeprefix("0::/")
        assert leaf.is_relative_to(left) and leaf.name.startswith(alloc_id)
        if controllers:
            assert (leaf / "memory.max").read_text() == f"{64 << 20}\n"
        pids = wait_for(lambda: len(found := (leaf / "cgroup.procs").read_text().split()) >= 2 and found,
                        "all of its processes")  # fmt: skip
        manager.stop(driver)
        manager.wait_dead(alloc_id)
        assert all(process_gone(int(p)) for p in pids) and not leaf.exists()
    manager.stop_all()
    manager.process = None  # the next one would be started outside
    assert [p.name for p in left.iterdir() if p.is_dir()] == ["supervisor"] * controllers
    for group_ in left.glob("supervisor"):
        group_.rmdir()


# Without user namespaces


def test_a_host_without_user_namespaces(box, account):
    manager = box.manager(user=account.pw_name)
    manager.start([sys.executable, "-c", NO_MORE_NAMESPACES])
    (node,) = manager.get("/v1/nodes")
    node = manager.get(f"/v1/node/{node['ID']}")
    assert not node["Drivers"]["exec"]["Healthy"] and "driver.exec" not in node["Attributes"]
    assert "user.max_user_namespaces" in node["Drivers"]["exec"]["HealthDescription"]
    assert "user.max_user_namespaces" in refusal(manager, simple("ids"))
    output, _ = manager.run_to_end(raw(manager, "ids", id="raw"))
    assert values(output, "uid") == [str(account.pw_uid)]


# raw_exec


def test_raw_exec(rootless, account):
    alloc_id = rootless.run_one(raw(rootless, "ids", "cwd", "err", "print:to stderr", "exit:3",
                                    policy=restart(attempts=2, delay=10 * MS)))  # fmt: skip
    state = rootless.wait_dead(alloc_id)
    assert state["Failed"] and state["Restarts"] == 2
    output = rootless.output(alloc_id)
    assert values(output, "uid") == [str(account.pw_uid)] * 3
    assert rootless.output(alloc_id, stream="stderr") == "to stderr\n" * 3


def test_raw_exec_outlives_the_manager(rootless, account):
    alloc_id = rootless.run_one(raw(rootless, "handle:INT", "pause", type="service", User=account.pw_name))
    pid = rootless.wait_running(alloc_id)
    rootless.kill9()
    rootless.start()
    assert rootless.wait_running(alloc_id) == pid
    done = rootless.cli("alloc", "exec", alloc_id, "/usr/bin/id", "-u")
    assert done.stdout.strip() == str(account.pw_uid)
    rootless.stop("job")
    rootless.wait_dead(alloc_id)
    assert process_gone(pid) and "caught=" in rootless.output(alloc_id)


def children(pid):
    """All descendants of a process."""
    found = []
    for child in open(f"/proc/{pid}/task/{pid}/children").read().split():
        found += [int(child), *children(child)]
    return found


def test_nothing_is_left_of_a_raw_exec_task(rootless):
    """Neither what stays with it nor what went into sessions of its own."""
    alloc_id = rootless.run_one(raw(rootless, "daemon", "daemon", "fork:3", "pause", type="service"))
    rootless.wait_running(alloc_id)
    executor = records.task_status(rootless, alloc_id)["executor_pid"]
    pids = wait_for(lambda: len(children(executor)) >= 6 and children(executor), "its children")
    rootless.stop("job")
    rootless.wait_dead(alloc_id)
    assert all(process_gone(pid) for pid in pids)


def test_orphans_that_end_by_themselves_are_reaped(rootless):
    command = "for i in 1 2 3 4 5 6 7 8; do setsid setsid --fork true; done; echo done; exec sleep 1000"
    alloc_id = rootless.run_one(simple("-c", command, driver="raw_exec", command="/bin/sh", type="service"))
    rootless.wait_running(alloc_id)
    executor = records.task_status(rootless, alloc_id)["executor_pid"]
    wait_for(lambda: rootless.output(alloc_id), "the shell to be done")
    wait_for(lambda: len(children(executor)) == 1, "the orphans to be reaped")


@pytest.mark.parametrize("manager_too", [False, True])
def test_what_a_dead_executor_leaves_is_killed(rootless, manager_too):
    """No cgroup tells what belonged to the task: its environment does."""
    alloc_id = rootless.run_one(raw(rootless, "daemon", "daemon", "pause", type="service",
                                    policy=restart(attempts=0)))  # fmt: skip
    rootless.wait_running(alloc_id)
    executor = records.task_status(rootless, alloc_id)["executor_pid"]
    pids = wait_for(lambda: len(children(executor)) >= 3 and children(executor), "its children")
    if manager_too:
        rootless.kill9()
    kill_hard(executor)
    if manager_too:
        rootless.start()
    rootless.wait_dead(alloc_id)
    assert all(process_gone(pid) for pid in pids)


# cleat-executor run


@pytest.fixture
def run(box, account):
    """Runs cleat-executor run as the account."""
    manager = box.manager(user=account.pw_name)

    def run(*args):
        return subprocess.run([*manager.as_user, manager.programs / "cleat-executor", "run", *args],
                              capture_output=True, text=True, timeout=60, env=box.env)  # fmt: skip

    return run


def test_run(run, account):
    done = run("--", "/usr/bin/id", "-u")
    assert (done.returncode, done.stdout.strip()) == (0, str(account.pw_uid))
    done = run("-isolation", "exec", "--", "/bin/sh", "-c", "id -u; echo $$; exit 7")
    assert (done.returncode, done.stdout.split()) == (7, [str(account.pw_uid), "2"])
    done = run("-isolation", "exec", "-user", "root", "--", "/bin/sh", "-c", "id -u")
    assert (done.returncode, done.stdout.strip()) == (0, "0")


@pytest.mark.parametrize("isolation", ["exec", "none"])
def test_run_as_another_user_is_refused(run, isolation):
    done = run("-isolation", isolation, "-user", "nobody", "--", "/usr/bin/id")
    assert done.returncode == 125 and "only root can run a task as nobody" in done.stderr


# Where manager and cleat meet


@pytest.mark.parametrize("runtime", [True, False])
def test_places(box, account, runtime):
    manager = box.manager(user=account.pw_name)
    home = box.dir / "home"
    home.mkdir()
    os.chown(home, account.pw_uid, account.pw_gid)
    env = {k: v for k, v in box.env.items() if not k.startswith("XDG_")}
    env["HOME"] = str(home)
    socket = home / ".local/share/cleat/cleat.sock"
    if runtime:
        env |= {"XDG_RUNTIME_DIR": str(home / "run"), "XDG_DATA_HOME": str(home / "data")}
        socket = home / "run/cleat/cleat.sock"
    data = home / ("data/cleat" if runtime else ".local/share/cleat")
    process = subprocess.Popen([*manager.as_user, manager.programs / "cleat-manager"], env=env,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        cleat = [*manager.as_user, manager.programs / "cleat", "node", "status"]
        wait_for(socket.exists, "the socket")
        done = subprocess.run(cleat, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert (data / "state").is_dir() and data.stat().st_mode & 0o7777 == 0o700
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    done = subprocess.run(cleat, env=env, capture_output=True, text=True)
    assert done.returncode == 3 and str(socket) in done.stderr


# Artifacts


def test_artifacts(box, rootless, account):
    """Got by the user itself, as confined as that can be, and its own."""
    server = artifact_server.Server()
    try:
        repository(box, server)
        output, state = rootless.run_to_end(simple(
            "cat:/local/x/bin/tool", "cat:/local/r/sub/f", "cat:/secrets/f", Artifacts=[
                {"GetterSource": server.put("/x.tgz", tar(*FILES, kind="gz")), "RelativeDest": "local/x"},
                {"GetterSource": f"git::{server.url}/repo.git", "RelativeDest": "local/r", "Chown": True},
                {"GetterSource": server.put("/f", b"secret\n"), "RelativeDest": "secrets/"}]))  # fmt: skip
        assert output == "#!/bin/sh\nthreesecret\n", state
    finally:
        server.close()
    (alloc_dir,) = (rootless.data_dir / "allocs").iterdir()
    assert (alloc_dir / "t/local/x/lib/empty").stat().st_uid == account.pw_uid
