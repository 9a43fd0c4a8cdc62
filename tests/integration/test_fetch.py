# SPDX-License-Identifier: MIT
"""cleat-fetch by its orders: servers with faults, hostile archives, places that are not to be written."""
import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import subprocess
import tarfile
import zipfile

import pytest

import artifact_server as faults
from artifact_server import Server
from fetching import BLOB, fetch, repository, server  # noqa: F401 (two of them are fixtures)
from harness import BUILD, wait_for


# Places and modes

def test_where_a_file_goes(fetch, server):
    url = server.put("/a%20b.bin", BLOB)
    fetch.good(url)
    fetch.good(url, "t/local/dir")
    fetch.good(url, "t/local/deep/er/name", mode="file")
    fetch.good(url, "t/local/dir2", mode="dir", options={"filename": "x"})
    assert fetch.names() == ["a b.bin", "deep", "deep/er", "deep/er/name", "dir", "dir/a b.bin", "dir2", "dir2/x"]
    info = (fetch.local / "a b.bin").stat()
    assert (fetch.local / "a b.bin").read_bytes() == BLOB and info.st_uid == 0
    assert stat.S_IMODE(info.st_mode) == 0o644
    fetch.good(url, "t/local/mine", mode="file", chown=True, uid=1234, gid=4321, executable=True)
    info = (fetch.local / "mine").stat()
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (1234, 4321, 0o755)


def test_what_is_there_makes_room(fetch, server):
    (fetch.local / "d/sub").mkdir(parents=True)
    (fetch.local / "d/f").write_text("old")
    (fetch.local / "d/stays").write_text("old")
    (fetch.local / "d/link").symlink_to(fetch.outside / "file")
    (fetch.local / "d/dirlink").symlink_to(fetch.outside)
    fetch.good(server.put("/x.tar", tar(("f", b"new"), ("sub/g", b"new"), ("link", b"new"), ("dirlink/h", b"new"))),
               "t/local/d")
    assert fetch.names() == ["d", "d/dirlink", "d/dirlink/h", "d/f", "d/link", "d/stays", "d/sub", "d/sub/g"]
    assert (fetch.local / "d/f").read_text() == "new" == (fetch.local / "d/link").read_text()
    fetch.bad(server.put("/y.tar", tar(("sub", b"a file"))), "sub", "place", destination="t/local/d")


@pytest.mark.parametrize("mode", ["any", "file"])
def test_links_of_a_task_are_not_followed(fetch, server, mode):
    url = server.put("/file", BLOB)
    (fetch.local / "out").symlink_to(fetch.outside)
    fetch.bad(url, "link", recoverable=False, destination="t/local/out/x", mode=mode)
    fetch.bad(url, "link", recoverable=False, destination="t/local/out" + ("/x" if mode == "file" else ""), mode=mode)
    (fetch.local / "file").symlink_to(fetch.outside / "file")
    fetch.good(url, "t/local" + ("/file" if mode == "file" else ""), mode=mode)
    assert not (fetch.local / "file").is_symlink()


def test_bad_orders(fetch, server):
    url = server.put("/x", BLOB)
    for change in [{"destination": "../x"}, {"destination": "/x"}, {"destination": "t//x"}, {"stage": "a/b"},
                   {"mode": "link"}, {"max_bytes": 0}, {"timeout": 0}, {"uid": -1}, {"headers": {"a\nb": "c"}},
                   {"options": {"checksum": "sha256:zz"}}, {"source": "nothing"}, {"source": 1},
                   {"extra_paths": [1]}]:
        code, text, _ = fetch.run(**{"source": url, **change})
        assert code == 65 and text, change
    assert not server.requests and not fetch.names()


# Servers

def test_checksums(fetch, server):
    url = server.put("/x", BLOB)
    for kind in "md5", "sha1", "sha256", "sha512":
        good = hashlib.new(kind, BLOB).hexdigest()
        fetch.good(url, options={"checksum": f"{kind}:{good.upper()}"})
        fetch.good(f"{url}?checksum={kind}:{good}")
        (fetch.local / "x").unlink()
        bad = hashlib.new(kind, b"").hexdigest()
        assert good in fetch.bad(url, "checksum", bad, options={"checksum": f"{kind}:{bad}"})
        assert not fetch.names()


