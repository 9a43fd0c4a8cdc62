# SPDX-License-Identifier: MIT
"""In which order what a task finds comes about: its allocation's data, the directories, the payload,
artifacts, templates, and at last the task; each step sees what those before it made, and none of those after."""
import base64

import pytest

from artifact_server import Server, whole
from harness import wait_for
from jobs import group, job, task

STEPS = ["alloc/data/kept", "t/local/payload", "t/local/fetched", "t/local/rendered", "t/local/ran"]
TEMPLATE = {"EmbeddedTmpl": '{{ file "local/fetched" }}', "DestPath": "local/rendered", "ChangeMode": "noop"}
SCRIPT = ": >$NOMAD_TASK_DIR/ran; cat $NOMAD_TASK_DIR/rendered; echo started; sleep 600"


def there(directory):
    return [step for step in STEPS if (directory / step).exists()]


class Watcher:
    """An HTTP server that looks at the newest allocation's directory when it is asked for the artifact."""

    def __init__(self, manager):
        self.manager = manager
        self.known = set()
        self.seen = None
        self.server = Server()
        self.url = self.server.put("/fetched", b"from the server\n", self.look)

    def look(self, handler, data, n):
        (directory,) = set((self.manager.data_dir / "allocs").iterdir()) - self.known
        self.seen = there(directory)
        whole(handler, data)


@pytest.fixture
def watcher(manager):
    watcher = Watcher(manager)
    yield watcher
    watcher.server.close()


def prepared(watcher, driver, **fields):
    artifact = {"GetterSource": watcher.url, "RelativeDest": "local/fetched", "GetterMode": "file"}
    return task("-c", SCRIPT, driver=driver, command="/bin/sh", Artifacts=[artifact], Templates=[TEMPLATE], **fields)


def started(manager, alloc_id):
    """Waits until the task has said so; returns the types of its events, each once, in their order."""
    wait_for(lambda: "started" in manager.output(alloc_id), f"the task to start\n{manager.log()}")
    assert manager.output(alloc_id) == "from the server\nstarted\n"
    manager.wait_event(alloc_id, "Started")
    told = manager.task(alloc_id)["Events"]
    assert [e["Time"] for e in told] == sorted(e["Time"] for e in told)
    return list(dict.fromkeys(e["Type"] for e in told if e["Type"] != "Driver"))


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_payload_artifacts_templates_task(manager, watcher, driver):
    the_task = prepared(watcher, driver, DispatchPayload={"File": "payload"})
    parent = job(group(the_task), id="p", ParameterizedJob={"Payload": "required"})
    assert manager.run(parent) == []
    body = {"Payload": base64.b64encode(b"payload").decode()}
    child = manager.call("PUT", "/v1/job/p/dispatch", body)["DispatchedJobID"]
    (alloc,) = manager.get(f"/v1/job/{child}/allocations")
    assert started(manager, alloc["ID"]) == ["Received", "Task Setup", "Downloading Artifacts", "Started"]
    assert watcher.seen == ["t/local/payload"]  # before the artifact, and neither template nor task
    directory = manager.alloc_dir(alloc["ID"])
    assert there(directory) == STEPS[1:]
    changed = [(directory / step).stat().st_ctime_ns for step in STEPS[1:]]
    assert changed == sorted(changed)


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_data_of_the_allocation_before_comes_first(manager, watcher, driver):
    def version(n):
        the_task = prepared(watcher, driver, Env={"VERSION": str(n)})
        return job(group(the_task, EphemeralDisk={"Migrate": True}), type="service")

    first = manager.run_one(version(1))
    started(manager, first)
    assert watcher.seen == []
    (manager.alloc_dir(first) / "alloc/data/kept").write_text("data")
    watcher.known = {manager.alloc_dir(first)}
    second = manager.run_one(version(2))
    types = started(manager, second)
    assert types[0] == "Received" and types[-3:] == ["Task Setup", "Downloading Artifacts", "Started"]
    # its own local comes along, so that what the first one had there is there as well
    assert "alloc/data/kept" in watcher.seen
    told = manager.task(second)["Events"]
    moved = [e["Time"] for e in told if e["DisplayMessage"].startswith("Took over alloc/data")]
    downloading = [e["Time"] for e in told if e["Type"] == "Downloading Artifacts"]
    assert len(moved) == 1 and moved[0] < downloading[0]


def test_directories_are_there_and_as_documented(manager, watcher):
    """When the artifact is fetched, what the page lists is there already."""
    alloc_id = manager.run_one(job(group(prepared(watcher, "raw_exec"))))
    started(manager, alloc_id)
    listed = {e["Name"]: e["FileMode"] for e in manager.get(f"/v1/client/fs/ls/{alloc_id}?path=t")}
    assert listed == {
        "executor.out": "-rw-r--r--", "local": "drwxrwxrwx", "secrets": "drwxrwxrwx", "tmp": "dtrwxrwxrwx",
    }  # fmt: skip
    shared = {e["Name"]: e["FileMode"] for e in manager.get(f"/v1/client/fs/ls/{alloc_id}?path=alloc")}
    assert {name: shared[name] for name in ("data", "logs", "tmp")} == dict.fromkeys(("data", "logs", "tmp"), "drwxrwxrwx")
