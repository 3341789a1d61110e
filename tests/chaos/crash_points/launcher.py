"""`python -m tests.chaos.crash_points.launcher POINT NTH -- MODULE [ARGUMENT…]`: a program that is killed on its way.

MODULE runs as by `python -m`, until POINT was reached NTH times. Who never comes there ends as always.
"""

import os
import runpy
import signal
import sys

from tests.chaos.crash_points.points import NAMED
from tests.chaos.crash_points.strikes import Point, install


class AtTheNth:
    """Kills this process when it comes to the point for the nth time."""

    def __init__(self, nth: int) -> None:
        self._left = nth

    def __call__(self, point: Point) -> None:
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Never returns from a point that was reached."""
    name, nth, separator, module, *arguments = sys.argv[1:]
    assert separator == "--"
    install([NAMED[name]], AtTheNth(int(nth)))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
