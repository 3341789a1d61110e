"""Capture inside the replica: triggers that record every change made by any program (protocol.md, Package).

Two peculiarities of SQLite shape them. An OR clause of the statement overrides those inside its triggers, so nothing
here relies on one. REPLACE deletes silently unless recursive_triggers is on, and BEFORE INSERT triggers fire even when
OR IGNORE or an upsert inserts nothing; so BEFORE only keeps the row that may be displaced (`yurt_replaced`), and AFTER,
which fires only for a row that went in, makes use of it.
"""

from collections.abc import Iterator, Sequence

from shared.protocol.digest import quote
from shared.protocol.values import affinity, canonical_json
from shared.replication.model import Column, Model, Root, Table
from shared.replication.replica_schema import saved_lines

_ACTIVE = "NOT EXISTS (SELECT 1 FROM yurt_paused)"
_NOW = "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"
_USER = "(SELECT json_extract(value, '$') FROM yurt_workplace WHERE key = 'user')"
_POSITION = "(SELECT json_extract(value, '$') FROM yurt_workplace WHERE key = 'position')"
_PREFIX = "(SELECT json_extract(value, '$') FROM yurt_workplace WHERE key = 'prefix')"

# SQLite allows 127 arguments of a function (before 3.48): 50 members of a JSON object in one call.
_MEMBERS = 50


def triggers(model: Model) -> Iterator[str]:
    """The capture triggers of all tables."""
    for root in model.roots:
        yield from _root_triggers(root)
        for part in root.parts:
            yield from _part_triggers(root, part)


def _root_triggers(root: Root) -> Iterator[str]:
    table = root.table
    new, old = _Aggregate(root, "NEW"), _Aggregate(root, "OLD")
    key_changes = _key_changes(table)
    differs = _differs(table)
    displaced = [new.forget_displaced(), new.keep_displaced(), *(f"DELETE FROM {saved_lines(p)}" for p in root.parts)]
    yield _trigger(table, "before insert", _filled(table, "NEW"), displaced)
    yield _trigger(table, "after insert", _filled(table, "NEW"), [*new.inserted(), *_numbered(root)])
    if table.leased:
        yield _trigger(table, "after insert lease", f"NEW.{quote(table.leased)} IS NULL", _lease(table))
        leased = f"{_empty(table, 'OLD')} AND {_filled(table, 'NEW')}"
        arrived = [new.forget_displaced(), *new.inserted(), *_numbered(root)]
        yield _trigger(table, "after update lease", leased, arrived)
    yield _trigger(
        table, "after update", f"{_filled(table, 'OLD')} AND NOT ({key_changes}) AND ({differs})", old.edited("NEW")
    )
    moved = f"{_filled(table, 'OLD')} AND ({key_changes})"
    displacing = [*_key_kept(table), new.forget_displaced(), new.keep_displaced()]
    yield _trigger(table, "before update key", moved, displacing)
    lines = [
        f"UPDATE {quote(part.name)} SET {quote(part.parent or '')} = NEW.{quote(table.key_names[0])}"
        f" WHERE {quote(part.parent or '')} = OLD.{quote(table.key_names[0])}"
        for part in root.parts
    ]
    # Not before: OR IGNORE may still leave everything as it is. The lines are with the old key until the last step.
    arrived = [*old.deleting(), *old.deleted(), *new.inserted(), *lines]
    yield _trigger(table, "after update key", moved, arrived)
    save = [
        statement
        for part in root.parts
        for statement in (
            f"INSERT INTO {saved_lines(part)} SELECT * FROM {quote(part.name)} WHERE {_of_parent(part, old)}"
            f" AND EXISTS (SELECT 1 FROM yurt_replaced WHERE {old.here()})",
            f"DELETE FROM {quote(part.name)} WHERE {_of_parent(part, old)}",
        )
    ]
    yield _trigger(table, "before delete", _filled(table, "OLD"), [*old.deleting(), *save])
    yield _trigger(table, "after delete", _filled(table, "OLD"), old.deleted())
    if root.number:
        yield from _counter_triggers(root)


