"""`yurtctl application`: attach a database to the service, look at it, detach it."""

import re
from pathlib import Path
from typing import Annotated

import typer

from deploy.yurtctl import questions
from deploy.yurtctl.command import Desk, command
from deploy.yurtctl.door import Document, Refused, operator_path
from deploy.yurtctl.manifest_file import ManifestFile, read_manifest
from deploy.yurtctl.paper import Columns, title
from deploy.yurtctl.usage import UsageMistake

group = typer.Typer(help="Applications: databases attached to the service.", no_args_is_help=True)

Code = Annotated[str, typer.Argument(help="Code of the application.")]
_IN_LANGUAGE = re.compile(r"([a-z]{2,3})=(.+)")
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def _title(application: Document) -> str:
    return title(application["title"])


def _configuration(application: Document) -> str:
    return f"{application['configuration']} {application['version']}"


def _users(application: Document) -> list[str]:
    return [f"{user['login']} ({user['role']})" for user in application.get("users", ())]


COLUMNS: Columns = {
    "code": "code",
    "subscriber": "subscriber",
    "title": _title,
    "configuration": _configuration,
    "connection": "connection",
    "area": "area",
}
FIELDS: Columns = {**COLUMNS, "platform": "platform", "generation": "generation", "users": _users}


@command(group, "attach")
def attach(
    desk: Desk,
    manifest: Annotated[Path, typer.Argument(help="The manifest; SQL files it names are sent with it.")],
    *,
    code: Annotated[str, typer.Option(help="Code of the application.")],
    subscriber: Annotated[str, typer.Option(help="Code of its subscriber.")],
    title: Annotated[list[str], typer.Option(help="Title; or once for each language, as en=Books.")],
    connection: Annotated[str, typer.Option(help="Name of the connection: YURT_CONNECTION_<NAME> of the services.")],
    area: Annotated[str | None, typer.Option(help="Its value of the area column.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check: every mistake is listed.")] = False,
) -> None:
    """Attach a database as an application, or bring a changed manifest. With mistakes nothing is changed."""
    file = read_manifest(manifest)
    body = {
        "subscriber": subscriber,
        "title": _titles(title),
        "manifest": file.text,
        "connection": connection,
        "area": area,
    }
    only_check = dry_run or bool(file.mistakes)
    try:
        params = {"dry_run": "true"} if only_check else None
        document = desk.door.call("PUT", operator_path("applications", code), body, params)
    except Refused as refusal:
        if refusal.code != "manifest_invalid":
            raise
        raise ManifestRefused(file, refusal.document) from None
    if file.mistakes:
        raise ManifestRefused(file, {"code": "manifest_invalid", "mistakes": []})
    if dry_run:
        desk.paper.say(f"{manifest} fits the database behind {connection}. Nothing was changed.", document)
    else:
        desk.paper.card(document, FIELDS)


@command(group, "list")
def list_(desk: Desk) -> None:
    """All attached applications."""
    desk.paper.table(desk.door.items(operator_path("applications")), COLUMNS, "No application is attached.")


@command(group, "show")
def show(desk: Desk, code: Code) -> None:
    """One application with its users; with --json also its manifest."""
    desk.paper.card(desk.door.call("GET", operator_path("applications", code)), FIELDS)


@command(group, "detach")
def detach(desk: Desk, code: Code, *, yes: Yes = False) -> None:
    """End all workplaces of an application and remove what Yurt keeps in its database."""
    questions.confirm(f"End every workplace of {code} and detach it?", said_yes=yes)
    desk.door.call("DELETE", operator_path("applications", code))
    desk.paper.say(f"{code} is detached; its own data are as they were.", {"code": code, "detached": True})


@command(group, "restored")
def restored(desk: Desk, code: Code, *, yes: Yes = False) -> None:
    """Declare that the database was restored from a backup: workplaces upload first and get everything again."""
    questions.confirm(f"Make every workplace of {code} start again from the restored database?", said_yes=yes)
    document = desk.door.call("POST", operator_path("applications", code, "restored"))
    desk.paper.say(f"{code} has the new generation {document['generation']}.", document)


class ManifestRefused(Refused):
    """The mistakes of a manifest, those found here and those of the service, each with its line where it has one."""

    def __init__(self, file: ManifestFile, document: Document) -> None:
        mistakes = [*file.mistakes, *document.get("mistakes", [])]
        placed = sorted(
            ({**mistake, "line": file.line_of(mistake["place"], mistake["text"])} for mistake in mistakes),
            key=lambda mistake: mistake["line"] or 0,
        )
        detail = f"The manifest has {len(placed)} mistake(s); nothing was changed."
        super().__init__({**document, "detail": detail, "mistakes": placed})
        lines = [f"{file.path}:{m['line'] or ''}{':' if m['line'] else ''} {m['place']}: {m['text']}" for m in placed]
        self.sentences = [*lines, *self.sentences]


def _titles(given: list[str]) -> str | dict[str, str]:
    """One title, or one for each language."""
    spoken = [_IN_LANGUAGE.fullmatch(text) for text in given]
    if len(given) == 1 and not spoken[0]:
        return given[0]
    titles = {match[1]: match[2] for match in spoken if match}
    if len(titles) < len(given):
        raise UsageMistake("Several titles need a language each: --title en=Books --title ru=Бухгалтерия.")
    return titles
