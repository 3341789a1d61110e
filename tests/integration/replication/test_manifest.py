# ruff: noqa: E501 -- manifests as they are written
"""Every mistake of a manifest is told with its place, all at once."""

import pytest

from shared.replication.manifest import ManifestInvalid, parse, survey
from shared.replication.model import load
from shared.replication.session import connect

SCHEMA = """
CREATE TABLE firms (id uuid PRIMARY KEY, name text);
CREATE TABLE bills (id uuid PRIMARY KEY, firm uuid, number integer, on_day date, must text NOT NULL,
    "Note" text, note text, "quoted""name" text);
CREATE TABLE lines (id uuid UNIQUE, bill uuid, other integer);
"""

MANIFEST = """
[configuration]
name = "wrong"
version = "1"
title = { en = "Wrong" }

[organisations]
table = "firms"
key = "id"
title = "missing_title"

[[aggregates]]
table = "firms"
key = ["id"]
keys = "range"

[[aggregates]]
table = "bills"
key = ["id"]
keys = "uuid"
organisation = "missing_firm"
number = { column = "number" }
closed = { column = "missing_day", table = "missing_closing", organisation = "firm", until = "until" }
title = "missing_title"
exclude = ["must", "missing_excluded"]
within_scope = ["firm"]
parts = [
    { table = "lines", key = ["id"], parent = "missing_parent" },
    { table = "missing_lines", key = ["id"], parent = "bill" },
]

[[aggregates]]
table = "missing"
key = ["id"]
keys = "uuid"
"""


def test_every_mistake_against_the_database_is_told_at_once(fresh_database: str) -> None:
    with connect(fresh_database) as conn:
        conn.execute(SCHEMA.encode())
        with pytest.raises(ManifestInvalid) as caught:
            load(conn, parse(MANIFEST), "area")
    assert sorted(mistake.place for mistake in caught.value.mistakes) == sorted(
        [
            "area",
            "organisations.title",
            "aggregates[0].keys",
            "aggregates[1].organisation",
            "aggregates[1].number.column",
            "aggregates[1].closed.column",
            "aggregates[1].closed.table",
            "aggregates[1].title",
            "aggregates[1].exclude[0]",
            "aggregates[1].exclude[1]",
            "aggregates[1].within_scope[0]",
            "aggregates[1].table",  # Note and note
            "aggregates[1].table",  # quoted"name
            "aggregates[1].parts[0].parent",
            "aggregates[1].parts[0].key[0]",  # unique, but it may be NULL
            "aggregates[1].parts[1].table",
            "aggregates[2].table",
        ]
    )


def test_every_contradiction_within_a_manifest_is_told_at_once() -> None:
    text = """
        [configuration]
        name = "wrong"
        version = "1"
        title = { en = "Wrong" }
        [organisations]
        table = "firms"
        key = "code"
        title = "name"
        [[aggregates]]
        table = "firms"
        key = ["id"]
        keys = "uuid"
        [[aggregates]]
        table = "yurt_bills"
        key = ["id", "day"]
        keys = "uuid"
        exclude = ["day"]
        closed = { column = "day", table = "closing", organisation = "firm", until = "until" }
        parts = [ { table = "Firms", key = ["id"], parent = "bill", exclude = ["id", "bill"] } ]
    """
    with pytest.raises(ManifestInvalid) as caught:
        parse(text)
    assert sorted(mistake.place for mistake in caught.value.mistakes) == sorted(
        [
            "organisations.key",
            "aggregates[1].table",
            "aggregates[1].key",
            "aggregates[1].exclude",
            "aggregates[1].closed",
            "aggregates[1].parts[0].table",
            "aggregates[1].parts[0].exclude",
            "aggregates[1].parts[0].exclude",
        ]
    )


def test_unknown_and_missing_members_are_told_with_their_places() -> None:
    with pytest.raises(ManifestInvalid) as caught:
        parse(
            '[configuration]\nname = "x"\nversion = "one"\ntitle = {}\n[[aggregates]]\ntable = "t"\nkeys = "guid"\nodd = 1'
        )
    assert sorted(mistake.place for mistake in caught.value.mistakes) == [
        "aggregates[0].key",
        "aggregates[0].keys",
        "aggregates[0].odd",
        "configuration.version",
    ]


def test_the_area_column_is_not_the_replica_s(fresh_database: str) -> None:
    text = """
        [configuration]
        name = "areas"
        version = "1"
        title = { en = "Areas" }
        isolation = "column"
        area_column = "area"
        [[aggregates]]
        table = "bills"
        key = ["area", "id"]
        keys = "uuid"
    """
    with connect(fresh_database) as conn:
        conn.execute("CREATE TABLE bills (area integer, id uuid, PRIMARY KEY (area, id))")
        with pytest.raises(ManifestInvalid) as caught:
            load(conn, parse(text), "1")
    assert "aggregates[0].key[0]" in {mistake.place for mistake in caught.value.mistakes}


def test_a_survey_goes_on_behind_what_is_ill_written(fresh_database: str) -> None:
    wrong = MANIFEST.replace('keys = "uuid"', 'keys = "serial"', 1).replace(
        'title = { en = "Wrong" }', 'title = { en = "Wrong" }\ncolour = "red"'
    )
    found = survey(wrong)
    assert [mistake.place for mistake in found.mistakes] == ["configuration.colour", "aggregates[1].keys"]
    assert found.manifest is not None
    with connect(fresh_database) as conn:
        conn.execute(SCHEMA.encode())
        with pytest.raises(ManifestInvalid) as caught:
            load(conn, found.manifest, "area")
    assert "aggregates[2].table" in [mistake.place for mistake in caught.value.mistakes]