def _part_triggers(root: Root, part: Table) -> Iterator[str]:
    parent = quote(part.parent or "")
    name = quote(part.name)
    new_key, old_key = _matches(part, "NEW"), _matches(part, "OLD")
    displaced = f"yurt_replaced WHERE table_name = {_text(part.name)} AND key = {_key(part.key, 'NEW')}"
    keep = [
        f"DELETE FROM {displaced}",
        f"INSERT INTO yurt_replaced (table_name, key, parent, row) SELECT {_text(part.name)}, {_key(part.key, 'NEW')},"
        f" {parent}, {_row(part.columns, '')} FROM {name} WHERE {new_key}",
    ]

    def lines(of: str, without: str, *, and_also: str = "") -> str:
        """The lines as they were: those of parent `of` now, without the new one, and what went."""
        present = f"SELECT {_row(part.columns, '')} AS line FROM {name} WHERE {parent} = {of} AND NOT ({without})"
        return f"(SELECT json_group_array(json(line)) FROM ({present}{and_also}))"

    def touch(of: str, before: str, only: str = "1") -> list[str]:
        aggregate = _PartOwner(root, of)
        return aggregate.touched(part, before, only)

    gone = f" UNION ALL SELECT {_row(part.columns, 'OLD')}"
    displaced_line = f" UNION ALL SELECT row FROM {displaced} AND parent"
    foreign = f"(SELECT parent FROM {displaced} AND parent IS NOT NEW.{parent})"
    inserted = [
        *touch(f"NEW.{parent}", lines(f"NEW.{parent}", new_key, and_also=f"{displaced_line} = NEW.{parent}")),
        *touch(
            foreign, lines(foreign, "0", and_also=f"{displaced_line} IS NOT NEW.{parent}"), f"{foreign} IS NOT NULL"
        ),
        f"DELETE FROM {displaced}",
    ]
    yield _trigger(part, "before insert", _filled(part, "NEW"), keep)
    yield _trigger(part, "after insert", _filled(part, "NEW"), inserted)
    if part.leased:
        yield _trigger(part, "after insert lease", f"NEW.{quote(part.leased)} IS NULL", _lease(part))
        leased = f"{_empty(part, 'OLD')} AND {_filled(part, 'NEW')}"
        yield _trigger(part, "after update lease", leased, touch(f"NEW.{parent}", lines(f"NEW.{parent}", new_key)))
    moved = f"{_filled(part, 'OLD')} AND ({_key_changes(part)})"
    edited = f"{_filled(part, 'OLD')} AND NOT ({_key_changes(part)}) AND ({_differs(part)})"
    yield _trigger(part, "before update key", moved, [*_key_kept(part), *keep])
    # What an OR IGNORE or an upsert left in yurt_replaced counts only when this statement put it there.
    for event, when, displacing in (("after update", edited, False), ("after update key", moved, True)):
        of_old = f"{displaced_line} = OLD.{parent}" if displacing else ""
        of_new = f"{displaced_line} = NEW.{parent}" if displacing else ""
        third = f"(SELECT parent FROM {displaced} AND parent IS NOT NEW.{parent} AND parent IS NOT OLD.{parent})"
        touched = [
            *touch(f"OLD.{parent}", lines(f"OLD.{parent}", new_key, and_also=gone + of_old)),
            *touch(
                f"NEW.{parent}",
                lines(f"NEW.{parent}", new_key, and_also=of_new),
                f"NEW.{parent} IS NOT OLD.{parent}",
            ),
        ]
        if displacing:
            foreign_lines = lines(third, "0", and_also=f"{displaced_line} = {third}")
            touched += touch(third, foreign_lines, f"{third} IS NOT NULL")
        yield _trigger(part, event, when, [*touched, f"DELETE FROM {displaced}"])
    yield _trigger(
        part,
        "after delete",
        _filled(part, "OLD"),
        touch(f"OLD.{parent}", lines(f"OLD.{parent}", old_key, and_also=gone)),
    )


