# SPDX-License-Identifier: MIT
"""Wrong input and unfit hosts: each message names the cause and the mend, and nothing is left."""
import os
import re
import shutil
import socket
import subprocess

import pytest

import leftovers
import records
from harness import SLOW, ApiError, kill_hard, wait_for
from jobs import MS, restart, simple


def refused(manager, job):
    """Registers a job that must be refused; returns the message."""
    with pytest.raises(ApiError) as e:
        manager.run(job)
    assert 400 <= e.value.status < 500
    assert job["ID"] not in [j["ID"] for j in manager.get("/v1/jobs")]
    return e.value.text


def failure(manager, job):
    """Runs a job whose task cannot start; returns the failure event's text, nothing being left."""
    alloc_id = manager.run_one(job)
    alloc = manager.wait_client(alloc_id, "failed")
    state = alloc["TaskStates"]["t"]
    events = [e for e in state["Events"] if e["Type"] in ("Driver Failure", "Setup Failure")]
    assert events, state
    wait_for(lambda: not nothing_of_the_task(manager), "nothing to be left")
    return events[-1]["DisplayMessage"]


def nothing_of_the_task(manager):
    token = manager.box.token
    others = leftovers.processes(token).keys() - {manager.process.pid}
    return list(others) + leftovers.mounts(token) + leftovers.cgroups(token)


def ends_with(manager, *words, wrapper=()):
    """Starts a manager that must refuse to run, with a message that has all the words."""
    manager.spawn(wrapper)
    code = manager.process.wait(timeout=20 * SLOW)
    text = manager.log()
    assert code not in (0, -11, -6), text
    for word in words:
        assert word in text, text
    manager.process = None
    return text


# Job definitions

def test_missing_command(manager):
    job = simple()
    del job["TaskGroups"][0]["Tasks"][0]["Config"]["command"]
    assert "command" in refused(manager, job)


def test_unknown_driver(manager):
    text = refused(manager, simple(driver="exce"))
    assert "exce" in text and "exec" in text


@pytest.mark.parametrize("name", ["", "alloc", "a/b", "..", ".", "a\0b", "x" * 300])
def test_bad_task_names(manager, name):
    refused(manager, simple("pause", name=name))


@pytest.mark.parametrize(
    "change",
    [
        {"KillSignal": "SIGNONE"},
        {"Resources": {"CPU": 100, "MemoryMB": 1}},
        {"Resources": {"CPU": 0, "MemoryMB": 64}},
        {"Resources": {"CPU": "many", "MemoryMB": 64}},
        {"LogConfig": {"MaxFiles": 0, "MaxFileSizeMB": 1}},
        {"KillTimeout": -1},
        {"Config": {"command": "/bin/true", "comand": "x"}},
        {"Config": {"command": ["/bin/true"]}},
        {"Config": {"command": "/bin/true", "pid_mode": "sometimes"}},
    ],
    ids=str,
)
def test_bad_values(manager, change):
    refused(manager, simple("pause", **change))


def test_bad_restart_policy(manager):
    refused(manager, simple("pause", policy=restart(1, mode="perhaps")))
    refused(manager, simple("pause", policy=restart(-1)))


def test_what_this_release_does_not_run_is_named(manager):
    for field, value in {
        "CSIPluginConfig": {"ID": "x", "Type": "node"},
    }.items():
        text = refused(manager, simple("pause", **{field: value}))
        assert field.lower().rstrip("s") in text.lower()


# Tasks that cannot start

def test_unknown_user(manager):
    text = failure(manager, simple("pause", User="nosuchuser"))
    assert "nosuchuser" in text and "user" in text


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_missing_binary(manager, driver):
    text = failure(manager, simple(driver=driver, command="/bin/no-such-program"))
    assert "/bin/no-such-program" in text


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_missing_binary_without_a_slash(manager, driver):
    text = failure(manager, simple(driver=driver, command="no-such-program"))
    assert "no-such-program" in text


