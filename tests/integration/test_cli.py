# SPDX-License-Identifier: MIT
"""The command line: every command, its -json and -h, exit codes, short ids."""
import json
import subprocess

import pytest

from harness import BUILD, free_port, wait_for
from jobs import group, job, simple, task

HCL = """\
job "{name}" {{
  datacenters = ["dc1"]
  type        = "{type}"
  group "g" {{
    restart {{
      attempts = 0
      mode     = "fail"
    }}
    task "t" {{
      driver = "raw_exec"
      config {{
        command = "/bin/sh"
        args    = ["-c", "{script}"]
      }}
    }}
  }}
}}
"""

COMMANDS = [
    "job run", "job status", "job stop", "job validate", "job plan", "job history", "job revert", "job scale", "job inspect", "plan", "alloc status", "alloc logs", "logcat", "alloc pause", "alloc restart", "alloc signal", "alloc fs",
    "node status", "system gc", "system stop-all", "system upgrade-executors", "version", "run", "status", "logs", "stop",
]  # fmt: skip


def hcl(name="web", type="service", script="echo started; exec sleep 1000"):
    return HCL.format(name=name, type=type, script=script)


@pytest.fixture
def web(manager):
    """The allocation of a running job web."""
    manager.cli("job", "run", "-", stdin=hcl())
    (alloc,) = manager.get("/v1/job/web/allocations")
    return alloc["ID"]


# Help and wrong use

@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_shows_examples(box, command, option):
    done = box.manager().cli(*command.split(), option, address=False)
    assert f"\nExamples:\n  cleat {command}" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_the_address_where_there_is_a_manager(box, command):
    local = command in ("job validate", "logcat", "version")
    assert ("-address" in box.manager().cli(*command.split(), "-h", address=False).stdout) is not local


def test_help_without_a_command(box):
    done = box.manager().cli("-h", address=False)
    for command in ("job", "alloc", "node", "version"):
        assert command in done.stdout
    assert box.manager("other").cli(check=False, address=False).returncode != 0


@pytest.mark.parametrize(
    "words,hint",
    [
        (["jbo"], "job"),
        (["job", "rnu"], "run"),
        (["job", "run"], "FILE"),
        (["alloc", "logs"], "ID"),
        (["alloc", "logs", "-task", "one", "abcd1234", "two"], 'two tasks are named, "one" and "two"'),
        (["logcat", "-n", "1", "/tmp"], "TASK"),
        (["job", "stop", "a", "b"], "b"),
        (["job", "status", "-jsno"], "jsno"),
        (["alloc", "logs", "-n", "x", "id"], "x"),
        (["alloc", "logs", "-f=maybe", "id"], "-f=maybe: write true or false"),
    ],
)
def test_wrong_use(box, words, hint):
    done = box.manager().cli(*words, check=False, address=False)
    assert done.returncode not in (0, -6, -11) and hint in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words,hint",
    [(["fs"], "alloc fs"), (["validate", "x"], "job validate"), (["inspect", "x"], "job inspect"),
     (["dispatch", "x"], "job dispatch"), (["eval", "x"], "job eval")],
)  # fmt: skip
def test_names_that_nomad_has_are_answered_in_a_line(box, words, hint):
    done = box.manager().cli(*words, check=False, address=False)
    assert done.returncode == 2 and hint in done.stderr and done.stderr.count("\n") == 1


def test_options_that_nomad_has(manager, web):
    assert manager.cli("status", "-short", "web").stdout == manager.cli("status", "-verbose", "web").stdout
    assert manager.cli("node", "status", "-self").stdout
    done = manager.cli("alloc", "logs", "-job", "web", check=False)
    assert done.returncode == 2 and "job status JOB" in done.stderr


@pytest.mark.parametrize("word", ["false", "0", "F"])
def test_a_flag_can_be_switched_off(manager, web, word):
    table = manager.cli("job", "status", "web").stdout
    assert manager.cli("job", "status", f"-json={word}", "web").stdout == table
    assert json.loads(manager.cli("job", "status", "-json=true", f"-short={word}", "web").stdout)


def test_version(box):
    assert box.manager().cli("version", address=False).stdout.split()[-1][0].lstrip("v").isdigit()


def test_no_manager(box):
    manager = box.manager()
    done = manager.cli("job", "status", check=False)
    assert done.returncode != 0
    assert str(manager.socket) in done.stderr and "cleat-manager" in done.stderr


