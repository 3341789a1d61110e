"""`make serve`: the stack in the foreground until Ctrl+C or SIGTERM."""

import os
import signal
import sys

from deploy.processes import ProcessFailed
from deploy.servers.named import NamedServerSilent
from deploy.servers.server import ServerMissing
from deploy.stack.home import HomeInUse
from deploy.stack.settings import StackSettings
from deploy.stack.stack import Stack
from shared.runtime.settings import SettingsInvalid, load_all


def main() -> int:
    """0 after an orderly end; 1 with a sentence when the stack cannot start."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.umask(0o077)  # state holds business data and secrets: nobody else's to read
    try:
        (settings,) = load_all(StackSettings)
        with Stack(settings, say=_say) as stack:
            _say(f"Operator token: {stack.home / 'operator-token'}. Logs: {stack.home / 'log'}. Ctrl+C ends it.")
            signal.pause()
    except KeyboardInterrupt:
        _say("Yurt has ended; its state stays.")
    except (SettingsInvalid, HomeInUse, ServerMissing, NamedServerSilent, ProcessFailed) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    sys.exit(main())
