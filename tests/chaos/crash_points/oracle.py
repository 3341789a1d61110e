"""What must hold when everybody is done, in plain SQL and over the notes that were written."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.chaos.crash_points.branch import Branch, Edit
from tests.chaos.crash_points.world import World

_COLUMNS = {
    "firms": "id, title",
    "items": "id, name, price",
    "orders": "id, firm, number, note",
    "lines": "id, order_id, item, amount",
}
_SCOPES = {
    "firms": "id = ANY(%(firms)s)",
    "items": "true",
    "orders": "firm = ANY(%(firms)s)",
    "lines": "order_id IN (SELECT id FROM orders WHERE firm = ANY(%(firms)s))",
}


def settle(world: World) -> None:
    """With nobody writing any more, everybody exchanges once, and the oracle has nothing to say."""
    outcomes = world.exchange(prove=True)
    complaints = [*complaints_of(world)]
    complaints += [
        f"{branch.name}: digests differ: {outcome.differing}"
        for branch, outcome in zip(world.branches, outcomes, strict=True)
        if outcome.verified is not True
    ]
    assert not complaints, "\n".join(complaints)


def complaints_of(world: World) -> Iterator[str]:
    """Everything that is not as it must be, a sentence each."""
    for branch in world.branches:
        yield from notes_of_branch(world, branch)
        yield from _rows(world, branch)
        yield from _messages(world, branch)
        yield from _local(branch)
        yield from _kept_on_both_sides(world, branch)
    yield from _sums(world)
    yield from _doubled(world)
    if letters := world.operator.call("GET", "/operator/v1/dead-letters")["items"]:
        yield f"dead letters: {letters}"


def notes_of_branch(world: World, branch: Branch) -> Iterator[str]:
    """Every edit is in force once, or a problem once, or was overtaken by a later one before it was sent."""
    turn = [edit for edit in branch.edits if edit.turn == branch.turn]
    came = Counter(note for (note,) in world.sql("SELECT note FROM journal WHERE note = ANY(%s)", _notes_of(turn)))
    kept: Counter[str] = Counter()
    for note, kind, in_force in world.sql(
        "SELECT coalesce(pushed->'row'->>'note', pushed->'row'->>'name'), kind, in_force FROM yurt.problems"
        " WHERE workplace = %s AND coalesce(pushed->'row'->>'note', pushed->'row'->>'name') = ANY(%s)",
        branch.identity,
        _notes_of(turn),
    ):
        kept[note] += 1
        if in_force == "workplace":
            came[note] -= 1  # put in force by a decision
        if kind == "conflict" and note in _notes_of([edit for edit in turn if edit.kind != "shared"]):
            yield f"{branch.name}: {note!r} is in conflict, but nobody else edited that"
    last = {edit.key: edit for edit in turn}
    for edit in turn:
        overtaken = last[edit.key] is not edit
        found = (came[edit.note], kept[edit.note])
        allowed = {(1, 0)} if edit.kind == "own" else {(0, 1)} if edit.kind == "bad" else {(1, 0), (0, 1)}
        if found not in allowed | ({(0, 0)} if overtaken else set()):
            yield f"{branch.name}: {edit} came in force {found[0]} times and is a problem {found[1]} times"
    yield from _present(world, branch, [edit for edit in last.values() if edit.kind == "own"])


def _present(world: World, branch: Branch, edits: list[Edit]) -> Iterator[str]:
    """What nobody else edits is as it was edited last."""
    query = "SELECT id::text, note FROM orders UNION ALL SELECT id::text, name FROM items"
    stands = dict(world.sql(query))
    for edit in edits:
        expected = None if edit.note.startswith("deleted ") else edit.note
        if stands.get(edit.key) != expected:
            yield f"{branch.name}: {edit} was the last edit, but there stands {stands.get(edit.key)!r}"


def _notes_of(edits: list[Edit]) -> list[str]:
    return [edit.note for edit in edits]


def _rows(world: World, branch: Branch) -> Iterator[str]:
    """The replica holds its scope, row by row."""
    firms = list(branch.firms or [firm for (firm,) in world.sql("SELECT id FROM firms")])
    for table, columns in _COLUMNS.items():
        here = {_text(row) for row in branch.asked(f"SELECT {columns} FROM {table}")}
        query = f"SELECT {columns} FROM {table} WHERE {_SCOPES[table]}"
        there = {_text(row) for row in world.cloud.execute(query.encode(), {"firms": firms})}
        for row in sorted(there - here):
            yield f"{branch.name}: {table} of the replica lacks {row}"
        for row in sorted(here - there):
            yield f"{branch.name}: {table} of the replica has {row}, which the service has not"


def _text(row: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(str(value) for value in row)


def _messages(world: World, branch: Branch) -> Iterator[str]:
    """Numbers without a gap, each counted in one exchange at most; nothing is said to be unsent."""
    query = "SELECT count(*), coalesce(max(number), 0) FROM yurt.messages WHERE workplace = %s"
    [(count, last)] = world.sql(query, branch.identity)
    [(expected,)] = world.sql("SELECT last_message FROM yurt.workplaces WHERE workplace = %s", branch.identity)
    if not count == last == expected:
        yield f"{branch.name}: {count} messages, the last is {last}, said to be {expected}"
    counted = world.service_sql(
        "sync_gateway",
        "SELECT number, count(*) FROM exchanges, jsonb_object_keys(messages) AS number WHERE workplace = %s"
        " GROUP BY number HAVING count(*) > 1",
        branch.identity,
    )
    if counted:
        yield f"{branch.name}: messages counted more than once: {counted}"
    [(unsent,)] = world.service_sql(
        "sync_gateway", "SELECT unsent FROM activations WHERE workplace = %s", branch.identity
    )
    if unsent:
        yield f"{branch.name}: {unsent} changes are said to be unsent"
    wrong = world.service_sql(
        "sync_gateway",
        "SELECT id::text, sent FROM exchanges WHERE workplace = %s AND sent <> (SELECT coalesce(sum(value::int), 0)"
        " FROM jsonb_each(messages) AS counted(number, counts), jsonb_each_text(counts))",
        branch.identity,
    )
    if wrong:
        yield f"{branch.name}: the sums of exchanges do not add up: {wrong}"


def _local(branch: Branch) -> Iterator[str]:
    """Nothing waits in the replica, its triggers are awake, the file is whole."""
    for table in ("yurt_changes", "yurt_outbox", "yurt_paused"):
        [(count,)] = branch.asked(f"SELECT count(*) FROM {table}")
        if count:
            yield f"{branch.name}: {count} rows are left in {table}"
    [(integrity,)] = branch.asked("PRAGMA integrity_check")
    if integrity != "ok":
        yield f"{branch.name}: {integrity}"
    if broken := branch.asked("PRAGMA foreign_key_check"):
        yield f"{branch.name}: broken references {broken}"


def _kept_on_both_sides(world: World, branch: Branch) -> Iterator[str]:
    """The list on the computer has each problem once that came up there."""
    there = Counter(problems_of(world, branch) - branch.former)
    here = Counter(identity for (identity,) in branch.asked("SELECT problem FROM yurt_problems"))
    if here != there:
        yield f"{branch.name}: problems only there {there - here}, problems only here {here - there}"


def problems_of(world: World, branch: Branch) -> set[str]:
    """Their ids, as the service has them."""
    query = "SELECT id::text FROM yurt.problems WHERE workplace = %s"
    return {identity for (identity,) in world.sql(query, branch.identity)}


def _doubled(world: World) -> Iterator[str]:
    """Nothing that was ever written came in force twice; no key is leased to two."""
    query = "SELECT note, count(*) FROM journal WHERE note <> 'shared' GROUP BY note HAVING count(*) > 1"
    for note, count in world.sql(query):
        yield f"{note!r} came in force {count} times"
    query = """
        SELECT first, last FROM (SELECT *, lag(last) OVER (PARTITION BY table_name ORDER BY first) AS former
        FROM yurt.leases) AS leased WHERE former >= first"""
    for first, last in world.sql(query):
        yield f"keys {first} to {last} were leased twice"


def _sums(world: World) -> Iterator[str]:
    """What the application's triggers added up is what its rows add up to."""
    query = """
        SELECT firm, t.amount, coalesce(sum(l.amount), 0) FROM totals t LEFT JOIN orders o USING (firm)
        LEFT JOIN lines l ON l.order_id = o.id GROUP BY firm, t.amount HAVING t.amount <> coalesce(sum(l.amount), 0)"""
    for firm, kept, real in world.sql(query):
        yield f"firm {firm}: {kept} was added up, {real} is there"