def test_address_option_wins(manager):
    manager.box.env["CLEAT_ADDR"] = "unix:///nowhere"
    address = f"unix://{manager.socket}"
    for option in ("-address", "--address"):
        manager.cli("node", "status", option, address, address=False)
        manager.cli("node", "status", f"{option}={address}", address=False)
    assert manager.cli("node", "status", check=False, address=False).returncode != 0
    done = manager.cli("node", "status", "-address", "ftp://x", check=False)
    assert done.returncode != 0 and "ftp://x" in done.stderr


def test_loopback_tcp(box):
    port = free_port()
    manager = box.manager(args=["-address", f"http://127.0.0.1:{port}"]).start()
    done = manager.cli("node", "status", "-json", "-address", f"http://127.0.0.1:{port}")
    assert json.loads(done.stdout)


# Jobs

def test_run_prints_allocation_ids_and_follows(manager):
    done = manager.cli("job", "run", "-", stdin=hcl())
    (alloc,) = manager.get("/v1/job/web/allocations")
    assert alloc["ID"] in done.stdout or alloc["ID"][:8] in done.stdout
    assert alloc["ClientStatus"] == "running"


def test_run_detached_prints_ids_only(manager):
    done = manager.cli("job", "run", "-detach", "-", stdin=hcl())
    (alloc,) = manager.get("/v1/job/web/allocations")
    assert alloc["ID"] in done.stdout


def test_run_of_a_failing_job_fails(manager):
    done = manager.cli("run", "-", stdin=hcl(script="exit 3", type="batch"), check=False)
    assert done.returncode != 0
    assert "3" in done.stdout + done.stderr


def test_run_tells_attempts_apart(manager):
    text = hcl(script="exit 3", type="batch").replace("attempts = 0", "attempts = 1\n delay = \"100ms\"")
    done = manager.cli("run", "-", stdin=text, check=False)
    assert done.returncode == 1 and "Terminated: Exit Code: 3\n" in done.stderr
    assert "Terminated: Exit Code: 3, attempt 2\n" in done.stderr


def with_prestart(command, script="sleep 1"):
    return hcl().replace("task \"t\"", """task "init" {
      driver = "raw_exec"
      lifecycle {
        hook = "prestart"
      }
      config {
        command = "/bin/sh"
        args    = ["-c", "%s"]
      }
    }
    task "t\"""" % script).replace('command = "/bin/sh"\n        args    = ["-c", "echo', f'command = "{command}"\n        args    = ["-c", "echo')


def test_run_waits_for_the_main_tasks(manager):
    done = manager.cli("run", "-", stdin=with_prestart("/no/such"), check=False)
    assert done.returncode == 1 and "running" not in done.stdout and "/no/such" in done.stderr
    (alloc,) = manager.get("/v1/job/web/allocations")
    logs = manager.cli("alloc", "logs", "-task", "t", alloc["ID"], check=False)
    assert "never started: " in logs.stderr and "/no/such" in logs.stderr
    manager.cli("stop", "web", "-purge")
    done = manager.cli("run", "-", stdin=with_prestart("/bin/sh"))
    (alloc,) = manager.get("/v1/job/web/allocations")
    assert alloc["TaskStates"]["t"]["State"] == "running" and "is running\n" in done.stdout


def test_run_of_a_job_that_ends_well(manager):
    assert manager.cli("run", "-", stdin=hcl(script="exit 0", type="batch")).returncode == 0


def test_run_of_a_service_that_ends_well_tells_of_batch(manager):
    done = manager.cli("run", "-", stdin=hcl(script="exit 0"), check=False)
    assert done.returncode == 1
    assert "Terminated: Exit Code: 0" in done.stderr
    assert "Not Restarting" in done.stderr and 'type = "batch"' in done.stderr


def test_run_of_an_unchanged_job_says_so(manager):
    text = hcl(script="exit 0", type="batch")
    assert "unchanged" not in manager.cli("run", "-", stdin=text).stdout
    assert 'unchanged and has ended, nothing is run; to run it again, enter "cleat stop web"' in manager.cli(
        "run", "-", stdin=text
    ).stdout
    assert json.loads(manager.cli("run", "-json", "-", stdin=text).stdout)["Unchanged"] is True
    manager.cli("stop", "web")
    assert "unchanged" not in manager.cli("run", "-", stdin=text).stdout
    text = hcl(script="sleep 1000").replace('"web"', '"alive"', 1)
    manager.cli("run", "-", stdin=text)
    assert 'Job "alive" is unchanged, nothing to do\n' in manager.cli("run", "-", stdin=text).stdout