def test_requests(fetch, server):
    url = server.put("/x", BLOB, faults.asks_for("X-Token", "secret"))
    assert "secret" not in fetch.bad(url + "?token=secret", "401", "headers")
    fetch.good(url + "?a=1&archive=false", options={"token": "a b"}, headers={"X-Token": "secret"})
    assert server.requests[-1][1]["User-Agent"].startswith("cleat-fetch/")


def test_netrc(fetch, server, box):
    netrc = box.dir / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pw\n")
    netrc.chmod(0o600)
    url = server.put("/x", BLOB, faults.asks_for("Authorization", "Basic bWU6cHc="))
    fetch.bad(url, "401")
    fetch.env["NETRC"] = str(netrc)
    fetch.good(url)


def test_proxy_of_the_environment(fetch, server):
    proxied = []

    def proxy(handler, data, n):
        proxied.append(handler.path)
        faults.whole(handler, data)

    server.put("http://nowhere.invalid/x", BLOB, proxy)
    fetch.env["http_proxy"] = server.url
    fetch.good("http://nowhere.invalid/x")
    assert proxied == ["http://nowhere.invalid/x"]


def fault_name(value):
    """For a test's id; None: as pytest has it."""
    return value.__qualname__.partition(".")[0] if callable(value) else None


@pytest.mark.parametrize("fault,requests", [
    (faults.cuts(1), 2), (faults.cuts(3), 4), (faults.cuts_without_ranges(1), 2), (faults.changes, 2),
    (faults.sends_another_part, 3), (faults.fails(2), 3), (faults.fails(1, 429), 2),
], ids=fault_name)  # fmt: skip
def test_faults_that_pass(fetch, server, fault, requests):
    fetch.good(server.put("/x", BLOB, fault), options={"checksum": "md5:" + hashlib.md5(BLOB).hexdigest()})
    assert (fetch.local / "x").read_bytes() == BLOB
    assert server.count("/x") == requests


def test_only_the_rest_is_asked_for(fetch, server):
    fetch.good(server.put("/x", BLOB, faults.cuts(1)))
    assert server.requests[1][1]["Range"] == f"bytes={len(BLOB) // 2}-"
    assert server.requests[1][1]["If-Range"] == faults.etag(BLOB)


@pytest.mark.parametrize("kind", ["tar.gz", "zip", "gz"])
@pytest.mark.parametrize("fault", [
    faults.cuts(3), faults.cuts_without_ranges(2), faults.changes, faults.sends_another_part
], ids=fault_name)  # fmt: skip
def test_an_archive_whose_download_breaks_off(fetch, server, kind, fault):
    """What was unpacked of another version, or of the first half, is not in what there is in the end."""
    data = {"tar.gz": tar(*FILES, ("noise", os.urandom(1 << 20)), kind="gz"), "zip": zipped(*FILES),
            "gz": gzip.compress(BLOB)}[kind]  # fmt: skip
    fetch.good(server.put(f"/x.{kind}", data, fault), options={"checksum": "md5:" + hashlib.md5(data).hexdigest()})
    good = {"tar.gz": ["bin", "bin/tool", "lib", "lib/empty", "lib/über.txt", "noise"],
            "zip": ["bin", "bin/tool", "lib", "lib/empty", "lib/über.txt"], "gz": ["x"]}[kind]  # fmt: skip
    assert fetch.names() == good
    assert (fetch.local / ("x" if kind == "gz" else "lib/über.txt")).read_bytes() == BLOB


