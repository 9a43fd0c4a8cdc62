# SPDX-License-Identifier: MIT
"""The programs of an earlier release, built from this repository's history."""
import fcntl
import os
import subprocess

from harness import TOP

# Until there is a tag: a commit of 0.1.0 before records named the release that wrote them.
FIRST = "3963736"


def git(*args):
    done = subprocess.run(["git", "-C", TOP, *args], capture_output=True, text=True, env={
        **os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": str(TOP)})  # fmt: skip
    return done.stdout.strip() if done.returncode == 0 else None


def previous():
    """The newest tag before HEAD, else FIRST; a full commit id. Fails where the history is cut off."""
    tag = git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD~1")
    commit = git("rev-parse", "--verify", "--quiet", f"{tag or FIRST}^{{commit}}")
    assert commit, (
        f"no commit {tag or FIRST} here to build an earlier release from: this is a shallow clone, or "
        "no clone; `git fetch --unshallow` brings the history"
    )
    return commit


def programs():
    """The directory of its programs; made once for each commit, and then found again."""
    commit = previous()
    top = TOP / f"build-release-{commit[:12]}"
    top.mkdir(exist_ok=True)
    with open(top / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (top / "done").exists():
            script = (
                'git archive "$1" | tar -x -C "$2" --one-top-level=src && '
                "cmake -S src -B out -G Ninja -DCLEAT_TESTS=OFF && "
                "ninja -C out -j2 bin/cleat-manager bin/cleat-executor && touch done"
            )
            script = script.replace('git archive', f'git -c safe.directory="{TOP}" -C "{TOP}" archive')
            done = subprocess.run(
                ["sh", "-c", f"cd {top} && {script}", "sh", commit, top],
                capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, f"build {commit}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return top / "out/bin"
