"""Running histories: how many, how long, from which seed."""

from collections import Counter

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.chaos.histories.machine import Histories
from tests.chaos.histories.world import World


def run(world: World, *, number: int, steps: int, start: int) -> Counter[int]:
    """So many histories of at most so many steps each; the same seed gives the same ones.

    Returns how many had which length. Raises `Found` with the steps of the history that found something. A world can be
    used for one run only.
    """

    @seed(start)
    class Run(Histories):
        pass

    Run.world, Run.lengths = world, Counter()
    how = settings(
        max_examples=number,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(Run, settings=how)
    except BaseException:
        if world.found:
            raise world.found from world.found.__cause__  # and not what Hypothesis says of a world that is no more
        raise
    return Run.lengths


def figures(lengths: Counter[int], counted: Counter[str]) -> dict[str, str]:
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