def test_text_file_without_interpreter(manager):
    script = manager.dir / "script"
    script.write_text("echo hello\n")
    script.chmod(0o755)
    text = failure(manager, simple(driver="raw_exec", command=str(script)))
    assert str(script) in text and "#!" in text


def test_missing_interpreter(manager):
    script = manager.dir / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    text = failure(manager, simple(driver="raw_exec", command=str(script)))
    assert "interpreter" in text


def test_a_directory_as_command(manager):
    assert "/usr" in failure(manager, simple(command="/usr/bin"))


def test_a_failed_start_obeys_the_policy_and_names_the_stage(manager):
    job = simple(command="/bin/no-such-program", driver="exec", policy=restart(1))
    alloc_id = manager.run_one(job)
    alloc = manager.wait_client(alloc_id, "failed")
    events = [e for e in alloc["TaskStates"]["t"]["Events"] if e["Type"] == "Driver Failure"]
    assert events
    out = (manager.alloc_dir(alloc_id) / "t/executor.out").read_text()
    assert "/bin/no-such-program" in out and "No such file" in out


# Hosts and directories that do not fit

def test_no_root_rights(box):
    manager = box.manager()
    os.chown(manager.dir, 65534, 65534)
    wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    manager.spawn(wrapper)
    wait_for(lambda: manager.process.poll() is not None or manager.socket.exists(), "an answer")
    if manager.process.poll() is None:
        wait_for(manager.answers, "the manager to answer")
        text = refused(manager, simple("pause", driver="raw_exec", User="daemon"))
        manager.terminate()
    else:
        text = manager.log()
    manager.process = None
    assert "root" in text


NO_CGROUPS = "umount -lR /sys/fs/cgroup && exec \"$@\""


def test_no_cgroups(box):
    manager = box.manager()
    manager.start(["unshare", "--mount", "--propagation", "private", "sh", "-c", NO_CGROUPS, "-"])
    text = refused(manager, simple("pause"))
    assert "cgroup" in text
    manager.terminate()
    manager.process = None


def test_read_only_data_dir(box):
    manager = box.manager()
    manager.data_dir.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", manager.data_dir], check=True)
    try:
        ends_with(manager, str(manager.data_dir), "ead-only")
    finally:
        subprocess.run(["umount", manager.data_dir], check=True)


def test_data_dir_is_a_file(box):
    manager = box.manager()
    manager.data_dir.write_text("")
    ends_with(manager, str(manager.data_dir))


@pytest.fixture
def small_disk(box):
    """A manager whose data directory is a file system of 1 MiB."""
    # It is to stay full: what has finished makes no room.
    manager = box.manager(config="gc_disk_usage_threshold = 100\ngc_inode_usage_threshold = 100\n")
    manager.data_dir.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", manager.data_dir], check=True)
    try:
        yield manager.start()
        manager.stop_all()
        manager.process = None
    finally:
        subprocess.run(["umount", "-R", manager.data_dir], check=True)


def fill(manager):
    """Returns the file to remove again."""
    ballast = manager.data_dir / "ballast"
    with open(ballast, "wb", buffering=0) as f:
        with pytest.raises(OSError):
            while True:
                f.write(bytes(4096))
    return ballast


def test_full_data_dir_refuses_jobs_and_runs_on(small_disk):
    alloc_id = small_disk.run_one(simple("pause", id="first"))
    pid = small_disk.wait_running(alloc_id)
    ballast = fill(small_disk)
    with pytest.raises(ApiError) as e:
        small_disk.run(simple("pause", id="second"))
    assert "No space left" in e.value.text
    assert small_disk.wait_running(alloc_id) == pid
    ballast.unlink()
    small_disk.wait_running(small_disk.run_one(simple("pause", id="second")))


