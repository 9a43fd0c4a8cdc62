# SPDX-License-Identifier: MIT
"""Files and devices of the host in a task's root, and what is hidden of the kernel's."""
import ctypes
import os
import struct
import subprocess

import pytest

from harness import BUILD, PAYLOAD, SLOW, ApiError
from jobs import simple
from test_isolation import mounts_of, values

MOUNT_SETATTR = 442
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
LIBC = ctypes.CDLL(None, use_errno=True)


def without_mount_setattr():
    """Makes mount_setattr(2) a call that the kernel of this process and its children lacks."""
    enosys = 0x50000 | 38
    filter_ = b"".join(
        struct.pack("HBBI", *insn)
        for insn in [(0x20, 0, 0, 0), (0x15, 0, 1, MOUNT_SETATTR), (6, 0, 0, enosys),
                     (6, 0, 0, 0x7FFF0000)]
    )  # fmt: skip
    program = ctypes.create_string_buffer(filter_)
    fprog = struct.pack("HxxxxxxP", 4, ctypes.addressof(program))
    assert LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(fprog)) == 0


def run(box, *words, preexec_fn=None):
    """Runs the payload under cleat-executor run; words before "--" are options."""
    at = words.index("--")
    done = subprocess.run(
        [BUILD / "bin/cleat-executor", "run", "-mount", f"{PAYLOAD.parent}:/payload:ro",
         *words[:at], "--", "/payload/cleat-payload", *words[at + 1:]],
        capture_output=True, text=True, timeout=30 * SLOW, env=box.env, preexec_fn=preexec_fn,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def tree(box):
    """A shared tmpfs with a noexec one below it; the name of the inner one needs escaping."""
    top = box.dir / "tree"
    inner = top / "in ner"
    top.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "top", top], check=True)
    subprocess.run(["mount", "--make-shared", top], check=True)
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "inner", inner], check=True)
    (top / "f").write_text("content\n")
    yield top
    subprocess.run(["umount", inner, top], check=True)


def test_mounts_are_writable_or_not_with_all_below_them(box, tree):
    output = run(box, "-user", "root", "-mount", f"{tree}:/rw", "-mount", f"{tree}:/deep/ro:ro",
                 "-mount", f"{tree}/f:/a/file:ro", "--",
                 "write:/rw/x", "write:/rw/in ner/x", "write:/deep/ro/y", "write:/deep/ro/in ner/y",
                 "write:/a/file", "cat:/a/file", "mknod:/rw/disk", "cat:/rw/disk")  # fmt: skip
    assert output.splitlines() == [
        "write /rw/x=ok", "write /rw/in ner/x=ok", "write /deep/ro/y=EROFS",
        "write /deep/ro/in ner/y=EROFS", "write /a/file=EROFS", "content",
        "mknod /rw/disk=ok", "cat /rw/disk=EACCES",
    ]  # fmt: skip
    (tree / "disk").unlink()


@pytest.mark.parametrize("preexec_fn", [None, without_mount_setattr])
def test_the_mounts_are_the_same_without_mount_setattr(box, tree, preexec_fn):
    output = run(box, "-mount", f"{tree}:/rw", "-mount", f"{tree}:/ro:ro", "--",
                 "cat:/proc/self/mountinfo", preexec_fn=preexec_fn)  # fmt: skip
    mounts = mounts_of(output)
    kept = {"nosuid", "nodev", "relatime"}
    assert mounts["/rw"][0] == {"rw"} | kept
    assert mounts["/rw/in\\040ner"][0] == {"rw", "noexec"} | kept
    assert mounts["/ro"][0] == {"ro"} | kept
    assert mounts["/ro/in\\040ner"][0] == {"ro", "noexec"} | kept
    assert {"ro", "nosuid", "nodev"} <= mounts["/usr"][0]
    assert {"ro", "nosuid", "nodev", "noexec"} <= mounts["/proc/sys"][0]
    assert "ro" in mounts["/dev"][0] and "nosuid" in mounts["/dev"][0]


