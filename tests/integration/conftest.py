# SPDX-License-Identifier: MIT
"""Fixtures, and a time limit for every test (60 s; marker `timeout` for another)."""
import faulthandler
import os
import signal

import pytest

from bare import Executor
from harness import SANITIZED, SLOW, Box

TIMEOUT_S = 60

# A failing mmap or a kill in the sanitizer's own start-up says nothing of ours.
collect_ignore = ["test_crash_points.py", "test_faults.py"] if SANITIZED else []


def pytest_configure(config):
    config.addinivalue_line("markers", "timeout(seconds): the test's own time limit")
    if os.geteuid() != 0:
        pytest.exit("the integration tests need root: namespaces, mounts and cgroups", 2)


def _limited(item):
    """Runs one phase of a test with an alarm that raises TimeoutError in it."""
    marker = item.get_closest_marker("timeout")
    seconds = (marker.args[0] if marker else TIMEOUT_S) * SLOW

    def on_alarm(signum, frame):
        raise TimeoutError(f"the test took longer than {seconds} s")

    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(3 * seconds, exit=True)
    yield
    signal.alarm(0)
    faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    yield from _limited(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    yield from _limited(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item):
    yield from _limited(item)


@pytest.fixture
def box():
    """A directory for one test; afterwards nothing may be left of it."""
    box = Box()
    yield box
    box.close()


@pytest.fixture
def manager(box):
    """A running manager with raw_exec enabled."""
    return box.manager().start()


@pytest.fixture
def executor(box):
    """Makes executors that no manager knows of; all are gone afterwards."""
    made = []

    def make(*steps, **spec):
        made.append(Executor(box, *steps, **spec))
        return made[-1]

    yield make
    for one in made:
        one.stop()
