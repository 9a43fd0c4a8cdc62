# SPDX-License-Identifier: MIT
"""The API as Nomad's command line uses it: the requests it makes for each command, and what it must find
in the replies, without which it fails or crashes."""
import base64
import json
import re
from urllib.parse import quote, urlencode

import pytest

from harness import ApiError, UnixConnection, wait_for
from jobs import simple
from websocket import Exec

HEADERS = {"Accept-Encoding": "gzip", "User-Agent": "Go-http-client/1.1"}


def get(manager, path, **params):
    """(body, headers) as its library asks: parameters sorted and with + for blanks."""
    query = urlencode(sorted(params.items()))
    status, headers, data = manager.request("GET", f"{path}?{query}" if query else path)
    assert status == 200, (path, status, data)
    return json.loads(data), headers


def refused(manager, method, path, status, text, body=None):
    with pytest.raises(ApiError, match=text) as e:
        manager.call(method, path, body)
    assert e.value.status == status


@pytest.fixture
def web(manager):
    """A service of two allocations, running."""
    allocs = manager.run(simple("print:hello", "pause", id="web", type="service", count=2))
    for alloc_id in allocs:
        manager.wait_running(alloc_id)
    return allocs


# What follows a change: the evaluation is watched


def follow(manager, eval_id):
    """What `job run` does with what it was answered; the evaluation."""
    evaluation, _ = get(manager, f"/v1/evaluation/{eval_id}", related="true")
    assert evaluation["ID"] == eval_id and evaluation["Status"] == "complete"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+Z", evaluation["WaitUntil"])  # a time to Go
    for alloc in get(manager, f"/v1/evaluation/{eval_id}/allocations")[0]:
        assert alloc["JobID"] == evaluation["JobID"]
    assert manager.get(f"/v1/evaluations?prefix={eval_id[:8]}")
    return evaluation


def test_a_job_is_run_and_its_evaluation_watched(manager):
    reply = manager.call("PUT", "/v1/jobs", {"Job": simple("pause", id="web", type="service")})
    evaluation = follow(manager, reply["EvalID"])
    assert evaluation["TriggeredBy"] == "job-register" and evaluation["FailedTGAllocs"] is None
    assert evaluation["QueuedAllocations"] == {"g": 0}
    reply = manager.call("DELETE", "/v1/job/web?purge=false")
    assert follow(manager, reply["EvalID"])["TriggeredBy"] == "job-deregister"


def test_launched_jobs_have_evaluations(manager):
    manager.call("PUT", "/v1/jobs", {"Job": {**simple("exit:0", id="d"), "ParameterizedJob": {}}})
    reply = manager.call("PUT", "/v1/job/d/dispatch", {"JobID": "d", "Meta": {}, "Payload": "YQ=="})
    assert follow(manager, reply["EvalID"])["JobID"] == reply["DispatchedJobID"]
    periodic = {"Enabled": True, "Spec": "0 0 1 1 *", "SpecType": "cron"}
    manager.call("PUT", "/v1/jobs", {"Job": {**simple("exit:0", id="p"), "Periodic": periodic}})
    reply = manager.call("PUT", "/v1/job/p/periodic/force")
    assert follow(manager, reply["EvalID"])["JobID"].startswith("p/periodic-")
    refused(manager, "PUT", "/v1/job/p/evaluate", 400, "periodic or parameterized")
    refused(manager, "PUT", "/v1/job/d/evaluate", 400, "periodic or parameterized")


def test_job_eval(manager, web):
    reply = manager.call("PUT", "/v1/job/web/evaluate", {"JobID": "web", "EvalOptions": {}})
    assert follow(manager, reply["EvalID"])["JobID"] == "web"
    forced = {"JobID": "web", "EvalOptions": {"ForceReschedule": True}}
    reply = manager.call("PUT", "/v1/job/web/evaluate", forced)
    assert follow(manager, reply["EvalID"])["JobID"] == "web" and live(manager) == set(web)


def test_job_history_and_inspect_find_all_they_need(manager, web):
    for version in manager.get("/v1/job/web/versions?diffs=false")["Versions"]:
        assert version["Stable"] is False and version["SubmitTime"] and version["Version"] == 0
    definition = manager.get("/v1/job/web")
    assert definition["NodePool"] == "default" and definition["Namespace"] == "default"
    for kind in ("services", "actions"):
        assert manager.get(f"/v1/job/web/{kind}") == []


# Allocations


