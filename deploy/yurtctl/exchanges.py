"""`yurtctl exchange`: the summary of exchanges of an application."""

from datetime import datetime
from itertools import islice
from typing import Annotated

import typer

from deploy.yurtctl.command import Desk, command
from deploy.yurtctl.door import operator_path
from deploy.yurtctl.moments import first_moment, last_moment
from deploy.yurtctl.paper import Columns
from deploy.yurtctl.usage import UsageMistake

group = typer.Typer(help="Exchanges of the workplaces with the service.", no_args_is_help=True)

WHEN = "DATE|TIME"
COLUMNS: Columns = {
    "started": "started_at",
    "finished": "finished_at",
    "result": "result",
    "sent": "sent",
    "received": "received",
    "problems": "problems",
    "workplace": "workplace",
}


@command(group, "list")
def list_(
    desk: Desk,
    application: Annotated[str, typer.Argument(help="Code of the application.")],
    *,
    workplace: Annotated[str | None, typer.Option(help="Only of this workplace (id).")] = None,
    result: Annotated[str | None, typer.Option(help="Only with this result, for example completed.")] = None,
    since: Annotated[
        datetime | None, typer.Option("--from", parser=first_moment, metavar=WHEN, help="Started then or later (UTC).")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", parser=last_moment, metavar=WHEN, help="Started then or earlier (UTC).")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="The newest so many; 0: all.")] = 50,
    csv: Annotated[bool, typer.Option("--csv", help="All of them as CSV.")] = False,
) -> None:
    """The exchanges of an application's workplaces, newest first."""
    if csv and desk.paper.as_json:
        raise UsageMistake("--csv and --json do not go together.")
    path = operator_path("applications", application, "exchanges")
    wanted = {
        "workplace": workplace,
        "result": result,
        "from": since.isoformat() if since else None,
        "to": until.isoformat() if until else None,
    }
    filters = {name: value for name, value in wanted.items() if value is not None}
    if csv:
        for piece in desk.door.lines(path, filters, "text/csv"):
            desk.paper.raw(piece)
        return
    found = desk.door.items(path, filters)
    desk.paper.table(islice(found, limit) if limit else found, COLUMNS, "There are no such exchanges.")
