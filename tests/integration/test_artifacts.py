# SPDX-License-Identifier: MIT
"""Artifacts of tasks: events, restarts, the record of what is there, and that the manager goes on meanwhile."""
import hashlib
import os
import signal
import subprocess
import time

import pytest

import artifact_server as faults
from artifact_server import Server
from harness import SLOW, kill_hard, process_gone, wait_for
from jobs import MS, restart, simple

BLOB = bytes(range(256)) * 1000
GOT = "Downloading Artifacts"
FAILED = "Failed Artifact Download"


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def artifact(url, dest="local/", mode="any", options=None, **fields):
    return {"GetterSource": url, "RelativeDest": dest, "GetterMode": mode, "GetterOptions": options, **fields}


def events(manager, alloc_id, name="t"):
    return [e["Type"] for e in manager.task(alloc_id, name)["Events"]]


def fetchers(manager):
    """The children of this manager that download; each has one itself."""
    found = []
    for pid in children(manager.process.pid):
        try:
            if open(f"/proc/{pid}/comm").read().strip() == "cleat-fetch":
                found.append(pid)
        except FileNotFoundError:
            pass
    return found


def children(pid):
    return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]


def test_a_task_finds_its_artifacts(manager, server):
    url = server.put("/a-file", b"content\n")
    output, state = manager.run_to_end(simple(
        "cat:/local/a-file", "cat:/local/sub/t/x", "cat:/secrets/mine", "cat:/alloc/data/shared",
        Meta={"name": "a-file"}, Env={"WHERE": "sub"},
        Artifacts=[
            artifact(server.url + "/${NOMAD_META_name}"), artifact(url, "local/${WHERE}/t/x", "file"),
            artifact(url, "${NOMAD_SECRETS_DIR}/mine", "file", Chown=True),
            artifact(url, "../alloc/data/shared", "file"),
        ]))  # fmt: skip
    assert output == 4 * "content\n" and not state["Failed"]
    types = [e["Type"] for e in state["Events"]]
    assert types == ["Received", "Task Setup", GOT, "Started", "Terminated"]
    assert state["Events"][2]["DisplayMessage"].startswith("Client is downloading artifacts")


def test_the_old_options_of_exec(manager, server):
    script = b"#!/bin/sh\necho it runs\n"
    server.put("/tool", script)
    for i, (driver, command) in enumerate([
        ("exec", "/local/tool"), ("raw_exec", "${NOMAD_TASK_DIR}/tool"),
        ("exec", "$NOMAD_TASK_DIR/tool"), ("raw_exec", "$NOMAD_TASK_DIR/tool"),  # as when they were new
    ]):  # fmt: skip
        output, state = manager.run_to_end(simple(
            command=command, driver=driver, id=f"job{i}", config={
                "artifact_source": server.url + "/tool",
                "checksum": "sha256:" + hashlib.sha256(script).hexdigest()}))  # fmt: skip
        assert output == "it runs\n", state


def test_owners(manager, server):
    url = server.put("/x", b"x")
    alloc_id = manager.run_one(simple("exit:0", Artifacts=[artifact(url, "local/root/"), artifact(url, "local/mine/", Chown=True)]))
    manager.wait_dead(alloc_id)
    local = manager.alloc_dir(alloc_id) / "t/local"
    assert (local / "root/x").stat().st_uid == 0 and (local / "mine/x").stat().st_uid == 65534


def test_failures_are_told_and_follow_the_policy(manager, server):
    url = server.put("/x", BLOB, faults.fails(1, 404))
    output, state = manager.run_to_end(simple("cat:/local/y", policy=restart(1), Artifacts=[
        artifact(url), artifact(server.put("/y", b"y"))]))  # fmt: skip
    assert output == "y" and not state["Failed"]
    (failed,) = [e for e in state["Events"] if e["Type"] == FAILED]
    assert "404" in failed["DisplayMessage"] and failed["DownloadError"] == failed["Details"]["download_error"]
    assert state["Restarts"] == 1 and "Restarting" in [e["Type"] for e in state["Events"]]
    url = server.put("/sum", BLOB)
    _, state = manager.run_to_end(simple("exit:0", id="sum", policy=restart(1), Artifacts=[
        artifact(url, options={"checksum": "md5:" + 32 * "0"})]))  # fmt: skip
    assert state["Failed"] and server.count("/sum") == 2
    assert [e["Type"] for e in state["Events"]].count(FAILED) == 2