def test_run_of_an_unchanged_job_replaces_what_failed_of_it(box, manager):
    gate = box.dir / "gate"
    text = hcl(script=f"test -e {gate}", type="batch")
    assert manager.cli("run", "-", stdin=text, check=False).returncode == 1
    (failed,) = manager.get("/v1/job/web/allocations")
    gate.touch()
    again = manager.cli("run", "-", stdin=text).stdout
    assert 'Job "web" is unchanged, 1 allocation that failed is replaced\n' in again
    one, two = sorted(manager.get("/v1/job/web/allocations"), key=lambda a: a["CreateIndex"])
    assert (one["ID"], one["DesiredStatus"], one["ClientStatus"]) == (failed["ID"], "stop", "failed")
    assert (two["DesiredStatus"], two["ClientStatus"], two["JobVersion"]) == ("run", "complete", 0)
    assert "nothing is run" in manager.cli("run", "-", stdin=text).stdout


def test_job_eval_replaces_what_failed_if_it_is_told_to(manager):
    manager.cli("run", "-detach", "-", stdin=hcl(script="exit 3", type="batch"))
    (failed,) = manager.get("/v1/job/web/allocations")
    manager.wait_client(failed["ID"], "failed")
    assert 'Job "web" was evaluated\n' == manager.cli("job", "eval", "web").stdout
    assert len(manager.get("/v1/job/web/allocations")) == 1
    assert "started anew" in manager.cli("job", "eval", "-force-reschedule", "web").stdout
    assert len(manager.get("/v1/job/web/allocations")) == 2
    assert manager.cli("job", "eval", "none", check=False).returncode == 4


def test_a_stopped_allocation_is_replaced(manager, web):
    stopped = manager.cli("alloc", "stop", web[:8]).stdout
    old, new = sorted(manager.get("/v1/job/web/allocations"), key=lambda a: a["CreateIndex"])
    assert stopped == f"Allocation {web[:8]} is stopped\nAllocation {new['ID'][:8]} takes its place\n"
    assert (old["ID"], old["DesiredStatus"], old["ClientStatus"]) == (web, "stop", "complete")
    manager.kill9()
    manager.start()
    manager.wait_client(new["ID"], "running")
    assert manager.alloc(web)["DesiredStatus"] == "stop"
    assert manager.cli("alloc", "stop", web).stdout.startswith(f"Allocation {web[:8]} is stopped\n")
    assert len(manager.get("/v1/job/web/allocations")) == 2


def test_job_restart(manager, web):
    assert manager.cli("job", "restart", "web").stdout == f"Restarting the tasks that run of {web[:8]}\n"
    (name,) = manager.alloc(web)["TaskStates"]
    manager.wait_event(web, "Started", name, count=2)
    assert f'Restarting task "{name}" of' in manager.cli("job", "restart", "-task", name, "web").stdout
    manager.wait_event(web, "Started", name, count=3)
    none = manager.cli("job", "restart", "-task", "none", "web", check=False)
    assert none.returncode == 1 and "nothing of job" in none.stderr
    manager.stop("web")
    manager.wait_client(web, "complete")
    assert manager.cli("job", "restart", "web", check=False).returncode == 1


def test_job_status(manager, web):
    listed = manager.cli("job", "status").stdout
    assert "web" in listed and "running" in listed
    one = manager.cli("job", "status", "web").stdout
    assert web[:8] in one and "running" in one
    assert manager.cli("status", "web").stdout == one
    assert web in manager.cli("job", "status", "-json", "web").stdout
    assert "web" in manager.cli("job", "status", "-json").stdout
    json.loads(manager.cli("job", "status", "--json").stdout)


def test_job_names_can_be_shortened_if_unique(manager):
    for name in ("web-one", "web-two", "db"):
        manager.cli("run", "-detach", "-", stdin=hcl(name))
    assert "db" in manager.cli("job", "status", "d").stdout
    done = manager.cli("job", "stop", "web", check=False)
    assert done.returncode != 0
    assert "web-one" in done.stderr and "web-two" in done.stderr
    done = manager.cli("job", "status", "none", check=False)
    assert done.returncode != 0 and "none" in done.stderr


