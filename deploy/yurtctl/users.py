"""`yurtctl user`: people and their roles in an application."""

from typing import Annotated, Literal

import typer

from deploy.yurtctl import questions
from deploy.yurtctl.command import Desk, command
from deploy.yurtctl.door import operator_path
from deploy.yurtctl.paper import Columns

group = typer.Typer(help="Users and their roles in an application.", no_args_is_help=True)

Application = Annotated[str, typer.Argument(help="Code of the application.")]
Login = Annotated[str, typer.Argument(help="Login of the user, his in the whole service.")]
COLUMNS: Columns = {"login": "login", "full name": "full_name", "role": "role"}


@command(group, "put")
def put(
    desk: Desk,
    application: Application,
    login: Login,
    *,
    full_name: Annotated[str, typer.Option(help="Name people read.")],
    role: Annotated[Literal["administrator", "user", "synchronisation"], typer.Option(help="What he may do.")],
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")] = False,
) -> None:
    """Give a user a role. The password is asked for at a terminal; a new one ends his sessions."""
    wishes = {"full_name": full_name, "role": role}
    password = questions.password(login, from_stdin=password_stdin)
    if password is not None:
        wishes["password"] = password
    desk.paper.card(desk.door.call("PUT", operator_path("applications", application, "users", login), wishes), COLUMNS)


@command(group, "remove")
def remove(desk: Desk, application: Application, login: Login) -> None:
    """Take a user's role away, and the tokens that came from it."""
    desk.door.call("DELETE", operator_path("applications", application, "users", login))
    done = {"application": application, "login": login, "removed": True}
    desk.paper.say(f"{login} has no role in {application} any more.", done)


@command(group, "list")
def list_(desk: Desk, application: Application) -> None:
    """The users of an application."""
    document = desk.door.call("GET", operator_path("applications", application))
    desk.paper.table(document["users"], COLUMNS, f"{application} has no users.")