class _Aggregate:
    """Statements that record what happens to the root row called `alias` (NEW or OLD)."""

    def __init__(self, root: Root, alias: str) -> None:
        self.root = root
        self.table = root.table
        self.alias = alias
        self.key = _key(root.table.key, alias)

    def here(self) -> str:
        return f"table_name = {_text(self.root.name)} AND key = {self.key}"

    def forget_displaced(self) -> str:
        return f"DELETE FROM yurt_replaced WHERE {self.here()}"

    def keep_displaced(self) -> str:
        """What `before` will be, should this row be displaced: what was kept already, and the rest as it is now."""
        source = f"FROM {quote(self.root.name)} WHERE {_matches(self.table, self.alias)}"
        known = f"coalesce((SELECT before FROM yurt_changes WHERE {self.here()}), '{{}}')"
        row = _insert(known, [(_text(_path(column.name)), _value(column, "")) for column in self.table.columns])
        values = f"{_text(self.root.name)}, {self.key}, {row}"
        return f"INSERT INTO yurt_replaced (table_name, key, row) SELECT {values} {source}"

    def inserted(self) -> list[str]:
        """A row came: new to the service, or in place of one that a REPLACE displaced."""
        base = f"(SELECT {_POSITION} FROM yurt_replaced WHERE {self.here()} AND NOT unsent)"
        displaced = f"(SELECT row FROM yurt_replaced WHERE {self.here()})"
        restore = [
            statement
            for part in self.root.parts
            for statement in (
                f"INSERT INTO {quote(part.name)} SELECT * FROM {saved_lines(part)} WHERE {_of_parent(part, self)}"
                f" AND EXISTS (SELECT 1 FROM yurt_replaced WHERE {self.here()})",
                f"DELETE FROM {saved_lines(part)}",
            )
        ]
        before = f"CASE WHEN base IS NULL OR {displaced} IS NULL THEN before ELSE {displaced} END"
        return [self.ensure(base), self.update("put", before), *restore, self.forget_displaced()]

    def edited(self, new: str) -> list[str]:
        """Columns of a known row changed: what they were is kept, the first time only."""
        members = [
            (f"CASE WHEN OLD.{c} IS NOT {new}.{c} THEN {_text(_path(column.name))} ELSE '$' END", _value(column, "OLD"))
            for column in self.table.columns
            for c in [quote(column.name)]
        ]
        return [
            self.ensure(_POSITION),
            self.update("put", f"CASE WHEN base IS NULL THEN before ELSE {_insert('before', members)} END"),
            self.forget_displaced(),
        ]

    def deleting(self) -> list[str]:
        """Before the row goes: its lines as they were are kept."""
        statements = [self.ensure(_POSITION)]
        for part in self.root.parts:
            line = _json_row(part.columns, "")
            lines = f"(SELECT json_group_array({line}) FROM {quote(part.name)} WHERE {_of_parent(part, self)})"
            path = _text(_path(part.name))
            statements.append(
                f"UPDATE yurt_changes SET parts_before = json_insert(parts_before, {path}, json({lines}))"
                f" WHERE {self.here()} AND base IS NOT NULL"
            )
        return statements

    def deleted(self) -> list[str]:
        """The row went: kept whole, or forgotten when the service has never seen it."""
        members = [(_text(_path(column.name)), _value(column, self.alias)) for column in self.table.columns]
        unseen = f"EXISTS (SELECT 1 FROM yurt_changes WHERE {self.here()} AND base IS NULL)"
        return [
            self.update("delete", f"CASE WHEN base IS NULL THEN before ELSE {_insert('before', members)} END"),
            f"UPDATE yurt_replaced SET unsent = 1 WHERE {self.here()} AND {unseen}",
            f"DELETE FROM yurt_changes WHERE {self.here()} AND base IS NULL",
        ]

    def ensure(self, base: str, only: str = "1") -> str:
        values = f"{_text(self.root.name)}, {self.key}, 'put', {base}, '{{}}', '{{}}', {_NOW}, {_USER}"
        return (
            "INSERT INTO yurt_changes (table_name, key, op, base, before, parts_before, edited_at, edited_by)"
            f" SELECT {values} WHERE {only} AND NOT EXISTS (SELECT 1 FROM yurt_changes WHERE {self.here()})"
        )

    def update(self, op: str, before: str) -> str:
        edited = f"edited_at = {_NOW}, edited_by = {_USER}"
        return f"UPDATE yurt_changes SET op = '{op}', {edited}, before = {before} WHERE {self.here()}"


