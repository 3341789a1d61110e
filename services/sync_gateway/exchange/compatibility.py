"""What of a replica fits the service: its program and its configuration."""

import re

from shared.runtime.problem import Problem


def require_program(program: str, minimal: str | None) -> None:
    """A program older than `minimal` (name/version) has to be replaced; programs of other names are trusted.

    Problem `program_too_old`.
    """
    if minimal is None:
        return
    wanted_name, _, wanted = minimal.partition("/")
    name, _, version = program.partition("/")
    if name == wanted_name and numbers(version) < numbers(wanted):
        raise Problem("program_too_old", f"The workplace program must be at least {wanted}.", minimal=minimal)


def unknown_configuration(replica: tuple[str, str], service: tuple[str, str]) -> Problem:
    """`configuration_changed`: no schema leads from what the replica holds to what the application is."""
    held, present = "/".join(replica), "/".join(service)
    return Problem(
        "configuration_changed",
        f"The replica holds {held}, the application is {present} now. A new package brings it.",
        configuration=service[0],
        version=service[1],
    )


def numbers(version: str) -> tuple[int, ...]:
    """`1.10.2` → (1, 10, 2); anything that is no number counts as 0."""
    return tuple(int(part[:9]) if re.fullmatch(r"\d+", part) else 0 for part in version.split("."))
