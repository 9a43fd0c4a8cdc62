# SPDX-License-Identifier: MIT
"""Plan, versions, revert, scale and purge, through the API and the command line."""
import json

import pytest

from harness import wait_for
from jobs import SECOND, group, job, task


def web(count=1, a="a", b="b", **fields):
    tasks = (task(f"print:{a}", "pause", name="a", driver="raw_exec"),
             task(f"print:{b}", "pause", name="b", driver="raw_exec"))  # fmt: skip
    return job(group(*tasks, count=count), id="web", type="service", **fields)


def file_of(box, spec, name="web.json"):
    path = box.dir / name
    path.write_text(json.dumps({"Job": spec}))
    return path


def plan(manager, spec):
    return manager.call("PUT", "/v1/job/web/plan", {"Job": spec, "Diff": True})


def updates(answer, name="g"):
    counts = answer["Annotations"]["DesiredTGUpdates"][name]
    return {k: n for k, n in counts.items() if n}


def field(diff, name):
    (found,) = [f for f in diff["Fields"] if f["Name"] == name]
    return found["Type"], found["Old"], found["New"], found["Annotations"]


def test_plan_says_what_would_be(manager):
    answer = plan(manager, web())
    assert answer["JobModifyIndex"] == 0 and updates(answer) == {"Place": 1}
    assert answer["Diff"]["Type"] == "Added" and manager.get("/v1/jobs") == []
    (alloc_id,) = manager.run(web())
    index = manager.get("/v1/job/web")["JobModifyIndex"]
    manager.wait_running(alloc_id, "b")
    answer = plan(manager, web())
    assert updates(answer) == {"Ignore": 1} and answer["Diff"]["Type"] == "None"
    assert answer["JobModifyIndex"] == index
    answer = plan(manager, web(count=3, b="new", Priority=60))
    assert updates(answer) == {"InPlaceUpdate": 1, "Place": 2}
    diff = answer["Diff"]
    assert field(diff, "Priority") == ("Edited", "50", "60", None)
    (of_group,) = diff["TaskGroups"]
    assert field(of_group, "Count") == ("Edited", "1", "3", ["forces create"])
    assert of_group["Updates"] == {"in-place update": 1, "create": 2}
    notes = {t["Name"]: (t["Type"], t["Annotations"]) for t in of_group["Tasks"]}
    assert notes == {"a": ("None", None), "b": ("Edited", ["forces restart"])}
    (config,) = [o for t in of_group["Tasks"] for o in t["Objects"]]
    assert field(config, "args[0]") == ("Edited", "print:b", "print:new", None)
    assert updates(plan(manager, web(a="1", b="2"))) == {"DestructiveUpdate": 1}
    assert updates(plan(manager, web(count=0))) == {"Stop": 1}
    assert manager.get("/v1/job/web")["Version"] == 0


def test_plan_on_the_command_line(box, manager):
    path = file_of(box, web())
    assert manager.cli("job", "plan", path, check=False).returncode == 1
    manager.cli("run", path)
    index = manager.get("/v1/job/web")["JobModifyIndex"]
    done = manager.cli("job", "plan", path, check=False)
    assert done.returncode == 0 and f"run -check-index {index} " in done.stdout
    done = manager.cli("plan", file_of(box, web(b="new")), check=False)
    assert done.returncode == 1
    assert '+/- Task: "b" (forces restart)' in done.stdout
    assert '+/- args[0]: "print:b" => "print:new"' in done.stdout and "\033" not in done.stdout
    path.write_text('{"Job": {"ID": "web"')
    done = manager.cli("job", "plan", path, check=False)
    assert done.returncode == 255 and f"{path}:1:" in done.stderr


def test_an_index_that_is_not_the_jobs(box, manager):
    path = file_of(box, web())
    assert manager.cli("run", "-check-index", 7, path, check=False).returncode == 1
    manager.cli("run", "-check-index", 0, path)
    assert "somebody changed it" in manager.cli("run", "-check-index", 0, path, check=False).stderr
    assert manager.cli("run", "-check-index", "x", path, check=False).returncode == 2


def test_versions_and_back(manager):
    for b in ("0", "1", "2"):
        manager.run(web(b=b))
    answer = manager.get("/v1/job/web/versions?diffs=true")
    assert [v["Version"] for v in answer["Versions"]] == [2, 1, 0]
    assert [v["TaskGroups"][0]["Tasks"][1]["Config"]["args"][0] for v in answer["Versions"]] == [
        "print:2", "print:1", "print:0"]  # fmt: skip
    assert [d["Type"] for d in answer["Diffs"]] == ["Edited"] * 2
    manager.kill9()
    manager.start()
    assert manager.get("/v1/job/web/versions?diffs=true")["Versions"][0]["Version"] == 2
    history = manager.cli("job", "history", "-p", "web").stdout
    assert history.count("Version     = ") == 3 and '"print:0" => "print:1"' in history
    one = manager.cli("job", "history", "-version", 1, "web").stdout
    assert "Version     = 1" in one and one.count("Version     = ") == 1
    assert manager.cli("job", "history", "-version", 9, "web", check=False).returncode == 4
    body = {"JobID": "web", "JobVersion": 0, "EnforcePriorVersion": 1}
    assert manager.request("PUT", "/v1/job/web/revert", body)[0] == 409
    assert manager.cli("job", "revert", "web", 9, check=False).returncode == 4
    assert manager.cli("job", "revert", "web", 2, check=False).returncode == 1
    assert "version 3" in manager.cli("job", "revert", "web", 0).stdout
    (stub,) = manager.get("/v1/job/web/allocations")
    wait_for(lambda: manager.output(stub["ID"], "b").endswith("0\n"), "what it was before")
    assert manager.get("/v1/job/web")["Version"] == 3