def test_full_data_dir_does_not_keep_a_job_from_stopping(small_disk):
    alloc_id = small_disk.run_one(simple("pause", type="service"))
    small_disk.wait_running(alloc_id)
    ballast = fill(small_disk)
    for _ in range(2):
        with pytest.raises(ApiError) as e:
            small_disk.stop("job")
        assert "on no record" in e.value.text and "No space left" in e.value.text
        small_disk.wait_dead(alloc_id)
    ballast.unlink()
    small_disk.stop("job")
    small_disk.kill9()
    small_disk.start()
    assert small_disk.get("/v1/job/job")["Stop"] is True


def test_full_data_dir_does_not_keep_stop_all(small_disk):
    alloc_ids = [small_disk.run_one(simple("pause", id=i, type="service")) for i in ("a", "b")]
    for alloc_id in alloc_ids:
        small_disk.wait_running(alloc_id)
    ballast = fill(small_disk)
    for _ in range(2):
        with pytest.raises(ApiError) as e:
            small_disk.call("PUT", "/v1/system/stop-all")
        assert "No space left" in e.value.text
    for alloc_id in alloc_ids:
        small_disk.wait_dead(alloc_id)
    ballast.unlink()
    small_disk.call("PUT", "/v1/system/stop-all")
    assert all(small_disk.get(f"/v1/job/{i}")["Stop"] for i in ("a", "b"))


def test_full_data_dir_only_delays_a_restart(small_disk):
    alloc_id = small_disk.run_one(simple("pause", type="service", policy=restart(99, 100 * MS)))
    small_disk.wait_running(alloc_id)
    ballast = fill(small_disk)
    kill_hard(records.task_status(small_disk, alloc_id)["executor_pid"])
    assert "No space left" in small_disk.wait_event(alloc_id, "Setup Failure")["DisplayMessage"]
    ballast.unlink()
    small_disk.wait_running(alloc_id)
    state = small_disk.task(alloc_id)
    assert state["Restarts"] >= 2 and not state["Failed"]


@pytest.mark.parametrize("attempts", [1, 99])
def test_missing_executor_is_waited_for_as_the_policy_says(box, attempts):
    manager = box.manager()
    executor = manager.dir / "late"
    text = manager.config_path.read_text()
    manager.config_path.write_text(text.replace(str(manager.executor()), str(executor)))
    manager.start()
    alloc_id = manager.run_one(simple("pause", policy=restart(attempts, 100 * MS)))
    if attempts == 1:
        state = manager.wait_client(alloc_id, "failed")["TaskStates"]["t"]
        kinds = [e["Type"] for e in state["Events"]]
        assert kinds.count("Setup Failure") == 2 and kinds.count("Restarting") == 1
        assert kinds[-1] == "Not Restarting" and state["Restarts"] == 1
        return
    manager.wait_event(alloc_id, "Restarting")
    executor.symlink_to(manager.executor())
    manager.wait_running(alloc_id)


def test_second_manager_on_one_data_dir(box):
    first = box.manager().start()
    second = box.manager("second")
    second.config_path.write_text(
        second.config_path.read_text().replace(str(second.data_dir), str(first.data_dir))
    )
    text = ends_with(second, str(first.data_dir), "another manager")
    assert str(first.process.pid) in text
    assert first.answers()


def test_what_a_killed_dev_manager_left_is_named_and_taken_up(box):
    first = box.manager(args=["-dev"]).start()
    alloc_id = first.run_one(simple("pause", driver="raw_exec"))
    pid = first.wait_running(alloc_id)
    (left,) = re.findall(r" on (/tmp/cleat-dev-\w+), node", first.log())
    first.kill9()
    try:
        second = box.manager("second", args=["-dev"]).start()
        assert re.search(rf"tasks may run on:.* {left} .*cleat-manager -dev -data-dir DIRECTORY", second.log())
        heir = box.manager("heir", args=["-dev", "-data-dir", left]).start()
        assert heir.wait_running(alloc_id) == pid
        second.stop_all()
        third = box.manager("third", args=["-dev"]).start()
        assert left not in third.log()  # somebody has it
        heir.stop_all()
        third.stop_all()
    finally:
        for manager in box.managers:
            manager.process = None if not manager.alive() else manager.process
        shutil.rmtree(left)


