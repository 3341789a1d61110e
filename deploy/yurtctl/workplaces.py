"""`yurtctl workplace`: what became of the workplaces. Their administrators change them, not the operator."""

from typing import Annotated

import typer

from deploy.yurtctl.command import Desk, command
from deploy.yurtctl.door import Document, operator_path
from deploy.yurtctl.paper import Columns, cell

group = typer.Typer(help="Workplaces, read only: their administrators change them.", no_args_is_help=True)


def _state(workplace: Document) -> str:
    reason = workplace["reason"]
    return f"{workplace['state']} ({reason['code']})" if reason else str(workplace["state"])


def _organisations(workplace: Document) -> object:
    return "all" if workplace["organisations"] is None else workplace["organisations"]


def _last_exchange(workplace: Document) -> str | None:
    last = workplace["last_exchange"]
    return f"{last['finished_at'] or last['started_at']}" if last else None


def _result(workplace: Document) -> str | None:
    last = workplace["last_exchange"]
    return str(last["result"]) if last else None


def _reason(workplace: Document) -> str | None:
    return f"{workplace['reason']['code']}: {workplace['reason']['text']}" if workplace["reason"] else None


def _progress(workplace: Document) -> str:
    progress = workplace["progress"]
    return f"{progress['phase']}, {progress['done']} of {progress['total']}"


def _package(workplace: Document) -> str | None:
    package = workplace["package"]
    return f"{package['filename']}, {package['size']:,} bytes, until {cell(package['expires_at'])}" if package else None


COLUMNS: Columns = {
    "id": "id",
    "name": "name",
    "prefix": "prefix",
    "state": _state,
    "unsent": "unsent",
    "last exchange": _last_exchange,
    "result": _result,
}
FIELDS: Columns = {
    "id": "id",
    "name": "name",
    "application": "application",
    "prefix": "prefix",
    "state": "state",
    "reason": _reason,
    "progress": _progress,
    "organisations": _organisations,
    "users": "users",
    "package": _package,
    "unsent": "unsent",
    "last exchange": _last_exchange,
    "result": _result,
    "created": "created_at",
}


@command(group, "list")
def list_(
    desk: Desk,
    application: Annotated[str, typer.Argument(help="Code of the application.")],
    *,
    deleted: Annotated[bool, typer.Option("--deleted", help="Deleted ones too.")] = False,
) -> None:
    """The workplaces of an application, oldest first."""
    found = desk.door.items(operator_path("applications", application, "workplaces"))
    shown = (workplace for workplace in found if deleted or workplace["state"] != "deleted")
    desk.paper.table(shown, COLUMNS, f"{application} has no workplaces.")


@command(group, "show")
def show(desk: Desk, workplace: Annotated[str, typer.Argument(help="Id of the workplace.")]) -> None:
    """One workplace, also a deleted one."""
    desk.paper.card(desk.door.call("GET", operator_path("workplaces", workplace)), FIELDS)
