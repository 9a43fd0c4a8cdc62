# SPDX-License-Identifier: MIT
"""What an exec task can see, do and keep; and that raw_exec is the plain process it promises."""
import grp
import os
import pwd

import pytest

import leftovers
import records
from harness import ApiError, wait_for
from jobs import simple

DEFAULT_CAPS = "00000000a80405fb"


def values(output, name):
    """All values printed as name=value."""
    return [line.partition("=")[2] for line in output.splitlines() if line.startswith(name + "=")]


def proc_field(output, name):
    """A field of /proc/PID/status."""
    (value,) = [line.split(":")[1] for line in output.splitlines() if line.startswith(name + ":")]
    return value.split()


def mounts_of(output):
    """{mount point: (options, file system)} of a mountinfo."""
    found = {}
    for line in output.splitlines():
        left, _, right = line.partition(" - ")
        words = left.split()
        found[words[4]] = (set(words[5].split(",")), right.split()[0], right.split()[2])
    return found


def test_user_is_nobody_with_its_own_groups(manager):
    output, _ = manager.run_to_end(simple("ids"))
    nobody = pwd.getpwnam("nobody")
    assert values(output, "uid") == values(output, "euid") == [str(nobody.pw_uid)]
    assert values(output, "gid") == values(output, "egid") == [str(nobody.pw_gid)]
    assert set(values(output, "group")) <= {str(nobody.pw_gid)}


def test_user_of_the_job(manager):
    output, _ = manager.run_to_end(simple("ids", User="daemon"))
    daemon = pwd.getpwnam("daemon")
    groups = {str(g.gr_gid) for g in grp.getgrall() if "daemon" in g.gr_mem}
    assert values(output, "uid") == [str(daemon.pw_uid)]
    assert values(output, "gid") == [str(daemon.pw_gid)]
    assert set(values(output, "group")) == groups | {str(daemon.pw_gid)}


def test_capabilities_and_no_new_privs(manager):
    output, _ = manager.run_to_end(simple("cat:/proc/self/status"))
    for name in ("CapEff", "CapPrm", "CapBnd"):
        assert proc_field(output, name) == [DEFAULT_CAPS], name
    assert proc_field(output, "NoNewPrivs") == ["1"]


def test_root_user_has_no_more_capabilities(manager):
    output, _ = manager.run_to_end(simple("cat:/proc/self/status", User="root"))
    assert proc_field(output, "Uid")[0] == "0"
    assert proc_field(output, "CapEff") == [DEFAULT_CAPS]
    assert proc_field(output, "NoNewPrivs") == ["1"]


def test_cap_add_and_cap_drop(manager):
    config = {"cap_drop": ["ALL"], "cap_add": ["Cap_Net_Bind_Service"]}
    output, _ = manager.run_to_end(simple("cat:/proc/self/status", config=config))
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"):
        assert proc_field(output, name) == ["0000000000000400"], name
    output, _ = manager.run_to_end(
        simple("cat:/proc/self/status", id="none", User="root", config={"cap_drop": ["all"]})
    )
    assert proc_field(output, "CapEff") == proc_field(output, "CapBnd") == ["0" * 16]


def test_allow_caps(box):
    manager = box.manager(exec_plugin='allow_caps = ["chown", "sys_time"]').start()
    output, _ = manager.run_to_end(simple("cat:/proc/self/status"))
    assert proc_field(output, "CapEff") == ["0000000000000001"]
    output, _ = manager.run_to_end(
        simple("cat:/proc/self/status", id="added", config={"cap_add": ["SYS_TIME"]})
    )
    assert proc_field(output, "CapEff") == ["0000000002000001"]


@pytest.mark.parametrize(
    "config, message",
    [
        ({"cap_add": ["sys_admin", "kill", "net_raw"]}, "does not allow: net_raw, sys_admin;"),
        ({"cap_add": ["fly"]}, 'cap_add: there is no capability "fly"'),
        ({"cap_drop": ["fly"]}, 'cap_drop: there is no capability "fly"'),
    ],
)
def test_capabilities_refused_at_registration(manager, config, message):
    with pytest.raises(ApiError) as e:
        manager.run(simple("pause", config=config))
    assert message in e.value.text and 'task "t"' in e.value.text
    assert manager.get("/v1/jobs") == []


