# SPDX-License-Identifier: MIT
"""Jobs that are launched as others: parameterized and periodic ones; and jobs of which each host has one."""
import base64
import json
import time

import pytest

from harness import SLOW, ApiError, sleeps_on, wait_for
from jobs import MS, group, job, restart, simple, task


def shell(script, **fields):
    return task("-c", script, driver="raw_exec", command="/bin/sh", **fields)


def launched(script, id="job", type="batch", **fields):
    return job(group(shell(script, DispatchPayload={"File": "in/data"})), id=id, type=type, **fields)


def children(manager, parent="job"):
    return [j for j in manager.get("/v1/jobs") if j["ParentID"] == parent]


def allocs_of(manager, job_id):
    return [a["ID"] for a in manager.get(f"/v1/job/{job_id}/allocations")]


def test_a_dispatched_job_has_its_payload_and_meta(manager, tmp_path):
    script = 'cat local/in/data; echo "$NOMAD_META_USER,${NOMAD_META_may-unset},$NOMAD_META_own"; ' \
        'echo "$NOMAD_JOB_PARENT_ID $NOMAD_JOB_ID"'  # fmt: skip
    parent = launched(script, Meta={"own": "o"},
                      ParameterizedJob={"Payload": "required", "MetaRequired": ["user"],
                                        "MetaOptional": ["may"]})  # fmt: skip
    assert manager.run(parent) == []
    assert manager.get("/v1/job/job")["Status"] == "running"
    (tmp_path / "in").write_bytes(b"one\n")
    first = json.loads(
        manager.cli("job", "dispatch", "-json", "-meta", "user=a=b", "job", tmp_path / "in").stdout
    )
    assert first["JobID"].startswith("job/dispatch-")
    (alloc_id,) = allocs_of(manager, first["JobID"])
    manager.wait_client(alloc_id, "complete")
    assert manager.output(alloc_id) == f"one\na=b,,o\njob {first['JobID']}\n"
    assert (manager.alloc_dir(alloc_id) / "t/local/in/data").stat().st_mode & 0o777 == 0o755

    shown = manager.cli("job", "dispatch", "-meta", "user=x", "-meta", "may=y", "job", "-", stdin="two\n")
    second = shown.stdout.split('"')[1]
    (alloc_id,) = allocs_of(manager, second)
    manager.wait_client(alloc_id, "complete")
    assert manager.output(alloc_id).startswith("two\nx,y,o\n")

    assert {c["ID"] for c in children(manager)} == {first["JobID"], second}
    (stub,) = [j for j in manager.get("/v1/jobs") if j["ID"] == "job"]
    assert stub["ParameterizedJob"] and stub["JobSummary"]["Children"] == {"Pending": 0, "Running": 0, "Dead": 2}
    status = manager.cli("job", "status", "job").stdout
    assert "Required meta = user\n" in status and second in status
    manager.cli("job", "stop", "job")
    assert manager.get("/v1/job/job")["Status"] == "dead"
    assert len(children(manager)) == 2
    refused = manager.cli("job", "dispatch", "-meta", "user=x", "job", "-", stdin="x", check=False)
    assert refused.returncode == 1 and "is stopped" in refused.stderr
    manager.cli("system", "gc")
    wait_for(lambda: manager.get("/v1/jobs") == [], "the children to be gone with their allocations")


def test_what_a_dispatch_may_not_be(manager, tmp_path):
    manager.run(launched("true", ParameterizedJob={"MetaRequired": ["user"]}))
    (tmp_path / "big").write_bytes(b"x" * (16 * 1024 + 1))
    for args, text in [
        (["job"], 'cannot do without the meta "user"'),
        (["-meta", "user=1", "-meta", "z=1", "job"], 'takes no meta "z"'),
        (["-meta", "user", "job"], "write KEY=VALUE"),
        (["-meta", "user=1", "job", tmp_path / "big"], "a payload has 16384 bytes at most"),
        (["-meta", "user=1", "job", tmp_path / "none"], "No such file"),
        (["-meta", "user=1", "-priority", "101", "job"], "a priority is 1 to 100"),
        (["-meta", "user=1", "nojob"], "nojob"),
    ]:
        done = manager.cli("job", "dispatch", *args, check=False)
        assert done.returncode and text in done.stderr
    body = {"Meta": {"user": "1"}, "Payload": base64.b64encode(b"x" * (16 * 1024 + 1)).decode()}
    with pytest.raises(ApiError, match="400: the payload is"):
        manager.call("POST", "/v1/job/job/dispatch", body)
    assert children(manager) == []
    biggest = {"Meta": {"user": "1"}, "Payload": base64.b64encode(b"x" * 16 * 1024).decode()}
    child = manager.call("POST", "/v1/job/job/dispatch", biggest)["DispatchedJobID"]
    (alloc_id,) = allocs_of(manager, child)
    manager.wait_client(alloc_id, "complete")
    assert (manager.alloc_dir(alloc_id) / "t/local/in/data").stat().st_size == 16 * 1024


def test_a_token_dispatches_once(manager):
    manager.run(launched("true", ParameterizedJob={}))

    def dispatch(token):
        return manager.call("POST", f"/v1/job/job/dispatch?idempotency_token={token}", {})["DispatchedJobID"]

    first = dispatch("a")
    assert dispatch("a") == first
    manager.kill9()
    manager.start()
    assert dispatch("a") == first
    assert dispatch("b") != first


