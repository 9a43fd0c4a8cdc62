# SPDX-License-Identifier: MIT
"""The manager, and executors, killed at system calls of scripted lives (crash.py): some here, each of
them with CLEAT_SOAK=1, and with CLEAT_CALL=NAME:N those with the Nth call of that name."""
import os

import pytest

from crash import survey
from crash_lives import SCENARIOS, STRIDE, all_kills
from harness import SOAK

SAMPLE = 10  # lives of each scenario


def choose(name):
    kills = all_kills(name)
    call, _, n = os.environ.get("CLEAT_CALL", "").partition(":")
    if call:
        return [kill for kill in kills if (call, int(n)) in kill.values()]
    if SOAK:
        return kills
    # Spread over the whole life, other calls in each scenario.
    step = len(kills) // SAMPLE
    return kills[list(SCENARIOS).index(name) * STRIDE % step::step]


@pytest.mark.timeout(7200 if SOAK else 120)
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_a_system_call(name):
    kills = choose(name)
    assert kills
    wrong, missed = survey(SCENARIOS[name], kills)
    print(f"{name}: {len(kills)} lives, {missed} did not come to their call")
    for kill, text in wrong:
        print(f"killed at {kill}:\n{text}")
    assert not [kill for kill, _ in wrong]
    assert missed < len(kills) / 2