def test_seccomp(box):
    """On by default; off only where the operator lets it."""
    manager = box.manager().start()
    output, _ = manager.run_to_end(simple("cat:/proc/self/status"))
    assert proc_field(output, "Seccomp") == ["2"]
    with pytest.raises(ApiError) as e:
        manager.run(simple("pause", id="no", config={"seccomp": "unconfined"}))
    assert "allow_unconfined_seccomp" in e.value.text
    other = box.manager(name="lenient", exec_plugin="allow_unconfined_seccomp = true").start()
    output, _ = other.run_to_end(
        simple("cat:/proc/self/status", config={"seccomp": "unconfined"})
    )
    assert proc_field(output, "Seccomp") == ["0"]


def test_host_pid_and_ipc(box):
    manager = box.manager().start()
    alloc_id = manager.run_one(simple("pause", config={"pid_mode": "host", "ipc_mode": "host"}))
    pid = manager.wait_running(alloc_id)
    for kind in ("pid", "ipc", "uts", "cgroup", "net"):
        assert records.namespace(pid, kind) == records.namespace("self", kind), kind
    assert records.namespace(pid, "mnt") != records.namespace("self", "mnt")
    manager.stop("job")
    other = box.manager(
        name="host", exec_plugin='default_pid_mode = "host"\ndefault_ipc_mode = "host"'
    ).start()
    alloc_id = other.run_one(simple("pause", config={"ipc_mode": "private"}))
    pid = other.wait_running(alloc_id)
    assert records.namespace(pid, "pid") == records.namespace("self", "pid")
    assert records.namespace(pid, "ipc") != records.namespace("self", "ipc")


def test_optional_namespaces(manager):
    config = {"hostname": "${NOMAD_TASK_NAME}-host", "cgroup_mode": "private",
              "network_mode": "none"}  # fmt: skip
    alloc_id = manager.run_one(
        simple("cat:/proc/sys/kernel/hostname", "ls:/sys/class/net", "cat:/proc/self/cgroup",
               "listen:127.0.0.1", "pause", config=config)
    )  # fmt: skip
    pid = manager.wait_running(alloc_id)
    for kind in ("uts", "cgroup", "net"):
        assert records.namespace(pid, kind) != records.namespace("self", kind), kind
    output = wait_for(
        lambda: "listen" in manager.output(alloc_id) and manager.output(alloc_id), "its output"
    )
    lines = output.splitlines()
    assert lines[0] == "t-host"
    assert values(output, "entry") == ["lo"]
    assert lines[-1] == "listen 127.0.0.1=ok"
    assert manager.box.token not in output, "its cgroup's path is hidden"


def test_user_namespace(box):
    """Root in the task is nobody on the host, whatever it makes and whatever it tries."""
    base = 1500000000
    manager = box.manager(exec_plugin=f"userns_base = {base}").start()
    alloc_id = manager.run_one(
        simple("cat:/proc/self/uid_map", "cat:/proc/self/gid_map", "ids", "write:/local/f",
               "write:/secrets/f", "reopen", "chroot:/tmp", "hostname:x", "mount:tmpfs",
               "device:/x", "pause", User="root", config={"userns": True})
    )  # fmt: skip
    pid = manager.wait_running(alloc_id)
    output = wait_for(
        lambda: "device" in manager.output(alloc_id) and manager.output(alloc_id), "its output"
    )
    lines = output.splitlines()
    assert lines[0].split() == lines[1].split() == ["0", str(base), "65536"]
    assert values(output, "uid") == values(output, "egid") == ["0"]
    assert lines[-7:] == ["write /local/f=ok", "write /secrets/f=ok", "reopened=ok",
                          "chroot /tmp=ok", "hostname x=EPERM", "mount tmpfs=EPERM",
                          "device /x=EPERM"]  # fmt: skip
    status = open(f"/proc/{pid}/status").read()
    assert proc_field(status, "Uid") == proc_field(status, "Gid") == [str(base)] * 4
    made = manager.alloc_dir(alloc_id) / "t/local/f"
    assert (made.stat().st_uid, made.stat().st_gid) == (base, base)
    output, _ = manager.run_to_end(simple("ids", id="nobody", config={"userns": True}))
    assert values(output, "uid") == [str(pwd.getpwnam("nobody").pw_uid)]


