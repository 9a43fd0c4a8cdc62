# SPDX-License-Identifier: MIT
"""Host volumes: what the agent's configuration lets jobs see of this host, and how."""
import os
import subprocess
from pathlib import Path

import pytest

import records
from harness import ApiError, kill_hard, wait_for
from jobs import MS, group, job, restart, task

WRITTEN = "written by the task\n"


@pytest.fixture
def data(box):
    """A directory of the host, for anyone to write."""
    path = box.dir / "data"
    path.mkdir()
    path.chmod(0o777)
    (path / "f").write_text("content\n")
    return path


def host_volumes(**paths):
    """For the client block; a name that ends with _ro is read-only."""
    return "\n".join(
        f'  host_volume "{name}" {{\n    path = "{path}"\n'
        f'    read_only = {str(name.endswith("_ro")).lower()}\n  }}\n'
        for name, path in paths.items()
    )


def mounted(*steps, mounts, volumes=None, policy=None, id="job", type="batch", **fields):
    """A job of one task; `mounts` are (volume, destination[, more of the volume_mount])."""
    volumes = volumes or {name: {"Source": name} for name, *_ in mounts}
    for name, volume in volumes.items():
        volume.update({"Name": name, "Type": volume.get("Type", "host")})
    fields["VolumeMounts"] = [
        {"Volume": name, "Destination": path, **(more[0] if more else {})}
        for name, path, *more in mounts
    ]
    return job(group(task(*steps, **fields), policy=policy, Volumes=volumes), id=id, type=type)


def test_volumes_are_seen_as_asked_for(box, data):
    config = host_volumes(rw=data, fixed_ro=data, one=data / "f")
    manager = box.manager(config=config).start()
    output, state = manager.run_to_end(mounted(
        "write:/rw/new", "cat:/rw/deep/mine/new", "write:/rw/deep/mine/x", "write:/never/x",
        "write:/fixed/x", "cat:/local/here/f", "cat:/a/file", "write:/alloc/data/v/shared",
        "mknod:/rw/disk", "cat:/rw/disk", User="root",
        volumes={"rw": {"Source": "rw"}, "never": {"Source": "rw", "ReadOnly": True},
                 "fixed": {"Source": "fixed_ro", "ReadOnly": True}, "one": {"Source": "one"}},
        # The one below /rw comes first here, and must not be hidden by it.
        mounts=[("never", "/rw/deep/mine"), ("rw", "/rw"), ("never", "/never", {"ReadOnly": False}),
                ("fixed", "/fixed"), ("rw", "${NOMAD_TASK_DIR}/here", {"ReadOnly": True}),
                ("one", "/a/file", {"ReadOnly": True}), ("rw", "/alloc/data/v")],
    ))  # fmt: skip
    assert output.splitlines() == [
        "write /rw/new=ok", WRITTEN.strip(), "write /rw/deep/mine/x=EROFS", "write /never/x=EROFS",
        "write /fixed/x=EROFS", "content", "content", "write /alloc/data/v/shared=ok",
        "mknod /rw/disk=ok", "cat /rw/disk=EACCES",
    ], state  # fmt: skip
    assert (data / "new").read_text() == (data / "shared").read_text() == WRITTEN
    assert not (data / "x").exists()


JOB_FILE = """
job "filed" {
  type = "batch"
  group "g" {
    volume "v" {
      type      = "host"
      source    = "rw"
      read_only = true
    }
    task "t" {
      driver = "exec"
      config {
        command = "/bin/cat"
        args    = ["/srv/data/f"]
      }
      volume_mount {
        volume           = "v"
        destination      = "/srv/data"
        propagation_mode = "host-to-task"
      }
    }
  }
}
"""


def test_a_job_file_and_what_is_shown_of_the_node(box, data):
    manager = box.manager(config=host_volumes(rw=data, gone_ro=box.dir / "gone")).start()
    path = box.dir / "job.hcl"
    path.write_text(JOB_FILE)
    manager.cli("job", "run", "-detach", path)
    (alloc,) = manager.get("/v1/job/filed/allocations")
    manager.wait_dead(alloc["ID"])
    assert manager.output(alloc["ID"]) == "content\n"
    (shown,) = manager.get("/v1/job/filed")["TaskGroups"]
    assert shown["Volumes"] == {
        "v": {"Name": "v", "Type": "host", "Source": "rw", "ReadOnly": True}
    }
    assert shown["Tasks"][0]["VolumeMounts"] == [
        {"Volume": "v", "Destination": "/srv/data", "ReadOnly": False,
         "PropagationMode": "host-to-task"}
    ]  # fmt: skip
    (node,) = manager.get("/v1/nodes")
    assert manager.get(f"/v1/node/{node['ID']}")["HostVolumes"] == {
        "rw": {"Name": "rw", "Path": str(data), "ReadOnly": False},
        "gone_ro": {"Name": "gone_ro", "Path": str(box.dir / "gone"), "ReadOnly": True},
    }
    rows = [line.split() for line in manager.cli("node", "status").stdout.splitlines()]
    assert ["rw", "no", str(data)] in rows and ["gone_ro", "yes", str(box.dir / "gone")] in rows
    assert f'host_volume "gone_ro": {box.dir}/gone: No such file' in manager.log()


