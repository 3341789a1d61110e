"""Random histories of two subscribers, and what became of every edit (docs/consistency.md)."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.histories.runs import figures, run
from tests.chaos.histories.world import world

HISTORIES = int(os.environ.get("YURT_HISTORIES", "300"))
STEPS = int(os.environ.get("YURT_HISTORY_STEPS", "15"))
SEED = int(os.environ.get("YURT_SEED", "4"))
SHARES = 4


@pytest.mark.timeout(900)
@pytest.mark.parametrize("share", range(SHARES))
def test_no_history_loses_or_diverges(
    share: int, quiet_postgres: str, s3_url: str, record_property: Callable[[str, object], None]
) -> None:
    counted: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="yurt-test-") as folder,
        world(quiet_postgres, s3_url, Path(folder), counted) as made,
    ):
        lengths = run(made, number=-(-HISTORIES // SHARES), steps=STEPS, start=SEED * SHARES + share)
    assert sum(lengths.values()) >= HISTORIES // SHARES
    for name, figure in figures(lengths, counted).items():
        record_property(name, figure)
