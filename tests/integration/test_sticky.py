# SPDX-License-Identifier: MIT
"""ephemeral_disk: what a changed job's allocations take over from those before them."""
import os

import pytest

from harness import wait_for
from jobs import group, job, task

KEEP = 'd=$NOMAD_ALLOC_DIR/data; echo "saw $(cat $d/shared local/own 2>/dev/null | tr "\\n" " ")"; '
SAVE = 'echo s$0 >>$d/shared; echo o$0 >>$NOMAD_TASK_DIR/own; echo ready; trap "exit 0" INT TERM; while :; do sleep 0.05; done'


def keeper(version, name="t", driver="exec", script=KEEP + SAVE):
    the_task = task(name=name, driver=driver)
    the_task["Config"] = {"command": "/bin/sh", "args": ["-c", "cd $NOMAD_TASK_DIR/..; " + script, str(version)]}
    return the_task


def sticky(*tasks, disk=None, **fields):
    return job(group(*tasks, EphemeralDisk=disk or {"Sticky": True}, **fields), type="service")


def run(manager, the_job, name="t"):
    """Runs it until the task is ready; returns the id and what it saw."""
    alloc_id = manager.run_one(the_job)
    wait_for(lambda: "ready" in manager.output(alloc_id, name), f"{name} to be ready\n{manager.log()}")
    return alloc_id, manager.output(alloc_id, name).splitlines()[0]


def messages(manager, alloc_id, name="t"):
    return [e["DisplayMessage"] for e in manager.task(alloc_id, name)["Events"]]


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
@pytest.mark.parametrize("disk", [{"Sticky": True}, {"Migrate": True}])
def test_a_changed_job_goes_on_with_its_data(manager, driver, disk):
    first, saw = run(manager, sticky(keeper(1, driver=driver), disk=disk))
    assert saw == "saw "
    second, saw = run(manager, sticky(keeper(2, driver=driver), disk=disk))
    assert saw == "saw s1 o1 "
    third, saw = run(manager, sticky(keeper(3, driver=driver), disk=disk))
    assert saw == "saw s1 s2 o1 o2 "
    said = messages(manager, third)
    assert f"Waiting for allocation {second[:8]} to end" in said
    assert f"Took over alloc/data of allocation {second[:8]}" in said
    assert f"Took over t/local of allocation {second[:8]}" in said
    assert manager.alloc(second)["ClientStatus"] == "complete"
    assert not (manager.alloc_dir(first) / "alloc/data").exists()


def test_without_it_nothing_is_taken_over(manager):
    run(manager, sticky(keeper(1), disk={"Sticky": False}))
    _, saw = run(manager, sticky(keeper(2), disk={"Sticky": False}))
    assert saw == "saw "


def test_a_stopped_job_begins_anew(manager):
    alloc_id, _ = run(manager, sticky(keeper(1)))
    manager.stop("job")
    manager.wait_client(alloc_id, "complete")
    _, saw = run(manager, sticky(keeper(2)))
    assert saw == "saw "


def test_each_place_of_a_group_has_its_own(manager):
    ids = manager.run(sticky(keeper(1, script=SAVE.replace("$0", "$NOMAD_ALLOC_INDEX")), count=3))
    for alloc_id in ids:
        wait_for(lambda a=alloc_id: "own" in os.listdir(manager.alloc_dir(a) / "t/local"), "its file")
    ids = manager.run(sticky(keeper(2), count=3))
    for index, alloc_id in enumerate(ids):
        wait_for(lambda a=alloc_id: "ready" in manager.output(a), "it to be ready")
        assert manager.output(alloc_id).splitlines()[0].split()[-1] == f"o{index}"


def test_two_tasks_and_one_more(manager):
    old, _ = run(manager, sticky(keeper(1), keeper(1, name="u")))
    wait_for(lambda: "ready" in manager.output(old, "u"), "u to be ready")
    alloc_id, saw = run(manager, sticky(keeper(2), keeper(2, name="u"), keeper(2, name="new")))
    assert saw.split()[-1] == "o1"
    wait_for(lambda: "ready" in manager.output(alloc_id, "u"), "u to be ready")
    assert "o1" in manager.output(alloc_id, "u").splitlines()[0]
    wait_for(lambda: "ready" in manager.output(alloc_id, "new"), "new to be ready")
    assert "o1" not in manager.output(alloc_id, "new").splitlines()[0]


