"""`make demo`: starts the stack, tells the story, ends the stack. Exit code 0 only if every promise held."""

import argparse
import os
import signal
import socket
import sys
import time

import httpx

from deploy.demo.cloud import sources
from deploy.demo.narrator import Narrator, StoryBroken
from deploy.demo.plot import read_plot
from deploy.demo.story import tell
from deploy.processes import ProcessFailed
from deploy.servers.named import NamedServerSilent
from deploy.servers.server import ServerMissing
from deploy.stack.home import HomeInUse
from deploy.stack.settings import StackSettings
from deploy.stack.stack import DEMO_APPLICATIONS, Stack
from shared.runtime.settings import SettingsInvalid, load_all


def main() -> int:
    """1 with a sentence when a promise broke or the stack could not start."""
    arguments = argparse.ArgumentParser(prog="make demo", description=__doc__)
    arguments.add_argument("--app", choices=DEMO_APPLICATIONS, default=DEMO_APPLICATIONS[0])
    plot = read_plot(arguments.parse_args().app)
    narrator = Narrator()
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.umask(0o077)  # as `make serve`, over the same state
    try:
        (settings,) = load_all(StackSettings)
        sources(plot)
        narrator.chapter("Yurt starts on this computer")
        with Stack(_on_a_free_port(settings), say=narrator.say) as stack:
            tell(narrator, stack, plot)
    except (
        SettingsInvalid,
        HomeInUse,
        ServerMissing,
        NamedServerSilent,
        ProcessFailed,
        StoryBroken,
        httpx.HTTPError,
    ) as error:
        print(f"\n✗ {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe story was broken off; everything it had started has ended.", file=sys.stderr)
        return 130
    narrator.say("")
    narrator.say(f"All {narrator.kept} promises of the story held, in {time.monotonic() - began:.0f} seconds.")
    return 0


def _on_a_free_port(settings: StackSettings) -> StackSettings:
    """The same settings; with a free port where the wanted one is taken, by `make serve` elsewhere for instance."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", settings.port))
        except OSError:
            return settings.model_copy(update={"port": 0})
    return settings


if __name__ == "__main__":
    sys.exit(main())