@pytest.mark.parametrize("preexec_fn", [None, without_mount_setattr])
def test_propagation(box, tree, preexec_fn):
    output = run(box, "-mount", f"{tree}:/private", "-mount", f"{tree}:/slave:rslave",
                 "-mount", f"{tree}:/shared:ro,rshared", "--", "cat:/proc/self/mountinfo",
                 preexec_fn=preexec_fn)  # fmt: skip
    tags = {line.split()[4]: line.split(" - ")[0].split()[6:] for line in output.splitlines()}
    assert tags["/private"] == []
    assert [t.partition(":")[0] for t in tags["/slave"]] == ["master"]
    assert [t.partition(":")[0] for t in tags["/shared"]] == ["shared"]
    assert [t.partition(":")[0] for t in tags["/shared/in\\040ner"]] == ["shared"]
    others = {p: t for p, t in tags.items() if not p.startswith(("/slave", "/shared"))}
    assert not any(others.values()), others


def test_a_mount_that_cannot_be(box):
    words = [BUILD / "bin/cleat-executor", "run", "-mount"]
    for mount, code, message in [
        ("/nonexistent:/x", 125, 'stage "open-volumes": /nonexistent: No such file'),
        ("/tmp:/usr/nonexistent", 125, 'stage "volumes": /usr/nonexistent: Read-only file system'),
        ("/tmp:/../../x", 125, 'stage "volumes": /../../x: Invalid cross-device link'),
        ("/tmp:/a/../../x", 125, 'stage "volumes": /a/../../x: Invalid cross-device link'),
        ("/tmp:x", 125, "-mount: write FROM:TO"),
        ("/tmp:/x:rw", 125, '"rw" is none of ro, rslave, rshared'),
    ]:
        done = subprocess.run([*words, mount, "--", "/bin/true"], capture_output=True, text=True,
                              timeout=30 * SLOW, env=box.env)  # fmt: skip
        assert done.returncode == code and message in done.stderr, done.stderr


def test_devices(box):
    manager = box.manager(exec_plugin='allow_devices = ["/dev/fu*", "/dev/nothing"]').start()
    config = {
        "cap_drop": ["all"],
        "devices": [
            {"host_path": "/dev/full", "container_path": "/dev/r", "cgroup_permissions": "r"},
            {"host_path": "/dev/full", "container_path": "/dev/sub/dir/rw"},
        ],
    }
    output, _ = manager.run_to_end(
        simple("write:/dev/r", "write:/dev/sub/dir/rw", "mknod:/dev/x", config=config)
    )
    assert output.splitlines() == [
        "write /dev/r=EACCES", "write /dev/sub/dir/rw=ENOSPC", "mknod /dev/x=EROFS",
    ]  # fmt: skip
    config["devices"] = [{"host_path": "/dev/nothing"}]
    alloc_id = manager.run_one(simple("pause", id="missing", config=config))
    event = manager.wait_event(alloc_id, "Driver Failure")
    assert 'stage "dev": /dev/nothing: No such file' in event["DisplayMessage"]
    for path in ("/dev/mem", "/dev/full/../mem", "/dev/sub/full"):
        config["devices"] = [{"host_path": path, "container_path": "/dev/x"}]
        with pytest.raises(ApiError) as e:
            manager.run(simple("pause", id="no", config=config))
        assert "allow_devices" in e.value.text or "absolute path" in e.value.text


def test_nothing_of_the_kernels_secrets(manager):
    hidden = ["kcore", "keys", "latency_stats", "timer_list", "interrupts", "sched_debug",
              "timer_stats"]  # fmt: skip
    empty = ["/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware",
             "/sys/devices/virtual/powercap"]  # fmt: skip
    frozen = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/irq/x", "/proc/bus/x",
              "/proc/fs/x"]  # fmt: skip
    output, _ = manager.run_to_end(
        simple(*(f"cat:/proc/{name}" for name in hidden), *(f"ls:{path}" for path in empty),
               *(f"write:{path}" for path in frozen), User="root")
    )  # fmt: skip
    for name in hidden:
        assert os.path.exists(f"/proc/{name}") or f"cat /proc/{name}=ENOENT" in output
        output = output.replace(f"cat /proc/{name}=ENOENT\n", "")
    assert values(output, "entry") == []
    for path in frozen:
        assert f"write {path}=EROFS" in output or f"write {path}=ENOENT" in output, output
    assert "content" not in output and len(output.splitlines()) <= len(empty) + len(frozen)
