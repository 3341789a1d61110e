"""`yurtctl dead-letter`: events that a consumer gave up."""

from typing import Annotated

import typer

from deploy.yurtctl.command import Desk, command
from deploy.yurtctl.door import Document, operator_path
from deploy.yurtctl.paper import Columns

group = typer.Typer(help="Events that a consumer gave up.", no_args_is_help=True)


def _event(letter: Document) -> object:
    return letter["envelope"].get("name")


COLUMNS: Columns = {
    "id": "id",
    "failed": "failed_at",
    "event": _event,
    "service": "service",
    "consumer": "consumer",
    "reason": "reason",
    "attempts": "attempts",
    "error": "error",
}


@command(group, "list")
def list_(desk: Desk) -> None:
    """All dead letters, oldest first, with the last error."""
    desk.paper.table(desk.door.items(operator_path("dead-letters")), COLUMNS, "There are no dead letters.")


@command(group, "replay")
def replay(desk: Desk, letters: Annotated[list[str], typer.Argument(help="Ids of dead letters.")]) -> None:
    """Hand events to their consumers once more; those that fail again come back."""
    replayed = [desk.door.call("POST", operator_path("dead-letters", letter, "replay")) for letter in letters]
    desk.paper.table(replayed, {"id": "id", "replayed": "replayed"}, "")
