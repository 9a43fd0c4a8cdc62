# SPDX-License-Identifier: MIT
"""The agent's configuration as an operator meets it: -check, SIGHUP, and what it keeps from jobs."""
import json
import os
import re
import signal
import subprocess

import pytest

from harness import TOP, ApiError, wait_for
from jobs import job, group, simple, task


@pytest.fixture
def check(box):
    """check(name=text, …): runs cleat-manager -check on the directory with these files."""

    def run(*args, **files):
        for name, text in files.items():
            (box.dir / "conf").mkdir(exist_ok=True)
            (box.dir / "conf" / name.replace("_", ".")).write_text(text)
        return subprocess.run([box.manager(name="c").programs / "cleat-manager", "-check", *args,
                               *(["-config", box.dir / "conf"] if files else [])],
                              capture_output=True, text=True, env=box.env, timeout=60)  # fmt: skip

    return run


def test_check(check, box):
    """What several files make together, with where it comes from; nothing is started or made."""
    done = check(
        a_hcl=f'data_dir = "{box.dir}/data"\nname = "one"\nclient {{\n  gc_max_allocs = 7\n}}\n',
        b_json='{"name": "two", "client": {"meta": {"rack": "r1"}}, "vault": {"token": "very secret"}}',
        c_hcl='server {\n  enabled = true\n}\nclient {\n  options {\n    "docker.cleanup.image" = "false"\n  }\n}\n',
    )
    assert done.returncode == 0
    lines = {" ".join(line.split()) for line in done.stdout.splitlines()}
    assert f'name = "two" # {box.dir}/conf/b.json' in lines
    assert f"gc_max_allocs = 7 # {box.dir}/conf/a.hcl:4" in lines
    assert "gc_disk_usage_threshold = 80 # default" in lines
    assert f'"rack" = "r1" # {box.dir}/conf/b.json' in lines
    assert "very secret" not in done.stdout and 'token = "(not shown)"' in done.stdout
    (warning,) = done.stderr.splitlines()
    assert f"server ({box.dir}/conf/c.hcl:1)" in warning and "docker.cleanup.image" in warning
    assert not (box.dir / "data").exists()


def test_check_tells_every_error(check, box):
    done = check(a_hcl='data_dir = "x"\nnane = "y"\nclient {\n  gc_interval = "soon"\n}\n', b_hcl='plugin {\n}\n',
                 c_json='{"log_level": "loud"}')  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    conf = f"{box.dir}/conf"
    for place in ("a.hcl:1:12: ", "a.hcl:2:1: ", "a.hcl:4:17: ", "b.hcl:1:1: ", "c.json: log_level: "):
        assert done.stderr.count(f"cleat-manager: {conf}/{place}") == 1, (place, done.stderr)


def test_the_manual_page_has_all_options():
    names = set()
    for source in (TOP / "manager/config").glob("config_*.c"):
        text = source.read_text()
        names.update(re.findall(r'\bOPTION\([^"]*"(\w+)"', text))
        names.update(re.findall(r'(?:OPTION_REFUSED|OPTION_BLOCK)\("(\w+)"', text))
        # Of those of vault, consul and telemetry the page says of what kind they are.
        if source.name == "config_tables.c":
            text = text[text.index("file_fields[]"):]
        if source.name != "config_prepare.c":
            names.update(re.findall(r'SCHEMA_UNUSED\("(\w+)"', text))
    page = (TOP / "tools/man/cleat.hcl.5").read_text()
    assert len(names) > 120
    assert {n for n in names if not re.search(rf"\b{n}\b", page)} == set()