def test_socket_in_use(box):
    first = box.manager().start()
    second = box.manager("second")
    second.socket = first.socket
    ends_with(second, str(first.socket), "in use")
    assert first.answers()


def test_a_stale_socket_is_replaced(box):
    manager = box.manager().start()
    manager.kill9()
    assert manager.socket.exists()
    manager.start()


def test_missing_and_broken_configuration(box):
    manager = box.manager()
    text = manager.config_path.read_text()
    manager.config_path.write_text(text.replace("data_dir", "data_dri"))
    ends_with(manager, f"{manager.config_path}:1:1:", "data_dri", "data_dir")
    manager.log_path.unlink()
    manager.config_path.unlink()
    ends_with(manager, str(manager.config_path), "No such file")


def test_unknown_option_and_bad_address(box):
    manager = box.manager()
    manager.args = ["-no-such-option"]
    ends_with(manager, "no-such-option")
    manager.args = ["-address", "ftp://x"]
    ends_with(manager, "ftp://x", "unix://")
    manager.args = ["-address", "http://0.0.0.0:4646"]
    ends_with(manager, "127.0.0.1")


# Calls

ESCAPES = [
    "/../../../../../../etc/passwd",
    "t/../../../../../../../etc/passwd",
    "/t/local/link",
    "/t/local/dir/passwd",
    "/t/local/up/../../../../etc/passwd",
    "%2e%2e/%2e%2e/state",
]


@pytest.mark.parametrize("path", ESCAPES)
def test_path_escapes(manager, path):
    script = "ln -s /etc/passwd /local/link; ln -s /etc /local/dir; ln -s .. /local/up; echo done"
    alloc_id = manager.run_one(simple("-c", script, command="/bin/sh"))
    manager.wait_client(alloc_id, "complete")
    for call in ("cat", "stat", "ls"):
        status, _, body = manager.request("GET", f"/v1/client/fs/{call}/{alloc_id}?path={path}")
        assert 400 <= status < 500, (call, body)
        assert b"root:" not in body
    assert manager.answers()


def test_a_link_in_a_logs_place_is_not_followed(manager):
    script = "rm -f /alloc/logs/t.stdout.0; ln -s /etc/passwd /alloc/logs/t.stdout.0; exec sleep 60"
    alloc_id = manager.run_one(simple("-c", script, command="/bin/sh"))
    manager.wait_running(alloc_id)
    status, _, body = manager.request(
        "GET", f"/v1/client/fs/logs/{alloc_id}?task=t&type=stdout&plain=true"
    )
    assert b"root:" not in body


@pytest.mark.parametrize(
    "method,path,body,expected",
    [
        ("GET", "/v1/nothing", None, 404),
        ("GET", "/", None, 404),
        ("PATCH", "/v1/jobs", None, 405),
        ("PUT", "/v1/jobs", "not a job", 400),
        ("PUT", "/v1/jobs", {"Job": None}, 400),
        ("PUT", "/v1/jobs", {"Job": []}, 400),
        ("PUT", "/v1/jobs", {}, 400),
        ("GET", "/v1/allocation/zz", None, 404),
        ("DELETE", "/v1/job/none", None, 404),
        ("GET", "/v1/client/fs/cat/00000000-0000-0000-0000-000000000000?path=/", None, 404),
    ],
)
def test_bad_requests(manager, method, path, body, expected):
    status, _, text = manager.request(method, path, body)
    assert status == expected, text
    assert text.strip() or status == 404
    assert manager.answers()


