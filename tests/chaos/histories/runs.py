"""Running histories: how many, how long, from which seed."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.chaos.histories.machine import Histories, chosen_classes
from tests.chaos.histories.world import World


def run(world: World, *, number: int, steps: int, start: int, shrink: bool = False) -> Counter[int]:
    """So many histories of at most so many steps each; the same seed gives the same ones.

    Returns how many had which length. Raises what a history found, with its steps told by Hypothesis.
    """
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @seed(start)
    class Run(Histories):
        pass

    Run.world, Run.lengths, Run.classes = world, Counter(), chosen_classes()
    how = settings(
        max_examples=number,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=phases,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with _quiet():
        run_state_machine_as_test(Run, settings=how)
    return Run.lengths


@contextmanager
def _quiet() -> Iterator[None]:
    """The services run in this process: their log of every request helps nobody here."""
    loggers = [logging.getLogger(name) for name in ("uvicorn.access", "uvicorn.error", "httpx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def told(lengths: Counter[int], counted: Counter[str]) -> dict[str, str]:
    """The figures of a run, for whoever reads its end."""
    steps = sum(length * times for length, times in lengths.items())
    offline = {fate.removeprefix("offline, "): n for fate, n in counted.items() if fate.startswith("offline, ")}
    cloud = {fate.removeprefix("cloud, "): n for fate, n in counted.items() if fate.startswith("cloud, ")}
    line = {fault.removeprefix("line: "): n for fault, n in counted.items() if fault.startswith("line: ")}
    rest = {name: n for name, n in counted.items() if not name.startswith(("offline, ", "cloud, ", "line: "))}
    return {
        "histories": f"{sum(lengths.values())} of {steps:,} steps",
        "edits offline": _sum(offline),
        "edits in the cloud": _sum(cloud),
        "requests that met an accident": _sum(line),
        "what happened": ", ".join(f"{name} {n}" for name, n in sorted(rest.items())),
    }


def _sum(parts: dict[str, int]) -> str:
    return f"{sum(parts.values()):,} = " + " + ".join(f"{n:,} {name}" for name, n in sorted(parts.items()))
