# SPDX-License-Identifier: MIT
"""Templates: rendered before the task starts, again when something changes, and what follows from that."""
import os
import signal
import subprocess
from pathlib import Path

import pytest

import records
from artifact_server import certificate
from harness import BUILD, PAYLOAD_IN_ROOT, SLOW, WITHOUT_INOTIFY, wait_for
from jobs import SECOND, job, group, restart, task
from secret_servers import Consul, Vault
from test_executor_crash import executor

# Nobody waits for changes to calm down, and nobody is spared by a splay.
QUICK = '  template {\n    wait {\n      min = "0s"\n      max = "1s"\n    }\n    block_query_wait = "1s"\n%s  }\n'
RETRY = '    %s_retry {\n      attempts = %d\n      backoff = "20ms"\n      max_backoff = "100ms"\n    }\n'


@pytest.fixture
def quick(box):
    return box.manager(config=QUICK % "").start()


def template(data=None, destination="local/out", **fields):
    return {"EmbeddedTmpl": data, "DestPath": destination, "Splay": 0, **fields}


def run(manager, *templates, steps=("pause",), id="job", driver="exec", policy=None, **fields):
    the_task = task(*steps, driver=driver, Templates=list(templates), **fields)
    return manager.run_one(job(group(the_task, policy=policy or restart()), id=id, type="service"))


def file_of(manager, alloc_id, path, task_name="t"):
    return manager.alloc_dir(alloc_id) / task_name / path


def events(manager, alloc_id, kind, name="t"):
    return [e["DisplayMessage"] for e in manager.task(alloc_id, name)["Events"] if e["Type"] == kind]


def restarts(manager, alloc_id):
    return manager.task(alloc_id)["Restarts"]


def replace(path, text):
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.rename(path)


# Before the start


@pytest.mark.parametrize("driver", ["exec", "raw_exec"])
def test_is_there_before_the_task_starts(quick, driver):
    text = """{{ env "NOMAD_TASK_NAME" }} {{ env "node.unique.name" }} {{ env "attr.kernel.name" }} {{ env "MINE" }}
{{ range $i, $x := split "," "a,b" }}{{ $i }}={{ $x }} {{ end }}"""
    alloc_id = run(
        quick, template(text, "${NOMAD_SECRETS_DIR}/made/conf", Perms="0640", Uid=65534, Gid=65534),
        template("<<1>> {{2}}", "local/other", LeftDelim="<<", RightDelim=">>"),
        driver=driver, Env={"MINE": "x y"},
    )  # fmt: skip
    quick.wait_running(alloc_id)
    conf = file_of(quick, alloc_id, "secrets/made/conf")
    assert conf.read_text() == f"t {os.uname().nodename} linux x y\n0=a 1=b "
    assert (conf.stat().st_mode & 0o7777, conf.stat().st_uid, conf.stat().st_gid) == (0o640, 65534, 65534)
    assert file_of(quick, alloc_id, "local/other").read_text() == "1 {{2}}"
    assert file_of(quick, alloc_id, "local/other").stat().st_mode & 0o7777 == 0o644


def test_env_wins_over_the_tasks_own(quick):
    text = 'A=1\n# no\nexport B="two\\nlines" # yes\nC=\'{{ env "OWN" }}\'\n\nOWN=template'
    alloc_id = run(quick, template(text, "secrets/env", Envvars=True), steps=("env", "pause"), Env={"OWN": "task"})
    quick.wait_running(alloc_id)
    expected = {"A=1", "B=two", "lines", "C=task", "OWN=template"}
    wait_for(lambda: expected <= set(quick.output(alloc_id).splitlines()), "the environment")


def test_what_it_lacks_is_waited_for_and_told(quick):
    alloc_id = run(quick, template('{{ file "local/a" }}{{ file "/alloc/data/b" }}{{ file "local/c" }}{{ file "local/d" }}'))
    quick.wait_event(alloc_id, "Template")
    assert events(quick, alloc_id, "Template") == ["Missing: file(local/a), file(/alloc/data/b), file(local/c), and 1 more"]
    assert quick.task(alloc_id)["State"] == "pending"
    for path in ("t/local/a", "t/local/c", "t/local/d", "alloc/data/b"):
        (quick.alloc_dir(alloc_id) / path).write_text(Path(path).name)
    quick.wait_running(alloc_id)
    assert file_of(quick, alloc_id, "local/out").read_text() == "abcd"


