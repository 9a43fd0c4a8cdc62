# SPDX-License-Identifier: MIT
"""cleat-fetch and a server for it to fetch from: fixtures and what they need."""
import json
import os
import subprocess

import pytest

from artifact_server import Server
from harness import BUILD, SLOW

BLOB = bytes(range(256)) * 1000


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


class Fetch:
    """An allocation's directory, and cleat-fetch to fill it."""

    def __init__(self, box):
        self.dir = box.dir / "alloc"
        self.local = self.dir / "t/local"
        self.local.mkdir(parents=True)
        self.local.chmod(0o777)
        self.outside = box.dir / "outside"
        self.outside.mkdir()
        (self.outside / "file").write_text("untouched")
        self.outside.chmod(0o777)
        self.env = {"PATH": os.environ["PATH"]}

    def words(self, directory=None):
        return ["sh", "-c", 'exec "$0" 3<"$1"', BUILD / "bin/cleat-fetch", directory or self.dir]

    def order(self, source, destination, order):
        return json.dumps({
            "source": source, "destination": destination, "stage": ".stage", "max_bytes": 1 << 30,
            "max_unpacked": 1 << 26, "max_files": 100, "timeout": 30 * SLOW, **order}).encode()  # fmt: skip

    def start(self, source, destination="t/local", **order):
        """One that somebody else ends."""
        process = subprocess.Popen(self.words(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=self.env)
        process.stdin.write(self.order(source, destination, order))
        process.stdin.close()
        return process

    def run(self, source, destination="t/local", directory=None, **order):
        """Returns (exit code, the text of its failure, recoverable)."""
        done = subprocess.run(
            self.words(directory), input=self.order(source, destination, order), capture_output=True, env=self.env,
            timeout=50 * SLOW,
        )  # fmt: skip
        assert b"Sanitizer" not in done.stderr, done.stderr.decode()
        failed = [m for m in map(json.loads, done.stdout.splitlines()) if "failed" in m]
        assert bool(failed) == bool(done.returncode), done
        assert not (self.local / ".stage").exists()
        self.check_outside()
        return (done.returncode, failed[0]["failed"], failed[0]["recoverable"]) if failed else (0, "", None)

    def check_outside(self):
        assert [p.name for p in self.outside.iterdir()] == ["file"]
        assert (self.outside / "file").read_text() == "untouched"

    def good(self, source, *args, **order):
        result = self.run(source, *args, **order)
        assert result == (0, "", None), result

    def bad(self, source, *words, recoverable=True, **order):
        code, text, again = self.run(source, **order)
        assert code and again == recoverable and all(w in text for w in words), text
        return text

    def names(self):
        """All paths below local/."""
        return sorted(str(p.relative_to(self.local)) for p in self.local.rglob("*"))


@pytest.fixture
def fetch(box):
    return Fetch(box)


def git(directory, *args):
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for who in "AUTHOR", "COMMITTER":
        env.update({f"GIT_{who}_NAME": "t", f"GIT_{who}_EMAIL": "t@t"})
    done = subprocess.run(["git", *args], cwd=directory, env=env, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(box, server, link=None):
    """Three commits, v1 and two more; as files of the server. Returns the commits."""
    work, commits = box.dir / "work", []
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    for text in "one", "two", "three":
        (work / "sub").mkdir(exist_ok=True)
        (work / "sub/f").write_text(text)
        if link and not (work / "l").is_symlink():
            (work / "l").symlink_to(link)
        git(work, "add", ".")
        git(work, "commit", "-q", "-m", text)
        commits.append(git(work, "rev-parse", "HEAD"))
        if text == "one":
            git(work, "tag", "v1")
    git(box.dir, "clone", "-q", "--bare", "work", "repo.git")
    git(box.dir / "repo.git", "update-server-info")
    for path in (box.dir / "repo.git").rglob("*"):
        if path.is_file():
            server.put(f"/repo.git/{path.relative_to(box.dir / 'repo.git')}", path.read_bytes())
    return commits