def test_alloc_status(manager, web):
    alloc = manager.alloc(web[0])
    assert alloc["Resources"]["CPU"] == 100 and alloc["Resources"]["MemoryMB"] == 64
    assert alloc["Resources"]["DiskMB"] == 300
    assert alloc["TaskResources"]["t"]["CPU"] == 100
    shared = alloc["AllocatedResources"]["Shared"]
    assert shared == {"DiskMB": 300, "Networks": None, "Ports": None}
    assert alloc["Metrics"]["NodesEvaluated"] == 1
    assert manager.get(f"/v1/client/allocation/{web[0]}/checks") == {}
    assert manager.get(f"/v1/allocation/{web[0]}/services") == []


def live(manager, job_id="web"):
    allocs = manager.get(f"/v1/job/{job_id}/allocations")
    return {a["ID"] for a in allocs if a["DesiredStatus"] == "run"}


def test_alloc_stop_places_another_one(manager, web):
    reply = manager.call("PUT", f"/v1/allocation/{web[0]}/stop")
    follow(manager, reply["EvalID"])
    stopped = manager.wait_client(web[0], "complete")
    assert stopped["DesiredStatus"] == "stop"
    (new,) = live(manager) - set(web)
    manager.wait_running(new)
    assert manager.alloc(new)["Name"] == stopped["Name"] and web[1] in live(manager)
    manager.kill9()
    manager.start()
    assert live(manager) == {new, web[1]}
    assert manager.alloc(web[0])["DesiredStatus"] == "stop"
    manager.call("PUT", f"/v1/allocation/{web[0]}/stop")  # it is
    assert live(manager) == {new, web[1]}


def test_alloc_stop_of_a_stopped_job_places_nothing(manager, web):
    manager.stop("web")
    manager.call("PUT", f"/v1/allocation/{web[0]}/stop")
    manager.wait_client(web[0], "complete")
    assert live(manager) == set()
    refused(manager, "PUT", "/v1/allocation/0123/stop", 404, "alloc not found")


def test_alloc_stop_in_a_crash(manager, web):
    """Killed at once after the answer: the one is stopped, and the other placed, by the next manager."""
    manager.call("PUT", f"/v1/allocation/{web[0]}/stop")
    manager.kill9()
    manager.start()
    manager.wait_client(web[0], "complete")
    (new,) = live(manager) - set(web)
    manager.wait_running(new)


def test_alloc_fs_reads_the_end_of_a_file(manager, web):
    wait_for(lambda: "hello" in manager.output(web[0]), "the output")
    path = quote("alloc/logs/t.stdout.0", safe="")
    for limit, expected in (("-1", b"lo\n"), ("0", b""), ("1", b"l")):
        _, _, data = manager.request(
            "GET", f"/v1/client/fs/readat/{web[0]}?limit={limit}&offset=3&path={path}"
        )
        assert data == expected
    refused(manager, "GET", f"/v1/client/fs/readat/{web[0]}?limit=-2&offset=0&path={path}", 400, "limit")
    frame = json.loads(manager.request(
        "GET", f"/v1/client/fs/stream/{web[0]}?follow=false&limit=-1&offset=2&origin=end&path={path}"
    )[2])  # fmt: skip
    assert base64.b64decode(frame["Data"]) == b"o\n"


def test_alloc_exec_and_signal(manager, web):
    assert Exec(manager, web[0], "/payload/cleat-payload", "exit:7").finish()[0] == 7
    manager.call("PUT", f"/v1/client/allocation/{web[0]}/signal", {"Signal": "SIGTERM", "Task": "t"})
    manager.wait_event(web[0], "Signaling")


# The one node


def test_node_status(manager, web):
    (node,) = manager.get("/v1/nodes?prefix=")
    allocs = manager.get(f"/v1/node/{node['ID']}/allocations")
    assert {a["ID"] for a in allocs} == set(web) and allocs[0]["Job"]["ID"] == "web"
    stats = manager.get(f"/v1/client/stats?node_id={node['ID']}")
    assert 0 < stats["Memory"]["Used"] < stats["Memory"]["Total"] and stats["Uptime"] > 0
    assert stats["CPU"][0]["CPU"] == "cpu0" and 0 <= stats["CPU"][0]["Idle"] <= 100
    assert stats["AllocDirStats"]["Size"] > stats["AllocDirStats"]["Used"] > 0
    assert stats["DeviceStats"] == []
    assert manager.get("/v1/nodes?prefix=zz") == []
    refused(manager, "GET", "/v1/client/stats?node_id=zz", 404, "node not found")
    refused(manager, "GET", "/v1/node/zz/allocations", 404, "node not found")


