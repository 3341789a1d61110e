"""The histories find what was planted: a test that finds nothing tells nothing (docs/consistency.md)."""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.histories.machine import Found
from tests.chaos.histories.planted import PLANTED, planted
from tests.chaos.histories.runs import run
from tests.chaos.histories.world import world

# Each takes its time; `make planted` plants all of them.
CHOSEN = os.environ.get("YURT_PLANTED", "unsent_overwritten,last_writer_wins").split(",")
HISTORIES = 200
STEPS = 25


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("defect", sorted(PLANTED) if CHOSEN == ["all"] else CHOSEN)
def test_a_planted_defect_is_found(
    defect: str, quiet_postgres: str, s3_url: str, record_property: Callable[[str, object], None]
) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="yurt-test-") as folder,
        world(quiet_postgres, s3_url, Path(folder), Counter()) as made,
    ):
        begun = time.monotonic()
        with planted(defect), pytest.raises(Found) as found:
            run(made, number=HISTORIES, steps=STEPS, start=4)
    history, _, what = str(found.value).partition("\n")[0].partition(": ")
    record_property(defect, f"found after {time.monotonic() - begun:.0f} s in {history}: {what[:110]}")
