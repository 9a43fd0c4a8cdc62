# SPDX-License-Identifier: MIT
"""Nomad's defaults, field by field, as the API shows a job that asks for next to nothing."""
import json
import os
import pwd
import re
import subprocess

import pytest

from jobs import SECOND, group, job, task

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
KINDS = ["service", "batch"]

JOB = {
    "ID": "d", "Name": "d", "Type": None, "Region": "global", "Namespace": "default", "Priority": 50,
    "Datacenters": ["*"], "Meta": {}, "Stop": False, "Version": 0,
}  # fmt: skip
GROUP = {
    "Name": "t", "Count": 1, "Meta": {}, "ShutdownDelay": 0,
    "EphemeralDisk.SizeMB": 300, "EphemeralDisk.Sticky": False, "EphemeralDisk.Migrate": False,
}  # fmt: skip
RESTART = {
    "service": {"Attempts": 2, "Interval": 30 * MINUTE, "Delay": 15 * SECOND, "Mode": "fail"},
    "batch": {"Attempts": 3, "Interval": 24 * HOUR, "Delay": 15 * SECOND, "Mode": "fail"},
}
TASK = {
    "Name": "t", "Driver": "raw_exec", "User": "", "Env": {}, "Meta": {}, "KillSignal": "",
    "KillTimeout": 5 * SECOND, "ShutdownDelay": 0, "Leader": False,
    "LogConfig.MaxFiles": 10, "LogConfig.MaxFileSizeMB": 10, "LogConfig.Disabled": False,
    "Resources.CPU": 100, "Resources.Cores": 0, "Resources.MemoryMB": 300, "Resources.MemoryMaxMB": 0,
}  # fmt: skip

# Blocks with only what they must have: (where, HCL, the path of its JSON, its fields).
BLOCKS = [
    ("job", "update { canary = 1 }", "Update", {
        "Stagger": 30 * SECOND, "MaxParallel": 1, "HealthCheck": "checks", "MinHealthyTime": 10 * SECOND,
        "HealthyDeadline": 5 * MINUTE, "ProgressDeadline": 10 * MINUTE, "AutoRevert": False,
        "AutoPromote": False, "Canary": 1}),
    ("job", 'constraint {\n attribute = "${attr.kernel.name}"\n value = "linux"\n }', "Constraints.0", {
        "LTarget": "${attr.kernel.name}", "RTarget": "linux", "Operand": "="}),
    ("batch", 'periodic { cron = "@daily" }', "Periodic", {
        "Enabled": True, "Spec": "@daily", "SpecType": "cron", "ProhibitOverlap": False, "TimeZone": "UTC"}),
    ("batch", "parameterized { }", "ParameterizedJob", {
        "Payload": "optional", "MetaRequired": [], "MetaOptional": []}),
    ("group", "migrate { max_parallel = 2 }", "Migrate", {
        "MaxParallel": 2, "HealthCheck": "checks", "MinHealthyTime": 10 * SECOND,
        "HealthyDeadline": 5 * MINUTE}),
    ("group", "reschedule { attempts = 9 }", "ReschedulePolicy", {
        "Attempts": 9, "Interval": 0, "Delay": 30 * SECOND, "DelayFunction": "exponential",
        "MaxDelay": HOUR, "Unlimited": False}),
    ("group", "ephemeral_disk { migrate = true }", "EphemeralDisk", {
        "SizeMB": 300, "Sticky": True, "Migrate": True}),
    ("group", "restart { attempts = 1 }", "RestartPolicy", {
        "Attempts": 1, "Interval": 30 * MINUTE, "Delay": 15 * SECOND, "Mode": "fail"}),
    ("task", "restart { attempts = 1 }", "RestartPolicy", {
        "Attempts": 1, "Interval": 30 * MINUTE, "Delay": 15 * SECOND, "Mode": "fail"}),
    ("two", 'lifecycle { hook = "prestart" }', "Lifecycle", {"Hook": "prestart", "Sidecar": False}),
    ("task", "resources { cores = 1 }", "Resources", {"CPU": 0, "Cores": 1, "MemoryMB": 300}),
    ("task", "logs { max_age = \"1h\" }", "LogConfig", {
        "MaxFiles": 10, "MaxFileSizeMB": 10, "Disabled": False, "Compress": "none", "OnFull": "drop"}),
    ("task", "resources { secrets = 2 }", "Resources", {
        "CPU": 100, "Cores": 0, "MemoryMB": 300, "MemoryMaxMB": 0, "SecretsMB": 2}),
    ("task", 'template {\n data = "x"\n destination = "local/x"\n }', "Templates.0", {
        "SourcePath": "", "DestPath": "local/x", "EmbeddedTmpl": "x", "ChangeMode": "restart",
        "ChangeSignal": "", "ChangeScript": None, "Splay": 5 * SECOND, "Perms": "0644", "Uid": -1, "Gid": -1,
        "LeftDelim": "{{", "RightDelim": "}}", "Envvars": False, "ErrMissingKey": False, "Once": False,
        "Wait": None, "VaultGrace": 0}),
    ("task", 'template {\n data = "x"\n destination = "local/x"\n change_mode = "script"\n'
        ' change_script { command = "/bin/true" }\n }', "Templates.0.ChangeScript", {
        "Command": "/bin/true", "Args": [], "Timeout": 5 * SECOND, "FailOnError": False}),
    ("task", 'template {\n data = "x"\n destination = "local/x"\n wait { min = "1s" }\n }', "Templates.0.Wait", {
        "Min": SECOND, "Max": 0}),
    ("task", 'artifact { source = "https://example.org/a" }', "Artifacts.0", {
        "GetterSource": "https://example.org/a", "RelativeDest": "local/", "GetterMode": "any",
        "GetterOptions": {}, "GetterHeaders": {}, "GetterInsecure": False, "Chown": False}),
    ("task", 'dispatch_payload { file = "f" }', "DispatchPayload", {"File": "f"}),
    ("volumes", "", "Volumes", {"v": {"Name": "v", "Type": "host", "Source": "s", "ReadOnly": False}}),
    ("volumes", "", "Tasks.0.VolumeMounts.0", {
        "Volume": "v", "Destination": "/v", "ReadOnly": False, "PropagationMode": "private"}),
]  # fmt: skip


