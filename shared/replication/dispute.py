"""What a person decides about: the versions of a problem, and what differs between them (protocol.md, Decisions).

Pure functions. A decision is a merge too: what both versions have in common stays as it is now, whoever wrote it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.replication.merge import Lines, Merged, Pushed, Shape, Stored, equal, merge


class VersionUnusable(Exception):
    """What was pushed is no version that could be in force; the text says why."""


@dataclass(frozen=True)
class Dispute:
    """`sent` is what the workplace pushed, `service` what stood against it, None for nothing.

    `partly`: what was not in conflict is in force already, so that it is not in dispute.
    """

    sent: Pushed
    service: Stored | None
    partly: bool

    def wanted(self, shape: Shape, present: Stored | None, whose: str) -> Pushed:
        """What makes the version of `whose` (`service`, `workplace`) stand, as a push that wins over `present`."""
        return self._of_workplace(shape) if whose == "workplace" else self._of_service(shape, present)

    def lines_are_unknown(self, shape: Shape, present: Stored | None, whose: str) -> bool:
        """The workplace's version of a record that is gone, of which only a part of the lines was ever sent."""
        sent = self.sent
        nothing = present is None and self.service is None and whose == "workplace"
        return nothing and sent.row is not None and not sent.new and bool(shape.parts.keys() - sent.parts.keys())

    def _of_workplace(self, shape: Shape) -> Pushed:
        if self.sent.row is None or self.service is None:
            return self.sent
        service, workplace = self._versions(shape, self.service)
        return _difference(shape, service, workplace)

    def _of_service(self, shape: Shape, present: Stored | None) -> Pushed:
        if self.service is None:
            return Pushed(None, {}, {}, {}, new=False)
        if self.sent.row is None:
            parts_now = present.parts if present else {}
            return Pushed(self.service.row, {}, self.service.parts, parts_now, new=True)
        service, workplace = self._versions(shape, self.service)
        return _difference(shape, workplace, service)

    def _versions(self, shape: Shape, service: Stored) -> tuple[Stored, Stored]:
        """The record with the service's version in force, and with the workplace's."""
        won = _whole(service, merge(shape, service, self.sent, "workplace_wins"))
        if not self.partly:
            return service, won
        return _whole(service, merge(shape, service, self.sent, "service_wins")), won


def dispute(shape: Shape, problem: Mapping[str, Any], replaced: Mapping[str, Any] | None, *, manual: bool) -> Dispute:
    """The dispute of a problem as it is stored. `replaced`: what the last decision for the workplace wrote over, which
    stands for a version that the workplace must not see. `manual`: the table's policy. Raises `VersionUnusable`.
    """
    version, pushed, edits = problem["service"] or replaced, problem["pushed"], problem["edits"]
    sent = Pushed(
        pushed["row"] if pushed else None,
        edits["before"],
        _checked(shape, pushed["parts"]) if pushed else {},
        _checked(shape, {part: were for part, were in edits["parts_before"].items() if part in shape.parts}),
        new=edits["new"],
    )
    service = Stored(version["row"], version["parts"]) if version else None
    for name in problem["columns"] if service is not None and sent.row is not None else ():
        if name not in shape.kinds and name.partition(".")[0] not in shape.parts:
            raise VersionUnusable(f"The application has no column {name} any more.")
    return Dispute(sent, service, partly=problem["kind"] == "conflict" and not manual)


def _checked(shape: Shape, parts: Mapping[str, Any]) -> Mapping[str, Lines]:
    for part, lines in parts.items():
        if part not in shape.parts:
            raise VersionUnusable(f"{part} is no part of this record.")
        if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
            raise VersionUnusable("What was sent as lines is none.")
    return parts


def _whole(service: Stored, merged: Merged) -> Stored:
    return Stored(merged.row if merged.row is not None else service.row, {**service.parts, **merged.parts})


def _difference(shape: Shape, was: Stored, is_to_be: Stored) -> Pushed:
    """The edit that leads from one version to the other, with all lines: it stands also where the record is gone."""
    columns = {
        name: was.row[name]
        for name, kind in shape.kinds.items()
        if name in was.row and name in is_to_be.row and not equal(kind, was.row[name], is_to_be.row[name])
    }
    parts = {part: is_to_be.parts.get(part, ()) for part in shape.parts}
    parts_before = {part: was.parts.get(part, ()) for part in shape.parts}
    return Pushed(is_to_be.row, columns, parts, parts_before, new=False)
