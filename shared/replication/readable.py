"""What the decision has to read of a staged aggregate: its key, and the dates and organisations of its rules.

Whether a value can be one of its type only the database knows for certain (`integer` out of range, the 31st of
February, a label an enum has not). Asked here, a bad one is the matter of its own aggregate; asked by the statements
that decide, it would stop the whole message.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from psycopg import Connection, Error, errors

from shared.protocol.values import NUMERIC, kind
from shared.replication.delta_rows import wire_keys
from shared.replication.expressions import from_wire, literal
from shared.replication.message import Change
from shared.replication.model import Column, Model, Root
from shared.replication.problem import ProtocolProblem

_Keys = Mapping[int, tuple[str, ...]]


def refuse_unreadable(conn: Connection[Any], model: Model, changes: Sequence[Change]) -> None:
    """Reject staged changes with values that are none of their type; spell the keys of the others as the history does.

    Raises `ProtocolProblem` `duplicate_key` for two spellings of one key.
    """
    for root in model.roots:
        places = [at for at, change in enumerate(changes) if change.root is root and change.rejection is None]
        if places:
            keys = dict(_by_halves(conn, root, changes, places))
            _spell(conn, changes, keys)
        refused = [at for at, change in enumerate(changes) if change.root is root and change.rejection is not None]
        if refused:
            _refuse_nameless(conn, root, changes, refused)


def _refuse_nameless(conn: Connection[Any], root: Root, changes: Sequence[Change], places: Sequence[int]) -> None:
    """Those refused already are sent back by their keys, which must be some."""
    try:
        with conn.transaction():
            wire_keys(conn, root.table, [changes[at].key_text for at in places])
    except (errors.DataError, errors.ProgrammingError) as error:
        if len(places) == 1:
            changes[places[0]].reject_key(root, error.diag.message_primary or str(error))
            return
        middle = len(places) // 2
        _refuse_nameless(conn, root, changes, places[:middle])
        _refuse_nameless(conn, root, changes, places[middle:])


def _by_halves(
    conn: Connection[Any], root: Root, changes: Sequence[Change], places: Sequence[int]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    try:
        with conn.transaction():
            rows = conn.execute(_query(root), {"seqs": list(places)}).fetchall()
    except (errors.DataError, errors.ProgrammingError) as error:
        if len(places) == 1:
            _reject(conn, root, changes[places[0]], places[0], error)
            conn.execute("DELETE FROM yurt_stage WHERE seq = %s", [places[0]])
            return
    else:
        yield from ((seq, tuple(key)) for seq, key, *_ in rows)
        return
    middle = len(places) // 2
    yield from _by_halves(conn, root, changes, places[:middle])
    yield from _by_halves(conn, root, changes, places[middle:])


def _reject(conn: Connection[Any], root: Root, change: Change, place: int, error: Error) -> None:
    """Whether its key or a value is to blame, the change is refused alone."""
    try:
        with conn.transaction():
            conn.execute(_query(root, with_values=False), {"seqs": [place]})
    except (errors.DataError, errors.ProgrammingError) as unreadable:
        change.reject_key(root, unreadable.diag.message_primary or str(unreadable))
    else:
        change.rejection = ("invalid_value", error.diag.message_primary or str(error))


def _query(root: Root, *, with_values: bool = True) -> bytes:
    key = ", ".join(_as_printed(column, f"s.key[{at}]") for at, column in enumerate(root.table.key, start=1))
    ruling = {root.organisation, root.closed.column if root.closed else None}
    names = sorted(filter(None, ruling)) if with_values else []
    # As text: Python has no infinite dates, none before the year 1 and none beyond 9999.
    values = "".join(f", ({from_wire(root.table.by_name[name], 's.row')})::text" for name in names)
    return (
        f"SELECT s.seq, ARRAY[{key}]{values} FROM yurt_stage s"
        f" WHERE s.table_name = {literal(root.name)} AND s.seq = ANY(%(seqs)s)"
    ).encode()


def _as_printed(column: Column, key: str) -> str:
    """The key's text as the column prints it: a scale or precision counts, unless it would make another key of it."""
    plain = f"({key})::{column.cast}"
    if "(" not in column.type or not (kind(column.type) == NUMERIC or column.type.startswith("time")):
        return f"{plain}::text"
    exact = f"({key})::{column.type}"
    return f"CASE WHEN {exact} = {plain} THEN {exact} ELSE {plain} END::text"


def _spell(conn: Connection[Any], changes: Sequence[Change], keys: _Keys) -> None:
    seen: dict[tuple[str, ...], int] = {}
    respelt: list[tuple[list[str], int]] = []
    for place, key in keys.items():
        if key in seen:
            line = max(changes[place].line, changes[seen[key]].line)
            raise ProtocolProblem("duplicate_key", 400, f"Line {line}: the key stands there a second time.", line=line)
        seen[key] = place
        if changes[place].key_text != key:
            changes[place].key_text = key
            respelt.append((list(key), place))
    if respelt:
        with conn.cursor() as cursor:
            cursor.executemany("UPDATE yurt_stage SET key = %s WHERE seq = %s", respelt)
