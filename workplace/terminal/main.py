"""Entry of the program: words in, exit code out."""

import io
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from workplace.engine.failures import Failure, NoConnection, ServiceRefused, WrongValue
from workplace.engine.home import Home
from workplace.engine.replica import Replica, readable
from workplace.terminal import editing, exchanging, looking, troubles
from workplace.terminal.arguments import Usage, parse_command_line, print_help
from workplace.terminal.desk import Desk, find_replica
from workplace.terminal.screen import Screen
from workplace.texts import Texts, choose_language, command_of

OK, FAILED, USAGE, NO_CONNECTION, INTERRUPTED = 0, 1, 2, 4, 130

COMMANDS: Mapping[str, Callable[[Desk], int]] = {
    "status": looking.run_status,
    "activate": exchanging.run_activate,
    "sync": exchanging.run_sync,
    "verify": exchanging.run_verify,
    "list": looking.run_list,
    "show": looking.run_show,
    "edit": editing.run_edit,
    "problems": troubles.run_problems,
}


def main(argv: Sequence[str] | None = None, program: Path | None = None) -> int:
    """Runs one command, or a conversation when there is none and a person sits before it.

    0 done · 1 failed · 2 not understood · 3 problems came back · 4 no connection.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an old Windows console has no Kazakh letters
    words = list(sys.argv[1:] if argv is None else argv)
    place = program or Path(sys.argv[0])
    if not words and sys.stdin.isatty():
        return _talk(place)
    return run(words or ["status"], place)


def run(words: Sequence[str], program: Path) -> int:
    """One command; every failure becomes a sentence and an exit code."""
    text = Texts(choose_language(_told_language(words)))
    screen = Screen(text, sys.stdout, sys.stderr)
    try:
        arguments = parse_command_line(words, text)
        if getattr(arguments, "command", "help") == "help":
            print_help(text, command_of(getattr(arguments, "about", None) or ""))
            return OK
        with Replica(find_replica(arguments.folder, program)) as replica:
            home = Home(str(replica.get("workplace")))
            with readable(replica.path):
                return COMMANDS[arguments.command](Desk(text, screen, replica, home, arguments))
    except (Usage, Failure, KeyboardInterrupt) as error:
        return _fail(text, screen, error)
    except BrokenPipeError:  # the reader has gone, as `head` does
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for the interpreter's last flush
        return OK


def _fail(text: Texts, screen: Screen, error: BaseException) -> int:
    if isinstance(error, Usage):
        screen.complain(str(error))
        return USAGE
    if isinstance(error, Failure):
        screen.complain(text.failure(error))
        if isinstance(error, ServiceRefused) and error.retry_after:
            screen.complain(text("sync.retry_after", seconds=error.retry_after))
        if isinstance(error, NoConnection):
            return NO_CONNECTION
        return USAGE if isinstance(error, WrongValue) and error.code != "no_such_record" else FAILED
    screen.complain("\n" + text.code("cancelled"))
    return INTERRUPTED


def _talk(program: Path) -> int:
    """A conversation, for who started the program with a double click."""
    text = Texts(choose_language(None))
    code = run(["status"], program)
    print_help(text)
    while True:
        try:
            line = input("\nyurt> ")
        except (EOFError, KeyboardInterrupt):
            return code
        try:
            words = shlex.split(line)
        except ValueError as error:
            print(text("usage.wrong", detail=error), file=sys.stderr)
            continue
        if words and words[0].lower() in {"exit", "quit", "выход", "шығу"}:
            return OK
        if words:
            try:
                code = run(words, program)
            except SystemExit:
                continue  # --help and --version have said what was asked


def _told_language(words: Sequence[str]) -> str | None:
    for place, word in enumerate(words):
        if word == "--lang" and place + 1 < len(words):
            return words[place + 1]
        if word.startswith("--lang="):
            return word.removeprefix("--lang=")
    return None
