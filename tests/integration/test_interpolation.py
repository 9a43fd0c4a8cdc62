# SPDX-License-Identifier: MIT
"""${…} in a job: in every value of a driver's config, checked once it is known; secrets of a size."""
import pytest

from jobs import group, job, simple, task

META = 'meta {\n rack = "r7"\n nice = "5"\n cap = "net_raw"\n bad = "much"\n dir = "/tmp"\n}\n'


@pytest.fixture
def node(box):
    return box.manager(config=META).start()


def config(manager, driver="exec", **options):
    """A task that prints its nice value and working directory, with more config."""
    the_task = task("exec-env", driver=driver)
    the_task["Config"] = {"command": "/bin/sh", "args": ["-c", "nice; pwd; hostname"], **options}
    return job(group(the_task))


def test_values_that_are_not_texts(node):
    output, state = node.run_to_end(
        config(node, nice="${meta.nice}", work_dir="${meta.dir}", hostname="${meta.rack}-${NOMAD_ALLOC_INDEX}")
    )
    assert output.splitlines() == ["5", "/tmp", "r7-0"], state


@pytest.mark.parametrize(
    "options, said",
    [
        ({"nice": "${meta.bad}"}, 'Config.nice: "nice" must be a whole number'),
        ({"nice": "${meta.nothing}"}, 'Config.nice: "nice" must be a whole number'),
        ({"work_dir": "${meta.rack}"}, '"work_dir" must be an absolute path'),
        ({"cap_add": ["${meta.cap}"]}, "net_raw"),
        ({"devices": [{"host_path": "/dev/${meta.rack}"}]}, 'the device "/dev/r7" is not allowed'),
        ({"pid_mode": "${meta.rack}"}, '"pid_mode" is "private" or "host"'),
    ],
)
def test_what_a_variable_became_is_checked(node, options, said):
    _, state = node.run_to_end(config(node, **options))
    assert state["Failed"]
    failures = [e["DisplayMessage"] for e in state["Events"] if e["Type"] == "Driver Failure"]
    assert len(failures) == 1 and said in failures[0], state["Events"]


def test_old_arguments_know_names_without_braces(node):
    the_task = task("x", driver="raw_exec", Env={"GREETING": "two words"})
    the_task["Config"] = {
        "command": "/bin/echo",
        "args": "$GREETING '$NOMAD_TASK_NAME' ${NOMAD_JOB_ID} $HOME2 $${x}",
    }
    output, _ = node.run_to_end(job(group(the_task)))
    assert output == "two words t job $HOME2 ${x}\n"


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_secrets_of_a_size(node, driver):
    script = 'df -k --output=size "$NOMAD_SECRETS_DIR" | tail -1; cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup | tail -1)/memory.max'
    the_task = task("x", driver=driver, Resources={"MemoryMB": 64, "SecretsMB": 4})
    the_task["Config"] = {"command": "/bin/sh", "args": ["-c", script]}
    alloc_id = node.run_one(job(group(the_task)))
    node.wait_dead(alloc_id)
    assert node.output(alloc_id).split()[0] == "4096"
    limit = node.output(alloc_id).split()[1:]
    assert limit in ([], [str(60 << 20)])  # exec tasks see no cgroup file system


def test_what_has_no_effect_is_said(node):
    the_job = simple("ok")
    the_job["TaskGroups"][0]["ReschedulePolicy"] = {"Attempts": 5, "Interval": 3600000000000}
    reply = node.call("PUT", "/v1/jobs", {"Job": the_job})
    assert reply["Warnings"].startswith("1 warning:\n")
    assert '* Group "g": "reschedule" has no effect: there is no second host' in reply["Warnings"]
    shown = node.get(f"/v1/job/{the_job['ID']}")
    assert shown["TaskGroups"][0]["ReschedulePolicy"]["Attempts"] == 5


def test_every_error_of_a_file(node):
    file = node.dir / "bad.hcl"
    file.write_text(
        'job "j" {\n  typ = 1\n  task "t" {\n    driver = "exec"\n    config { }\n'
        "    resources {\n      cpu = 0\n    }\n  }\n}\n"
    )
    done = node.cli("job", "validate", file, check=False)
    assert done.returncode == 1
    places = [line.split(": ")[1] for line in done.stderr.splitlines() if "bad.hcl:" in line]
    assert [p.rpartition("bad.hcl:")[2] for p in places] == ["2:3", "5:5", "7:13"], done.stderr
    status, _, body = node.request("POST", "/v1/jobs/parse", {"JobHCL": file.read_text()})
    assert status == 400
    assert [line.split(": ")[0] for line in body.decode().splitlines() if line.startswith("JobHCL")] == [
        "JobHCL:2:3", "JobHCL:5:5", "JobHCL:7:13",
    ]  # fmt: skip
    wrong = {"ID": "j", "Bogus": 1, "Priority": 101}
    verdict = node.call("PUT", "/v1/validate/job", {"Job": wrong})
    assert len(verdict["ValidationErrors"]) == 2
