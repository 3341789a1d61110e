# ruff: noqa: E501, Q003 -- rows and their lines as they are
"""Digests by the page's rules (protocol.md, Digests), worked out without the code under test."""

import sqlite3
from contextlib import closing
from hashlib import sha256

import pytest

from shared.protocol import digest
from shared.protocol.digest import bucket_of, quote, row_encoder, table_digests
from shared.protocol.values import affinity

TYPES = ("bigint", "double precision", "real", "boolean", "bytea", "text", "jsonb", "integer[]", "numeric(5,2)")


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ((1, 1.5, 0.1, 1, b"\x00\xff", "қ\t\"\\\x01\x7f/", '{"a": 1}', "[1,2]", "1.00"),
         r'[1,"3ff8000000000000","3fb999999999999a",true,"AP8=","қ\t\"\\\u0001' + '\x7f/","{\\"a\\": 1}","[1,2]","1.00"]'),
        ((2**53, -0.0, "NaN", 0, b"", "", None, None, "NaN"),
         '["9007199254740992","0000000000000000","NaN",false,"","",null,null,"NaN"]'),
        ((-(2**53) + 1, 3, "-Infinity", None, None, None, "null", "[]", None),
         '[-9007199254740991,"4008000000000000","-Infinity",null,null,null,"null","[]",null]'),
    ],
)  # fmt: skip
def test_a_row_is_the_json_array_of_its_columns(row: tuple[object, ...], line: str) -> None:
    assert row_encoder(TYPES)(row) == line.encode()


def test_a_value_that_its_type_cannot_have_counts_as_something_else() -> None:
    """Any program may write a BLOB into a text column or an infinity into an integer one."""
    for row, fine in (((b"b",), (b"b".hex(),)), ((float("inf"),), ("inf",))):
        assert row_encoder(["text"])(row) != row_encoder(["text"])(fine)
    assert row_encoder(["bigint"])((float("inf"),)) != row_encoder(["bigint"])((None,))


def every_type(*rows: tuple[object, ...]) -> sqlite3.Connection:
    """A replica with one table of TYPES and a key, and these rows."""
    db = sqlite3.connect(":memory:")
    db.executescript(
        """CREATE TABLE yurt_columns (table_name, ordinal, column_name, type, nullable, generated, key_ordinal);
        CREATE TABLE yurt_aggregates (table_name, part_table, parent_column);
        INSERT INTO yurt_aggregates VALUES ('t', NULL, NULL)"""
    )
    names = [f'c"{place}' for place in range(len(TYPES))]
    for place, (name, type_text) in enumerate(zip(names, TYPES, strict=True)):
        db.execute(
            "INSERT INTO yurt_columns VALUES ('t', ?, ?, ?, 1, 0, ?)", (place, name, type_text, 1 - place or None)
        )
    columns = (f"{quote(name)} {affinity(type_text)}" for name, type_text in zip(names, TYPES, strict=True))
    db.execute(f"CREATE TABLE t ({', '.join(columns)})")
    db.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(TYPES))})", rows)
    return db


