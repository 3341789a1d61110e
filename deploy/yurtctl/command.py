"""What every command has: where the service is, the token, how to print, and the exit codes."""

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from deploy.yurtctl.door import Door, Refused, Unreachable
from deploy.yurtctl.paper import Paper, plain
from deploy.yurtctl.usage import UsageMistake

P = ParamSpec("P")
REFUSED, USAGE, NO_CONNECTION = 1, 2, 3


@dataclass(frozen=True)
class Desk:
    """What a command works with: the operator's door, and the paper its results go to."""

    door: Door
    paper: Paper


def _common(
    *,
    url: Annotated[str, typer.Option(envvar="YURT_URL", help="Where the gateway answers.")] = "http://127.0.0.1:8080",
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with the operator's token; else YURT_OPERATOR_TOKEN, else .yurt/operator-token."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> Desk:
    return Desk(Door(url, operator_token(token_file)), Paper(as_json=as_json))


_COMMON = tuple(inspect.signature(_common).parameters.values())


def command(group: typer.Typer, name: str) -> Callable[[Callable[Concatenate[Desk, P], None]], None]:
    """Register a function as command `name`; its first argument is the desk, the others are arguments and options.

    A refusal of the service ends with 1, a mistake in the call with 2, a service that does not answer with 3; each
    with a sentence on stderr, with `--json` a JSON object.
    """

    def register(work: Callable[Concatenate[Desk, P], None]) -> None:
        own = list(inspect.signature(work, eval_str=True).parameters.values())[1:]

        def run(**given: Any) -> None:
            common = {parameter.name: given.pop(parameter.name) for parameter in _COMMON}
            try:
                desk = _common(**common)
                with desk.door:
                    work(desk, **given)  # type: ignore[call-arg]  # what typer parsed by the signature of `work`
            except Refused as refusal:
                _end(refusal.document | {"code": refusal.code}, refusal.sentences, REFUSED, **common)
            except UsageMistake as mistake:
                _end({"code": "usage", "detail": str(mistake)}, [str(mistake)], USAGE, **common)
            except Unreachable as silence:
                _end({"code": "no_connection", "detail": str(silence)}, [str(silence)], NO_CONNECTION, **common)

        signature = inspect.Signature([*own, *_COMMON])
        run.__signature__ = signature  # type: ignore[attr-defined]  # functions may have one, says inspect
        run.__doc__ = work.__doc__
        group.command(name)(run)

    return register


def operator_token(token_file: Path | None) -> str:
    """From the file named, else YURT_OPERATOR_TOKEN, else the file that `make serve` keeps. Raises `UsageMistake`."""
    token = os.environ.get("YURT_OPERATOR_TOKEN", "") if token_file is None else ""
    source = "YURT_OPERATOR_TOKEN"
    if not token:
        file = token_file or Path(os.environ.get("YURT_HOME", ".yurt")) / "operator-token"
        source = str(file)
        try:
            token = file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not ASCII text"
            hint = "name the file with --token-file, or set YURT_OPERATOR_TOKEN"
            raise UsageMistake(f"There is no operator token in {file} ({why}): {hint}.") from None
    if not token or not all("!" <= letter <= "~" for letter in token):
        raise UsageMistake(f"{source} does not hold a token.")
    return token


def _end(document: dict[str, Any], sentences: list[str], code: int, *, as_json: bool, **_: object) -> None:
    if as_json:
        Paper(as_json=True, to=sys.stderr).json(document)
    else:
        for sentence in sentences:
            typer.echo(plain(sentence), err=True)
    raise typer.Exit(code)
