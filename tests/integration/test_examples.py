# SPDX-License-Identifier: MIT
"""What Nomad's pages on the drivers exec, rkt, nspawn and docker and on the file system show, in our words: each runs,
or is refused for the one reason that there is no such driver. As trees they are in tests/unit/test_job_fragments.c;
exec's artifact_source, which needs a server, is in test_artifacts.py."""
import re

import pytest

from harness import TOP, ApiError, wait_for
from jobs import job, group, task

CORPUS = TOP / "tests/fuzz/corpus/hcl"
IN_A_TASK = 'job "example" {{\n type = "batch"\n task "t" {{\n driver = "{driver}"\n {text}\n }}\n}}\n'


@pytest.mark.parametrize("name, task, own", [("exec-service", "isolated", {"bin", "etc", "lib", "usr"}),
                                             ("raw-exec-service", "bare", set())])  # fmt: skip
def test_a_service(manager, name, task, own):
    done = manager.cli("run", CORPUS / f"{name}.hcl")
    (alloc,) = manager.get("/v1/job/sleeper/allocations")
    assert alloc["ClientStatus"] == "running", done.stdout
    listed = {entry["Name"] for entry in manager.get(f"/v1/client/fs/ls/{alloc['ID']}?path=/{task}")}
    assert {"executor.out", "local", "secrets", "tmp"} | own <= listed
    assert bool(own) == ("bin" in listed)
    manager.cli("job", "stop", "sleeper")
    assert manager.alloc(alloc["ID"])["ClientStatus"] == "complete"


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_arguments_as_a_number(manager, driver):
    text = (CORPUS / "exec-args-number.hcl").read_text()
    manager.cli("run", "-detach", "-", stdin=IN_A_TASK.format(driver=driver, text=text))
    (alloc,) = manager.get("/v1/job/example/allocations")
    state = manager.wait_dead(alloc["ID"])
    assert not state["Failed"]
    took = wait_for(lambda: [e for e in manager.task(alloc["ID"])["Events"] if e["Type"] in ("Started", "Terminated")], "its events")
    assert took[-1]["Time"] - took[0]["Time"] > 0.9 * 10**9  # it slept for a second


@pytest.mark.parametrize("name, driver", [
    ("nspawn-task", "nspawn"), ("nspawn-command", "nspawn"), ("nspawn-bind", "nspawn"),
    ("nspawn-bind-read-only", "nspawn"), ("nspawn-environment", "nspawn"), ("nspawn-port-map", "nspawn"),
    ("docker-task", "docker"), ("docker-template-in-config", "docker"), ("docker-logging", "docker"),
])  # fmt: skip
def test_no_such_driver(manager, name, driver):
    """The one thing that is said of it, whatever options the driver would have had."""
    text = (CORPUS / f"{name}.hcl").read_text()
    if text.startswith("config"):
        text = IN_A_TASK.format(driver=driver, text=text)
    elif text.startswith("task"):
        text = f'job "example" {{\n{text}}}\n'
    done = manager.cli("run", "-", stdin=text, check=False)
    assert done.returncode != 0
    message = re.findall("^[^ ].*$", done.stderr, re.M)  # without the line it shows
    assert len(message) == 1 and f'the driver "{driver}" is known to Nomad' in message[0]
    assert manager.get("/v1/jobs") == []


@pytest.mark.parametrize("driver, config", [
    ("rkt", {"image": "example/cache:2", "command": "/cache", "args": ["-v"], "trust_prefix": "example"}),
    ("docker", {"image": "example/cache:2", "ports": ["db"]}),
    ("nspawn", {"image": "/srv/machines/small", "boot": False, "command": ["/bin/sh"]}),
    ("java", {"jar_path": "local/a.jar"}), ("qemu", {"image_path": "local/disk.img"}), ("podman", {"image": "example/cache:2"}),
])  # fmt: skip
def test_no_such_driver_as_json(manager, driver, config):
    the_task = {**task(driver=driver), "Config": config}
    with pytest.raises(ApiError) as refusal:
        manager.call("PUT", "/v1/jobs", {"Job": job(group(the_task))})
    assert refusal.value.status == 400 and driver in refusal.value.text
    assert refusal.value.text.count("\n") == 0


def test_a_constraint_on_a_driver_that_is_not_there(manager):
    """It is kept, and waits for a host that has it."""
    text = (CORPUS / "docker-constraint.hcl").read_text().rstrip()
    work = 'group "g" {\n task "t" {\n driver = "raw_exec"\n config { command = "/bin/true" }\n }\n }'
    done = manager.cli("run", "-detach", "-", stdin=f"{text[:-1]}\n {work}\n}}\n")
    assert "driver.docker.version" in done.stderr + done.stdout and "this host has none" in done.stderr + done.stdout
    assert manager.get("/v1/job/cache")["Status"] == "pending"


@pytest.mark.parametrize("name, told", [("nspawn-plugin", "nspawn"), ("docker-plugin", "docker"),
                                        ("docker-client-options", "docker.cleanup.image")])  # fmt: skip
def test_options_of_other_drivers_keep_no_manager_from_starting(box, name, told):
    manager = box.manager(args=["-config", str(CORPUS / f"{name}.hcl")]).start()
    assert told in manager.log()


def test_what_the_node_says_of_its_drivers(manager):
    """As the pages say: "1" where a driver is there, and nothing where it is not."""
    attributes = manager.get("/v1/node/" + manager.get("/v1/nodes")[0]["ID"])["Attributes"]
    assert attributes["driver.exec"] == attributes["driver.raw_exec"] == "1"
    assert not [name for name in attributes if name.startswith(("driver.rkt", "driver.nspawn", "driver.docker"))]