@pytest.mark.parametrize("types", [TYPES, ("bigint", "text"), ("bytea", "double precision"), ("text", "bigint")])
def test_sqlite_and_python_spell_rows_alike(types: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    strange = "".join(map(chr, range(1, 256))) + "қ\u2028\U0001f600"
    monkeypatch.setattr("tests.unit.protocol.test_digest.TYPES", types)
    every: list[dict[str, object]] = [
        {"bigint": 1, "double precision": 0.1, "real": 1e30, "boolean": 1, "bytea": b"\0", "text": strange,
         "jsonb": '{"a": "\\u0001"}', "integer[]": "[1,null]", "numeric(5,2)": "-0.10"},
        {"bigint": 2**63 - 1, "double precision": "NaN", "real": -0.0, "boolean": 0, "bytea": b"", "text": ""},
        {"bigint": -(2**53), "double precision": float("inf"), "boolean": 7, "text": None},
        {},
    ]  # fmt: skip
    with closing(every_type(*(tuple(row.get(type_text) for type_text in types) for row in every))) as db:
        by_sqlite = table_digests(db, buckets=True)
        damaged = "UPDATE t SET " + ", ".join(f"{quote(f'c{chr(34)}{at}')} = x'ff'" for at in range(len(types)))
        monkeypatch.setattr(digest, "_spells_alike", lambda _: False)
        assert by_sqlite == table_digests(db, buckets=True)
        db.execute(damaged)
        by_python = table_digests(db, buckets=True)
        monkeypatch.undo()
        assert by_python == table_digests(db, buckets=True)
        assert by_python != by_sqlite


def test_this_sqlite_spells_alike_and_one_that_did_not_would_not_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        assert digest._spells_alike(db)
        monkeypatch.setattr(digest, "_json", lambda _: "CAST('[]' AS BLOB)")
        assert not digest._spells_alike(db)


def test_the_digest_is_the_sum_of_the_first_eight_bytes_and_buckets_follow_the_root_s_key() -> None:
    db = sqlite3.connect(":memory:")
    db.executescript(
        """CREATE TABLE yurt_columns (table_name, ordinal, column_name, type, nullable, generated, key_ordinal);
        CREATE TABLE yurt_aggregates (table_name, part_table, parent_column);
        INSERT INTO yurt_columns VALUES ('o', 1, 'b', 'text', 0, 0, 2), ('o', 2, 'a', 'integer', 0, 0, 1),
            ('l', 1, 'id', 'integer', 0, 0, 1), ('l', 2, 'o', 'bigint', 0, 0, NULL);
        INSERT INTO yurt_aggregates VALUES ('o', NULL, NULL), ('o', 'l', 'o');
        CREATE TABLE o (b TEXT, a INTEGER); CREATE TABLE l (id INTEGER, o INTEGER);
        INSERT INTO o VALUES ('x', 1), ('y', 2); INSERT INTO l VALUES (1, 7), (2, 7)"""
    )
    roots = [int(sha256(line).hexdigest()[:16], 16) for line in (b'["x",1]', b'["y",2]')]
    lines = [int(sha256(line).hexdigest()[:16], 16) for line in (b"[1,7]", b"[2,7]")]
    found = table_digests(db, buckets=True)
    assert found["o"]["rows"] == found["l"]["rows"] == 2
    assert found["o"]["digest"] == f"{sum(roots) % 2**64:016x}"
    assert found["l"]["digest"] == f"{sum(lines) % 2**64:016x}"
    for key, value in ((b'[1,"x"]', roots[0]), (b'[2,"y"]', roots[1])):  # in the order of the key, not of the columns
        assert bucket_of(key) == sha256(key).digest()[0]
        assert found["o"]["buckets"][sha256(key).digest()[0]] == f"{value:016x}"
    assert found["l"]["buckets"][sha256(b"[7]").digest()[0]] == f"{sum(lines) % 2**64:016x}"
    assert len(found["l"]["buckets"]) == 256
    db.close()


def test_the_digest_of_known_rows_never_changes() -> None:
    """`printf '[1]' | sha256sum` begins with 080a9ed428559ef6."""
    db = sqlite3.connect(":memory:")
    db.executescript(
        """CREATE TABLE yurt_columns (table_name, ordinal, column_name, type, nullable, generated, key_ordinal);
        CREATE TABLE yurt_aggregates (table_name, part_table, parent_column);
        INSERT INTO yurt_columns VALUES ('t', 1, 'a', 'integer', 0, 0, 1); INSERT INTO yurt_aggregates VALUES ('t', NULL, NULL);
        CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1)"""
    )
    assert table_digests(db) == {"t": {"rows": 1, "digest": SHA_ONE}}
    db.execute("DELETE FROM t")
    assert table_digests(db) == {"t": {"rows": 0, "digest": "0000000000000000"}}
    db.close()


SHA_ONE = "080a9ed428559ef6"
