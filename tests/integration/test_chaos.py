# SPDX-License-Identifier: MIT
"""Managers, executors and tasks are killed at random while jobs come and go (chaos.py): nothing is
lost, run twice or left. CLEAT_CHAOS="SECONDS TASKS SEED" says for how long, with how many, and which
choices are made; `tools/bench/soak chaos` sets it."""
import os
import random

import pytest

from chaos import Chaos

SECONDS, TASKS, *SEED = map(int, os.environ.get("CLEAT_CHAOS", "15 20").split())


@pytest.mark.timeout(SECONDS + 120)
def test_chaos(box):
    seed = SEED[0] if SEED else random.randrange(10**6)
    chaos = Chaos(box, TASKS, seed)
    print(f"seed {seed}")  # shown when it fails
    try:
        chaos.run(SECONDS)
    finally:
        print(dict(chaos.done), "hits:", sum(chaos.hits.values()))
