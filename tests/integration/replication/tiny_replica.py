"""A replica in memory, written from protocol.md alone: edits, pushes, and applies deltas to the letter."""

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.protocol.digest import row_encoder
from shared.protocol.values import canonical_json, from_wire
from shared.replication import delta
from shared.replication.apply import Message, apply_message
from shared.replication.model import Model, Table
from shared.replication.scope import Scope
from tests.integration.replication.market import Market

Key = tuple[str, str]
Document = dict[str, Any]


@dataclass
class Edit:
    """One row of `yurt_changes`: what was there before the first edit, None for nothing."""

    key: Document
    base: str | None
    was: Document | None


@dataclass
class TinyReplica:
    """Rows are wire values: `{"row": {…}, "parts": {table: [line, …]}}` by (table, canonical key)."""

    market: Market
    name: str
    scope: Scope
    position: str | None = None
    held: Scope | None = None
    sent: int = 0
    rows: dict[Key, Document] = field(default_factory=dict)
    changes: dict[Key, Edit] = field(default_factory=dict)
    outbox: tuple[int, bytes] | None = None
    frozen: set[Key] = field(default_factory=set)
    seen_keys: list[Key] = field(default_factory=list)

    @property
    def model(self) -> Model:
        return self.market.model

    # -- editing -----------------------------------------------------------------------------------------------------

    def at(self, table: str, **key: Any) -> Document | None:
        return self.rows.get((table, canonical_json(key)))

    def put(self, table: str, row: Mapping[str, Any], parts: Mapping[str, list[Document]] | None = None) -> None:
        """Insert or update: columns not given stay (or are null), part tables not given stay."""
        root = self.model.root[table]
        key = {name: row[name] for name in root.table.key_names}
        place = (table, canonical_json(key))
        old = self.rows.get(place)
        self._touch(place, key, old)
        new = copy.deepcopy(old) or {
            "row": {column.name: None for column in root.table.columns},
            "parts": {part.name: [] for part in root.parts},
        }
        new["row"].update(row)
        for part, lines in (parts or {}).items():
            names = [column.name for column in self._table(part).columns]
            new["parts"][part] = [dict.fromkeys(names) | line for line in lines]
        self.rows[place] = new

    def delete(self, table: str, **key: Any) -> None:
        place = (table, canonical_json(key))
        self._touch(place, key, self.rows[place])
        if self.changes[place].was is None and self.changes[place].base is None:
            del self.changes[place]  # inserted and deleted again
        del self.rows[place]

    def _touch(self, place: Key, key: Document, old: Document | None) -> None:
        if place not in self.changes:
            fresh = old is None and place not in self.frozen
            self.changes[place] = Edit(key, None if fresh else self.position, copy.deepcopy(old))

    def _table(self, name: str) -> Table:
        return next(table for table in self.model.tables if table.name == name)

    # -- push --------------------------------------------------------------------------------------------------------

    def freeze(self) -> bytes:
        lines = [self._line(seq, place, edit) for seq, (place, edit) in enumerate(self.changes.items(), start=1)]
        body = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines if line)
        self.outbox = (self.sent + 1, body)
        self.frozen = set(self.changes)
        self.changes = {}
        return body

    def _line(self, seq: int, place: Key, edit: Edit) -> Document | None:
        now, was = self.rows.get(place), edit.was
        line: Document = {"seq": seq, "table": place[0], "key": edit.key, "base": edit.base}
        line |= {"edited_at": "2024-05-01T10:00:00.000000Z", "edited_by": "aigul"}
        if now is None:
            was = was or {"row": {}, "parts": {}}
            return line | {"op": "delete", "before": was["row"], "parts_before": was["parts"]}
        if was is None:
            parts = {part: lines for part, lines in now["parts"].items() if lines}
            return line | {"op": "put", "row": now["row"], "before": {}, "parts": parts, "parts_before": {}}
        touched = [part for part in now["parts"] if now["parts"][part] != was["parts"][part]]
        before = {name: value for name, value in was["row"].items() if now["row"][name] != value}
        line |= {"op": "put", "row": now["row"], "before": before}
        line["parts"] = {part: now["parts"][part] for part in touched}
        return line | {"parts_before": {part: was["parts"][part] for part in touched}}

    def push(self, body: bytes | None = None, version: str = "2.0") -> Document:
        """Freeze (unless a body is given or held) and send; the answer."""
        if body is not None:
            self.outbox = (self.sent + 1, body)
        elif self.outbox is None:
            self.freeze()
        number, held = self.outbox or (0, b"")
        answer = self.send(number, held, version)
        self.outbox, self.sent, self.frozen = None, number, set()
        return answer

    def send(self, number: int, body: bytes, version: str = "2.0") -> Document:
        return apply_message(
            self.market.conn,
            self.market.code,
            self.model,
            self.name,
            self.scope,
            Message(number, body, version),
            "aigul",
        )

    # -- pull --------------------------------------------------------------------------------------------------------

    def lines(self, **options: Any) -> list[Document]:
        """The delta as it is offered, checked as protocol.md tells to."""
        held = self.held or self.scope
        with delta.read(
            self.market.conn, self.market.code, self.model, self.name, held, self.scope, self.position, **options
        ) as found:
            raw = list(found.lines)
        assert all(line.endswith(b"\n") for line in raw)
        documents = [json.loads(line) for line in raw]
        last = documents[-1]
        assert last["end"] is True
        assert last["count"] == len(raw) - 2
        assert last["sha256"] == hashlib.sha256(b"".join(raw[:-1])).hexdigest()
        assert last["position"] == documents[0]["to"]
        return documents

    def pull(self, **options: Any) -> list[Document]:
        """Apply a delta; its lines between first and last. What is unsent is not overwritten."""
        documents = self.lines(**options)
        first, last, between = documents[0], documents[-1], documents[1:-1]
        unsent = set(self.changes) | self.frozen
        named: set[Key] = set()
        if first["reset"]:
            self.rows = {place: row for place, row in self.rows.items() if place in unsent}
        for line in between:
            if line["op"] == "bucket":
                self._bucket(line, unsent)
                continue
            place = (line["table"], canonical_json(line["key"]))
            assert place not in named, f"{place} stands twice in a delta"
            named.add(place)
            if place in unsent:
                continue
            if line["op"] == "put":
                assert line["row"].keys() == self._table(line["table"]).by_name.keys()
                self.rows[place] = {"row": line["row"], "parts": line["parts"]}
            else:
                self.rows.pop(place, None)
        self.position, self.held = last["position"], self.scope
        self.seen_keys = sorted(named)
        return between

    def _bucket(self, line: Document, unsent: set[Key]) -> None:
        kept = {canonical_json(key) for key in line["keys"]}
        for place, document in list(self.rows.items()):
            table, key = place
            if table == line["table"] and place not in unsent and key not in kept:
                names = self.model.root[table].table.key_names
                values = canonical_json([document["row"][name] for name in names])
                if hashlib.sha256(values.encode()).digest()[0] == line["bucket"]:
                    del self.rows[place]

    # -- proof -------------------------------------------------------------------------------------------------------

    def digests(self) -> dict[str, Document]:
        return {
            table.name: self._digest(table, list(self._rows_of(root.name, table)))
            for root in self.model.roots
            for table in root.tables
        }

    def _rows_of(self, root: str, table: Table) -> Iterator[Document]:
        for (name, _), document in self.rows.items():
            if name == root:
                yield from [document["row"]] if table.name == root else document["parts"][table.name]

    def _digest(self, table: Table, rows: Sequence[Document]) -> Document:
        encode = row_encoder([column.type for column in table.columns])
        total = 0
        for row in rows:
            values = [from_wire(column.type, row[column.name]) for column in table.columns]
            total += int.from_bytes(hashlib.sha256(encode(values)).digest()[:8])
        return {"rows": len(rows), "digest": f"{total % 2**64:016x}"}
