# SPDX-License-Identifier: MIT
"""The environment of a task: NOMAD_* and nothing that should not be there."""
import pytest

from jobs import group, job, simple, task


def environment(output):
    return dict(line.split("=", 1) for line in output.splitlines())


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_nomad_variables(manager, driver):
    the_task = task(
        "env", name="web-1", driver=driver, Env={"MINE": "a b", "REF": "${NOMAD_TASK_NAME}!"},
        Meta={"owner": "team", "odd-key": "x"}, Resources={"CPU": 150, "MemoryMB": 70, "MemoryMaxMB": 90},
    )  # fmt: skip
    the_job = job(group(the_task, name="front"), id="shop", Meta={"tier": "gold"})
    alloc_id = manager.run_one({**the_job, "Name": "shop"})
    manager.wait_client(alloc_id, "complete")
    env = environment(manager.output(alloc_id, "web-1"))
    base = manager.alloc_dir(alloc_id)
    dirs = (
        {"ALLOC": "/alloc", "TASK": "/local", "SECRETS": "/secrets"}
        if driver == "exec"
        else {"ALLOC": f"{base}/alloc", "TASK": f"{base}/web-1/local",
              "SECRETS": f"{base}/web-1/secrets"}
    )  # fmt: skip
    expected = {
        "NOMAD_ALLOC_DIR": dirs["ALLOC"],
        "NOMAD_TASK_DIR": dirs["TASK"],
        "NOMAD_SECRETS_DIR": dirs["SECRETS"],
        "NOMAD_MEMORY_LIMIT": "70",
        "NOMAD_MEMORY_MAX_LIMIT": "90",
        "NOMAD_CPU_LIMIT": "150",
        "NOMAD_PARENT_CGROUP": manager.box.token,
        "NOMAD_ALLOC_ID": alloc_id,
        "NOMAD_SHORT_ALLOC_ID": alloc_id[:8],
        "NOMAD_ALLOC_NAME": "shop.front[0]",
        "NOMAD_ALLOC_INDEX": "0",
        "NOMAD_TASK_NAME": "web-1",
        "NOMAD_GROUP_NAME": "front",
        "NOMAD_JOB_ID": "shop",
        "NOMAD_JOB_NAME": "shop",
        "NOMAD_DC": "dc1",
        "NOMAD_REGION": "global",
        "NOMAD_NAMESPACE": "default",
        "NOMAD_META_owner": "team",
        "NOMAD_META_OWNER": "team",
        "NOMAD_META_tier": "gold",
        "NOMAD_META_TIER": "gold",
        "NOMAD_META_odd_key": "x",
        "NOMAD_META_ODD_KEY": "x",
        "MINE": "a b",
        "REF": "web-1!",
    }
    assert {k: env.get(k) for k in expected} == expected
    assert {name for name in env if name.startswith("NOMAD_")} <= set(expected)  # and no others
    assert env["PATH"]


def test_secrets_of_the_managers_environment_stay_there(box):
    denied = ["VAULT_TOKEN", "NOMAD_TOKEN", "CONSUL_HTTP_TOKEN", "AWS_SECRET_ACCESS_KEY"]
    box.env.update({name: "secret" for name in denied})
    manager = box.manager().start()
    output, _ = manager.run_to_end(simple("env", driver="raw_exec"))
    assert not set(denied) & set(environment(output))


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_an_own_denylist_takes_the_place_of_nomads(box, driver):
    box.env.update({"VAULT_TOKEN": "now seen", "SITE_KEY": "secret", "OTHER": "seen"})
    options = 'options {\n "env.denylist" = "SITE_*,NOPE"\n}\n'
    output, _ = box.manager(config=options).start().run_to_end(simple("env", driver=driver))
    env = environment(output)
    assert "SITE_KEY" not in env
    assert env["VAULT_TOKEN"] == "now seen" and env["OTHER"] == "seen"


def test_references_in_the_configuration(manager):
    output, _ = manager.run_to_end(
        simple("argv:", "${NOMAD_TASK_DIR}/x", "${env[\"NOMAD_JOB_ID\"]}", "${unknown.ref}", "$HOME")
    )
    assert output.splitlines() == [
        "argv=argv:", "argv=/local/x", "argv=job", "argv=${unknown.ref}", "argv=$HOME",
    ]  # fmt: skip


def test_user_variables(manager):
    output, _ = manager.run_to_end(simple("env", User="daemon"))
    env = environment(output)
    assert (env["USER"], env["LOGNAME"]) == ("daemon", "daemon")


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_who_wins(box, driver):
    """Built-ins < meta < the host's environment, where not set yet < the task's env."""
    box.env.update({"NOMAD_DC": "host", "NOMAD_META_LEVEL": "host", "ONLY": "host", "BOTH": "host"})
    manager = box.manager().start()
    the_task = task(
        "env", driver=driver, Meta={"level": "task"},
        Env={"BOTH": "task", "NOMAD_REGION": "task", "SEEN": "${ONLY} ${NOMAD_META_level}"},
    )  # fmt: skip
    output, _ = manager.run_to_end(job(group(the_task, Meta={"level": "group"}), Meta={"level": "job"}))
    env = environment(output)
    names = ["NOMAD_DC", "NOMAD_META_LEVEL", "ONLY", "BOTH", "NOMAD_REGION", "SEEN"]
    assert [env[name] for name in names] == ["dc1", "task", "host", "task", "task", "host task"]


def test_unknown_references_are_said(manager):
    the_task = task(
        "argv:", "${NOMAD_PORT_http} ${attr.none} ${NOMAD_DC} ${attr.kernel.name} ${SHELL_OWN} ${x:-y}",
        Env={"A": "${NOPE} $${NOT_ONE} ${env[\"GONE\"]}", "B": "${NOPE}"}, User="${meta.who}",
    )  # fmt: skip
    reply = manager.call("PUT", "/v1/jobs", {"Job": job(group(the_task))})
    said = reply["Warnings"].splitlines()
    assert said[0] == "5 warnings:"
    names = [line.split("${")[1].split("}:")[0] for line in said if "nothing here is called" in line]
    assert sorted(names) == ["NOMAD_PORT_http", "NOPE", "attr.none", 'env["GONE"]', "meta.who"]