def test_it_is_unpacked_while_it_comes_in(fetch, server):
    """And is not in its place before all of it has come and is what it should be."""
    data = tar(("first", BLOB), ("second", os.urandom(1 << 20)), kind="gz")
    inside = fetch.local / ".stage/work/out"

    def half(handler, data, n):
        faults.part(handler, data)
        handler.wfile.write(data[:len(data) // 2])
        handler.wfile.flush()
        wait_for(lambda: (inside / "second").exists(), "the first of two files")
        assert (inside / "first").read_bytes() == BLOB
        assert os.listdir(fetch.local) == [".stage"]
        seen.append(n)
        handler.wfile.write(data[len(data) // 2:])

    for good in True, False:
        seen = []
        url = server.put(f"/{good}.tar.gz", data, half)
        sum = hashlib.md5(data if good else b"").hexdigest()
        if good:
            fetch.good(url, options={"checksum": f"md5:{sum}"})
            assert fetch.names() == ["first", "second"]
            for name in fetch.names():
                (fetch.local / name).unlink()
        else:
            fetch.bad(url, "its checksum", sum, options={"checksum": f"md5:{sum}"})
            assert not fetch.names()
        assert seen == [1]


def test_a_bad_archive_is_not_got_to_its_end(fetch, server):
    """But where a checksum could tell that it is another file than the one meant."""
    bad = tar(("../x", b"x"))
    url = server.put("/x.tar", bad + bytes(1 << 20), faults.endless)
    fetch.bad(url, "leads out", max_bytes=1 << 40)
    url = server.put("/text.tar.gz", b"no archive at all", faults.whole_with_ranges)
    fetch.bad(url, "its checksum is", options={"checksum": "md5:" + 32 * "0"})


def killed(fetch, server, path, data, order):
    """Kills cleat-fetch when half of it is there. Returns how much that is."""
    kept = fetch.local / ".stage/work/download"
    order = {"source": server.put(path, data, faults.stops_halfway), **order}
    server.gate.clear()
    before = set(os.listdir(fetch.local))
    with fetch.start(**order) as process:
        wait_for(lambda: kept.exists() and kept.stat().st_size >= len(data) // 2, "half of it")
        process.kill()
    wait_for(lambda: not fetch_processes(fetch), "the end of the download")
    server.gate.set()
    assert set(os.listdir(fetch.local)) == before | {".stage"}
    return kept.stat().st_size


def fetch_processes(fetch):
    """Whoever has something beneath the stage for its working directory."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if comm(pid) == "cleat-fetch" and os.stat(f"/proc/{pid}/cwd").st_ino in stage_inodes(fetch):
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def stage_inodes(fetch):
    return {p.stat().st_ino for p in (fetch.local / ".stage").rglob("*") if p.is_dir()}


@pytest.mark.parametrize("name,checked", [("x", False), ("x.tar.gz", True), ("x.zip", False)])
def test_the_next_attempt_goes_on_with_what_a_killed_one_left(fetch, server, name, checked):
    data = {"x": BLOB, "x.tar.gz": tar(("f", BLOB), ("g", os.urandom(1 << 20)), kind="gz"),
            "x.zip": zipped(("f", BLOB), ("g", os.urandom(1 << 20)))}[name]  # fmt: skip
    order = {"options": {"checksum": "md5:" + hashlib.md5(data).hexdigest()}} if checked else {}
    size = killed(fetch, server, "/" + name, data, order)
    fetch.good(f"{server.url}/{name}", **order)
    (_, first), (_, second) = server.requests
    assert "Range" not in first and second["Range"] == f"bytes={size - 1}-" and second["If-Range"] == faults.etag(data)
    assert (fetch.local / ("x" if name == "x" else "f")).read_bytes() == BLOB
    assert fetch.names() == (["x"] if name == "x" else ["f", "g"])


def test_a_download_that_was_whole_when_it_was_killed(fetch, server):
    killed(fetch, server, "/x", BLOB, {})
    (fetch.local / ".stage/work/download").write_bytes(BLOB)
    fetch.good(server.url + "/x")
    assert server.requests[1][1]["Range"] == f"bytes={len(BLOB) - 1}-" and fetch.names() == ["x"]
    assert (fetch.local / "x").read_bytes() == BLOB


def test_another_order_or_version_begins_anew(fetch, server):
    killed(fetch, server, "/x", BLOB, {})
    fetch.good(server.url + "/x", headers={"X-Other": "1"})
    assert "Range" not in server.requests[1][1]
    killed(fetch, server, "/y", BLOB, {})
    newer = bytes(reversed(BLOB))
    fetch.good(server.put("/y", newer, faults.whole_with_ranges))
    assert "Range" in server.requests[3][1] and (fetch.local / "y").read_bytes() == newer


def test_what_was_put_in_the_place_of_a_part_is_not_used(fetch, server):
    """By whoever may write to the destination: links, names of other files, anything but the file itself."""
    stage = fetch.local / ".stage"
    for kind in "symlink", "hard_link", "directory", "owner", "stage":
        killed(fetch, server, "/" + kind, BLOB, {})
        part = stage / "work/download"
        if kind == "owner":
            os.chown(part, 12345, 12345)
        elif kind == "stage":
            stage.rename(fetch.local / "elsewhere")
            stage.symlink_to(fetch.local / "elsewhere")
        else:
            part.unlink()
            if kind == "symlink":
                part.symlink_to(fetch.outside / "file")
            elif kind == "hard_link":
                os.link(fetch.outside / "file", part)
            else:
                (part / "deep").mkdir(parents=True)
        requests = len(server.requests)
        fetch.good(f"{server.url}/{kind}")
        assert "Range" not in server.requests[requests][1], kind
        assert (fetch.local / kind).read_bytes() == BLOB and not (fetch.local / kind).is_symlink()


def test_without_a_version_nothing_is_gone_on_with(fetch, server):
    url = server.put("/x", BLOB, faults.waits)
    server.gate.clear()
    with fetch.start(url) as process:
        wait_for(lambda: (fetch.local / ".stage/work/download").exists(), "the file")
        wait_for(lambda: (fetch.local / ".stage/work/download").stat().st_size >= len(BLOB) // 2, "half of it")
        process.kill()
    assert not (fetch.local / ".stage/work/download.note").exists()
    server.gate.set()
    fetch.good(url)
    assert "Range" not in server.requests[1][1] and (fetch.local / "x").read_bytes() == BLOB


def test_faults_that_stay(fetch, server):
    fetch.bad(server.put("/404", BLOB, faults.fails(9, 404)), "404", "no such file")
    assert server.count("/404") == 1
    fetch.bad(server.put("/more", BLOB, faults.promises_more), "/more", timeout=1)
    fetch.bad(server.put("/loop", BLOB, faults.redirects_to("/loop")), "redirected more than 10")
    fetch.bad(server.put("/away", BLOB, faults.redirects_to("file:///etc/passwd")), "redirected")
    fetch.bad("http://127.0.0.1:9/x", "connect", timeout=1)
    fetch.bad("http://nowhere.invalid/x", "resolve", timeout=1)
    fetch.bad(server.put("/slow", BLOB, faults.waits), "timed out", timeout=1.5)
    assert not fetch.names()


def test_redirects(fetch, server):
    url = server.put("/there", BLOB)
    fetch.good(server.put("/here", b"", faults.redirects_to(url)))
    assert (fetch.local / "here").read_bytes() == BLOB


def test_size_limits(fetch, server):
    fetch.bad(server.put("/x", BLOB), "http_max_size", max_bytes=len(BLOB) - 1)
    fetch.bad(server.put("/endless", BLOB, faults.endless), "http_max_size", max_bytes=1 << 20)
    fetch.good(server.url + "/x", max_bytes=len(BLOB))


def test_certificates(fetch, box):
    right, wrong = (faults.certificate(box.dir, name, f"IP:{ip}") for name, ip in
                    (("right", "127.0.0.1"), ("wrong", "127.0.0.2")))
    for pair, good in (right, True), (wrong, False):
        server = Server(tls=pair)
        try:
            url = server.put("/x", BLOB)
            fetch.env.pop("SSL_CERT_FILE", None)
            fetch.bad(url, "certificate is not to be trusted")
            fetch.good(url, insecure=True)
            fetch.env["SSL_CERT_FILE"] = str(pair[0])
            if good:
                fetch.good(url)
                fetch.bad(server.put("/down", b"", faults.redirects_to("http://127.0.0.1/x")), "not https")
            else:
                fetch.bad(url, "certificate is not to be trusted")
        finally:
            server.close()


def test_files_of_the_host(fetch):
    source = fetch.outside / "file"
    for url in f"file://{source}", str(source):
        fetch.bad(url, "not allowed", recoverable=False)
        fetch.bad(url, "not allowed", recoverable=False, file_paths=["/usr", str(fetch.outside)[:-1]])
        fetch.good(url, file_paths=["/usr", str(fetch.outside)])
    assert (fetch.local / "file").read_text() == "untouched"
    (fetch.local / "link").symlink_to("/etc/passwd")
    fetch.bad(str(fetch.local / "link"), "not allowed", recoverable=False, file_paths=[str(fetch.local)])


# Archives

TYPES = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)


def tar(*members, kind="", **defaults):
    """`members`: (name, bytes) for files, or (name, type, linkname)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:" + kind, format=tarfile.PAX_FORMAT) as archive:
        for name, content, *link in members:
            info = tarfile.TarInfo(name)
            for key, value in defaults.items():
                setattr(info, key, value)
            if content not in TYPES:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type = content
                info.linkname = link[0] if link else ""
                archive.addfile(info)
    return data.getvalue()


def zstd(data):
    return subprocess.run(["zstd", "-q"], input=data, capture_output=True, check=True).stdout


def zipped(*members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, *mode in members:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = (mode[0] if mode else 0o644 | stat.S_IFREG) << 16
            archive.writestr(info, content)
    return data.getvalue()


FILES = [("bin/tool", b"#!/bin/sh\n"), ("lib/\u00fcber.txt", BLOB), ("lib/empty", b"")]
SUFFIXES = {
    "tar": tar(*FILES), "tar.gz": tar(*FILES, kind="gz"), "tgz": tar(*FILES, kind="gz"),
    "tar.bz2": tar(*FILES, kind="bz2"), "tbz2": tar(*FILES, kind="bz2"), "tar.xz": tar(*FILES, kind="xz"),
    "txz": tar(*FILES, kind="xz"), "zip": zipped(*FILES), "gz": gzip.compress(BLOB), "bz2": bz2.compress(BLOB),
    "xz": lzma.compress(BLOB),
}  # fmt: skip


def test_archives(fetch, server):
    archives = {**SUFFIXES, "tar.zst": zstd(tar(*FILES)), "tzst": zstd(tar(*FILES)), "zst": zstd(BLOB)}
    for suffix, data in archives.items():
        url = server.put(f"/name.{suffix}", data)
        dest = f"t/local/{suffix}"
        fetch.good(url, dest)
        place = fetch.local / suffix
        if suffix in ("gz", "bz2", "xz", "zst"):
            assert (place / "name").read_bytes() == BLOB
        else:
            assert (place / "lib/\u00fcber.txt").read_bytes() == BLOB and (place / "lib/empty").read_bytes() == b""
        fetch.good(url, dest, options={"archive": "false"})
        assert (place / f"name.{suffix}").read_bytes() == data
        plain = server.put(f"/plain-{suffix}", data)
        fetch.good(plain, dest + "-forced", options={"archive": suffix})
        assert (fetch.local / f"{suffix}-forced" / ("lib" if "lib" in os.listdir(place) else f"plain-{suffix}")).exists()


@pytest.mark.parametrize("fault", [None, faults.whole_with_ranges])
@pytest.mark.parametrize("disk,unit", [("100m", 1 << 20), ("1m", 10 << 10)], ids=["disk", "secrets"])
def test_an_archive_is_given_back_while_it_is_unpacked(fetch, server, box, fault, disk, unit):
    """On a disk that has no room for it and for all that is in it: also where a later attempt could go on with it."""
    data = os.urandom(unit)
    small = box.dir / "small"
    (small / "t/local").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk}", "none", small / "t/local"], check=True)
    try:
        url = server.put("/x.tar", tar(*((str(i), data) for i in range(60))), fault)
        fetch.good(url, directory=small, max_unpacked=1 << 30)
        assert all((small / f"t/local/{i}").read_bytes() == data for i in range(60))
    finally:
        subprocess.run(["umount", small / "t/local"], check=True)


def test_one_file_of_an_archive(fetch, server):
    fetch.good(server.put("/x.gz", gzip.compress(BLOB)), "t/local/blob", mode="file")
    fetch.good(server.put("/y.zip", zipped(("only", BLOB))), "t/local/blob2", mode="file")
    assert (fetch.local / "blob").read_bytes() == BLOB == (fetch.local / "blob2").read_bytes()
    fetch.bad(server.put("/z.zip", zipped(("a", b""), ("b", b""))), "several", destination="t/local/z", mode="file")


def test_a_directory_of_an_archive(fetch, server):
    url = server.put("/x.tar", tar(("a/b/f", b"x"), ("a/g", b"y")))
    fetch.good(url + "//a/b")
    assert fetch.names() == ["f"]
    fetch.bad(url + "//c", "\"c\"")
    code, text, _ = fetch.run(url + "//a/../..")
    assert code == 65 and ".." in text


def test_modes_and_owners_of_archives(fetch, server):
    fetch.good(server.put("/x.tar", tar(("f", b"x"), mode=0o6755, uid=0, gid=0, uname="root")))
    fetch.good(server.put("/d.tar", tar(("d", tarfile.DIRTYPE), mode=0o1777)))
    fetch.good(server.put("/z.zip", zipped(("s", "x", 0o4711 | stat.S_IFREG))))
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in fetch.local.iterdir()}
    assert modes == {"f": 0o755, "d": 0o777, "s": 0o711}
    fetch.good(server.url + "/x.tar", "t/local/mine", chown=True, uid=77, gid=88)
    assert (fetch.local / "mine/f").stat().st_uid == 77 and (fetch.local / "mine").stat().st_gid == 88


def test_links_that_stay_inside(fetch, server):
    fetch.good(server.put("/x.tar", tar(
        ("d/e/f", b"x"), ("d/up", tarfile.SYMTYPE, "../d/e"), ("top", tarfile.SYMTYPE, "d/up/f"),
        ("hard", tarfile.LNKTYPE, "d/e/f"), ("dangling", tarfile.SYMTYPE, "later"))))  # fmt: skip
    assert (fetch.local / "top").read_text() == "x" and (fetch.local / "hard").stat().st_nlink == 2


def hostile(outside):
    sym, hard = tarfile.SYMTYPE, tarfile.LNKTYPE
    return {
        "dotdot.tar": tar(("../../outside/x", b"x")),
        "dotdot2.tar": tar(("a/../../../../outside/x", b"x")),
        "absolute.tar": tar((f"{outside}/x", b"x")),
        "dir.tar": tar(("../../outside/d", tarfile.DIRTYPE)),
        "symlink.tar": tar(("l", sym, str(outside))),
        "symlink-up.tar": tar(("a/l", sym, "../../x")),
        "symlink-through.tar": tar(("l", sym, "../../../outside"), ("l/x", b"x")),
        "symlink-inside-through.tar": tar(("d/f", b""), ("l", sym, "d"), ("l/x", b"x")),
        "symlink-twice.tar": tar(("s/f", b""), ("a/b/l", sym, "../../s"), ("m", sym, "a/b/l/../../outside")),
        "hardlink.tar": tar(("h", hard, f"{outside}/file")),
        "hardlink-up.tar": tar(("h", hard, "../../../outside/file")),
        "hardlink-then-write.tar": tar(("h", hard, "../../../outside/file"), ("h", b"gone")),
        "device.tar": tar(("d", tarfile.BLKTYPE)),
        "chardevice.tar": tar(("d", tarfile.CHRTYPE)),
        "fifo.tar": tar(("d", tarfile.FIFOTYPE)),
        "many.tar.gz": tar(*((str(i), b"") for i in range(101)), kind="gz"),
        "deep.tar": tar(("d/" * 101 + "f", b"")),
        "long.tar": tar(("n" * 300, b"")),
        "dotdot.zip": zipped(("../../outside/x", b"x")),
        "absolute.zip": zipped((f"{outside}/x", b"x")),
        "symlink.zip": zipped(("l", str(outside), 0o777 | stat.S_IFLNK), ("l/x", b"x")),
        "bomb.tar.gz": tar(("f", bytes(1 << 27)), kind="gz"),
        "bomb.gz": gzip.compress(bytes(1 << 27)),
        "bomb.xz": lzma.compress(bytes(1 << 27)),
        "bomb.zip": zipped(*((str(i), bytes(1 << 23)) for i in range(10))),
        "cut.tar.gz": tar(*FILES, kind="gz")[:-300],
        "cut.zip": zipped(*FILES)[:300],
        "text.tar.gz": b"this is no archive at all\n" * 100,
        "text.gz": b"this is no archive at all\n" * 100,
        "text.zip": b"this is no archive at all\n" * 100,
        "empty.tar.xz": b"",
    }  # fmt: skip


def test_hostile_archives(fetch, server):
    for name, data in hostile(fetch.outside).items():
        text = fetch.bad(server.put("/" + name, data))
        assert len(text) > 20 and "signal" not in text, (name, text)
        assert not fetch.names(), name


# Confinement and the machine

def test_a_full_disk(fetch, server, box):
    small = box.dir / "small"
    (small / "t/local").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", small / "t/local"], check=True)
    try:
        fetch.bad(server.put("/x", BLOB), "No space left", directory=small)
        fetch.bad(server.put("/x.tgz", tar(("f", BLOB), kind="gz")), "No space left", directory=small)
        fetch.bad(server.put("/x.gz", gzip.compress(BLOB)), "No space left", directory=small)
        assert not os.listdir(small / "t/local")
    finally:
        subprocess.run(["umount", small / "t/local"], check=True)


def test_a_data_directory_that_is_for_root_alone(fetch, server, box):
    repository(box, server)
    fetch.dir.chmod(0o700)
    fetch.good(server.put("/x.tar", tar(*FILES)))
    fetch.good(f"git::{server.url}/repo.git", "t/local/r")
    fetch.dir.chmod(0o755)


def test_the_worker_is_confined(fetch, server):
    """While it downloads: another user, no capabilities, no new privileges, seccomp, its own view."""
    seen = {}

    def look(handler, data, n):
        pids = [p for p in os.listdir("/proc") if p.isdigit() and comm(p) == "cleat-fetch"]
        for pid in pids:
            try:
                status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines())
                if os.readlink(f"/proc/{pid}/cwd") == "/mnt" and status["Uid"].split()[0] != "0":
                    seen.update(status, mounts=open(f"/proc/{pid}/mountinfo").read(),
                                env=open(f"/proc/{pid}/environ").read())
            except (FileNotFoundError, ProcessLookupError):
                pass
        faults.whole(handler, data)

    fetch.good(server.put("/x", BLOB, look))
    assert seen["NoNewPrivs"] == "1" and seen["Seccomp"] == "2" and int(seen["CapEff"], 16) == 0
    assert seen["Groups"].strip() == "" and len(set(seen["Uid"].split())) == 1
    assert all("ro" in line.split()[5].split(",") for line in seen["mounts"].splitlines() if line.split()[4] == "/")


def comm(pid):
    try:
        return open(f"/proc/{pid}/comm").read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_what_an_earlier_attempt_left_is_removed(fetch, server):
    (fetch.local / ".stage/work/deep").mkdir(parents=True)
    (fetch.local / ".stage/work/link").symlink_to(fetch.outside)
    fetch.good(server.put("/x", BLOB))
    (fetch.local / ".stage").symlink_to(fetch.outside)
    fetch.good(server.url + "/x")
    assert fetch.names() == ["x"]


def test_command_line():
    program = BUILD / "bin/cleat-fetch"
    assert subprocess.run([program, "-version"], capture_output=True, text=True).stdout.startswith("cleat-fetch ")
    assert "cleat-manager" in subprocess.run([program, "-h"], capture_output=True, text=True).stdout
    assert subprocess.run([program, "x"], capture_output=True).returncode == 64
    done = subprocess.run([program], input=b"[]", capture_output=True)
    assert done.returncode == 65 and b"no JSON object" in done.stdout
