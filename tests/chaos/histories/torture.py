"""Histories for hours: `python -m tests.chaos.histories.torture HOURS [SEED]`. A seed gives the same ones again."""

import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from deploy.servers.postgres import WheelPostgres
from deploy.servers.rclone import RcloneStore
from tests.chaos.histories.runs import figures, run
from tests.chaos.histories.world import world

HISTORIES = 25  # of one seed, in one world
STEPS = 50


def main(hours: float, start: int | None) -> int:
    """0 when nothing was found until the time is over; ends with the first history that finds something."""
    until = time.monotonic() + hours * 3600
    counted: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    with tempfile.TemporaryDirectory(prefix="yurt-torture-") as name:
        folder = Path(name)
        postgres, store = WheelPostgres(folder / "postgres", forgetful=True), RcloneStore(folder)
        try:
            postgres_url, s3_url = postgres.start().url, store.start().url
            while time.monotonic() < until:
                chosen = random.randrange(2**32) if start is None else start
                home = folder / str(chosen)
                home.mkdir(exist_ok=True)
                print(f"seed {chosen}: ", end="", flush=True)
                with world(postgres_url, s3_url, home, counted) as made:
                    lengths += run(made, number=HISTORIES, steps=STEPS, start=chosen)
                print(f"{HISTORIES} histories, nothing found", flush=True)
                if start is not None:
                    break
        finally:
            store.stop()
            postgres.stop()
            for what, figure in figures(lengths, counted).items():
                print(f"{what}: {figure}")
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