def test_what_is_asked_of_a_cluster(manager):
    members = manager.get("/v1/agent/members")
    (member,) = members["Members"]
    leader = manager.get("/v1/status/leader?region=global")
    assert leader == f"{member['Addr']}:{member['Tags']['port']}"
    assert member["Tags"]["region"] == "global" and member["Status"] == "alive"
    assert manager.get("/v1/status/peers") == manager.get("/v1/agent/servers") == [leader]
    assert manager.get("/v1/regions") == ["global"]
    config = manager.get("/v1/operator/scheduler/configuration")["SchedulerConfig"]
    assert config["SchedulerAlgorithm"] == "binpack"
    assert [p["Name"] for p in manager.get("/v1/node/pools")] == ["all", "default"]
    assert manager.get("/v1/node/pool/all")["Name"] == "all"
    for path in ("volumes?type=csi", "plugins?type=csi", "scaling/policies", "services", "deployments"):
        assert manager.get(f"/v1/{path}") == []
    assert manager.call("PUT", "/v1/system/reconcile/summaries") == {}


NOT_HERE = [
    ("GET", "acl/tokens", 400, "ACL support disabled"),
    ("PUT", "acl/bootstrap", 400, "ACL support disabled"),
    ("PUT", "agent/join?address=x", 501, "no servers to join"),
    ("GET", "agent/keyring/list", 501, "no servers"),
    ("GET", "agent/monitor?log_level=info", 501, "journalctl -u cleat-manager"),
    ("GET", "event/stream?topic=Job", 501, r"no event stream: ask for lists and objects with \?index=N"),
    ("PUT", "namespace", 501, "a namespace is a name that jobs carry"),
    ("DELETE", "namespace/x", 501, "a namespace is a name that jobs carry"),
    ("PUT", "node/ID/drain", 501, "the only node: its allocations cannot move"),
    ("PUT", "node/ID/eligibility", 501, "the only node"),
    ("GET", "operator/raft/configuration", 501, "no Raft"),
    ("GET", "operator/snapshot", 501, "no Raft"),
    ("PUT", "operator/scheduler/configuration", 501, "no scheduler to configure"),
    ("GET", "operator/license", 501, "Enterprise only"),
    ("GET", "quotas", 501, "Enterprise only"),
    ("GET", "sentinel/policies", 501, "Enterprise only"),
    ("GET", "vars?prefix=", 501, "variables are not kept here"),
    ("GET", "var/a/b", 501, "nomadVar"),
    ("PUT", "volume/csi/v", 501, "host_volume"),
    ("GET", "node/pool/x", 404, "node pool not found"),
]


@pytest.mark.parametrize("method, path, status, text", NOT_HERE)
def test_what_one_host_has_not_is_said(manager, method, path, status, text):
    refused(manager, method, f"/v1/{path}", status, text, {} if method == "PUT" else None)


# Lists


def test_search(manager, web):
    node_id = manager.get("/v1/nodes")[0]["ID"]
    found = manager.call("PUT", "/v1/search", {"Prefix": "we", "Context": "jobs"})
    assert found["Matches"] == {"jobs": ["web"]} and found["Truncations"] == {"jobs": False}
    found = manager.call("PUT", "/v1/search", {"Prefix": web[0][:8], "Context": "all"})
    assert found["Matches"]["allocs"] == [web[0]] and found["Matches"]["deployment"] == []
    found = manager.call("PUT", "/v1/search", {"Prefix": node_id[:8], "Context": ""})
    assert found["Matches"]["nodes"] == [node_id] and found["Matches"]["evals"]
    found = manager.call("PUT", "/v1/search?namespace=other", {"Prefix": "", "Context": "jobs"})
    assert found["Matches"] == {"jobs": []}
    for i in range(20):
        manager.run(simple("exit:0", id=f"x{i}"))
    found = manager.call("PUT", "/v1/search", {"Prefix": "x", "Context": "jobs"})
    assert len(found["Matches"]["jobs"]) == 20 and not found["Truncations"]["jobs"]
    found = manager.call("PUT", "/v1/search", {"Prefix": "", "Context": "jobs"})
    assert len(found["Matches"]["jobs"]) == 20 and found["Truncations"]["jobs"]
    refused(manager, "PUT", "/v1/search", 400, "Prefix", {"Context": "jobs"})


def ids(entries):
    return [entry["ID"] for entry in entries]