def test_an_exact_name_is_never_ambiguous(manager):
    for name in ("web", "web-two"):
        manager.cli("run", "-detach", "-", stdin=hcl(name))
    manager.cli("job", "stop", "web")
    assert manager.get("/v1/job/web")["Stop"] and not manager.get("/v1/job/web-two")["Stop"]


@pytest.mark.parametrize("command", [["job", "stop"], ["stop"]])
def test_stop_waits_for_the_end(manager, web, command):
    manager.cli(*command, "web")
    assert manager.task(web)["State"] == "dead"
    assert manager.cli("job", "status", "web").stdout.count("running") == 0


# Allocations

def test_alloc_status(manager, web):
    text = manager.cli("alloc", "status", web).stdout
    assert "running" in text and "Started" in text and web[:8] in text
    assert manager.cli("alloc", "status", web[:8]).stdout == text
    shown = json.loads(manager.cli("alloc", "status", "-json", web[:4]).stdout)
    assert shown["ID"] == web and shown["TaskStates"]["t"]["Pid"] == manager.wait_running(web)


def test_ambiguous_and_unknown_ids(manager):
    manager.run(simple("pause", driver="raw_exec", count=40))
    ids = [a["ID"] for a in manager.get("/v1/allocations")]
    first = next(c for c in "0123456789abcdef" if sum(i.startswith(c) for i in ids) > 1)
    done = manager.cli("alloc", "status", first, check=False)
    assert done.returncode != 0
    assert all(i[:8] in done.stderr for i in ids if i.startswith(first))
    done = manager.cli("alloc", "status", "zzzz", check=False)
    assert done.returncode != 0 and "zzzz" in done.stderr


def test_a_job_named_instead_of_an_allocation(manager, web):
    done = manager.cli("logs", "web", check=False)
    assert done.returncode == 4 and done.stdout == ""
    assert 'the job "web" has these allocations' in done.stderr and web in done.stderr


def test_alloc_logs(manager):
    alloc_id = manager.run_one(
        simple("lines:100:0", "err", "print:oops", driver="raw_exec")
    )
    manager.wait_client(alloc_id, "complete")
    whole = "".join(f"{i}\n" for i in range(100))

    def logs(*args):
        return manager.cli("alloc", "logs", *args).stdout

    assert logs(alloc_id) == logs(alloc_id[:8]) == logs(alloc_id, "t") == whole
    assert manager.cli("logs", alloc_id).stdout == whole
    assert logs("-stderr", alloc_id) == "oops\n"
    assert logs("-tail", "-n", "3", alloc_id) == "97\n98\n99\n"
    assert logs("-tail", "-n=3", alloc_id) == "97\n98\n99\n"
    assert logs("-n", "1000", "-tail", alloc_id) == whole
    assert logs("-tail", "-c", "6", alloc_id) == "98\n99\n"
    assert logs("-tail", alloc_id) == "".join(f"{i}\n" for i in range(90, 100))
    done = manager.cli("alloc", "logs", alloc_id, "nosuchtask", check=False)
    assert done.returncode != 0 and "nosuchtask" in done.stderr and done.stdout == ""


def test_alloc_logs_follow(manager):
    alloc_id = manager.run_one(simple("lines:0:5", driver="raw_exec"))
    manager.wait_running(alloc_id)
    command = [BUILD / "bin/cleat", "alloc", "logs", "-f",
               "-address", f"unix://{manager.socket}", alloc_id]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=manager.box.env) as process:
        lines = [process.stdout.readline() for _ in range(200)]
        process.terminate()
    assert lines == [b"%d\n" % i for i in range(200)]


def test_logs_of_an_allocation_with_two_tasks_ask_which(manager):
    both = group(task("print:a", name="a", driver="raw_exec"),
                 task("print:b", name="b", driver="raw_exec"))  # fmt: skip
    alloc_id = manager.run_one(job(both))
    manager.wait_client(alloc_id, "complete")
    assert manager.cli("alloc", "logs", alloc_id, "b").stdout == "b\n"
    done = manager.cli("alloc", "logs", alloc_id, check=False)
    assert done.returncode != 0 and "a" in done.stderr and "b" in done.stderr