@pytest.mark.parametrize("args,files,code,text", [
    ([], {"a_hcl": "client {\n  gc_max_alocs = 1\n}\n"}, 1, 'a.hcl:2:3: unknown attribute "gc_max_alocs" in a client '
     'block; did you mean "gc_max_allocs"?'),
    ([], {"a_json": '{"client": {"gc_max_alocs": 1}}'}, 1, 'did you mean "gc_max_allocs"?'),
    ([], {"a_hcl": "tls {\n  http = true\n}\n"}, 1, '"tls" is known to Nomad but not run by this release'),
    ([], {"a_txt": ""}, 1, "there is no *.hcl or *.json file in"),
    (["-config", "/nonexistent"], {}, 1, "/nonexistent"),
    (["-address", "http://0.0.0.0:4646"], {}, 1, "not a loopback address"),
    ([], {"a_hcl": 'addresses = ["unix://sock"]\n'}, 1, "is no address; write"),
    (["-nonsense"], {}, 64, "Try cleat-manager -h."),
])  # fmt: skip
def test_check_refuses(check, args, files, code, text):
    done = check(*args, **files)
    assert done.returncode == code and text in done.stderr and not done.stdout


def hang_up(manager, text, says):
    manager.config_path.write_text(text)
    seen = manager.log().count(says)
    manager.process.send_signal(signal.SIGHUP)
    wait_for(lambda: manager.log().count(says) > seen, says)


def test_what_a_reload_did_is_told(box):
    manager = box.manager(config="gc_max_allocs = 100\n").start()
    good = manager.config_path.read_text()
    hang_up(manager, good.replace("gc_max_allocs = 100", "gc_max_allocs = 99").replace(
        "client {", 'alloc_dir = 1\nclient {', 1), "the configuration stays as it was")  # fmt: skip
    text = manager.cli("node", "status").stdout
    assert "The new configuration was refused" in text and "alloc_dir" in text
    assert manager.get("/v1/agent/self")["config"]["Client"]["GCMaxAllocs"] == 100
    hang_up(manager, good.replace("gc_max_allocs = 100", f'gc_max_allocs = 99\nalloc_dir = "{box.dir}/x"'),
            "the configuration is read again")  # fmt: skip
    log = manager.log()
    assert "client.gc_max_allocs is another now\n" in log
    assert "client.alloc_dir is another now; it counts when the manager is started next" in log
    text = manager.cli("node", "status").stdout
    assert "refused" not in text
    assert "Options that count when the manager is started next\nclient.alloc_dir\n" in text
    config = manager.get("/v1/agent/self")["config"]["Client"]
    assert config["GCMaxAllocs"] == 99 and config["AllocDir"] == ""
    hang_up(manager, good, "the configuration is read again")
    assert "Options that count" not in manager.cli("node", "status").stdout


def test_the_node(box):
    manager = box.manager(config='node_class = "big"\nreserved {\n  cpu = 100\n  memory = 64\n  disk = 10\n'
                          '  reserved_ports = "22"\n  cores = "0,2-3"\n}\nmemory_total_mb = 1000\nmeta {\n  rack = "r7"\n}\n').start()  # fmt: skip
    node = manager.get("/v1/node/" + manager.get("/v1/nodes")[0]["ID"])
    assert node["NodeClass"] == "big" and node["Meta"] == {"rack": "r7"}
    assert node["Resources"]["MemoryMB"] == 1000
    assert node["Reserved"] == {"CPU": 100, "MemoryMB": 64, "DiskMB": 10}
    assert node["ReservedResources"]["Cpu"] == {"CpuShares": 100, "ReservedCpuCores": [0, 2, 3]}
    assert node["ReservedResources"]["Networks"]["ReservedHostPorts"] == "22"
    text = " ".join(manager.cli("node", "status").stdout.split())
    assert "Class = big" in text and "Memory 1000 MiB 64 MiB" in text and "rack r7" in text
    reply = manager.call("PUT", "/v1/jobs", {"Job": job(group(task("exit:0", Resources={"MemoryMB": 950})))})
    assert "asks for 950 MiB of memory, and this node has 1000, 64 of them reserved" in reply["Warnings"]


@pytest.mark.skipif(os.cpu_count() < 2, reason="needs a CPU to reserve")
def test_reserved_cores(box):
    """Tasks stay off them, and none gets one to itself."""
    manager = box.manager(config='reserved {\n  cores = "0"\n}\n').start()
    output, _ = manager.run_to_end(simple("cat:/proc/self/status", driver="raw_exec"))
    (allowed,) = [line.split()[1] for line in output.splitlines() if line.startswith("Cpus_allowed_list")]
    assert not allowed.startswith("0")


