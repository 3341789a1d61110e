"""What is asked of the person at the terminal."""

import getpass
import sys

import typer

from deploy.yurtctl.usage import UsageMistake


def confirm(question: str, *, said_yes: bool) -> None:
    """Returns when the person agreed. Raises `UsageMistake` when there is nobody to ask."""
    if said_yes:
        return
    if not sys.stdin.isatty():
        raise UsageMistake("This cannot be undone: say --yes, there is no terminal to ask at.")
    typer.confirm(question, abort=True, err=True)


def password(login: str, *, from_stdin: bool) -> str | None:
    """The first line of stdin, or what is typed unseen, twice; None when it is to stay as it is.

    Without a terminal nothing is asked and it stays.
    """
    if from_stdin:
        typed = sys.stdin.readline().rstrip("\r\n")
        if not typed:
            raise UsageMistake("There is no password on stdin.")
        return typed
    if not sys.stdin.isatty():
        return None
    typed = getpass.getpass(f"Password of {login} (empty: it stays as it is): ")
    if typed and getpass.getpass("Once more: ") != typed:
        raise UsageMistake("The two passwords differ; nothing was changed.")
    return typed or None
