"""All commands under one name."""

import typer

from deploy.yurtctl import applications, dead_letters, exchanges, health, subscribers, users, workplaces
from deploy.yurtctl.command import command

yurtctl = typer.Typer(
    name="yurtctl",
    help="The operator's command line of Yurt. Exit codes: 0 done, 1 refused, 2 usage, 3 no connection.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a rich traceback would show variables, and so the token
)
for name, room in {
    "subscriber": subscribers,
    "application": applications,
    "user": users,
    "workplace": workplaces,
    "exchange": exchanges,
    "dead-letter": dead_letters,
}.items():
    yurtctl.add_typer(room.group, name=name)
command(yurtctl, "health")(health.health)