class _PartOwner(_Aggregate):
    """The root that a part row belongs to, by the value of the parent column."""

    def __init__(self, root: Root, parent: str) -> None:
        super().__init__(root, "")
        self.parent = parent
        self.key = f"json_object({_text(root.table.key_names[0])}, {parent})"

    def touched(self, part: Table, lines: str, only: str) -> list[str]:
        """Lines of the aggregate changed: all as they were are kept, the first time only."""
        root = f"FROM {quote(self.root.name)} WHERE {quote(self.table.key_names[0])} = {self.parent}"
        path = _text(_path(part.name))
        kept = f"base IS NULL OR json_type(parts_before, {path}) IS NOT NULL"
        before = f"CASE WHEN {kept} THEN parts_before ELSE json_insert(parts_before, {path}, json({lines})) END"
        return [
            # Lines without a root are no aggregate: they come with their root, or went with it.
            self.ensure(_POSITION, f"{only} AND EXISTS (SELECT 1 {root})"),
            f"UPDATE yurt_changes SET parts_before = {before}, edited_at = {_NOW}, edited_by = {_USER}"
            f" WHERE {self.here()} AND {only}",
        ]


def _numbered(root: Root) -> list[str]:
    """A number left empty is filled: prefix, a hyphen and the next counter of table and organisation."""
    if not root.number:
        return []
    table, number = quote(root.name), quote(root.number)
    organisation = f"coalesce(NEW.{quote(root.organisation)}, '')" if root.organisation else "''"
    same = f"coalesce({quote(root.organisation)}, '') = {organisation}" if root.organisation else "1"
    empty = f"coalesce(NEW.{number}, '') = ''"
    here = f"table_name = {_text(root.name)} AND organisation = {organisation}"
    highest = f"(SELECT max({_counter(number)}) FROM {table} WHERE {same} AND {_is_own(number)})"
    return [
        f"INSERT INTO yurt_counters SELECT {_text(root.name)}, {organisation}, 1 + coalesce({highest}, 0)"
        f" WHERE {empty} AND NOT EXISTS (SELECT 1 FROM yurt_counters WHERE {here})",
        f"UPDATE {table} SET {number} = {_PREFIX} || '-' || (SELECT next FROM yurt_counters WHERE {here})"
        f" WHERE {empty} AND {_matches(root.table, 'NEW')}",
    ]


def _counter_triggers(root: Root) -> Iterator[str]:
    """Counters go on behind every number of the own prefix, also behind those that arrive while capture is paused."""
    number = f"NEW.{quote(root.number or '')}"
    organisation = f"coalesce(NEW.{quote(root.organisation)}, '')" if root.organisation else "''"
    raise_counter = (
        f"UPDATE yurt_counters SET next = max(next, {_counter(number)} + 1)"
        f" WHERE table_name = {_text(root.name)} AND organisation = {organisation}"
    )
    columns = ", ".join(quote(name) for name in filter(None, [root.number, root.organisation]))
    for event in ("insert", f"update of {columns}"):
        name = quote(f"yurt_{root.name}_counter_{event.split()[0]}")
        on = f"AFTER {event} ON {quote(root.name)} WHEN {_is_own(number)}"
        yield f"CREATE TRIGGER {name} {on} BEGIN {raise_counter}; END"


def _is_own(number: str) -> str:
    return f"substr({number}, 1, length({_PREFIX}) + 1) = {_PREFIX} || '-'"


def _counter(number: str) -> str:
    return f"CAST(substr({number}, length({_PREFIX}) + 2) AS INTEGER)"