RETRY = "attempts = 12\n backoff = \"250ms\"\n max_backoff = \"1m\""
AGENT = f"""
artifact {{
  http_read_timeout = "30m"
  http_max_size = "100GB"
  git_timeout = "30m"
  hg_timeout = "30m"
  s3_timeout = "30m"
  gcs_timeout = "30m"
  decompression_file_count_limit = 4096
  decompression_size_limit = "100GB"
  disable_artifact_inspection = false
  disable_filesystem_isolation = false
  filesystem_isolation_extra_paths = []
  set_environment_variables = ""
}}
template {{
  function_denylist = ["executeTemplate", "plugin", "writeToFile"]
  disable_file_sandbox = false
  max_stale = "87600h"
  block_query_wait = "5m"
  wait {{
    min = "5s"
    max = "4m"
  }}
  consul_retry {{
    {RETRY}
  }}
  vault_retry {{
    {RETRY}
  }}
  nomad_retry {{
    {RETRY}
  }}
}}
"""


def at(value, path):
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def hcl(kind="service", job="", group="", task="", driver="raw_exec"):
    return (
        f'job "d" {{\n type = "{kind}"\n {job}\n group "t" {{\n {group}\n task "t" {{\n {task}\n'
        f' driver = "{driver}"\n config {{\n command = "/bin/true"\n }}\n }}\n }}\n}}\n'
    )


def minimal(kind):
    tasks = [{"Name": "t", "Driver": "raw_exec", "Config": {"command": "/bin/true"}}]
    return {"ID": "d", "Type": kind, "TaskGroups": [{"Name": "t", "Tasks": tasks}]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["hcl", "json"])
def test_of_a_minimal_job(manager, kind, way):
    if way == "hcl":
        manager.cli("run", "-detach", "-", stdin=hcl(kind))
    else:
        manager.call("PUT", "/v1/jobs", {"Job": minimal(kind)})
    shown = manager.get("/v1/job/d")
    the_group = shown["TaskGroups"][0]
    rows = [(shown, {**JOB, "Type": kind}), (the_group, GROUP), (the_group["Tasks"][0], TASK)]
    rows += [(holder["RestartPolicy"], RESTART[kind]) for holder in (the_group, the_group["Tasks"][0])]
    for holder, fields in rows:
        assert {path: at(holder, path) for path in fields} == fields
    assert the_group["Tasks"][0]["Config"] == {"command": "/bin/true"}