def test_what_is_refused_when_a_job_is_registered(box, data):
    manager = box.manager(config=host_volumes(rw=data, fix_ro=data, gone=box.dir / "gone")).start()

    def refusal(volume, destination="/x", mount=None, **fields):
        volumes = {"v": volume}
        with pytest.raises(ApiError) as e:
            manager.run(mounted("pause", volumes=volumes, mounts=[("v", destination, mount or {})], **fields))
        assert manager.get("/v1/jobs") == []
        return e.value.text

    text = refusal({"Source": "other"})
    assert 'no host volume "other"' in text and '"rw", "fix_ro", "gone"' in text
    assert 'group "g"' in text
    assert "add read_only = true" in refusal({"Source": "fix_ro"})
    assert f"is at {box.dir}/gone, where there is none" in refusal({"Source": "gone"})
    assert '"csi" are not supported' in refusal({"Source": "rw", "Type": "csi"})
    assert '"PerAlloc" is known to Nomad' in refusal({"Source": "rw", "PerAlloc": True})
    assert "mounts no volumes" in refusal({"Source": "rw"}, driver="raw_exec")
    assert 'without "..", not "/x/../../y"' in refusal({"Source": "rw"}, "/x/../../y")
    assert 'cannot be shown at "/proc/sys"' in refusal({"Source": "rw"}, "/proc/sys")
    assert '"host-to-task" or' in refusal({"Source": "rw"}, mount={"PropagationMode": "rshared"})


def test_a_variable_leads_nowhere_else(box, data):
    manager = box.manager(config=host_volumes(rw=data)).start()
    alloc_id = manager.run_one(
        mounted("pause", mounts=[("rw", "${NOMAD_META_where}/x")], Meta={"where": "/local/../.."})
    )
    event = manager.wait_event(alloc_id, "Driver Failure")
    assert 'not "/local/../../x"' in event["DisplayMessage"]


def test_a_path_that_is_gone_when_the_task_starts_again(box, data):
    manager = box.manager(config=host_volumes(rw=data)).start()
    policy = restart(attempts=5, delay=MS)
    alloc_id = manager.run_one(
        mounted("pause", mounts=[("rw", "/v")], policy=policy, type="service")
    )
    pid = manager.wait_running(alloc_id)
    data.rename(box.dir / "moved")
    kill_hard(pid)
    message = manager.wait_event(alloc_id, "Driver Failure")["DisplayMessage"]
    assert f'stage "open-volumes": {data}: No such file' in message and "host_volume" in message


def test_a_host_volume_that_the_configuration_lost(box, data):
    manager = box.manager(config=host_volumes(rw=data, kept=data)).start()
    policy = restart(attempts=5, delay=MS)
    alloc_id = manager.run_one(
        mounted("pause", mounts=[("rw", "/v")], policy=policy, type="service")
    )
    pid = manager.wait_running(alloc_id)
    manager.terminate()
    text = manager.config_path.read_text()
    manager.config_path.write_text(text.replace('host_volume "rw"', 'host_volume "renamed"'))
    manager.start()
    assert manager.wait_running(alloc_id) == pid  # it goes on with what it has
    kill_hard(records.task_status(manager, alloc_id)["executor_pid"])
    message = manager.wait_event(alloc_id, "Driver Failure")["DisplayMessage"]
    assert 'no host volume "rw", but "renamed", "kept"' in message


@pytest.mark.parametrize("target", ["/etc", "outside"])
def test_a_task_that_puts_a_link_where_its_volume_goes(box, data, target):
    outside = box.dir / "outside"
    outside.mkdir(mode=0o777)
    target = str(outside) if target == "outside" else target
    manager = box.manager(config=host_volumes(rw=data)).start()
    alloc_id = manager.run_one(
        mounted(f"swap:/local/a>{target}", "exit:1", mounts=[("rw", "/local/a/b")], User="root",
                policy=restart(attempts=5, delay=MS))
    )  # fmt: skip
    message = manager.wait_event(alloc_id, "Driver Failure")["DisplayMessage"]
    assert 'stage "volumes": /local/a/b' in message and "symbolic link" in message
    assert os.listdir(outside) == [] and not os.path.exists("/etc/b")


# A host all of whose mounts are shared, as systemd has it.
ALL_SHARED = [
    "unshare", "-m", "--propagation", "private", "sh", "-c", 'mount --make-rshared / && exec "$@"', "sh",
]  # fmt: skip


