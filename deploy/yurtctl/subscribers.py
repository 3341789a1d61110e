"""`yurtctl subscriber`: who pays, and for what."""

from datetime import date
from typing import Annotated, Literal

import typer

from deploy.yurtctl.command import Desk, command
from deploy.yurtctl.door import Document, operator_path
from deploy.yurtctl.moments import day
from deploy.yurtctl.paper import Columns

group = typer.Typer(help="Subscribers and their subscriptions.", no_args_is_help=True)

Code = Annotated[str, typer.Argument(help="Code of the subscriber.")]


def _seats(subscriber: Document) -> str | None:
    if subscriber.get("limit") is None:
        return None
    seats = f"{subscriber['used']} of {subscriber['limit']}"
    if not subscriber.get("over"):
        return seats
    until = subscriber.get("grace_until")
    return f"{seats}, {subscriber['over']} over" + (f" until {until[:10]}" if until else ", suspended")


def _valid(subscriber: Document) -> str | None:
    if subscriber.get("lapsed"):
        return f"lapsed after {subscriber['valid_until']}"
    return "without an end" if subscriber.get("plan") and not subscriber["valid_until"] else subscriber["valid_until"]


COLUMNS: Columns = {
    "code": "code",
    "name": "name",
    "plan": "plan",
    "extra seats": "extra_seats",
    "seats in use": _seats,
    "valid until": _valid,
    "local licence": "local_licence",
}


@command(group, "put")
def put(
    desk: Desk,
    code: Code,
    *,
    name: Annotated[str, typer.Option(help="Name people read.")],
    plan: Annotated[Literal["prof", "extended", "optimal", "starter"], typer.Option(help="The plan.")],
    local_licence: Annotated[
        bool, typer.Option("--local-licence/--no-local-licence", help="Holds a licence of the local version.")
    ],
    extra_seats: Annotated[int, typer.Option(min=0, help="Seats beyond those of the plan.")] = 0,
    valid_until: Annotated[
        date | None, typer.Option(parser=day, metavar="YYYY-MM-DD", help="Last valid date in UTC; none: no end.")
    ] = None,
) -> None:
    """Register a subscriber, or change the terms: what is left out is as its default says, not as it was."""
    terms = {
        "name": name,
        "plan": plan,
        "extra_seats": extra_seats,
        "valid_until": valid_until.isoformat() if valid_until else None,
        "local_licence": local_licence,
    }
    desk.paper.card(desk.door.call("PUT", operator_path("subscribers", code), terms), COLUMNS)


@command(group, "list")
def list_(desk: Desk) -> None:
    """All subscribers with their subscriptions."""
    desk.paper.table(desk.door.items(operator_path("subscribers")), COLUMNS, "There are no subscribers.")


@command(group, "show")
def show(desk: Desk, code: Code) -> None:
    """One subscriber."""
    desk.paper.card(desk.door.call("GET", operator_path("subscribers", code)), COLUMNS)
