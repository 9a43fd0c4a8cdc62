# SPDX-License-Identifier: MIT
"""Reads state files without any of the project's code: an independent check of what is on disk."""
import os
import struct
import zlib

import msgpack

SLOT_BYTES = 4096
STATES = ["pending", "running", "dead"]


class Damaged(Exception):
    pass


def read_statefile(path):
    """What is behind a state file's "CLEAT-STATE version length crc"; a spec is unpacked."""
    data = path.read_bytes()
    header, newline, payload = data.partition(b"\n")
    words = header.split()
    if not newline or len(words) != 4 or words[0] != b"CLEAT-STATE":
        raise Damaged(f"{path}: no envelope")
    if int(words[2]) != len(payload) or int(words[3], 16) != zlib.crc32(payload):
        raise Damaged(f"{path}: length or checksum")
    return msgpack.unpackb(payload, raw=False) if path.name == "spec" else payload


def statefile(payload):
    """The same envelope around other bytes."""
    return b"CLEAT-STATE 1 %d %08x\n" % (len(payload), zlib.crc32(payload)) + payload


def write_statefile(path, payload):
    path.write_bytes(statefile(payload))


def _slot(data):
    if len(data) < 12:
        return None
    magic, size, crc = struct.unpack("<4sII", data[:12])
    payload = data[12:12 + size]
    if magic != b"CTS1" or len(payload) != size or zlib.crc32(payload) != crc:
        return None
    return msgpack.unpackb(payload, raw=False)


def read_status(path):
    """The newest valid record of an executor's status file, its state as a word."""
    data = path.read_bytes()
    slots = [_slot(data[at:at + SLOT_BYTES]) for at in (0, SLOT_BYTES)]
    valid = [s for s in slots if s]
    if not valid:
        raise Damaged(f"{path}: no valid slot")
    status = max(valid, key=lambda s: s["seq"])
    status["state"] = STATES[status["state"]]
    return status


def drop_newest_slot(path):
    """As if it had never been written."""
    data = bytearray(path.read_bytes())
    newest = max((0, SLOT_BYTES), key=lambda at: (_slot(data[at:at + SLOT_BYTES]) or {"seq": -1})["seq"])
    data[newest:newest + SLOT_BYTES] = bytes(SLOT_BYTES)
    path.write_bytes(data)


def task_dir(manager, alloc_id, name="t"):
    """What manager and executor share for one task."""
    return manager.data_dir / "state/tasks" / alloc_id / name


def task_status(manager, alloc_id, name="t"):
    return read_status(task_dir(manager, alloc_id, name) / "status")


def cgroups_of(pid):
    """{controller: path} of a process; "" is the unified hierarchy."""
    found = {}
    with open(f"/proc/{pid}/cgroup") as f:
        for line in f:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            for controller in controllers.split(","):
                found[controller] = path
    return found


def start_time(pid):
    """The process's start in clock ticks; with the pid it says which process this is."""
    with open(f"/proc/{pid}/stat") as f:
        return int(f.read().rpartition(")")[2].split()[19])


def namespace(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")