def test_sums_fit_into_an_event(manager, server):
    url, wrong = server.put("/" + 60 * "x", BLOB), 64 * "e"
    alloc_id = manager.run_one(simple("exit:0", policy=restart(0), Artifacts=[
        artifact(url, options={"checksum": "sha256:" + wrong})]))  # fmt: skip
    state = manager.wait_dead(alloc_id)
    (failed,) = [e["DisplayMessage"] for e in state["Events"] if e["Type"] == FAILED]
    found = hashlib.sha256(BLOB).hexdigest()
    assert f"its checksum is sha256:{found[:12]}…, not {wrong[:12]}…" in failed
    assert f"its checksum is sha256:{found}, not {wrong}" in manager.log()


def test_run_says_why_and_how_often_it_was_tried(manager, box):
    path = box.dir / "refused.hcl"
    path.write_text("""job "refused" {
  type = "batch"
  group "g" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    task "t" {
      driver = "raw_exec"
      artifact {
        source = "http://127.0.0.1:9/x"
      }
      config {
        command = "/bin/true"
      }
    }
  }
}
""")
    done = manager.cli("run", str(path), check=False)
    assert done.returncode == 1 and done.stderr.count(FAILED) == 1
    assert "(tried 5 times in " in done.stderr and " ms" not in done.stderr
    (alloc,) = manager.get("/v1/job/refused/allocations")
    told = [e["DisplayMessage"] for e in alloc["TaskStates"]["t"]["Events"] if e["Type"] == GOT]
    assert told == ["Client is downloading artifacts: try 5 of 5"]


def test_what_does_not_pass_fails_at_once(manager, server):
    url = server.put("/x", BLOB)
    _, state = manager.run_to_end(simple("exit:0", policy=restart(3), Meta={"up": "../.."}, Artifacts=[
        artifact(url, "${NOMAD_META_up}/../x")]))  # fmt: skip
    assert state["Failed"] and "leads out" in state["Events"][-2]["DisplayMessage"] and not state["Restarts"]
    _, state = manager.run_to_end(simple("exit:0", id="file", policy=restart(3), Artifacts=[
        artifact("file:///etc/passwd")]))  # fmt: skip
    assert state["Failed"] and "allow_file_paths" in state["Events"][-2]["DisplayMessage"] and not state["Restarts"]


def test_a_link_of_the_first_attempt_leads_nowhere(manager, server, box):
    outside = box.dir / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    server.put("/x", b"x")
    alloc_id = manager.run_one(simple(
        "-c", f"rm -rf $NOMAD_TASK_DIR/d && ln -s {outside} $NOMAD_TASK_DIR/d && kill -9 $PPID",
        command="/bin/sh", driver="raw_exec", policy=restart(2),
        Artifacts=[artifact(server.url + "/x", "local/d/")]))  # fmt: skip
    state = manager.wait_dead(alloc_id)
    assert state["Failed"] and FAILED in [e["Type"] for e in state["Events"]]
    assert "link" in [e for e in state["Events"] if e["Type"] == FAILED][-1]["DisplayMessage"]
    assert not os.listdir(outside)


def test_what_is_there_is_not_got_again(manager, server):
    url, other = server.put("/x", BLOB), server.put("/y", BLOB, faults.fails(1, 404))
    alloc_id = manager.run_one(simple(
        "pause", type="service", policy=restart(5, delay=100 * MS),
        Artifacts=[artifact(url, "local/d/"), artifact(other)]))  # fmt: skip
    manager.wait_running(alloc_id)
    assert server.count("/y") == 2
    manager.kill9()
    manager.start()
    count = server.count("/x")
    kill_hard(int(executor_of(manager, alloc_id)))
    wait_for(lambda: manager.task(alloc_id)["Restarts"] == 2, "the restart")
    manager.wait_running(alloc_id)
    assert server.count("/x") == count and server.count("/y") == 2
    manager.stop("job")