def test_users(box):
    """root is kept from the driver exec by default, as by Nomad, unless it is root of nothing but the task."""
    manager = box.manager()
    manager.users_path.write_text("")
    manager.start()
    for user in ("root", "${NOMAD_META_who}"):
        one = simple("exit:0", id="no", User=user, Meta={"who": "root"})
        if user == "root":
            with pytest.raises(ApiError, match='403: .*running as user "root" is disallowed here for the driver exec'):
                manager.run(one)
            continue
        alloc = manager.run_one(one)
        assert manager.wait_dead(alloc)["Failed"]
        assert "is disallowed here" in json.dumps(manager.task(alloc))
    for extra in ({"config": {"userns": True}}, {"driver": "raw_exec"}):
        _, state = manager.run_to_end(simple("exit:0", id="yes", User="root", **extra))
        assert not state["Failed"]


def test_ids_and_variables(box):
    """By the ids that a user has; and raw_exec's own list of variables, those of the job included."""
    manager = box.manager(exec_plugin='denied_host_gids = "1-10"')
    text = manager.config_path.read_text()
    manager.config_path.write_text(text.replace(
        "enabled = true", 'enabled = true\n    denied_host_uids = "1-5,7"\n    denied_envvars = ["SECRET_*", "PWD"]'))
    manager.start()
    for user, driver, what in (("daemon", "exec", "gid 1"), ("daemon", "raw_exec", "uid 1")):
        alloc = manager.run_one(simple("exit:0", id=driver, User=user, driver=driver))
        assert manager.wait_dead(alloc)["Failed"]
        assert f"has the {what}, which denied_host_{what.split()[0]}s" in json.dumps(manager.task(alloc)), manager.task(alloc)
    output, _ = manager.run_to_end(simple("env", driver="raw_exec", Env={"SECRET_A": "1", "PLAIN": "2"}))
    assert "PLAIN=2" in output and "SECRET_A" not in output
    output, _ = manager.run_to_end(simple("env", id="e", Env={"SECRET_A": "1"}))
    assert "SECRET_A=1" in output


def test_drivers(box):
    manager = box.manager(config='options {\n  "driver.denylist" = "raw_exec"\n}\n')
    manager.users_path.write_text("")
    manager.start()
    with pytest.raises(ApiError, match="driver.denylist"):
        manager.run(simple("exit:0", driver="raw_exec"))
    node = manager.get("/v1/node/" + manager.get("/v1/nodes")[0]["ID"])
    assert not node["Drivers"]["raw_exec"]["Detected"] and "driver.raw_exec" not in node["Attributes"]


def test_datacenters(box):
    """A job for others waits, and says for what; a pattern will do."""
    manager = box.manager().start()
    manager.run(simple("pause", id="far", driver="raw_exec") | {"Datacenters": ["east-1", "east-2"]})
    manager.wait_running(manager.run_one(simple("pause", id="any", driver="raw_exec") | {"Datacenters": ["d*"]}))
    text = manager.cli("job", "status", "far").stdout
    assert 'no node is in the job\'s datacenters, "east-1", "east-2": this one is in "dc1"' in " ".join(text.split())
    hang_up(manager, 'datacenter = "east-2"\n' + manager.config_path.read_text(), "the configuration is read again")
    wait_for(lambda: manager.get("/v1/job/far/allocations"), "the job to be placed")


def test_telemetry(box):
    manager = box.manager(name="m")
    manager.config_path.write_text(manager.config_path.read_text() + "telemetry {\n  prometheus_metrics = false\n"
                                   "  publish_allocation_metrics = false\n}\n")  # fmt: skip
    manager.start()
    manager.wait_running(manager.run_one(simple("pause", driver="raw_exec")))
    with pytest.raises(ApiError, match="415: Prometheus is not enabled"):
        manager.call("GET", "/v1/metrics?format=prometheus")
    names = {g["Name"] for g in manager.get("/v1/metrics")["Gauges"]}
    assert "nomad.client.allocations.running" in names and not any(n.startswith("nomad.client.allocs.") for n in names)