def pages(manager, path, **params):
    """All of a list, two at a time."""
    found, token = [], None
    while True:
        more = {"next_token": token} if token else {}
        page, headers = get(manager, path, per_page=2, **params, **more)
        assert len(page) <= 2
        found += page
        token = headers["X-Nomad-NextToken"]
        if not token:
            return found


def test_lists_in_pages(manager):
    names = [f"j{i}" for i in range(5)]
    for name in names:
        manager.run(simple("exit:0", id=name))
    assert ids(pages(manager, "/v1/jobs")) == names
    assert ids(pages(manager, "/v1/jobs", reverse="true")) == names[::-1]
    assert ids(pages(manager, "/v1/jobs", filter="ID != j2")) == ["j0", "j1", "j3", "j4"]
    assert ids(pages(manager, "/v1/jobs", filter="ID != j2", reverse="true")) == ["j4", "j3", "j1", "j0"]
    allocs = ids(manager.get("/v1/allocations"))
    assert len(allocs) == 5 and ids(pages(manager, "/v1/allocations")) == allocs
    evals = ids(manager.get("/v1/evaluations"))
    assert ids(pages(manager, "/v1/evaluations")) == evals
    refused(manager, "GET", "/v1/jobs?next_token=gone", 400, "begin again")
    refused(manager, "GET", "/v1/jobs?per_page=x", 400, "per_page")


def test_lists_are_filtered(manager, web):
    [other] = manager.run({**simple("exit:0", id="b"), "Meta": {"team": "a b", "long": "a" * 40 + "!"}})
    manager.wait_client(other, "complete")

    def jobs(text):
        return ids(get(manager, "/v1/jobs", filter=text)[0])

    assert jobs('Type == "service"') == ["web"] and jobs("Type != service") == ["b"]
    assert jobs('Meta.team == "a b" and not (ID matches "^w")') == ["b"]
    assert jobs('"dc1" in Datacenters') == ["web", "b"]
    assert jobs("TaskGroups is empty") == []  # a field of the job, not of its entry in the list
    assert ids(get(manager, "/v1/nodes", filter='Attributes["kernel.name"] == linux')[0])
    allocs, _ = get(manager, "/v1/allocations", filter='ClientStatus == "running"', task_states="false",
                    resources="true")  # fmt: skip
    assert set(ids(allocs)) == set(web) and "TaskStates" not in allocs[0]
    assert allocs[0]["AllocatedResources"]["Tasks"]["t"]["Memory"]["MemoryMB"] == 64
    assert get(manager, "/v1/evaluations", filter="JobID == web", status="complete")[0]
    assert get(manager, "/v1/evaluations", job="web", status="blocked")[0] == []
    refused(manager, "GET", "/v1/jobs?filter=Type+%3D", 400, "the filter is wrong at its character 6")
    refused(manager, "GET", "/v1/jobs?filter=Typ+%3D%3D+x", 400, 'no field "Typ"')
    refused(manager, "GET", "/v1/jobs?filter=ID+matches+%60(?=w)%60", 400, "of groups there are")
    refused(manager, "GET", "/v1/jobs?filter=Meta.long+matches+%60(a%2B)%2B$%60", 400, "takes too long or too much memory")


def test_a_client_that_takes_gzip_gets_what_it_can_read(manager, web):
    connection = UnixConnection(manager.socket, 20)
    connection.request("GET", "/v1/jobs?stale=&index=0&wait=5000ms", headers=HEADERS)
    reply = connection.getresponse()
    assert reply.headers["Content-Encoding"] is None and b'"web"' in reply.read()
    for name in ("X-Nomad-Index", "X-Nomad-LastContact", "X-Nomad-KnownLeader"):
        assert reply.headers[name]
    connection.close()


# Where a job may run, and what it is called


def placed(manager, definition):
    """(allocations, warnings, evaluation) of a registration."""
    reply = manager.call("PUT", "/v1/jobs", {"Job": definition})
    return (
        manager.get(f"/v1/job/{definition['ID']}/allocations"),
        reply["Warnings"],
        follow(manager, reply["EvalID"]),
    )