def test_the_manager_dies_while_the_old_one_ends(manager):
    slow = SAVE.replace('trap "exit 0"', 'trap "sleep 1; exit 0"')
    run(manager, sticky(keeper(1, script=KEEP + slow)))
    alloc_id = manager.run_one(sticky(keeper(2)))
    wait_for(lambda: "Waiting" in "".join(messages(manager, alloc_id)), "it to wait")
    manager.kill9()
    manager.start()
    wait_for(lambda: "ready" in manager.output(alloc_id), f"it to be ready\n{manager.log()}")
    assert manager.output(alloc_id).splitlines()[0] == "saw s1 o1 "


def test_half_of_it_was_moved(manager):
    """As when a manager died between the two renames."""
    slow = SAVE.replace('trap "exit 0"', 'trap "sleep 1; exit 0"')
    old, _ = run(manager, sticky(keeper(1, script=KEEP + slow)))
    new = manager.run_one(sticky(keeper(2)))
    wait_for(lambda: "Waiting" in "".join(messages(manager, new)), "it to wait")
    manager.kill9()
    os.rename(manager.alloc_dir(old) / "alloc/data", manager.alloc_dir(new) / "alloc/data")
    manager.start()
    wait_for(lambda: "ready" in manager.output(new), f"it to be ready\n{manager.log()}")
    assert manager.output(new).splitlines()[0] == "saw s1 o1 "


def test_a_link_is_not_followed(manager):
    """A task puts a link to the host's directory in the place of its own."""
    target = manager.dir / "victim"
    target.mkdir()
    (target / "file").write_text("host\n")
    swap = "".join(f"rm -r {d}; ln -s {target} {d}; " for d in ("../alloc/data", "local"))
    script = f'echo ready; trap "exit 0" INT; {swap} while :; do sleep 0.05; done'
    old, _ = run(manager, sticky(keeper(1, driver="raw_exec", script=script)))
    wait_for((manager.alloc_dir(old) / "t/local").is_symlink, "the link")
    new, saw = run(manager, sticky(keeper(2)))
    assert saw == "saw "
    assert (target / "file").read_text() == "host\n"
    assert sum("Could not take over" in m for m in messages(manager, new)) == 2
    assert not (manager.alloc_dir(new) / "alloc/data").is_symlink()


def test_stopped_while_it_waits(manager):
    slow = SAVE.replace('trap "exit 0"', 'trap "sleep 2; exit 0"')
    old, _ = run(manager, sticky(keeper(1, script=KEEP + slow)))
    new = manager.run_one(sticky(keeper(2)))
    wait_for(lambda: "Waiting" in "".join(messages(manager, new)), "it to wait")
    manager.stop("job")
    manager.wait_dead(new)
    assert manager.output(new) == ""
    manager.wait_client(old, "complete")


def test_what_is_awaited_is_not_collected(manager):
    """The new one's prestart task runs, and its main task is yet to take its own directory over."""
    old, _ = run(manager, sticky(keeper(1)))
    first = keeper(2, name="first", script="echo ready; while [ ! -e local/go ]; do sleep 0.05; done")
    first["Lifecycle"] = {"Hook": "prestart"}
    new, _ = run(manager, sticky(first, keeper(2)), "first")
    manager.wait_client(old, "complete")
    manager.call("PUT", "/v1/system/gc")
    assert manager.alloc_dir(old).exists()
    (manager.alloc_dir(new) / "first/local/go").touch()
    wait_for(lambda: "ready" in manager.output(new), f"it to be ready\n{manager.log()}")
    assert manager.output(new).splitlines()[0] == "saw s1 o1 "
    manager.call("PUT", "/v1/system/gc")
    wait_for(lambda: not manager.alloc_dir(old).exists(), "it to be collected")