def test_a_task_that_waits_for_its_templates_can_be_stopped(quick):
    alloc_id = run(quick, template('{{ file "local/never" }}'))
    quick.wait_event(alloc_id, "Template")
    quick.stop("job")
    quick.wait_dead(alloc_id)


def test_source_is_a_file_of_the_task(box):
    manager = box.manager(config=QUICK % "").start()
    (box.dir / "outside").write_text("secret")
    alloc_id = run(manager, {"SourcePath": "local/in.tpl", "DestPath": "local/out", "Splay": 0}, policy=restart(3))
    manager.wait_event(alloc_id, "Setup Failure")
    assert "the source of the template local/out: open local/in.tpl" in events(manager, alloc_id, "Setup Failure")[0]
    file_of(manager, alloc_id, "local/in.tpl").write_text("made of {{ env `NOMAD_JOB_ID` }}")
    manager.wait_running(alloc_id)
    assert file_of(manager, alloc_id, "local/out").read_text() == "made of job"


@pytest.mark.parametrize(
    "fields, words",
    [
        (template("x", "../../out"), "names no file beneath the task's directory"),
        (template(None), 'either "source" (a file) or "data"'),
        (template("x", SourcePath="y"), 'either "source" (a file) or "data"'),
        (template("x", ChangeMode="signal"), "add change_signal"),
        (template("x", ChangeMode="signal", ChangeSignal="SIGNOPE"), 'no signal "SIGNOPE"'),
        (template("x", ChangeMode="signal", ChangeSignal="SIGHUP", Envvars=True), "a signal cannot bring"),
        (template("x", ChangeMode="script"), "add change_script"),
        (template("x", ChangeMode="loud"), "loud"),
        (template("x", Perms="0999"), "are no permissions"),
        (template("x", Wait={"Min": 2 * SECOND, "Max": SECOND}), 'exchange them'),
        (template("a\n {{ plugin `x` }}"), 'local/out:2:5: the function "plugin" is not supported'),
        (template("{{ if }}"), "local/out:1:7: "),
        (template("{{ toUpper 1 2 }}"), 'local/out:1:4: "toUpper" takes 1 argument, and gets 2'),
        (template("{{ key `x` }}"), 'local/out:1:4: the function "key" is denied by the operator'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_known_at_registration(box, fields, words):
    manager = box.manager(config=QUICK % '    function_denylist = ["key"]\n').start()
    with pytest.raises(Exception) as error:
        run(manager, fields)
    assert words in str(error.value)


def test_two_templates_cannot_share_a_destination(quick):
    with pytest.raises(Exception, match="two templates of the task"):
        run(quick, template("x"), template("y"))


@pytest.mark.parametrize(
    "text, words",
    [
        ("{{ file `/etc/hostname` }}", "the task's directories (the agent's template { disable_file_sandbox = true }"),
        ("{{ file `local/../../../../../../etc/hostname` }}", "leads out of the task's directories"),
        ("{{ index (split `,` `a`) 5 }}", "local/out:1:4: index: the index 5 is out of range"),
        ("{{ range loop 100000 }}{{ range loop 100000 }}{{ end }}{{ end }}", "local/out:1:"),
        ("{{ secret `secret/x` }}", "this node has no Vault"),
    ],
)  # fmt: skip
def test_what_fails_while_it_runs_fails_the_task(quick, text, words):
    alloc_id = run(quick, template(text))
    quick.wait_dead(alloc_id)
    assert words in events(quick, alloc_id, "Setup Failure")[0]
    assert not file_of(quick, alloc_id, "local/out").exists()


# Changes


def start_with_file(manager, first="one", steps=("pause",), more="", driver="exec", **fields):
    """A task whose template reads data/in, which is there before; returns its id and that file."""
    alloc_id = run(manager, template(f'{{{{ file "/alloc/data/in" }}}}{more}', **fields), steps=steps, driver=driver)
    path = manager.alloc_dir(alloc_id) / "alloc/data/in"
    manager.wait_event(alloc_id, "Template")
    path.write_text(first)
    manager.wait_running(alloc_id)
    assert file_of(manager, alloc_id, fields.get("destination", "local/out")).read_text() == first + more
    return alloc_id, path


def test_a_change_restarts_the_task_and_counts_nothing(quick):
    alloc_id, path = start_with_file(quick)
    for n in range(1, 4):  # its restart policy allows none
        replace(path, f"change {n}")
        wait_for(lambda: restarts(quick, alloc_id) == n, f"restart {n}")
        quick.wait_running(alloc_id)
        assert file_of(quick, alloc_id, "local/out").read_text() == f"change {n}"
    assert events(quick, alloc_id, "Restart Signaled")[0].startswith("Template with change_mode restart re-rendered")


@pytest.mark.parametrize("what", ["instances", "watches"])
def test_changes_where_nothing_can_be_watched(box, what):
    manager = box.manager(config=QUICK % "").start([*WITHOUT_INOTIFY, what])
    alloc_id, path = start_with_file(manager, driver="raw_exec")
    for n in range(1, 3):
        replace(path, f"change {n}")
        wait_for(lambda: restarts(manager, alloc_id) == n, f"restart {n}")
        manager.wait_running(alloc_id)
        assert file_of(manager, alloc_id, "local/out").read_text() == f"change {n}"
    assert f"raise fs.inotify.max_user_{what}" in manager.log()


def test_a_change_that_renders_the_same_is_none(quick):
    alloc_id = run(quick, template('{{ file "/alloc/data/in" | trimSpace }}'))
    path = quick.alloc_dir(alloc_id) / "alloc/data/in"
    quick.wait_event(alloc_id, "Template")
    path.write_text("same")
    quick.wait_running(alloc_id)
    out = file_of(quick, alloc_id, "local/out")
    before = out.stat().st_ino
    replace(path, "same\n\n")
    replace(path, "other")
    wait_for(lambda: restarts(quick, alloc_id) == 1, "one restart")
    assert out.read_text() == "other" and out.stat().st_ino != before
    quick.wait_running(alloc_id)
    replace(path, "other ")
    replace(path, "last")
    wait_for(lambda: restarts(quick, alloc_id) == 2, "two restarts")


def test_a_signal(quick):
    alloc_id, path = start_with_file(
        quick, steps=("handle:USR1", "print:ready", "pause"), ChangeMode="signal", ChangeSignal="SIGUSR1"
    )
    wait_for(lambda: "ready" in quick.output(alloc_id), "the handler")
    replace(path, "two")
    wait_for(lambda: "caught=USR1" in quick.output(alloc_id), "the signal")
    assert restarts(quick, alloc_id) == 0


def test_a_task_that_cannot_be_signalled_fails(quick):
    """Its executor stands still, and its control pipe is full: what the signal failed of ends the task once it can."""
    alloc_id, path = start_with_file(
        quick, steps=("handle:USR1", "print:ready", "pause"), ChangeMode="signal", ChangeSignal="SIGUSR1"
    )
    wait_for(lambda: "ready" in quick.output(alloc_id), "the handler")
    pid = executor(quick, alloc_id)
    os.kill(pid, signal.SIGSTOP)
    try:
        pipe = os.open(records.task_dir(quick, alloc_id) / "ctl", os.O_WRONLY | os.O_NONBLOCK)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(pipe, b"\xff" * 4096)
        os.close(pipe)
        replace(path, "two")
        wait_for(lambda: "Template failed to send SIGUSR1" in quick.log(), "the failure")
    finally:
        os.kill(pid, signal.SIGCONT)
    quick.wait_client(alloc_id, "failed")
    assert any("Template failed to send SIGUSR1" in text for text in events(quick, alloc_id, "Killing"))
    assert "caught=USR1" not in quick.output(alloc_id)


def test_noop(quick):
    alloc_id, path = start_with_file(quick, ChangeMode="noop")
    replace(path, "two")
    wait_for(lambda: file_of(quick, alloc_id, "local/out").read_text() == "two", "the new content")
    assert restarts(quick, alloc_id) == 0 and quick.task(alloc_id)["State"] == "running"


def script(*steps, **fields):
    return {"Command": str(PAYLOAD_IN_ROOT), "Args": list(steps), "Timeout": 2 * SECOND * SLOW, **fields}


def test_a_script_runs_inside_the_task(quick):
    alloc_id, path = start_with_file(quick, ChangeMode="script", ChangeScript=script("write:/local/ran"))
    replace(path, "two")
    wait_for(lambda: file_of(quick, alloc_id, "local/ran").exists(), "the script")
    quick.wait_event(alloc_id, "Template", count=2)
    assert "ran" in events(quick, alloc_id, "Template")[-1] and restarts(quick, alloc_id) == 0


@pytest.mark.parametrize("fails", [False, True])
def test_a_script_that_fails(quick, fails):
    alloc_id, path = start_with_file(
        quick, ChangeMode="script", ChangeScript=script("print:alas", "exit:3", FailOnError=fails)
    )
    replace(path, "two")
    if fails:
        quick.wait_client(alloc_id, "failed")
    quick.wait_event(alloc_id, "Template", count=2)
    assert "exited with code 3: alas" in events(quick, alloc_id, "Template")[-1]
    assert fails or quick.task(alloc_id)["State"] == "running"


def test_a_script_without_an_end_is_killed(quick):
    alloc_id, path = start_with_file(quick, ChangeMode="script", ChangeScript=script("pause", Timeout=SECOND // 5))
    replace(path, "two")
    quick.wait_event(alloc_id, "Template", count=2)
    assert "took too long and was killed" in events(quick, alloc_id, "Template")[-1]
    assert quick.task(alloc_id)["State"] == "running"


def test_a_restart_wins_over_signals(quick):
    text = '{{ file "/alloc/data/in" }}'
    alloc_id = run(
        quick, template(text, "local/a", ChangeMode="signal", ChangeSignal="SIGUSR1"),
        template(text, "local/b"), steps=("handle:USR1", "pause"),
    )  # fmt: skip
    path = quick.alloc_dir(alloc_id) / "alloc/data/in"
    quick.wait_event(alloc_id, "Template")
    path.write_text("one")
    quick.wait_running(alloc_id)
    replace(path, "two")
    wait_for(lambda: restarts(quick, alloc_id) == 1, "the restart")
    quick.wait_running(alloc_id)
    assert "caught" not in quick.output(alloc_id)


def test_new_variables_come_with_the_restart(quick):
    alloc_id = run(quick, template('X={{ file "/alloc/data/in" }}', Envvars=True), steps=("env", "pause"))
    path = quick.alloc_dir(alloc_id) / "alloc/data/in"
    quick.wait_event(alloc_id, "Template")
    path.write_text("one")
    wait_for(lambda: "X=one" in quick.output(alloc_id), "the first value")
    replace(path, "two")
    wait_for(lambda: "X=two" in quick.output(alloc_id), "the second value")


# Managers and renderers that die


def renderers(manager):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            if "Name:\tcleat-template" in status and f"PPid:\t{manager.process.pid}\n" in status:
                found.append(int(pid))
        except OSError:
            pass
    return found


def test_a_change_while_no_manager_ran(quick):
    alloc_id, path = start_with_file(quick)
    quick.kill9()
    replace(path, "two")
    quick.start()
    wait_for(lambda: restarts(quick, alloc_id) == 1, "the restart")
    quick.wait_running(alloc_id)
    assert file_of(quick, alloc_id, "local/out").read_text() == "two"
    quick.kill9()
    quick.start()  # nothing has changed now
    replace(path, "three")  # and this is seen by a watch, or by the first round
    wait_for(lambda: restarts(quick, alloc_id) == 2, "the next restart")


def test_a_manager_killed_while_the_task_waits(quick):
    alloc_id = run(quick, template('{{ file "local/a" }}'))
    quick.wait_event(alloc_id, "Template")
    quick.kill9()
    quick.start()
    file_of(quick, alloc_id, "local/a").write_text("now")
    quick.wait_running(alloc_id)
    assert file_of(quick, alloc_id, "local/out").read_text() == "now"


def test_no_renderer_stays_for_files(quick):
    alloc_id, path = start_with_file(quick)
    wait_for(lambda: not renderers(quick), "the end of the renderer")
    replace(path, "two")
    wait_for(lambda: restarts(quick, alloc_id) == 1, "the restart")


# What tasks do to the destination


def test_links_of_the_task_are_not_followed(quick, box):
    victim = box.dir / "victim"
    victim.mkdir()
    alloc_id, path = start_with_file(quick, destination="local/d/out", ChangeMode="noop")
    directory = file_of(quick, alloc_id, "local/d")
    (directory / "out").unlink()
    (directory / "out").symlink_to(victim / "file")
    replace(path, "two")
    wait_for(lambda: not (directory / "out").is_symlink(), "a file in the place of the link")
    assert (directory / "out").read_text() == "two" and not list(victim.iterdir())
    directory.rename(directory.with_name("e"))
    directory.symlink_to(victim)
    replace(path, "three")
    quick.wait_event(alloc_id, "Template", count=2)
    assert "links are not followed" in events(quick, alloc_id, "Template")[-1]
    assert not list(victim.iterdir()) and quick.task(alloc_id)["State"] == "running"


def test_a_link_out_is_no_way_to_read(quick, box):
    (box.dir / "outside").write_text("secret")
    alloc_id = run(quick, template('{{ file "local/in" }}'))
    quick.wait_event(alloc_id, "Template")
    file_of(quick, alloc_id, "local/in").symlink_to(box.dir / "outside")
    quick.wait_dead(alloc_id)
    assert "leads out of the task's directories" in events(quick, alloc_id, "Setup Failure")[0]


def test_disable_file_sandbox(box):
    manager = box.manager(config=QUICK % "    disable_file_sandbox = true\n").start()
    (box.dir / "outside").write_text("for all")
    alloc_id = run(manager, template(f'{{{{ file "{box.dir}/outside" }}}}'))
    manager.wait_running(alloc_id)
    assert file_of(manager, alloc_id, "local/out").read_text() == "for all"
    replace(box.dir / "outside", "for some")
    wait_for(lambda: restarts(manager, alloc_id) == 1, "the restart")


# Variables, Consul, Vault


def test_variables_from_files(box):
    variables = box.dir / "variables"
    (variables / "nomad/jobs").mkdir(parents=True)
    (variables / "nomad/jobs/web.json").write_text('{"Path": "nomad/jobs/web", "Items": {"user": "u", "pw": "p"}}')
    manager = box.manager(config=QUICK % f'    variables_dir = "{variables}"\n').start()
    text = """{{ with nomadVar "nomad/jobs/web" }}{{ .user }}:{{ .pw }}{{ end }} {{ range nomadVarList "nomad" }}{{ .Path }}{{ end }}
{{ nomadVarExists "none" }} {{ with nomadVar "later" }}{{ .x }}{{ end }}"""
    alloc_id = run(manager, template(text, ChangeMode="noop"))
    manager.wait_event(alloc_id, "Template")
    assert events(manager, alloc_id, "Template") == ["Missing: nomad.var.block(later)"]
    replace(variables / "later.json", '{"x": "y"}')
    manager.wait_running(alloc_id)
    out = file_of(manager, alloc_id, "local/out")
    assert out.read_text() == "u:p nomad/jobs/web\nfalse y"
    replace(variables / "later.json", '{"x": "z"}')
    wait_for(lambda: out.read_text().endswith("false z"), "the changed variable")


def server_block(name, server, more=""):
    return f'{name} {{\n  enabled = true\n  address = "{server.address}"\n  token = "{server.token}"\n{more}}}\n'


def with_servers(box, *blocks, options=""):
    manager = box.manager(config=QUICK % options)
    manager.config_path.write_text(manager.config_path.read_text() + "".join(blocks))
    return manager.start()


def test_consul(box):
    with Consul(**{"app/name": "web", "app/port": "80", "app/sub/deep": "x"}) as consul:
        manager = with_servers(box, server_block("consul", consul), options=RETRY % ("consul", 12))
        consul.broken = 2  # which is waited for
        text = """{{ key "app/name" }} {{ keyOrDefault "none" "d" }} {{ keyExists "app/name" }} {{ range ls "app" }}{{ .Key }}={{ .Value }} {{ end }}
{{ (tree "app" | explode).sub.deep }} {{ key "later" }}"""
        alloc_id = run(manager, template(text))
        manager.wait_event(alloc_id, "Template")
        assert events(manager, alloc_id, "Template") == ["Missing: kv.block(later)"]
        consul.set("later", "now")
        manager.wait_running(alloc_id)
        out = file_of(manager, alloc_id, "local/out")
        assert out.read_text() == "web d true name=web port=80 \nx now"
        # Found by blocking queries; each is an answer of its own, so there may be two restarts.
        consul.set("app/name", "api")
        wait_for(lambda: out.read_text().startswith("api d true name=api"), "the changed key")
        wait_for(lambda: restarts(manager, alloc_id) >= 1, "the restart")
        os.kill(renderers(manager)[0], 9)
        consul.set("none", "some")
        wait_for(lambda: out.read_text().startswith("api some"), "the key, by the next renderer")
        manager.stop("job")
        manager.wait_dead(alloc_id)
        wait_for(lambda: not renderers(manager), "the end of the renderer")


def test_vault(box):
    secrets = {"app": {"user": "u", "pw": "p"}, "dir/x": {"n": 1}}
    with Vault(secrets, {"old": {"k": "v"}}, namespace="team") as vault:
        manager = with_servers(box, server_block("vault", vault, '  namespace = "team"\n'))
        text = """{{ with secret "secret/app" }}{{ .Data.data.user }}{{ end }} {{ with secret "secret/data/app" }}{{ .Data.data.pw }}{{ end }}
{{ with secret "kv1/old" }}{{ .Data.k }}{{ end }} {{ range secrets "secret/" }}{{ . }} {{ end }}{{ with secret "secret/later" }}{{ .Data.data.x }}{{ end }}"""
        alloc_id = run(manager, template(text, "secrets/out", ChangeMode="signal", ChangeSignal="SIGHUP"),
                       steps=("handle:HUP", "print:ready", "pause"))  # fmt: skip
        manager.wait_event(alloc_id, "Template")
        assert events(manager, alloc_id, "Template") == ["Missing: vault.read(secret/later)"]
        vault.secrets["later"] = {"x": "y"}
        wait_for(lambda: "ready" in manager.output(alloc_id), "the handler")
        out = file_of(manager, alloc_id, "secrets/out")
        assert out.read_text() in ("u p\nv app dir/x y", "u p\nv app dir/x later y")
        vault.secrets["app"] = {"user": "u", "pw": "changed"}
        wait_for(lambda: "caught=HUP" in manager.output(alloc_id), "the signal")
        wait_for(lambda: out.read_text().startswith("u changed"), "the new secret")


# TLS


@pytest.fixture
def certificates(box):
    """By name: (certificate, key) that sign themselves; "named" is for a name, the others for the address."""
    box.dir.chmod(0o755)
    made = {name: certificate(box.dir, name) for name in ("server", "other", "client")}
    made["named"] = certificate(box.dir, "named", san="DNS:vault.example.org")
    return made


def tls_block(name, server, **fields):
    return server_block(name, server, "".join(f"  {key} = {value}\n" for key, value in fields.items()))


def quoted(path):
    return f'"{path}"'


@pytest.mark.parametrize(
    "serves, fields",
    [("server", {"ca_file": "server"}), ("other", {"tls_skip_verify": "true"}),
     ("named", {"ca_file": "named", "tls_server_name": '"vault.example.org"'}), ("server", {"ca_path": "hashed"})],
)  # fmt: skip
def test_vault_by_tls(box, certificates, serves, fields):
    fields = {key: quoted(certificates[value][0]) if value in certificates else value for key, value in fields.items()}
    if fields.get("ca_path"):
        hashed = box.dir / "hashed"
        hashed.mkdir()
        (hashed / "server.pem").write_bytes(certificates["server"][0].read_bytes())
        subprocess.run(["openssl", "rehash", hashed], check=True)
        fields["ca_path"] = quoted(hashed)
    with Vault({"app": {"pw": "p"}}) as vault:
        vault.use_tls(certificates[serves])
        manager = with_servers(box, tls_block("vault", vault, **fields))
        alloc_id = run(manager, template('{{ with secret "secret/app" }}{{ .Data.data.pw }}{{ end }}', "secrets/out"))
        manager.wait_running(alloc_id)
        assert file_of(manager, alloc_id, "secrets/out").read_text() == "p"


@pytest.mark.parametrize(
    "serves, fields, words",
    [("other", {"ca_file": "server"}, "certificate"), ("named", {"ca_file": "named"}, "no alternative certificate"),
     ("server", {"ca_file": "server", "tls_server_name": '"vault.example.org"'}, "no alternative certificate"),
     ("server", {}, "certificate")],
)  # fmt: skip
def test_a_server_that_is_not_who_it_says_gets_no_token(box, certificates, serves, fields, words):
    fields = {key: quoted(certificates[value][0]) if value in certificates else value for key, value in fields.items()}
    with Vault({"app": {}}) as vault:
        vault.use_tls(certificates[serves])
        manager = with_servers(box, tls_block("vault", vault, **fields), options=RETRY % ("vault", 2))
        alloc_id = run(manager, template('{{ with secret "secret/app" }}{{ end }}'))
        manager.wait_dead(alloc_id)
        message = events(manager, alloc_id, "Setup Failure")[0]
        assert "Vault at https://127.0.0.1" in message and words in message and vault.token not in message
        assert vault.requests == []


@pytest.mark.parametrize("shows", ["client", "other", None])
def test_a_server_that_asks_for_a_certificate(box, certificates, shows):
    fields = {"ca_file": quoted(certificates["server"][0])}
    if shows:
        fields.update(zip(("cert_file", "key_file"), map(quoted, certificates[shows])))
    with Vault({"app": {"pw": "p"}}) as vault:
        vault.use_tls(certificates["server"], client=certificates["client"][0])
        manager = with_servers(box, tls_block("vault", vault, **fields), options=RETRY % ("vault", 2))
        alloc_id = run(manager, template('{{ with secret "secret/app" }}{{ .Data.data.pw }}{{ end }}'))
        if shows == "client":
            manager.wait_running(alloc_id)
            assert file_of(manager, alloc_id, "local/out").read_text() == "p"
        else:
            manager.wait_dead(alloc_id)
            assert "Vault at https://127.0.0.1" in events(manager, alloc_id, "Setup Failure")[0]
            assert vault.requests == []


@pytest.mark.parametrize("verify", ["true", "false"])
def test_consul_by_tls(box, certificates, verify):
    """Its address is one without a scheme, as Nomad has it."""
    with Consul(k="one") as consul:
        consul.use_tls(certificates["server"])
        consul.address = consul.address[len("https://"):]
        more = {"ca_file": quoted(certificates["server"][0])} if verify == "true" else {}
        manager = with_servers(box, tls_block("consul", consul, ssl="true", verify_ssl=verify, **more))
        alloc_id = run(manager, template('{{ key "k" }}', ChangeMode="noop"))
        manager.wait_running(alloc_id)
        out = file_of(manager, alloc_id, "local/out")
        assert out.read_text() == "one"
        consul.set("k", "two")
        wait_for(lambda: out.read_text() == "two", "the changed key")


def test_consul_refuses(box):
    with Consul(k="v") as consul:
        manager = with_servers(box, server_block("consul", consul).replace(consul.token, "wrong"))
        alloc_id = run(manager, template('{{ key "k" }}'))
        manager.wait_dead(alloc_id)
        message = events(manager, alloc_id, "Setup Failure")[0]
        assert "local/out:1:4: key: Consul refuses (status 403)" in message and "wrong" not in message


def test_vault_refuses(box):
    with Vault({"app": {}}) as vault:
        manager = with_servers(box, server_block("vault", vault).replace(vault.token, "wrong"))
        alloc_id = run(manager, template('{{ with secret "secret/app" }}{{ end }}'))
        manager.wait_dead(alloc_id)
        message = events(manager, alloc_id, "Setup Failure")[0]
        assert "local/out:1:9: secret: Vault refuses (status 403)" in message and "wrong" not in message


def test_once_leaves_nobody_behind(box):
    with Consul(k="v") as consul:
        manager = with_servers(box, server_block("consul", consul))
        alloc_id = run(manager, template('{{ key "k" }}', Once=True))
        manager.wait_running(alloc_id)
        wait_for(lambda: not renderers(manager), "the end of the renderer")


# By hand


def test_check(box):
    good, bad = box.dir / "good", box.dir / "bad"
    good.write_text("{{ env `X` }}")
    bad.write_text("\n{{ nope }}")
    program = str(BUILD / "bin/cleat-template")
    assert subprocess.run([program, "-check", good], timeout=20).returncode == 0
    done = subprocess.run([program, "-check", good, bad], timeout=20, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith(f'{bad}:2:4: there is no function "nope"')
    assert subprocess.run([program, "--version"], timeout=20, capture_output=True).stdout.startswith(b"cleat-template ")
    assert subprocess.run([program, "-what"], timeout=20, capture_output=True).returncode == 64