@pytest.mark.parametrize(
    "field, fits, elsewhere, why",
    [
        ("Datacenters", [["dc1"], ["*"], ["d*"], ["dc9", "dc1"], None], ["dc9"],
         'no node is in the job\'s datacenters, "dc9": this one is in "dc1"'),
        ("NodePool", ["default", "all", "gpu", None, ""], "arm",
         'no node is in the job\'s node pool, "arm": this one is in "gpu"'),
    ],
)  # fmt: skip
def test_a_job_for_elsewhere_is_kept_and_waits(box, field, fits, elsewhere, why):
    manager = box.manager(config='  node_pool = "gpu"\n').start()
    for i, value in enumerate(fits):
        allocs, warnings, _ = placed(manager, {**simple("exit:0", id=f"fits{i}"), field: value})
        assert len(allocs) == 1 and not warnings
    far = {**simple("pause", id="far", type="service", count=2), field: elsewhere}
    allocs, warnings, evaluation = placed(manager, far)
    assert allocs == [] and why in warnings
    (reason,) = evaluation["FailedTGAllocs"]["g"]["ConstraintFiltered"]
    assert why in reason and evaluation["FailedTGAllocs"]["g"]["CoalescedFailures"] == 1
    assert evaluation["QueuedAllocations"] == {"g": 2}
    manager.kill9()
    manager.start()
    kept = manager.get("/v1/job/far")
    assert kept[field] == elsewhere and kept["Status"] == "pending"
    assert why in kept["StatusDescription"]
    (stub,) = manager.get("/v1/jobs?prefix=far")
    assert stub["JobSummary"]["Summary"]["g"]["Queued"] == 2
    assert len(placed(manager, {**far, field: fits[0]})[0]) == 2


def test_a_job_for_another_region_is_refused(manager):
    for region in ("global", "", None):
        assert placed(manager, {**simple("exit:0"), "Region": region})[0]
    refused(manager, "PUT", "/v1/jobs", 500, 'No path to region: the job is for "eu", this host is "global"',
            {"Job": {**simple("exit:0", id="eu"), "Region": "eu"}})  # fmt: skip
    refused(manager, "PUT", "/v1/jobs?region=eu", 500, "No path to region", {"Job": simple("exit:0")})
    refused(manager, "GET", "/v1/jobs?region=eu", 500, "No path to region")
    assert manager.get("/v1/jobs?region=global")


def test_a_region_of_another_name(box):
    manager = box.manager(args=["-config", str(box.dir / "region.hcl")])
    (box.dir / "region.hcl").write_text('region = "eu"\n')
    manager.start()
    for region in ("eu", "global", None):
        assert placed(manager, {**simple("exit:0"), "Region": region})[0]
    assert manager.get("/v1/regions?region=eu") == ["eu"]
    refused(manager, "GET", "/v1/jobs?region=us", 500, "No path to region")


def test_namespaces(manager):
    named = {**simple("exit:0", id="n"), "Namespace": "prod"}
    assert placed(manager, named)[0][0]["Namespace"] == "prod"
    manager.run(simple("exit:0", id="d"))
    # the parameter names it where the job does not
    manager.call("PUT", "/v1/jobs?namespace=dev", {"Job": simple("exit:0", id="p")})
    assert [n["Name"] for n in manager.get("/v1/namespaces")] == ["default", "prod", "dev"]
    assert manager.get("/v1/namespace/prod")["Name"] == "prod"
    refused(manager, "GET", "/v1/namespace/none", 404, "Namespace not found")
    for query, expected in (
        ("", ["n", "d", "p"]), ("?namespace=*", ["n", "d", "p"]), ("?namespace=prod", ["n"]),
        ("?namespace=default", ["d"]), ("?namespace=none", []),
    ):  # fmt: skip
        assert ids(manager.get(f"/v1/jobs{query}")) == expected
        assert [a["JobID"] for a in manager.get(f"/v1/allocations{query}")] == expected
        assert [e["JobID"] for e in manager.get(f"/v1/evaluations{query}")] == expected
    assert manager.get("/v1/job/n?namespace=prod")["Namespace"] == "prod"
    refused(manager, "GET", "/v1/job/n?namespace=dev", 404, "job not found")
    refused(manager, "DELETE", "/v1/job/n?namespace=dev", 404, "job not found")
    manager.kill9()
    manager.start()
    assert manager.get("/v1/job/p")["Namespace"] == "dev"


def test_an_id_is_one_job_whatever_its_namespace(manager):
    manager.run({**simple("pause", id="web", type="service"), "Namespace": "prod"})
    other = {"Job": simple("exit:0", id="web", type="service")}
    for path in ("jobs", "job/web/plan"):
        refused(manager, "PUT", f"/v1/{path}", 409, 'a job "web" in namespace "prod"', other)
    assert manager.get("/v1/job/web")["Version"] == 0
    manager.call("DELETE", "/v1/job/web?purge=true")
    assert manager.run(other["Job"])