def _lease(table: Table) -> list[str]:
    """A key left empty gets the next leased integer that no row has: an OR clause must find no conflict to act on."""
    leased, name = quote(table.leased or ""), quote(table.name)
    here = f"table_name = {_text(table.name)}"
    taken = f"SELECT 1 FROM {name} WHERE {leased} ="
    # A value may have been used explicitly; then the next free one stands behind some used one.
    free = (
        f"SELECT min(value) FROM (SELECT next AS value UNION ALL SELECT {leased} + 1 FROM {name}"
        f" WHERE {leased} BETWEEN next AND last) WHERE NOT EXISTS ({taken} value)"
    )
    first = f"FROM yurt_ranges WHERE {here} AND next <= last ORDER BY rowid LIMIT 1"
    return [
        f"UPDATE yurt_ranges SET next = ({free}) WHERE {here} AND next <= last AND EXISTS ({taken} next)",
        f"SELECT RAISE(ABORT, 'yurt: no free keys') WHERE NOT EXISTS (SELECT 1 {first})",
        f"UPDATE {name} SET {leased} = (SELECT next {first}) WHERE rowid = NEW.rowid",
        f"UPDATE yurt_ranges SET next = next + 1 WHERE rowid = (SELECT rowid {first})",
    ]


def _key_kept(table: Table) -> list[str]:
    """A key once given cannot be emptied; the column allows NULL only for a lease to fill it."""
    if not table.leased:
        return []
    message = _text(f"NOT NULL constraint failed: {table.name}.{table.leased}")
    return [f"SELECT RAISE(ABORT, {message}) WHERE NEW.{quote(table.leased)} IS NULL"]


def _trigger(table: Table, event: str, when: str, statements: Sequence[str]) -> str:
    """`event` is e.g. `after update key`: the moment, the operation and what tells it from others of the same kind."""
    name = quote(f"yurt_{table.name}_{event.replace(' ', '_')}")
    moment = " ".join(event.split()[:2]).upper()
    body = ";\n    ".join(statements)
    return f"CREATE TRIGGER {name} {moment} ON {quote(table.name)} WHEN {_ACTIVE} AND {when} BEGIN\n    {body};\nEND"


def _of_parent(part: Table, owner: _Aggregate) -> str:
    return f"{quote(part.parent or '')} = {owner.alias}.{quote(owner.table.key_names[0])}"


def _filled(table: Table, alias: str) -> str:
    return f"{alias}.{quote(table.leased)} IS NOT NULL" if table.leased else "1"


def _empty(table: Table, alias: str) -> str:
    return f"NOT ({_filled(table, alias)})"


def _matches(table: Table, alias: str) -> str:
    return " AND ".join(f"{quote(name)} = {alias}.{quote(name)}" for name in table.key_names)


def _key_changes(table: Table) -> str:
    return " OR ".join(f"OLD.{quote(name)} IS NOT NEW.{quote(name)}" for name in table.key_names)


def _differs(table: Table) -> str:
    return " OR ".join(f"OLD.{quote(column.name)} IS NOT NEW.{quote(column.name)}" for column in table.columns)


def _key(columns: Sequence[Column], alias: str) -> str:
    return "json_object(" + ", ".join(f"{_text(c.name)}, {_value(c, alias)}" for c in columns) + ")"


def _row(columns: Sequence[Column], alias: str) -> str:
    return _insert("'{}'", [(_text(_path(column.name)), _value(column, alias)) for column in columns])


def _json_row(columns: Sequence[Column], alias: str) -> str:
    return f"json({_row(columns, alias)})"


def _insert(document: str, members: Sequence[tuple[str, str]]) -> str:
    """`json_insert` of any number of members: what is there already stays."""
    for start in range(0, len(members), _MEMBERS):
        pairs = ", ".join(f"{path}, {value}" for path, value in members[start : start + _MEMBERS])
        document = f"json_insert({document}, {pairs})"
    return document


def _value(column: Column, alias: str) -> str:
    """A column's value as a JSON member: BLOBs as hex, doubles with all their digits."""
    ref = f"{alias}.{quote(column.name)}" if alias else quote(column.name)
    blob = f"CASE typeof({ref}) WHEN 'blob' THEN hex({ref})"  # any program may write one into any column
    if affinity(column.type) in {"REAL", "INTEGER"}:
        infinite = f"CASE {ref} WHEN 9e999 THEN 'Infinity' WHEN -9e999 THEN '-Infinity'"
        return f"{blob} WHEN 'real' THEN {infinite} ELSE json(printf('%!.17g', {ref})) END ELSE {ref} END"
    return f"{blob} ELSE {ref} END"


def _path(name: str) -> str:
    return f"$.{canonical_json(name)}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
