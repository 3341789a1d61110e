"""`yurtctl health`: whether the service answers, part by part."""

from collections.abc import Iterator

import typer

from deploy.yurtctl.command import REFUSED, Desk
from deploy.yurtctl.door import Document, Door, Refused, operator_path

# Each question goes through the parts it is named after.
QUESTIONS = {
    "gateway": ("/health/live", {}),
    "gateway's database": ("/health/ready", {}),
    "provisioning, licensing": (operator_path("subscribers"), {"limit": "1"}),
    "event bus": (operator_path("dead-letters"), {"limit": "1"}),
}
COLUMNS = {"part": "part", "well": "well", "": "detail"}


def health(desk: Desk) -> None:
    """Whether the service answers, part by part; ends with 1 when some part does not."""
    found = list(_asked(desk.door))
    desk.paper.table(found, COLUMNS, "")
    if not all(part["well"] for part in found):
        raise typer.Exit(REFUSED)


def _asked(door: Door) -> Iterator[Document]:
    for part, (path, params) in QUESTIONS.items():
        try:
            door.call("GET", path, params=params)
        except Refused as refusal:
            yield {"part": part, "well": False, "detail": refusal.sentences[0]}
        else:
            yield {"part": part, "well": True, "detail": "answers"}