def test_periodic_launches_over_kills_of_the_manager(manager, box):
    """Each launch runs once, whenever the manager dies; what was missed is made up for once."""
    seen = box.dir / "seen"
    every_second = launched(f'echo "$NOMAD_JOB_ID" >>{seen}', Periodic={"Spec": "* * * * * * *"})
    manager.run(every_second)
    for _ in range(2):
        before = len(children(manager))
        wait_for(lambda: len(children(manager)) > before + 1, "two more launches")
        manager.kill9()
        killed = int(time.time())
        wait_for(lambda: time.time() > killed + 3, "some launches to be missed")
        manager.start()
        started = int(time.time())
        wait_for(lambda: len(children(manager)) > before + 2, "a launch after the start")
        times = [int(c["ID"].rpartition("-")[2]) for c in children(manager)]
        assert len([t for t in times if killed < t < started - 1]) <= 1
    manager.stop("job")
    wait_for(lambda: all(c["Status"] == "dead" for c in children(manager)), "all launched to be done")
    ran = seen.read_text().split()
    assert sorted(ran) == sorted(c["ID"] for c in children(manager))
    assert all(c.startswith("job/periodic-") for c in ran)
    count = len(ran)
    killed = time.time()
    wait_for(lambda: time.time() > killed + 1.5, "no launch of a stopped job")
    assert len(children(manager)) == count


@pytest.mark.parametrize("rename", [1, 2, 3])
def test_a_launch_is_one_whichever_record_the_manager_dies_at(manager, box, rename):
    """It dies before the child is on record, then before that it was launched is, then before that the child has run is."""
    seen = box.dir / "seen"
    at = time.gmtime(due := int(time.time()) + 2)
    once = f"{at.tm_sec} {at.tm_min} {at.tm_hour} {at.tm_mday} {at.tm_mon} * {at.tm_year}"
    manager.run(launched(f'echo "$NOMAD_JOB_ID" >>{seen}', Periodic={"Spec": once}))
    manager.kill9()
    wait_for(lambda: time.time() > due, "the launch to be missed")
    manager.spawn(["strace", "-D", "-q", "-o", str(box.dir / "trace"),
                   "-e", f"inject=/^renameat:signal=KILL:when={rename}"])  # fmt: skip
    manager.process.wait(20 * SLOW)
    records = {p.name: p.read_text() for p in (manager.data_dir / "state/jobs").iterdir() if "tmp" not in p.name}
    assert (f"job%2Fperiodic-{due}" in records) == (rename > 1)
    assert ("LastLaunch" in records["job"]) == (rename > 2)
    manager.start()
    (child,) = wait_for(lambda: children(manager), "the launch")
    assert child["ID"] == f"job/periodic-{due}"
    (alloc_id,) = allocs_of(manager, child["ID"])
    manager.wait_client(alloc_id, "complete")
    record = manager.get("/v1/job/job")
    manager.kill9()
    manager.start()
    assert len(children(manager)) == 1 and manager.get("/v1/job/job")["Status"] == record["Status"]
    assert seen.read_text() == f"job/periodic-{due}\n"


def test_periodic_prohibits_overlap_and_is_forced(manager):
    periodic = {"Spec": "* * * * * * *", "ProhibitOverlap": True}
    manager.run(launched("exec sleep 600", Periodic=periodic))
    (child,) = wait_for(lambda: children(manager), "the first launch")
    until = time.time() + 2.5
    wait_for(lambda: time.time() > until, "launches to be left out")
    assert len(children(manager)) == 1
    forced = manager.cli("job", "periodic", "force", "job").stdout
    assert 'Job "job/periodic-' in forced
    assert len(children(manager)) == 2
    status = manager.cli("job", "status", "job").stdout
    assert "Next launch = 20" in status and child["ID"] in status
    refused = manager.cli("job", "periodic", "force", child["ID"], check=False)
    assert refused.returncode == 1 and "is not periodic" in refused.stderr
    assert manager.cli("job", "periodic", "stop", "job", check=False).returncode == 2


def test_an_idle_manager_sleeps_until_the_launch(manager):
    """No polling while a launch is due some time later."""
    manager.run(launched("true", Periodic={"Spec": "0 0 1 1 * 2099", "TimeZone": "Europe/Berlin"}))
    wait_for(lambda: manager.get("/v1/job/job")["Status"] == "running", "the job")
    wait_for(lambda: sleeps_on(manager.process.pid), "the manager to be done")
    assert sleeps_on(manager.process.pid)


def test_job_run_says_what_is_waited_for(manager, tmp_path):
    path = tmp_path / "job.hcl"
    text = 'job "j" {\n type = "batch"\n %s {\n %s }\n task "t" {\n driver = "raw_exec"\n config { command = "x" }\n }\n}\n'
    path.write_text(text % ("periodic", 'cron = "30 4 1 1 * 2099"\ntime_zone = "Asia/Tokyo"\n'))
    assert "Next launch = 2098-12-31T19:30:00Z\n" in manager.cli("job", "run", path).stdout
    path.write_text(text % ("parameterized", ""))
    assert "It waits to be dispatched: cleat job dispatch j\n" in manager.cli("job", "run", path).stdout


def test_system_job_is_a_service(manager):
    alloc_id = manager.run_one(simple("print:x", "exit:0", type="system", policy=restart(1, 10 * MS)))
    assert manager.wait_client(alloc_id, "failed")["TaskStates"]["t"]["Restarts"] == 1
    with pytest.raises(ApiError, match="has a count of 2, and those of a system job"):
        manager.run(simple("exit:0", type="system", count=2, id="two"))


def test_sysbatch_job_is_batch(manager):
    alloc_id = manager.run_one(simple("exit:0", type="sysbatch", policy=restart(1, 10 * MS)))
    assert manager.wait_client(alloc_id, "complete")["TaskStates"]["t"]["Restarts"] == 0
    assert manager.get("/v1/job/job")["Type"] == "sysbatch"
