"""Aggregates as lines of a delta, read by their keys."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from shared.protocol.values import canonical_json
from shared.replication.expressions import (
    canonical_array,
    column_ref,
    json_object,
    literal,
    qualified,
    quote,
)
from shared.replication.model import Model, Root, Table
from shared.replication.scope import Scope, area_condition, of_organisations

Key = tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What is there now under a key. `put` is None when no such row is in the present scope."""

    key: Key
    bucket: int
    put: bytes | None
    remove: bytes
    in_before: bool
    in_now: bool


def wire_keys(conn: Connection[Any], table: Table, keys: Sequence[Key]) -> list[Any]:
    """Keys as the history spells them, in their order, as JSON objects of wire values."""
    query = f"SELECT ({json_object(table.key, 'k')})::json FROM {_listed(table)} ORDER BY k.place"
    return [key for (key,) in conn.execute(query.encode(), _lists(table, keys))]


def _listed(table: Table) -> str:
    """FROM item of the keys in `_lists`: columns of the table's own types, and `place` from 1."""
    arrays = ", ".join(f"%(k{at})s::text[]::{column.cast}[]" for at, column in enumerate(table.key))
    names = ", ".join(quote(column.name) for column in table.key)
    return f"ROWS FROM (unnest({arrays})) WITH ORDINALITY AS k({names}, place)"


def _lists(table: Table, keys: Sequence[Key]) -> dict[str, list[str]]:
    return {f"k{at}": [key[at] for key in keys] for at in range(len(table.key))}


class AggregateRows:
    """The aggregates of one root table. `before` is the scope the client holds, `now` the one it is to have."""

    def __init__(self, conn: Connection[Any], model: Model, root: Root, before: Scope, now: Scope) -> None:
        self.conn = conn
        self.root = root
        self.key = root.table.key
        self.arguments = {
            "area": model.area,
            "before": list(before.organisations or ()),
            "now": list(now.organisations or ()),
        }
        self.area = area_condition(model, "t")
        self.in_before = self._in_scope(before, "before")
        self.in_now = self._in_scope(now, "now")
        self.query = self._query(model)

    def count(self) -> int:
        """How many aggregates are in the present scope."""
        row = self.conn.execute(
            f"SELECT count(*) FROM {qualified(self.root.table)} t WHERE {self.area} AND {self.in_now}".encode(),
            self.arguments,
        ).fetchone()
        return int(row[0]) if row else 0

    def keys_in_scope(self, buckets: frozenset[int] | None = None) -> Iterator[Key]:
        """All keys in the present scope, or those of some buckets."""
        if buckets is None:
            return self._keys(self.in_now)
        return self._keys(f"{self.in_now} AND {self._bucket('t')} = ANY(%(buckets)s)", buckets=sorted(buckets))

    def keys_added(self) -> Iterator[Key]:
        """Keys that the present scope has and the former had not."""
        return self._keys(f"{self.in_now} AND NOT {self.in_before}")

    def keys_removed(self) -> Iterator[Key]:
        """Keys that the former scope had and the present has not."""
        return self._keys(f"{self.in_before} AND NOT {self.in_now}")

    def read(self, keys: Sequence[Key]) -> Iterator[Found]:
        """What is there now under each of `keys`, in their order."""
        arguments = self.arguments | _lists(self.root.table, keys)
        for place, bucket, put, remove, in_before, in_now in self.conn.execute(self.query, arguments):
            yield Found(keys[place - 1], bucket, put.encode() if put else None, remove.encode(), in_before, in_now)

    def buckets(self, wanted: Sequence[int] | range) -> Iterator[bytes]:
        """A `bucket` line for each wanted bucket, with the keys that are in scope now."""
        key = json_object(self.key, "t")
        rows = self.conn.execute(
            f"SELECT {self._bucket('t')} AS bucket, string_agg({key}, ',') FROM {qualified(self.root.table)} t"
            f" WHERE {self.area} AND {self.in_now} GROUP BY 1".encode(),
            self.arguments,
        )
        found: dict[int, str] = dict(rows.fetchall())
        table = canonical_json(self.root.name)
        for bucket in wanted:
            yield f'{{"op":"bucket","table":{table},"bucket":{bucket},"keys":[{found.get(bucket, "")}]}}\n'.encode()

    def _in_scope(self, scope: Scope, parameter: str) -> str:
        if self.root.organisation is None or scope.organisations is None:
            return "true"
        return f"coalesce({of_organisations(self.root, 't', parameter)}, false)"

    def _bucket(self, alias: str) -> str:
        return f"get_byte(sha256(convert_to({canonical_array(self.key, alias)}, 'UTF8')), 0)"

    def _keys(self, where: str, **more: Any) -> Iterator[Key]:
        columns = ", ".join(f"{column_ref('t', column)}::text" for column in self.key)
        with self.conn.cursor(name="yurt_keys") as cursor:
            cursor.itersize = 10_000
            query = f"SELECT {columns} FROM {qualified(self.root.table)} t WHERE {self.area} AND {where}"
            yield from cursor.execute(query.encode(), {**self.arguments, **more})

    def _query(self, model: Model) -> bytes:
        match = " AND ".join(f"{column_ref('t', c)} = {column_ref('k', c)}" for c in self.key)
        present = f"{column_ref('t', self.key[0])} IS NOT NULL"
        table = literal(canonical_json(self.root.name))
        key = json_object(self.key, "k")
        parts = (
            " || ',' || ".join(
                f"{literal(canonical_json(p.name) + ':')} || coalesce(p{at}.lines, '[]')"
                for at, p in enumerate(self.root.parts)
            )
            or "''"
        )
        line = (
            f'\'{{"op":"put","table":\' || {table} || \',"key":\' || {key} || \',"row":\' ||'
            f" {json_object(self.root.table.columns, 't')} || ',\"parts\":{{' || {parts} || E'}}}}\\n'"
        )
        remove = f'\'{{"op":"remove","table":\' || {table} || \',"key":\' || {key} || E\'}}\\n\''
        in_now = f"({present} AND {self.in_now})"
        joins = "".join(self._part_join(model, part, at) for at, part in enumerate(self.root.parts))
        return (
            f"SELECT k.place, {self._bucket('k')}, CASE WHEN {in_now} THEN {line} END, {remove},"
            f" {present} AND {self.in_before}, {in_now}"
            f" FROM {_listed(self.root.table)}"
            f" LEFT JOIN {qualified(self.root.table)} t ON {match} AND {self.area}{joins} ORDER BY k.place"
        ).encode()

    def _part_join(self, model: Model, part: Table, at: int) -> str:
        """The lines of the asked roots, aggregated in one pass: the parent column may have no index."""
        parent = f"l.{quote(part.parent or '')}"
        order = ", ".join(column_ref("l", column) for column in part.key)
        # Not = ANY(…): PostgreSQL would go through all of the keys for each line.
        wanted = f"{parent} IN (SELECT unnest(%(k0)s::text[]::{part.by_name[part.parent or ''].cast}[]))"
        area = f" AND {area_condition(model, 'l')}" if model.area_column else ""
        return (
            f" LEFT JOIN (SELECT {parent} AS parent, '[' || string_agg({json_object(part.columns, 'l')}, ','"
            f" ORDER BY {order}) || ']' AS lines FROM {qualified(part)} l WHERE {wanted}{area} GROUP BY 1) p{at}"
            f" ON p{at}.parent = {column_ref('t', self.key[0])}"
        )
