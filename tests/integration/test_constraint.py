# SPDX-License-Identifier: MIT
"""Constraints against the node of a real manager, and its changing."""
import signal
import subprocess

from harness import wait_for
from jobs import group, job, simple, task

JOB = """
job "picky" {
  type = "batch"
  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }
  constraint {
    attribute = "${attr.kernel.version}"
    semver    = ">= 3.10"
  }
  group "g" {
    constraint {
      attribute = "${meta.rack}"
      regexp    = "^r[0-9]+$"
    }
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "echo on $RACK"]
      }
      env {
        RACK = "${meta.rack}"
      }
    }
  }
}
"""


def test_waits_for_a_changed_configuration(box, tmp_path):
    manager = box.manager(config='  meta {\n    rack = "none"\n  }\n')
    manager.start()
    path = tmp_path / "picky.hcl"
    path.write_text(JOB)
    done = manager.cli("job", "run", path, check=False)
    assert done.returncode == 1
    reason = 'the constraint "${meta.rack} regexp ^r[0-9]+$" of the group is not met: this host has "none"'
    assert f'* Group "g" is not placed: {reason}' in done.stderr
    assert f'cleat: group "g" is not placed: {reason}; it is placed as soon as it can be' in done.stderr
    job = manager.get("/v1/job/picky")
    assert job["Status"] == "pending" and reason in job["StatusDescription"]
    assert job["TaskGroups"][0]["Constraints"] == [
        {"LTarget": "${meta.rack}", "RTarget": "^r[0-9]+$", "Operand": "regexp"}
    ]
    assert reason in manager.cli("job", "status", "picky").stdout
    again = manager.cli("job", "run", path, check=False)
    assert again.returncode == 1 and reason in again.stderr

    manager.kill9()
    manager.start()
    assert manager.get("/v1/job/picky/allocations") == []
    text = manager.config_path.read_text()
    assert '"none"' in text
    manager.config_path.write_text(text.replace('"none"', '"r17"'))
    manager.process.send_signal(signal.SIGHUP)
    (alloc,) = wait_for(lambda: manager.get("/v1/job/picky/allocations"), "the job to be placed")
    manager.wait_client(alloc["ID"], "complete")
    assert manager.output(alloc["ID"]) == "on r17\n"
    assert manager.get("/v1/job/picky")["Status"] == "dead"
    manager.config_path.write_text(text)
    manager.kill9()
    manager.start()
    assert len(manager.get("/v1/job/picky/allocations")) == 1


def test_an_expression_that_takes_too_long(box):
    manager = box.manager(config=f'  meta {{\n    long = "{"a" * 40}!"\n  }}\n')
    manager.start()
    constraint = {"LTarget": "${meta.long}", "RTarget": "^(a+)+$", "Operand": "regexp"}
    warnings = manager.call("PUT", "/v1/jobs", {"Job": {**simple("exit:0"), "Constraints": [constraint]}})["Warnings"]
    assert 'is not met: this host has "aaaa' in warnings and "the regular expression takes too long" in warnings
    assert manager.get("/v1/job/job")["Status"] == "pending"


def test_children_wait_too(manager):
    constraint = {"LTarget": "${meta.gpu}", "Operand": "is_set"}
    manager.run({**simple("exit:0"), "ParameterizedJob": {}, "Constraints": [constraint]})
    done = manager.cli("job", "dispatch", "job", check=False)
    assert done.returncode == 1
    assert 'the constraint "${meta.gpu} is_set" of the job is not met: this host has none' in done.stderr
    (child,) = [j for j in manager.get("/v1/jobs") if j["ParentID"] == "job"]
    assert child["Status"] == "pending"
    manager.cli("job", "stop", child["ID"])
    assert manager.get(f"/v1/job/{child['ID']}")["Status"] == "dead"


def test_what_runs_stays_until_it_can_be_replaced(box, tmp_path):
    """A rack that is not there does not cost the service; with it, the service moves on."""
    manager = box.manager(config='  meta {\n    rack = "r2"\n  }\n')
    manager.start()
    path = tmp_path / "picky.hcl"
    text = JOB.replace("batch", "service").replace("echo on $RACK", "echo on $RACK; exec sleep 1000")
    path.write_text(text)
    manager.cli("job", "run", path)
    (old,) = manager.get("/v1/job/picky/allocations")
    path.write_text(text.replace("^r[0-9]+$", "^r3$"))
    done = manager.cli("job", "run", path, check=False)
    assert done.returncode == 1
    kept = 'of the group is not met: this host has "r2" (1 allocation of an older version runs on instead)'
    assert kept in done.stderr
    for restart in False, True:
        if restart:
            manager.kill9()
            manager.start()
        job = manager.get("/v1/job/picky")
        assert (job["Status"], job["Version"]) == ("running", 1) and kept in job["StatusDescription"]
        assert kept in manager.cli("job", "status", "picky").stdout
        (alloc,) = manager.get("/v1/job/picky/allocations")
        assert (alloc["ID"], alloc["ClientStatus"], alloc["DesiredStatus"]) == (old["ID"], "running", "run")
    config = manager.config_path.read_text()
    manager.config_path.write_text(config.replace('"r2"', '"r3"'))
    manager.process.send_signal(signal.SIGHUP)
    manager.wait_client(old["ID"], "complete")
    (new,) = [a for a in manager.get("/v1/job/picky/allocations") if a["ID"] != old["ID"]]
    manager.wait_client(new["ID"], "running")
    assert manager.get("/v1/job/picky")["StatusDescription"] == ""
    manager.cli("job", "stop", "picky")


def test_no_room_on_the_disk(manager):
    """Said as Nomad says it, and what runs is left alone."""
    small = manager.run_one(simple("pause", type="service"))
    pid = manager.wait_running(small)

    def sized(mib):
        return job(group(task("pause"), EphemeralDisk={"SizeMB": mib}), type="service")

    warnings = manager.call("PUT", "/v1/jobs", {"Job": sized(1 << 30)})["Warnings"]
    why = 'Group "g" is not placed: the dimension "disk" is exhausted: ephemeral_disk asks for 1073741824 MiB'
    assert why in warnings and "(1 allocation of an older version runs on instead)" in warnings
    assert "bounds its logs only" in warnings
    assert "of its logs" not in warnings
    assert 'the dimension "disk"' in manager.get("/v1/job/job")["StatusDescription"]
    assert manager.wait_running(small) == pid
    warnings = manager.call("PUT", "/v1/jobs", {"Job": sized(20)})["Warnings"]
    assert "max_file_size of its logs is 100 MiB for each stream" in warnings and "below 20 MiB" in warnings
    new = manager.run_one(sized(20))
    assert new != small and manager.wait_running(new) != pid


def test_a_file_system_without_a_limit_has_room(box):
    """It says that 0 of 0 blocks are free."""
    manager = box.manager()
    manager.data_dir.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=0", "tmpfs", manager.data_dir], check=True)
    try:
        manager.start()
        sized = job(group(task("pause"), EphemeralDisk={"SizeMB": 500}), type="service")
        manager.wait_running(manager.run_one(sized))
        manager.stop_all()
        manager.process = None
    finally:
        subprocess.run(["umount", "-R", manager.data_dir], check=True)