@pytest.mark.parametrize("where, block, path, fields", BLOCKS)
def test_of_a_block(manager, where, block, path, fields):
    if where == "volumes":
        text = hcl(
            group='volume "v" {\n type = "host"\n source = "s"\n }\n',
            task='volume_mount {\n volume = "v"\n destination = "/v"\n }\n', driver="exec",
        )  # fmt: skip
        where = "group"
    elif where == "two":  # one must be left that is the group's work
        other = 'task "main" {\n driver = "raw_exec"\n config { command = "/bin/true" }\n }\n'
        text = hcl(task=block).replace("}\n}\n", "\n" + other + "}\n}\n")
        where = "task"
    elif where == "batch":
        text = hcl("batch", job=block)
        where = "job"
    else:
        text = hcl(**{where: block})
    shown = manager.call("POST", "/v1/jobs/parse", {"JobHCL": text})
    holder = {"job": shown, "group": shown["TaskGroups"][0], "task": shown["TaskGroups"][0]["Tasks"][0]}[where]
    value = at(holder, path)
    assert {name: value[name] for name in fields} == fields


def run_and_tell(manager, driver):
    script = 'id -un; pwd; nice; ls -l /proc/self/ns | grep -Eo "(pid|ipc|net|uts|user|cgroup):[^ ]*"'
    the_task = task(driver=driver)
    the_task["Config"] = {"command": "/bin/sh", "args": ["-c", script]}
    alloc_id = manager.run_one(job(group(the_task)))
    manager.wait_dead(alloc_id)
    user, directory, nice, *spaces = manager.output(alloc_id).splitlines()
    own = {name for name in ("pid", "ipc", "net", "uts", "user", "cgroup")
           if os.readlink(f"/proc/self/ns/{name}") not in spaces}  # fmt: skip
    return user, directory, nice, own, alloc_id


def test_of_the_driver_exec(manager):
    user, directory, nice, own, _ = run_and_tell(manager, "exec")
    assert (user, directory, nice, own) == ("nobody", "/", "0", {"pid", "ipc"})


def test_of_the_driver_raw_exec(manager):
    user, directory, nice, own, alloc_id = run_and_tell(manager, "raw_exec")
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert (user, directory, nice, own) == (me, f"{manager.alloc_dir(alloc_id)}/t", "0", set())


def test_what_is_shown_can_be_registered_again(manager):
    """Every default spelled out is the same job."""
    manager.call("PUT", "/v1/jobs", {"Job": minimal("service")})
    shown = manager.get("/v1/job/d")
    manager.call("PUT", "/v1/jobs", {"Job": shown})
    assert json.loads(json.dumps(manager.get("/v1/job/d")))["Version"] == 0


def test_blocks_without_content_say_nothing(manager):
    """As an earlier release wrote them for each template: the manager's own wait counts, the job is the same."""
    wanted = minimal("service")
    wanted["TaskGroups"][0]["Tasks"][0]["Templates"] = [{"EmbeddedTmpl": "x", "DestPath": "local/x"}]
    manager.call("PUT", "/v1/jobs", {"Job": wanted})
    wanted["TaskGroups"][0]["Tasks"][0]["Templates"][0].update(
        Wait={"Min": 0, "Max": 0},
        ChangeScript={"Command": "", "Args": [], "Timeout": 5 * SECOND, "FailOnError": False},
    )
    manager.call("PUT", "/v1/jobs", {"Job": wanted})
    shown = manager.get("/v1/job/d")
    template = at(shown, "TaskGroups.0.Tasks.0.Templates.0")
    assert (shown["Version"], template["Wait"], template["ChangeScript"]) == (0, None, None)


def test_of_the_agent(box):
    """Nomad's own values for artifacts and templates change nothing; -check tells what is in effect."""
    program = box.manager().programs / "cleat-manager"

    def told(config):
        path = box.dir / "agent.hcl"
        path.write_text(f"client {{\n{config}}}\n")
        done = subprocess.run([program, "-check", "-config", path],
                              capture_output=True, text=True, env=box.env, timeout=60)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return re.sub(" *#.*", "", done.stdout)

    assert told(AGENT) == told("")
    assert told(AGENT.replace("4096", "4095")) != told("")
