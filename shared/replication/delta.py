"""The delta: what a workplace has not seen, as one consistent cut (protocol.md, Pull)."""

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from psycopg import Connection

from shared.protocol.digest import BUCKETS
from shared.protocol.values import canonical_json
from shared.replication import retention
from shared.replication.delta_rows import AggregateRows, Key
from shared.replication.digest import service_digests
from shared.replication.history import (
    FOREIGN,
    UNSEEN,
    current_generation,
    current_snapshot,
    given_position,
    is_past,
    snapshot_of,
)
from shared.replication.model import Model, Root
from shared.replication.problem import ProtocolProblem
from shared.replication.scope import Scope

Repair = Mapping[str, Sequence[int]]

# Aggregates read by one query.
_CHUNK = 2_000


@dataclass(frozen=True)
class Delta:
    """NDJSON `lines`, each with its newline, from the first to the last; to be read once while the context lasts.

    `position` is the client's new position when it has applied all of them.
    """

    position: str
    lines: Iterator[bytes]


@dataclass(frozen=True)
class _Unseen:
    """The keys of one table with unseen marks; `truncated` when a mark names the whole table.

    `aliases` are keys, as JSON, under which only this client has something.
    """

    keys: Mapping[Key, "_Mark"]
    truncated: bool
    aliases: Sequence[str]


@dataclass(frozen=True)
class _Mark:
    """`left`: the row was in the scope the client holds. `resent`: the mark is for this client alone."""

    left: bool
    resent: bool


@contextmanager
def read(
    conn: Connection[Any],
    application: str,
    model: Model,
    workplace: str,
    scope_before: Scope,
    scope_now: Scope,
    after: str | None,
    *,
    digests: Literal["tables", "buckets"] | None = None,
    repair: Repair | None = None,
    reset: bool = False,
) -> Iterator[Delta]:
    """What `workplace` is to apply to come from position `after` in `scope_before` to now in `scope_now`.

    Reads in one REPEATABLE READ transaction, which ends with the context. `reset` (or no position) sends all in scope.
    `repair` names buckets of tables that come whole; an empty list is the whole table. Raises `ProtocolProblem`
    `exchange_over` when the history does not reach back to `after`.
    """
    whole = reset or after is None
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        now = current_snapshot(conn)
        generation = current_generation(conn, application)
        position = given_position(conn, application, workplace, now)
        since = now if whole or after is None else _since(conn, application, workplace, generation, after)
        if since is None:
            # It was not so when the exchange was opened: the next opening tells what to do.
            raise ProtocolProblem("exchange_over", 410, "The history has been shortened. Open a new exchange.")
        reader = _Reader(conn, model, workplace, scope_before, scope_now, since)
        if whole:
            plan = [(root, reader.everything(root)) for root in model.roots]
            estimate = sum(reader.rows(root).count() for root in model.roots)
        else:
            unseen = reader.unseen()
            wanted = _by_root(model, repair or {})
            plan = [(root, reader.changes(root, unseen[root.name], wanted.get(root.name))) for root in model.roots]
            estimate = sum(len(marks.keys) for marks in unseen.values())
        first = {
            "from": None if whole else after,
            "to": position,
            "generation": generation,
            "scope_version": scope_now.version,
            "reset": whole,
            "estimate": estimate,
        }
        yield Delta(position, _framed(conn, model, scope_now, first, plan, digests))


def _since(conn: Connection[Any], application: str, workplace: str, generation: str, after: str) -> str | None:
    """The snapshot from which everything that the holder of `after` lacks is told, None when the history has less."""
    snapshot = snapshot_of(generation, after)
    if snapshot is None:
        return None
    if not is_past(conn, snapshot):
        raise ProtocolProblem("invalid_request", 422, "after: no position of this application.")
    return retention.since(conn, application, workplace, snapshot)


def _framed(
    conn: Connection[Any],
    model: Model,
    scope: Scope,
    first: Mapping[str, Any],
    plan: Sequence[tuple[Root, Iterator[bytes]]],
    digests: str | None,
) -> Iterator[bytes]:
    checksum = hashlib.sha256()
    count = 0
    head = orjson.dumps(first) + b"\n"
    checksum.update(head)
    yield head
    for _, lines in plan:
        for line in lines:
            checksum.update(line)
            count += 1
            yield line
    last: dict[str, Any] = {"end": True, "count": count, "sha256": checksum.hexdigest(), "position": first["to"]}
    if digests:
        last["digests"] = service_digests(conn, model, scope, buckets=digests == "buckets")
    yield orjson.dumps(last) + b"\n"