def executor_of(manager, alloc_id):
    """The process whose command line has the task's state directory."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = open(f"/proc/{pid}/cmdline").read()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "cleat-executor" in line and f"{alloc_id}/t" in line:
            return pid
    raise AssertionError("no executor")


def test_three_at_once(manager, server):
    for i in range(5):
        server.put(f"/{i}", BLOB, faults.waits)
    alloc_id = manager.run_one(simple("exit:0", Artifacts=[artifact(f"{server.url}/{i}") for i in range(5)]))
    wait_for(lambda: len(server.requests) == 3, "three requests")
    assert len(fetchers(manager)) == 3
    state = manager.task(alloc_id)
    assert state["State"] == "pending" and state["Artifacts"].keys() == {"Bytes", "Total", "Rate"}
    server.gate.set()
    state = manager.wait_dead(alloc_id)
    assert not state["Failed"], state["Events"]
    assert len(server.requests) == 5


def test_progress_is_one_event_that_changes(manager, server):
    data = bytes(1 << 20)

    def drips(handler, blob, n):
        handler.head(200, 8 * len(data))
        for _ in range(8):
            handler.wfile.write(data)
            handler.wfile.flush()
            handler.gate.wait(0.3)

    alloc_id = manager.run_one(simple("exit:0", Artifacts=[artifact(server.put("/x", b"", drips))]))
    texts = set()

    def told():
        state = manager.task(alloc_id)
        texts.update(e["DisplayMessage"] for e in state["Events"] if e["Type"] == GOT)
        return state["State"] == "dead"

    wait_for(told, "the end")
    assert len(texts) >= 3 and any("of 8.0 MiB" in text and "MiB/s" in text for text in texts)
    assert events(manager, alloc_id).count(GOT) == 1


def test_a_stop_ends_the_download(manager, server):
    alloc_id = manager.run_one(simple("exit:0", Artifacts=[artifact(server.put("/x", BLOB, faults.waits))]))
    wait_for(lambda: server.requests, "the request")
    (pid,) = fetchers(manager)
    manager.stop("job")
    manager.wait_client(alloc_id, "complete", "failed")
    wait_for(lambda: process_gone(pid), "the end of cleat-fetch")
    assert not (manager.alloc_dir(alloc_id) / "t/local/x").exists()


def test_the_manager_is_killed_meanwhile(manager, server):
    alloc_id = manager.run_one(simple("cat:/local/x", Artifacts=[artifact(server.put("/x", b"whole", faults.waits))]))
    wait_for(lambda: server.requests, "the request")
    (pid,) = fetchers(manager)
    manager.kill9()
    wait_for(lambda: process_gone(pid), "the end of cleat-fetch")
    manager.start()
    wait_for(lambda: len(server.requests) == 2, "the second request")
    server.gate.set()
    manager.wait_dead(alloc_id)
    assert manager.output(alloc_id) == "whole"
    assert os.listdir(manager.alloc_dir(alloc_id) / "t/local") == ["x"]


def test_what_came_before_the_manager_was_killed_is_not_got_again(manager, server):
    url = server.put("/x", BLOB, faults.stops_halfway)
    alloc_id = manager.run_one(simple("exit:0", Artifacts=[artifact(url)]))
    local = manager.alloc_dir(alloc_id) / "t/local"
    kept = local / ".artifact-t-0/work/download"
    wait_for(lambda: kept.exists() and kept.stat().st_size >= len(BLOB) // 2, "half of it")
    (pid,) = fetchers(manager)
    manager.kill9()
    wait_for(lambda: process_gone(pid), "the end of cleat-fetch")
    manager.start()
    state = manager.wait_dead(alloc_id)
    assert not state["Failed"] and (local / "x").read_bytes() == BLOB
    (_, first), (_, second) = server.requests
    assert "Range" not in first and second["Range"] == f"bytes={len(BLOB) // 2 - 1}-"
    assert os.listdir(local) == ["x"]


def test_the_downloader_is_killed(manager, server):
    alloc_id = manager.run_one(simple("cat:/local/x", policy=restart(1),
                                      Artifacts=[artifact(server.put("/x", b"whole", faults.waits))]))
    wait_for(lambda: server.requests, "the request")
    os.kill(fetchers(manager)[0], signal.SIGKILL)
    wait_for(lambda: len(server.requests) == 2, "the second request")
    server.gate.set()
    state = manager.wait_dead(alloc_id)
    assert manager.output(alloc_id) == "whole" and "signal 9" in [
        e for e in state["Events"] if e["Type"] == FAILED][0]["DisplayMessage"]  # fmt: skip


def test_configuration(box, server):
    manager = box.manager(config=(
        'artifact {\n  http_max_size = "1KB"\n  decompression_file_count_limit = 1\n'
        f'  allow_file_paths = ["{box.dir}"]\n  set_environment_variables = "http_proxy,NOTHING"\n}}\n'))  # fmt: skip
    box.env["http_proxy"] = server.url
    manager.start()
    (box.dir / "file").write_text("of the host")
    server.put("http://nowhere.invalid/small", b"small")
    server.put("http://nowhere.invalid/large", bytes(2000))
    output, _ = manager.run_to_end(simple("cat:/local/small", "cat:/local/file", Artifacts=[
        artifact("http://nowhere.invalid/small"), artifact(f"file://{box.dir}/file")]))  # fmt: skip
    assert output == "smallof the host"
    _, state = manager.run_to_end(simple("exit:0", id="large", Artifacts=[artifact("http://nowhere.invalid/large")]))
    assert "http_max_size" in state["Events"][-2]["DisplayMessage"]


def slowest_answer(manager, alloc_id, seconds):
    """Of questions asked one after the other, in milliseconds, while the task is downloading."""
    slowest, end = 0, time.monotonic() + seconds
    while time.monotonic() < end and manager.task(alloc_id)["State"] == "pending":
        start = time.monotonic()
        manager.get("/v1/agent/health")
        slowest = max(slowest, time.monotonic() - start)
    return slowest * 1000


def test_the_manager_is_never_late(manager, server):
    data = os.urandom(1 << 20) * 48
    server.put("/x", data)
    late = []
    for i in range(3):  # this machine may be busy otherwise: a manager that waits for files always is late
        alloc_id = manager.run_one(simple("exit:0", id=f"j{i}", Artifacts=[
            artifact(f"{server.url}/x?{n}", f"local/{n}", options={"checksum": "sha256:" + hashlib.sha256(data).hexdigest()})
            for n in range(3)]))  # fmt: skip
        late.append(slowest_answer(manager, alloc_id, 10))
        state = manager.wait_dead(alloc_id)
        assert not state["Failed"], state["Events"]
        if late[-1] < 50 * SLOW:
            return
    raise AssertionError(f"answers took up to {late} ms")


def test_command_line(manager, server, box):
    server.put("/x", b"x")
    path = box.dir / "job.hcl"
    path.write_text('''
job "art" {
  type = "batch"
  task "t" {
    driver = "exec"
    config { command = "/bin/cat", args = ["/local/x"] }
    artifact {
      source = "%s/x"
      options { archive = "false" }
      headers { X-Y = "z" }
    }
  }
}
''' % server.url)
    assert "is complete" in manager.cli("run", path).stdout
    assert server.requests[-1][1]["X-Y"] == "z"
    (alloc,) = manager.get("/v1/job/art/allocations")
    assert GOT in manager.cli("alloc", "status", alloc["ID"]).stdout


def test_a_bar_on_a_terminal(manager, server, box):
    """Redrawn in place, and gone at the end; without a terminal there is none."""
    data = bytes(1 << 20)

    def drips(handler, blob, n):
        handler.head(200, 4 * len(data))
        for _ in range(4):
            handler.wfile.write(data)
            handler.wfile.flush()
            handler.gate.wait(0.6)

    path = box.dir / "job.hcl"
    path.write_text('job "bar" {\n  type = "batch"\n  task "t" {\n    driver = "exec"\n    config { command = "/bin/true" }\n'
                    '    artifact { source = "%s" }\n  }\n}\n' % server.put("/x", b"", drips))
    ours, theirs = os.openpty()
    env = {**box.env, "CLEAT_ADDR": f"unix://{manager.socket}"}
    with subprocess.Popen([manager.programs / "cleat", "run", path], env=env, stdout=theirs, stderr=theirs) as run:
        os.close(theirs)
        text = b""
        while chunk := read_tty(ours):
            text += chunk
        assert run.wait() == 0
    os.close(ours)
    bars = [part for part in text.decode().split("\r") if "of 4.0 MiB" in part]
    assert len(bars) >= 2 and "[####" in bars[-1] and " t: " in bars[-1] and "\n" not in bars[-1]
    assert text.decode().rstrip().endswith("is complete")
    assert "MiB" not in manager.cli("run", path).stdout


def read_tty(fd):
    try:
        return os.read(fd, 4096)
    except OSError:  # nobody has the other end any more
        return b""
