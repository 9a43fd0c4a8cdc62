# SPDX-License-Identifier: MIT
"""The job files of Nomad's documentation that this release's drivers run, run from the command line;
those it refuses are in tests/unit/test_job_fragments.c."""
import pytest

from harness import TOP, wait_for

CORPUS = TOP / "tests/fuzz/corpus/hcl"
IN_A_TASK = 'job "example" {{\n type = "batch"\n task "t" {{\n driver = "{driver}"\n {text}\n }}\n}}\n'


@pytest.mark.parametrize("name, task, own", [("seed003-exec", "task2", {"bin", "etc", "lib", "usr"}),
                                             ("seed003-raw-exec", "task3", set())])  # fmt: skip
def test_a_service(manager, name, task, own):
    done = manager.cli("run", CORPUS / f"{name}.hcl")
    (alloc,) = manager.get("/v1/job/example/allocations")
    assert alloc["ClientStatus"] == "running", done.stdout
    listed = {entry["Name"] for entry in manager.get(f"/v1/client/fs/ls/{alloc['ID']}?path=/{task}")}
    assert {"executor.out", "local", "secrets", "tmp"} | own <= listed
    assert bool(own) == ("bin" in listed)
    manager.cli("job", "stop", "example")
    assert manager.alloc(alloc["ID"])["ClientStatus"] == "complete"


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_arguments_as_a_number(manager, driver):
    text = (CORPUS / "seed000-args-number.hcl").read_text()
    manager.cli("run", "-detach", "-", stdin=IN_A_TASK.format(driver=driver, text=text))
    (alloc,) = manager.get("/v1/job/example/allocations")
    state = manager.wait_dead(alloc["ID"])
    assert not state["Failed"]
    took = wait_for(lambda: [e for e in manager.task(alloc["ID"])["Events"] if e["Type"] in ("Started", "Terminated")], "its events")
    assert took[-1]["Time"] - took[0]["Time"] > 0.9 * 10**9  # it slept for a second