def _by_root(model: Model, repair: Repair) -> dict[str, list[int]]:
    """Buckets to repair by root table: a part's buckets are its root's. An empty list is the whole table."""
    wanted: dict[str, list[int]] = {}
    for root in model.roots:
        asked = [list(repair[table.name]) for table in root.tables if table.name in repair]
        if asked:
            wanted[root.name] = [] if [] in asked else sorted({bucket for buckets in asked for bucket in buckets})
    return wanted


class _Reader:
    """Reads one client's delta, table by table, inside the caller's transaction."""

    def __init__(
        self, conn: Connection[Any], model: Model, workplace: str, before: Scope, now: Scope, after: str
    ) -> None:
        self.conn = conn
        self.model = model
        self.before = before
        self.now = now
        self.arguments: dict[str, Any] = {
            "workplace": workplace,
            "after": after,
            "area": model.area,
            "organisations_before": list(before.organisations or ()),
            "organisations_now": None if now.organisations is None else list(now.organisations),
        }

    def rows(self, root: Root) -> AggregateRows:
        return AggregateRows(self.conn, self.model, root, self.before, self.now)

    def everything(self, root: Root) -> Iterator[bytes]:
        rows = self.rows(root)
        for chunk in _chunks(rows.keys_in_scope()):
            yield from (found.put for found in rows.read(chunk) if found.put)

    def unseen(self) -> dict[str, _Unseen]:
        """By root table, in one pass over the marks.

        Of what it pushed itself the client knows, also in an organisation that it has not pulled yet: when somebody
        changed that since, or its scope has lost it, it left.
        """
        keys: dict[str, dict[Key, _Mark]] = {root.name: {} for root in self.model.roots}
        truncated: set[str] = set()
        aliases: dict[str, list[str]] = {root.name: [] for root in self.model.roots}
        marks = self.conn.execute(
            "SELECT table_name, key, alias,"
            " bool_or(organisation_before = ANY(%(organisations_before)s) OR origin = %(workplace)s),"
            " bool_or(recipient IS NOT NULL) FROM yurt.history"
            f" WHERE table_name = ANY(%(tables)s) AND {UNSEEN} AND (recipient IS NULL OR recipient = %(workplace)s)"
            " GROUP BY table_name, key, alias"
            f" HAVING bool_or({FOREIGN} OR organisation_after <> ALL(%(organisations_now)s))".encode(),
            {**self.arguments, "tables": list(keys)},
        )
        for table, key, alias, left, resent in marks:
            if key is None:
                truncated.add(table)
            elif alias is not None:
                aliases[table].append(alias)
            else:
                keys[table][tuple(key)] = _Mark(bool(left), bool(resent))
        return {table: _Unseen(marked, table in truncated, aliases[table]) for table, marked in keys.items()}

    def changes(self, root: Root, unseen: _Unseen, repair: list[int] | None) -> Iterator[bytes]:
        """The lines of one table; a key stands in at most one of them."""
        rows = self.rows(root)
        for alias in unseen.aliases:
            yield f'{{"op":"remove","table":{canonical_json(root.name)},"key":{alias}}}\n'.encode()
        if unseen.truncated or repair == []:
            yield from rows.buckets(range(BUCKETS))
            yield from self.everything(root)
            return
        repaired = frozenset(repair or ())
        if repaired:
            yield from rows.buckets(sorted(repaired))
            for chunk in _chunks(rows.keys_in_scope(repaired)):
                yield from (found.put for found in rows.read(chunk) if found.put)
        if root.organisation and self.before.organisations != self.now.organisations:
            yield from self._rescoped(rows, repaired)
        yield from self._marked(root, rows, unseen, repaired)

    def _rescoped(self, rows: AggregateRows, repaired: frozenset[int]) -> Iterator[bytes]:
        """What the change of scope takes away and adds, whenever it was changed last."""
        for chunk in _chunks(rows.keys_removed()):
            yield from (found.remove for found in rows.read(chunk) if found.bucket not in repaired)
        for chunk in _chunks(rows.keys_added()):
            yield from (found.put for found in rows.read(chunk) if found.put and found.bucket not in repaired)

    def _marked(self, root: Root, rows: AggregateRows, unseen: _Unseen, repaired: frozenset[int]) -> Iterator[bytes]:
        """What changed: a put or a leave is decided by the row as it is now."""
        everywhere = root.organisation is None or self.before.organisations is None
        for chunk in _chunks(iter(unseen.keys)):
            for found in rows.read(chunk):
                if found.bucket in repaired or found.in_before != found.in_now:
                    continue  # told already, by its bucket or by the change of scope
                mark = unseen.keys[found.key]
                if found.put:
                    yield found.put
                elif everywhere or mark.left or mark.resent:
                    yield found.remove


def _chunks(keys: Iterator[Key]) -> Iterator[list[Key]]:
    while chunk := list(itertools.islice(keys, _CHUNK)):
        yield chunk