def test_alloc_fs(manager):
    alloc_id = manager.run_one(simple("write:/local/made"))
    manager.wait_client(alloc_id, "complete")
    text = manager.cli("alloc", "fs", alloc_id[:8]).stdout
    assert text.split("\n")[0].split() == ["Mode", "Size", "Modified", "Time", "Name"]
    assert "drwxrwxrwx" in text and " alloc/\n" in text and " t/\n" in text
    assert "dtrwxrwxrwx" in manager.cli("alloc", "fs", alloc_id, "t/").stdout
    assert manager.cli("alloc", "fs", alloc_id, "t/local/made").stdout == "written by the task\n"
    listed = json.loads(manager.cli("alloc", "fs", "-json", alloc_id, "t/local").stdout)
    assert [f["Name"] for f in listed] == ["made"]
    done = manager.cli("alloc", "fs", alloc_id, "t/none", check=False)
    assert done.returncode != 0 and "t/none" in done.stderr


# The node, and everything at once

def test_node_status(manager):
    text = manager.cli("node", "status").stdout
    assert "exec" in text and "ready" in text
    node = json.loads(manager.cli("node", "status", "-json").stdout)
    assert node["Status"] == "ready" and node["Attributes"]["driver.exec"] == "1"


def gc_until_empty(manager):
    """An executor that is ending keeps its allocation. Returns how many went."""
    total = 0

    def collected():
        nonlocal total
        reply = json.loads(manager.cli("system", "gc", "-json").stdout)
        total += reply["Removed"]
        return reply["Left"] == 0

    wait_for(collected, "all finished allocations to go")
    return total


def test_gc(manager, web):
    done = manager.run_one(simple("print:done", driver="raw_exec"))
    manager.wait_client(done, "complete")
    assert gc_until_empty(manager) == 1
    assert not manager.alloc_dir(done).exists()
    assert [j["ID"] for j in manager.get("/v1/jobs")] == ["web"]
    assert manager.wait_running(web)
    assert manager.alloc_dir(web).exists()
    state = manager.data_dir / "state"
    for kind in ("allocs", "tasks"):
        assert done not in [p.name for p in (state / kind).iterdir()]
    assert [p.name for p in (state / "jobs").iterdir()] == ["web"]


def test_a_failed_service_runs_again_after_gc(manager):
    text = hcl(script="exit 1")
    assert manager.cli("run", "-", stdin=text, check=False).returncode == 1
    assert gc_until_empty(manager) == 1
    assert manager.cli("system", "gc").stdout == "Finished allocations: 0 removed, 0 left\n"
    assert manager.cli("status").stdout == "No jobs\n"
    assert manager.cli("run", "-", stdin=text, check=False).returncode == 1
    (alloc,) = manager.get("/v1/job/web/allocations")
    assert manager.wait_dead(alloc["ID"])["Failed"]


def test_stop_of_a_stopped_job_says_so(manager, web):
    assert manager.cli("stop", "web").stdout == 'Job "web" stopped\n'
    assert manager.cli("stop", "web").stdout == 'Job "web" was stopped before\n'


@pytest.mark.parametrize("option", ["-version", "--version"])
def test_version_as_the_daemons_have_it(box, option):
    manager = box.manager()
    assert manager.cli(option, address=False).stdout == manager.cli("version", address=False).stdout


def test_stop_all(manager, web):
    manager.cli("system", "stop-all")
    assert manager.task(web)["State"] == "dead"
    assert manager.alive()


def test_output_into_a_closed_pipe(manager):
    """`cleat … | head -1` ends without noise."""
    alloc_id = manager.run_one(simple("lines:100000:0:60", driver="raw_exec"))
    manager.wait_client(alloc_id, "complete")
    done = subprocess.run(
        f"{BUILD}/bin/cleat alloc logs -address unix://{manager.socket} {alloc_id} | head -1",
        shell=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("0") and done.stderr == ""


def test_commands_while_the_manager_is_away(manager, web):
    manager.kill9()
    done = manager.cli("alloc", "status", web, check=False)
    assert done.returncode != 0 and str(manager.socket) in done.stderr
    manager.start()
    wait_for(lambda: manager.cli("alloc", "status", web).returncode == 0, "the answer")


def test_warnings_are_shown(manager):
    """More memory than the node has: it runs, and what is wrong is said."""
    text = hcl(script="exit 0", type="batch").replace('driver = "raw_exec"', 'driver = "raw_exec"\n resources { memory = 99999999 }')
    done = manager.cli("job", "run", "-", stdin=text)
    assert done.stderr.startswith("1 warning:\n\n* The job asks for 99999999 MiB of memory")
    done = manager.cli("job", "run", "-json", "-", stdin=text)
    assert "99999999 MiB" in json.loads(done.stdout)["Warnings"] and not done.stderr