def removed(manager, alloc_id):
    """Asks for it, which does nothing as long as the executor has not ended."""
    manager.call("PUT", "/v1/system/gc")
    return not manager.alloc_dir(alloc_id).exists()


@pytest.mark.parametrize("mode", ["private", "bidirectional"])
def test_what_is_in_a_volume_outlives_the_allocation(box, data, mode):
    (data / "deep").mkdir()
    (data / "deep/kept").write_text("kept\n")
    manager = box.manager(config=host_volumes(rw=data)).start(wrapper=ALL_SHARED)
    more = {"PropagationMode": mode}
    alloc_id = manager.run_one(
        mounted("pause", mounts=[("rw", "/v", more), ("rw", "/alloc/data/v", more),
                                 ("rw", "/local/v", more), ("rw", "/secrets/v", more)])
    )  # fmt: skip
    manager.wait_running(alloc_id)
    on_host = [line.split()[4] for line in mount_lines(manager.process.pid)]
    of_alloc = [point for point in on_host if point.startswith(str(manager.alloc_dir(alloc_id)))]
    assert of_alloc == [str(manager.alloc_dir(alloc_id) / "t/secrets")]
    assert os.listdir(manager.alloc_dir(alloc_id) / "t/v") == []
    manager.stop("job")
    manager.wait_dead(alloc_id)
    wait_for(lambda: removed(manager, alloc_id), "the allocation to be removed")
    assert (data / "deep/kept").read_text() == "kept\n"
    assert sorted(os.listdir(data)) == ["deep", "f"]


# Mounts a shared tmpfs at $1 in a mount namespace of its own, and a read-only one in that; goes on there.
SHARED = [
    "unshare", "-m", "--propagation", "private", "sh", "-c",
    'd=$1; shift; mount -t tmpfs -o mode=777 top "$d" && mount --make-shared "$d" && '
    'mkdir "$d/sealed" && mount -t tmpfs -o ro,noexec sealed "$d/sealed" && exec "$@"', "sh",
]  # fmt: skip


def mount_late(manager, path):
    """What the host mounts while tasks run, where the manager is."""
    script = f"mkdir {path} && mount -t tmpfs late {path}"
    subprocess.run(["nsenter", f"--target={manager.process.pid}", "-m", "sh", "-c", script], check=True)


def mount_lines(pid):
    return Path(f"/proc/{pid}/mountinfo").read_text().splitlines()


def test_propagation(box, data):
    manager = box.manager(
        config=host_volumes(shared=data),
        exec_plugin='allow_caps = ["all"]',
    ).start(wrapper=[*SHARED, str(data)])
    alloc_id = manager.run_one(
        # What the payload mounts, it mounts at /tmp: that is the volume.
        mounted("mount:tmpfs", "pause", User="root", config={"cap_add": ["sys_admin"]},
                mounts=[("shared", "/private"),
                        ("shared", "/follows", {"PropagationMode": "host-to-task"}),
                        ("shared", "/tmp", {"PropagationMode": "bidirectional"})])
    )  # fmt: skip
    pid = manager.wait_running(alloc_id)
    wait_for(lambda: "mount tmpfs=ok" in manager.output(alloc_id), "the task to mount")
    on_host = [line for line in mount_lines(manager.process.pid) if line.split()[4] == str(data)]
    assert len(on_host) == 2, "what the task mounts appears on the host"
    mount_late(manager, data / "in")
    seen = [line.split()[4] for line in mount_lines(pid)]
    assert "/follows/in" in seen and "/tmp/in" in seen and "/private/in" not in seen


# After SHARED: makes the mount at $1 one that follows another, at $2.
FOLLOWER = ["sh", "-c", 'mount --bind "$1" "$2" && mount --make-slave "$1" && shift 2 && exec "$@"', "sh"]


@pytest.mark.parametrize("kind", ["private", "shared", "slave"])
def test_propagation_that_this_host_has_not(box, data, kind):
    """It is said when the job is registered."""
    (box.dir / "leader").mkdir()
    wrapper, warned = {
        "private": (["unshare", "-m", "--propagation", "private"], ["host-to-task", "bidirectional"]),
        "shared": ([*SHARED, str(data)], []),
        "slave": ([*SHARED, str(data), *FOLLOWER, str(data), str(box.dir / "leader")], ["bidirectional"]),
    }[kind]
    manager = box.manager(config=host_volumes(rw=data)).start(wrapper=wrapper)
    for mode in ("private", "host-to-task", "bidirectional"):
        job = mounted("exit:0", id=mode, mounts=[("rw", "/v", {"PropagationMode": mode})])
        warnings = manager.call("PUT", "/v1/jobs", {"Job": job})["Warnings"]
        assert (f"the mount of {data} is not shared" in warnings) == (mode in warned), warnings
