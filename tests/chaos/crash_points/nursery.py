"""The embedded service under a supervisor that has everything imported: killed, it runs again in a moment.

`YURT_CRASH_ARM` names the file that arms a point (`strikes.arm`). Waits that the product has for the case that a
process died are made short, so that the tests need not sit them out.
"""

import functools
import os
import runpy
import signal
import sys
from datetime import timedelta
from importlib import import_module
from pathlib import Path

from services.sync_gateway import main as sync_gateway
from services.sync_gateway import tidy
from services.sync_gateway.administration import kept_replies
from shared.messaging import relay
from tests.chaos.crash_points.points import POINTS
from tests.chaos.crash_points.strikes import ArmedByFile, install

SERVICE = "deploy.stack.one_process"
KILLED = "The service was killed; it is started again."


def main() -> None:
    """Returns when the service ended by itself or we were asked to end; its exit code is ours then."""
    import_module(SERVICE)
    install([point for point in POINTS if not point.in_program], ArmedByFile(Path(os.environ["YURT_CRASH_ARM"])))
    shorten_waits()
    while True:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            runpy.run_module(SERVICE, run_name="__main__", alter_sys=True)
            return
        signal.signal(signal.SIGTERM, functools.partial(_pass_on, child))
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code != -signal.SIGKILL:
            sys.exit(code)
        print(KILLED, flush=True)  # noqa: T201 - for who started us


def shorten_waits() -> None:
    """What a dead process held is free again after a second or two, not after half a minute or two minutes."""
    setattr(relay, "Pace", functools.partial(relay.Pace, lease=1, idle=2))  # noqa: B010 - mypy sees a type there
    kept_replies.ABANDONED_AFTER = timedelta(seconds=1)
    tidy.DELTAS_KEPT = timedelta(seconds=20)
    sync_gateway.SWEEP_EVERY = 2


def _pass_on(child: int, number: int, _: object) -> None:
    os.kill(child, number)


if __name__ == "__main__":
    main()