def test_no_pivot_root(box):
    """For ramdisks: the same view without pivot_root."""
    manager = box.manager(exec_plugin="no_pivot_root = true").start()
    output, _ = manager.run_to_end(
        simple("cat:/proc/self/mountinfo", "print:root", "ls:/", "print:escape", "chroot:/tmp",
               "ls:../../../../../..", User="root")
    )  # fmt: skip
    mountinfo, _, rest = output.partition("root\n")
    assert box.token not in " ".join(mounts_of(mountinfo))
    inside, _, outside = rest.partition("escape\n")
    assert "usr" in values(inside, "entry") and "home" not in values(inside, "entry")
    assert set(values(outside, "entry")) == set(values(inside, "entry"))


def test_limits_and_priorities(manager):
    config = {"ulimit": {"nofile": "100:200", "core": 0}, "nice": 5, "oom_score_adj": 300}
    for driver in ("exec", "raw_exec"):
        output, _ = manager.run_to_end(
            simple("cat:/proc/self/limits", "cat:/proc/self/oom_score_adj", "cat:/proc/self/stat",
                   id=driver, driver=driver, config=config)
        )  # fmt: skip
        limits = {line[:26].strip(): line[26:].split()[:2] for line in output.splitlines()}
        assert limits["Max open files"] == ["100", "200"]
        assert limits["Max core file size"] == ["0", "0"]
        assert output.splitlines()[-2] == "300"
        assert output.rpartition(")")[2].split()[16] == "5"


def test_a_limit_above_the_managers_own(box):
    manager = box.manager()
    with open("/proc/sys/fs/nr_open") as f:
        most = int(f.read())
    manager.start()
    alloc_id = manager.run_one(simple("pause", config={"ulimit": {"nofile": most + 1}}))
    event = manager.wait_event(alloc_id, "Driver Failure")
    assert 'stage "limits": nofile: Operation not permitted' in event["DisplayMessage"]
    assert "ulimit" in event["DisplayMessage"]


def test_stdin(manager):
    config = {"command": "/bin/sh", "args": ["-c", "read x; echo got $x"], "stdin": "/etc/passwd"}
    output, _ = manager.run_to_end(simple(config=config))
    assert output.startswith("got root:")
    alloc_id = manager.run_one(simple("pause", id="none", config={"stdin": "/local/nothing"}))
    event = manager.wait_event(alloc_id, "Driver Failure")
    assert 'stage "stdin": /local/nothing: No such file' in event["DisplayMessage"]


def test_work_dir(manager):
    for driver in ("exec", "raw_exec"):
        job = simple("cwd", id=driver, driver=driver, config={"work_dir": "${NOMAD_TASK_DIR}"})
        output, _ = manager.run_to_end(job)
        assert output.endswith("/local\n"), output


def test_the_root_holds_the_chroot_environment_and_no_more(manager):
    output, _ = manager.run_to_end(simple("ls:/"))
    entries = set(values(output, "entry"))
    must = {"alloc", "bin", "dev", "etc", "lib", "local", "payload", "proc", "secrets", "sys",
            "tmp", "usr"}  # fmt: skip
    may = {"executor.out", "lib32", "lib64", "run", "sbin"}
    assert must <= entries <= must | may


def test_the_hosts_files_are_read_only(manager):
    output, _ = manager.run_to_end(
        simple("write:/usr/x", "write:/bin/x", "write:/etc/passwd", "mkdir:/payload/x",
               "umount:/usr", "umount:/proc", "write:/proc/sys/kernel/hostname", User="root")
    )  # fmt: skip
    results = dict(line.split("=") for line in output.splitlines())
    assert results == {
        "write /usr/x": "EROFS",
        "write /bin/x": "EROFS",
        "write /etc/passwd": "EROFS",
        "mkdir /payload/x": "EROFS",
        "umount /usr": "EPERM",
        "umount /proc": "EPERM",
        "write /proc/sys/kernel/hostname": "EROFS",
    }


