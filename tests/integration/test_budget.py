# SPDX-License-Identifier: MIT
"""What many tasks run out of first is known at the start, and said before it has run out."""
import pytest

import leftovers
from harness import ApiError
from jobs import simple


def attributes(manager):
    (node,) = manager.get("/v1/nodes")
    return manager.get(f"/v1/node/{node['ID']}")["Attributes"]


def test_more_tasks_than_descriptors_are_refused(box):
    """The soft limit is raised to the hard one, which has room for 36 tasks; nothing of a job that
    is refused is left, and what runs is counted."""
    manager = box.manager().start(["prlimit", "--nofile=64:200", "--"])
    assert attributes(manager)["cleat.limit.descriptors"] == "200"
    assert "room for at most 36 tasks" in manager.log()
    with pytest.raises(ApiError, match="37 tasks beside the 0 there are .* 200 descriptors"):
        manager.run(simple("pause", count=37))
    assert manager.get("/v1/jobs") == []
    ids = manager.run(simple("pause", count=20, driver="raw_exec"))
    assert manager.run(simple("pause", count=20, driver="raw_exec")) == ids  # nothing new
    with pytest.raises(ApiError, match="17 tasks beside the 20 there are"):
        manager.run(simple("pause", count=17, id="other"))
    for alloc_id in ids:
        manager.wait_running(alloc_id)


def test_more_tasks_than_processes_are_warned_of(box):
    """By the least of all limits, here the one of the group the manager is in."""
    roots = leftovers.cgroup_roots()
    root = next((r for r in roots if r.name == "pids"), roots[0])
    cgroup = root / f"{box.token}-pids"
    cgroup.mkdir()
    try:
        (cgroup / "pids.max").write_text("99")
        enter = f'echo $$ >{cgroup}/cgroup.procs && exec "$@"'
        manager = box.manager().start(["sh", "-c", enter, "sh"])
        assert attributes(manager)["cleat.limit.processes"] == "99"
        for count, warned in [(33, False), (34, True)]:
            reply = manager.call("PUT", "/v1/validate/job", {"Job": simple("pause", count=count)})
            said = f"{3 * count} processes, executors included, and this node may have 99"
            assert (said in reply["Warnings"]) == warned
        manager.terminate()
    finally:
        cgroup.rmdir()
