# SPDX-License-Identifier: MIT
"""cleat-fetch from what is more than a server of files: S3, git, hg."""
import base64
import os
import stat
import subprocess

import pytest

import artifact_server as faults
from fetching import BLOB, fetch, git, repository, server  # noqa: F401 (two of them are fixtures)
from harness import wait_for


# Buckets

def test_s3(fetch, server):
    keys = {"aws_access_key_id": "AKID", "aws_access_key_secret": "se/cr+et"}
    url = server.put("/bucket/a%20key/x", BLOB, faults.s3("AKID", "se/cr+et", "eu-west-1"))
    fetch.good("s3::" + url, options={**keys, "region": "eu-west-1"})
    assert fetch.names() == ["x"]
    fetch.bad("s3::" + url, "403", options={**keys, "region": "us-east-1"})
    fetch.bad("s3::" + url, "403", options={**keys, "aws_access_key_secret": "x", "region": "eu-west-1"})
    fetch.bad("s3::" + url, "403", options={"region": "eu-west-1"})
    fetch.env.update({"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "se/cr+et", "AWS_SESSION_TOKEN": "tok"})
    url = server.put("/bucket/y", BLOB, faults.s3("AKID", "se/cr+et", "us-east-1", "tok"))
    fetch.good("s3::" + url)


KEYS = {"aws_access_key_id": "AKID", "aws_access_key_secret": "se/cr+et", "region": "eu-west-1"}


@pytest.fixture
def bucket(server):
    return faults.Bucket(server, server.url + "/b.u-cket", "AKID", "se/cr+et", "eu-west-1")


def test_a_directory_of_s3(fetch, server, bucket):
    """Its objects become files: also of strange names, on several pages, and one that breaks off."""
    files = {"f": b"1", "sub/deep/g": BLOB, "a b+c&d<e>.txt": b"2", "\u00fcber/%41": b"3", "empty": b"", "sub/h": b"4"}
    for name, data in files.items():
        bucket.put("dir/" + name, data, faults.cuts(1) if data == BLOB else None)
    for name in "dir/", "dir/sub/", "dir2/x", "di", "other/dir/x":
        bucket.put(name, b"")
    for i, (path, mode) in enumerate([("/dir", "any"), ("/dir/", "any"), ("/dir", "dir")]):
        fetch.good(f"s3::{bucket.url}{path}", f"t/local/{i}", mode=mode, options=KEYS)
        place = fetch.local / str(i)
        assert {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()} == files
        assert all(stat.S_IMODE(p.stat().st_mode) == 0o644 for p in place.rglob("*") if p.is_file())
    assert bucket.listed == 12
    fetch.good(f"s3::{bucket.url}/dir/sub", "t/local/sub", options=KEYS)
    assert sorted(p.name for p in (fetch.local / "sub").rglob("*")) == ["deep", "g", "h"]
    fetch.good(f"s3::{bucket.url}/", "t/local/all", options=KEYS)
    assert sorted(os.listdir(fetch.local / "all")) == ["di", "dir", "dir2", "other"]


def test_an_object_comes_before_a_directory(fetch, bucket):
    bucket.put("x", b"the object")
    bucket.put("x/y", b"beneath it")
    fetch.good(f"s3::{bucket.url}/x", options=KEYS)
    assert (fetch.local / "x").read_text() == "the object" and not bucket.listed
    bucket.put("z/y", b"")
    for order in {"mode": "file"}, {"options": {**KEYS, "checksum": "md5:" + 32 * "0"}}, {"options": {**KEYS, "archive": "tar"}}:
        fetch.bad(f"s3::{bucket.url}/z", "404", "no such file", destination="t/local/z", **{"options": KEYS, **order})
        fetch.bad(f"s3::{bucket.url}/z/", "needs the mode", destination="t/local/z", **{"options": KEYS, **order})
    assert not bucket.listed
    fetch.bad(f"s3::{bucket.url}/zz", "404", "no such file", destination="t/local/z", options=KEYS)
    fetch.bad(f"s3::{bucket.url}/zz/", "no object beneath", destination="t/local/z", options=KEYS)
    assert bucket.listed == 2


def test_buckets_by_name_and_by_token(fetch, server):
    """Amazon's own addresses, by a proxy; keys that hold for some time; an endpoint of somebody else."""
    fetch.env.update({"http_proxy": server.url, "no_proxy": "127.0.0.1"})
    for i, (url, region) in enumerate([
        ("http://b.s3.eu-west-1.amazonaws.com", "eu-west-1"), ("http://b.s3-us-west-2.amazonaws.com", "us-west-2"),
        ("http://b.s3.amazonaws.com", "us-east-1"), ("http://s3.eu-north-1.amazonaws.com/b", "eu-north-1"),
        (server.url + "/b", "us-east-1"),
    ]):  # fmt: skip
        bucket = faults.Bucket(server, url, "AKID", "se/cr+et", region, "to/ken+=")
        bucket.put("d/one", b"1")
        options = {"aws_access_key_id": "AKID", "aws_access_key_secret": "se/cr+et", "aws_access_token": "to/ken+="}
        fetch.good(f"s3::{url}/d", f"t/local/{i}", options=options)
        fetch.good(f"s3::{url}/d/one", f"t/local/{i}-one", options=options)
        assert (fetch.local / str(i) / "one").read_bytes() == b"1"
        fetch.bad(f"s3::{url}/d", "403", destination="t/local/x", options={**options, "aws_access_token": "other"})


def test_a_version_of_an_object(fetch, server):
    def answer(handler, data, n):
        faults.whole(handler, handler.path.partition("?")[2].encode())

    url = server.put("/b/x", b"", faults.s3("AKID", "se/cr+et", "eu-west-1", answer=answer))
    fetch.good(f"s3::{url}?version=a%2Bb", options=KEYS)
    assert (fetch.local / "x").read_bytes() == b"versionId=a%2Bb"


def test_lists_that_are_refused(fetch, server, bucket):
    url, place = f"s3::{bucket.url}/dir", {"destination": "t/local/d", "options": KEYS}
    for key, words in ("dir/../../x", "\"..\""), ("dir//etc/x", "absolute"), ("dir/" + "d/" * 101 + "f", "directories deep"):
        bucket.objects = {key: b"x"}
        fetch.bad(url, words, **place)
    bucket.objects = {}
    bucket.put("dir/a", b"x")
    bucket.put("dir/a/b", b"x")
    fetch.bad(url, "dir/a/b", **place)
    bucket.objects = {f"dir/{i}": b"" for i in range(101)}
    fetch.bad(url, "decompression_file_count_limit", **place)
    bucket.objects = {"dir/a": bytes(600), "dir/b": bytes(600)}
    fetch.bad(url, "http_max_size", max_bytes=1000, **place)
    contents, end = "<ListBucketResult><Contents><Key>%s</Key><Size>%s</Size></Contents>", "</ListBucketResult>"
    for text, words in [
        ("", "damaged"), ("<Error/>", "something else"), ("<html><body>", "something else"), (contents % ("x", 1), "damaged"),
        (contents % ("other", 1) + end, "not asked for"), (contents % ("dir/x", "y") + end, "no number"),
        (contents % ("dir/" + "x" * 1100, 1) + end, "too long"), (contents % ("dir/x", 1 << 62) + end, "no number"),
        ("<!DOCTYPE a [<!ENTITY b 'x'>]>" + contents % ("dir/&b;", 1) + end, "document type"),
        ("<ListBucketResult><IsTruncated>true</IsTruncated>" + end, "does not say where"),
        ("<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken>" + end, "does not say where"),
    ]:  # fmt: skip
        server.put(bucket.path + "/", text.encode(), faults.s3(*bucket.keys))
        fetch.bad(url, words, **place)
    server.put(bucket.path + "/", b"", faults.fails(99, 403))
    fetch.bad(url, "404", "cannot be listed", "403", **place)
    assert fetch.names() in ([], ["d"])


def test_what_a_repository_links_to_is_looked_at(fetch, server, box):
    repository(box, server, link=str(fetch.outside))
    fetch.bad(f"git::{server.url}/repo.git", "symbolic link")
    assert not fetch.names()
    fetch.good(f"git::{server.url}/repo.git", inspected=False)


# Repositories

def test_git(fetch, server, box):
    commits = repository(box, server)
    url = f"git::{server.url}/repo.git"
    for i, (source, options, text) in enumerate([
        (url, {}, "three"), (url + "?ref=v1", {}, "one"), (url, {"ref": commits[1]}, "two"),
        (url + "//sub", {"ref": "v1"}, "one"),
    ]):  # fmt: skip
        fetch.good(source, f"t/local/{i}", options=options)
        place = fetch.local / str(i) / ("f" if "//sub" in source else "sub/f")
        assert place.read_text() == text and place.stat().st_uid == 0
    fetch.bad(url, "nosuch", destination="t/local/x", options={"ref": "nosuch"})
    fetch.bad(f"git::{server.url}/nothing", "git", destination="t/local/x")
    code, text, _ = fetch.run("git::ext::sh -c x")
    assert code == 65


def test_git_over_ssh(fetch, box):
    """With the key of the job: an ssh of ours, first in PATH, shows what it would have used."""
    shown = box.dir / "bin"
    shown.mkdir()
    (shown / "ssh").write_text('#!/bin/sh\nfor word; do [ -f "$word" ] && stat -c "key %a" "$word" >&2 && cat "$word" >&2\n'
                               'done\necho "$@" >&2\nexit 1\n')
    (shown / "ssh").chmod(0o755)
    fetch.env["PATH"] = f"{shown}:{fetch.env['PATH']}"
    key = base64.b64encode(b"the key").decode()
    text = fetch.bad("git::git@127.0.0.1:owner/repo", "key 600", "the key", "IdentitiesOnly=yes", "owner/repo",
                     options={"sshkey": key}, extra_paths=[f"d:rx:{shown}"])
    assert "StrictHostKeyChecking=accept-new" in text
    fetch.bad("git::git@127.0.0.1:owner/repo", "not base64", options={"sshkey": "!"})


def test_git_daemon(fetch, server, box):
    repository(box, server)
    with subprocess.Popen(
        ["git", "daemon", "--export-all", f"--base-path={box.dir}", "--listen=127.0.0.1", "--port=0",
         "--log-destination=stderr", "--verbose", "--reuseaddr", f"--pid-file={box.dir}/daemon"],
        stderr=subprocess.DEVNULL, start_new_session=True,
    ) as daemon:  # fmt: skip
        try:
            port = wait_for(lambda: listening_port(box.dir / "daemon"), "git daemon")
            fetch.good(f"git://127.0.0.1:{port}/repo.git", "t/local/x", options={"depth": "1", "ref": "main"})
            assert git(fetch.local / "x", "rev-list", "--count", "HEAD") == "1"
        finally:
            os.killpg(daemon.pid, 15)


def listening_port(pid_file):
    """The TCP port a process listens on."""
    if not pid_file.exists() or not pid_file.read_text().strip():
        return None
    fds = f"/proc/{pid_file.read_text().strip()}/fd"
    sockets = {os.readlink(f"{fds}/{fd}") for fd in os.listdir(fds)}
    for line in open("/proc/net/tcp").readlines()[1:]:
        words = line.split()
        if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
            return int(words[1].split(":")[1], 16)
    return None


def test_hg(fetch, box):
    work = box.dir / "hg"
    subprocess.run(["hg", "init", work], check=True)
    for text in "one", "two":
        (work / "f").write_text(text)
        subprocess.run(["hg", "commit", "-A", "-q", "-u", "t", "-m", text], cwd=work, check=True)
    with subprocess.Popen(
        ["hg", "serve", "-p", "0", "-a", "127.0.0.1", "--pid-file", box.dir / "pid"], cwd=work,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as served:  # fmt: skip
        try:
            port = wait_for(lambda: listening_port(box.dir / "pid"), "hg serve")
            fetch.good(f"hg::http://127.0.0.1:{port}/", "t/local/a")
            fetch.good(f"hg::http://127.0.0.1:{port}/", "t/local/b", options={"rev": "0"})
            # no number: "9" may be the beginning of a changeset's name
            fetch.bad(f"hg::http://127.0.0.1:{port}/", "hg failed", destination="t/local/c", options={"rev": "nosuch"})
        finally:
            served.terminate()
    assert (fetch.local / "a/f").read_text() == "two" and (fetch.local / "b/f").read_text() == "one"