def test_the_tasks_own_directories_are_writable(manager):
    where = ["/local/f", "/tmp/f", "/secrets/f", "/alloc/data/f", "/alloc/tmp/f", "/dev/shm/f"]
    output, _ = manager.run_to_end(simple(*(f"write:{path}" for path in where)))
    assert output == "".join(f"write {path}=ok\n" for path in where)


def test_mounts(manager):
    output, _ = manager.run_to_end(simple("cat:/proc/self/mountinfo"))
    mounts = mounts_of(output)
    assert manager.box.token not in " ".join(mounts)
    for point in ("/bin", "/usr", "/etc", "/payload"):
        if point in mounts:
            assert "ro" in mounts[point][0], point
    options, kind, superblock = mounts["/secrets"]
    assert kind == "tmpfs" and {"noexec", "nosuid", "nodev"} <= options
    assert "size=1024k" in superblock
    assert mounts["/proc"][1] == "proc" and {"nosuid", "nodev", "noexec"} <= mounts["/proc"][0]
    assert mounts["/sys"][1] == "sysfs" and "ro" in mounts["/sys"][0]
    assert mounts["/dev"][1] == "tmpfs" and "nosuid" in mounts["/dev"][0]
    assert mounts["/dev/pts"][1] == "devpts"


def test_devices(manager):
    output, _ = manager.run_to_end(
        simple("ls:/dev", "write:/dev/null", "cat:/dev/full0", "ls:/dev/shm")
    )
    entries = set(values(output, "entry"))
    must = {"null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "ptmx"}
    may = {"fd", "stdin", "stdout", "stderr", "mqueue", "console", "core"}
    assert must <= entries <= must | may
    assert "write /dev/null=ok" in output


def test_a_made_device_node_is_of_no_use(manager):
    output, _ = manager.run_to_end(
        simple("mknod:/tmp/disk", "cat:/tmp/disk", "mknod:/dev/disk", "cat:/dev/disk",
               "mknod:/local/disk", "cat:/local/disk", User="root")
    )  # fmt: skip
    for line in output.splitlines():
        if line.startswith("cat "):
            assert line.split("=")[1] in ("EPERM", "EACCES", "ENOENT"), output


def test_masked_kernel_files(manager):
    output, _ = manager.run_to_end(
        simple("cat:/proc/kcore", "print:after kcore", "ls:/sys/firmware",
               "write:/proc/sysrq-trigger", User="root")
    )  # fmt: skip
    kcore, _, rest = output.partition("after kcore\n")
    assert kcore in ("", "cat /proc/kcore=ENOENT\n")
    assert rest in ("write /proc/sysrq-trigger=EROFS\n", "write /proc/sysrq-trigger=ENOENT\n")


def test_private_pid_namespace(manager):
    alloc_id = manager.run_one(simple("ids", "ls:/proc", f"kill:{os.getpid()}", "pause"))
    pid = manager.wait_running(alloc_id)
    output = wait_for(
        lambda: "kill " in manager.output(alloc_id) and manager.output(alloc_id), "its output"
    )
    pids = [int(e) for e in values(output, "entry") if e.isdigit()]
    assert len(pids) <= 2 and max(pids) < 10
    assert int(values(output, "pid")[0]) < 10
    assert f"kill {os.getpid()}=ESRCH" in output
    for kind in ("pid", "mnt", "ipc"):
        assert records.namespace(pid, kind) != records.namespace("self", kind), kind
    for kind in ("net", "user", "uts"):
        assert records.namespace(pid, kind) == records.namespace("self", kind), kind


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_descriptors_and_signals_are_clean(manager, driver):
    output, _ = manager.run_to_end(simple("fds", "signals", driver=driver))
    fds = {line.split("=")[0]: line.split("=")[1] for line in output.splitlines() if "=" in line}
    assert sorted(fds) == ["fd 0", "fd 1", "fd 2"], output
    assert fds["fd 0"] == "/dev/null"


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_standard_output_can_be_opened_anew(manager, driver):
    job = simple("reopen", driver=driver, User="nobody")
    output, _ = manager.run_to_end(job)
    assert output == "reopened=ok\n"


def test_cgroup_and_limits(manager):
    alloc_id = manager.run_one(simple("pause", Resources={"CPU": 250, "MemoryMB": 48}))
    pid = manager.wait_running(alloc_id)
    groups = records.cgroups_of(pid)
    executor = records.cgroups_of(records.task_status(manager, alloc_id)["executor_pid"])
    token = manager.box.token
    leaf_name = f"{alloc_id}.t.0"  # a v1 cpuset is shared by all that have no cores of their own
    assert leaf_name in "".join(groups.values())
    assert leaf_name not in "".join(executor.values())
    if token in groups.get("memory", ""):
        root = next(r for r in leftovers.cgroup_roots() if r.name == "memory")
        leaf = root / groups["memory"].lstrip("/")
        assert int((leaf / "memory.limit_in_bytes").read_text()) == 48 << 20
        root = next(r for r in leftovers.cgroup_roots() if "cpu" in r.name.split(","))
        leaf = root / groups["cpu"].lstrip("/")
        assert int((leaf / "cpu.shares").read_text()) == 250
    else:
        root = next(r for r in leftovers.cgroup_roots() if (r / "cgroup.controllers").exists())
        leaf = root / groups[""].lstrip("/")
        assert token in str(leaf)
        assert int((leaf / "memory.max").read_text()) == 48 << 20


def test_raw_exec_is_a_plain_process(manager):
    output, _ = manager.run_to_end(simple("ids", "cwd", "ls:/", driver="raw_exec"))
    assert values(output, "uid") == ["0"]
    assert set(values(output, "entry")) == set(os.listdir("/"))
    (alloc_id,) = [a["ID"] for a in manager.get("/v1/allocations")]
    assert values(output, "cwd") == [str(manager.alloc_dir(alloc_id) / "t")]


def test_raw_exec_as_another_user(manager):
    output, _ = manager.run_to_end(simple("ids", driver="raw_exec", User="nobody"))
    nobody = pwd.getpwnam("nobody")
    assert values(output, "uid") == [str(nobody.pw_uid)]
    assert values(output, "gid") == [str(nobody.pw_gid)]


def test_raw_exec_off_unless_enabled(box):
    manager = box.manager(raw_exec=False).start()
    with pytest.raises(ApiError) as e:
        manager.run(simple("pause", driver="raw_exec"))
    assert "raw_exec" in e.value.text and "plugin" in e.value.text


def test_secrets_are_not_readable_through_the_api(manager):
    alloc_id = manager.run_one(simple("write:/secrets/key", "pause"))
    manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id), "the file to be written")
    for path in ("/t/secrets/key", "t/secrets/key", "/t/./secrets/key", "/t/local/../secrets/key"):
        for call in ("cat", "stat"):
            with pytest.raises(ApiError) as e:
                manager.get(f"/v1/client/fs/{call}/{alloc_id}?path={path}")
            assert e.value.status in (400, 403), path


def test_tasks_of_two_allocations_do_not_see_each_other(manager):
    first = manager.run_one(simple("write:/secrets/key", "pause", id="first"))
    wait_for(lambda: manager.output(first), "the file to be written")
    host_path = manager.alloc_dir(first) / "t/secrets/key"
    output, _ = manager.run_to_end(simple(f"cat:{host_path}", "ls:/secrets", id="second"))
    assert output == f"cat {host_path}=ENOENT\n"


def test_dynamic_programs_of_the_host_run(manager):
    output, _ = manager.run_to_end(simple("-c", "id -un; echo $((6*7))", command="/bin/sh"))
    assert output == "nobody\n42\n"


def test_a_bare_command_is_looked_up_in_the_root(manager):
    output, _ = manager.run_to_end(simple("found", command="echo"))
    assert output == "found\n"