def test_scale(manager):
    manager.run(web())
    assert manager.cli("job", "scale", "web", 3).stdout.count("running") == 3
    assert manager.get("/v1/job/web/scale")["TaskGroups"]["g"] == {
        "Desired": 3, "Placed": 3, "Running": 3, "Healthy": 3, "Unhealthy": 0, "Events": []}  # fmt: skip
    manager.cli("job", "scale", "web", "g", 1)
    assert manager.cli("job", "scale", "web", "none", 1, check=False).returncode == 1
    assert manager.cli("job", "scale", "web", "many", check=False).returncode == 2
    summary = manager.get("/v1/job/web/summary")["Summary"]["g"]
    assert summary["Running"] == 1 and summary["Complete"] == 2


def test_what_is_inspected_runs(box, manager):
    manager.run(web(b="0"))
    manager.run(web(b="1"))
    old = json.loads(manager.cli("job", "inspect", "-version", 0, "web").stdout)
    assert old["Job"]["TaskGroups"][0]["Tasks"][1]["Config"]["args"][0] == "print:0"
    manager.cli("run", file_of(box, json.loads(manager.cli("job", "inspect", "web").stdout)["Job"]))
    assert manager.get("/v1/job/web")["Version"] == 1
    manager.cli("run", "-", stdin=json.dumps(old["Job"]))
    assert manager.get("/v1/job/web")["Version"] == 2


@pytest.mark.parametrize("first", [(), ("stop",)])
def test_purge(manager, first):
    (alloc_id,) = manager.run(web())
    manager.wait_running(alloc_id, "b")
    for command in first:
        manager.cli(command, "web")
    assert "purged" in manager.cli("job", "stop", "-purge", "web").stdout
    assert manager.cli("job", "status", "web", check=False).returncode == 4
    wait_for(lambda: not manager.alloc_dir(alloc_id).exists(), "the allocation to be removed")
    wait_for(lambda: manager.get("/v1/allocations") == [], "the allocation to be forgotten")
    wait_for(lambda: not list((manager.data_dir / "state/jobs").iterdir()), "the job's file to go")
    assert [s["Version"] for s in map(manager.get, ["/v1/job/web"] if manager.run(web()) else [])] == [0]


def test_a_purge_outlives_the_manager(manager):
    spec = web()
    spec["TaskGroups"][0]["Tasks"][0]["Config"]["args"] = ["ignore:INT", "pause"]
    spec["TaskGroups"][0]["Tasks"][0]["KillTimeout"] = 2 * SECOND
    (alloc_id,) = manager.run(spec)
    manager.wait_running(alloc_id, "a")
    manager.call("DELETE", "/v1/job/web?purge=true")
    assert manager.request("GET", "/v1/job/web")[0] == 404 and manager.get("/v1/jobs") == []
    manager.kill9()
    manager.start()
    assert manager.request("GET", "/v1/job/web")[0] == 404
    wait_for(lambda: manager.get("/v1/allocations") == [], "the allocation to be forgotten")
    assert not manager.alloc_dir(alloc_id).exists()


def test_what_a_client_asks_after_a_change(manager):
    """As Nomad's own command line does after `job run` and for `job status`."""
    reply = manager.call("PUT", "/v1/jobs", {"Job": web()})
    evaluation = manager.get(f"/v1/evaluation/{reply['EvalID']}")
    assert evaluation["Status"] == "complete" and evaluation["JobID"] == "web"
    assert evaluation["DeploymentID"] == "" and evaluation["TriggeredBy"] == "job-register"
    (stub,) = manager.get(f"/v1/evaluation/{reply['EvalID']}/allocations")
    assert stub["EvalID"] == reply["EvalID"]
    assert [e["ID"] for e in manager.get("/v1/job/web/evaluations")] == [reply["EvalID"]]
    assert [e["ID"] for e in manager.get("/v1/evaluations")] == [reply["EvalID"]]
    assert manager.get("/v1/job/web/deployment") is None
    assert manager.get("/v1/job/web/deployments") == manager.get("/v1/deployments") == []
    assert manager.request("GET", "/v1/evaluation/" + "0" * 36)[0] == 404
    stopped = manager.call("DELETE", "/v1/job/web")
    assert manager.get(f"/v1/evaluation/{stopped['EvalID']}")["TriggeredBy"] == "job-deregister"