def test_bad_log_queries(manager):
    alloc_id = manager.run_one(simple("print:x"))
    manager.wait_client(alloc_id, "complete")
    for query, expected in {
        "type=stdout": 400,
        "task=t": 400,
        "task=t&type=stdmid": 400,
        "task=none&type=stdout": 404,
        "task=t&type=stdout&offset=-1": 400,
        "task=t&type=stdout&offset=x": 400,
        "task=t&type=stdout&origin=middle": 400,
    }.items():
        status, _, text = manager.request("GET", f"/v1/client/fs/logs/{alloc_id}?{query}")
        assert status in (expected, 400), (query, text)


def test_requests_that_are_no_http(manager):
    for data in (b"\0" * 100, b"GET\r\n\r\n", os.urandom(5000), b"PUT /v1/jobs HTTP/1.1\r\n"
                 b"Content-Length: 99999999999999\r\n\r\n{",
                 b"GET /v1/jobs?prefix=%00 HTTP/1.1\r\n\r\n"):  # fmt: skip
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(str(manager.socket))
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            try:
                while s.recv(4096):
                    pass
            except ConnectionError:
                pass
    assert manager.answers()


def test_a_huge_body_is_refused(manager):
    try:
        status, _, _ = manager.request("PUT", "/v1/jobs", {"Job": "x" * (20 << 20)})
        assert status in (400, 413)
    except BrokenPipeError:  # refused before all of it was sent
        pass
    assert manager.answers()


# Files and pipes that are not what they should be

def test_garbage_on_the_control_pipe(manager):
    alloc_id = manager.run_one(simple("quit:INT:4", "print:ready", "pause", type="service"))
    pid = manager.wait_running(alloc_id)
    wait_for(lambda: manager.output(alloc_id), "the task to be ready")
    ctl = os.open(records.task_dir(manager, alloc_id) / "ctl", os.O_WRONLY | os.O_NONBLOCK)
    for garbage in (b"\xff" * 64, b"\0" * 64, os.urandom(2048), b"\x04\0\0\0\x93\1\2\3"):
        os.write(ctl, garbage)
    os.close(ctl)
    assert manager.wait_running(alloc_id) == pid
    manager.stop("job")
    state = manager.wait_dead(alloc_id)
    assert [e for e in state["Events"] if e["Type"] == "Terminated"][0]["ExitCode"] == 4


def state_files(manager):
    found = [p for p in (manager.data_dir / "state").rglob("*") if p.is_file()]
    return sorted(p for p in found if p.read_bytes().startswith(b"CLEAT-STATE"))


def test_every_record_is_sound(manager):
    manager.wait_running(manager.run_one(simple("pause")))
    files = state_files(manager)
    assert len(files) >= 3  # a job, an allocation, a spec
    for path in files:
        assert records.read_statefile(path)


@pytest.mark.timeout(180)
def test_a_damaged_state_file_is_set_aside_and_stops_nothing(manager):
    """One record after the other is damaged in three ways; the other job is not harmed by any. What is
    not synced may be empty after a power cut, and is no damage then."""
    victim = manager.run_one(simple("pause", id="victim", type="service"))
    manager.wait_running(victim)
    before = set(state_files(manager))
    good = manager.run_one(simple("pause", id="good", type="service"))
    pid = manager.wait_running(good)
    manager.kill9()
    own = {p for p in before if "victim" in str(p) or victim in str(p)}
    assert own
    backup = manager.dir / "backup"
    for path in sorted(own):
        data = path.read_bytes()
        flipped = data[:-1] + bytes([data[-1] ^ 1])
        for damage in (flipped, data[: len(data) // 2], b""):
            shutil.copytree(manager.data_dir / "state", backup, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("ctl", "evt"))  # fmt: skip
            path.write_bytes(damage)
            manager.start()
            assert manager.wait_running(good) == pid
            aside = path.with_name(path.name + ".damaged")
            assert aside.exists() == (damage != b"" or path.parent.name == "jobs")
            if aside.exists():
                assert path.name in manager.cli("node", "status").stdout, path
                assert str(path) in manager.log()
            manager.kill9()
            path.write_bytes(data)
            aside.unlink(missing_ok=True)
    manager.start()
