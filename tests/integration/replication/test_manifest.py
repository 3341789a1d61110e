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


UNFIT_SCHEMA = """
CREATE TABLE firms (area integer, id uuid, name text, PRIMARY KEY (area, id));
CREATE TABLE closings (firm integer, until text);
CREATE TABLE bills (area integer, id uuid, firm integer, on_day text, PRIMARY KEY (area, id));
CREATE TABLE lines (area integer, id integer, bill integer, PRIMARY KEY (area, id));
CREATE TABLE notes (area integer, id date, PRIMARY KEY (area, id));
"""

UNFIT = """
[configuration]
name = "unfit"
version = "1"
title = { en = "Unfit" }
isolation = "column"
area_column = "area"
[organisations]
table = "firms"
key = "id"
title = "name"
[[aggregates]]
table = "firms"
key = ["id"]
keys = "uuid"
[[aggregates]]
table = "bills"
key = ["id"]
keys = "uuid"
organisation = "firm"
closed = { column = "on_day", table = "closings", organisation = "until", until = "firm" }
parts = [ { table = "lines", key = ["id"], keys = "uuid", parent = "bill" } ]
[[aggregates]]
table = "notes"
key = ["id"]
keys = "uuid"
"""


def test_types_that_do_not_fit_are_told_with_their_places(fresh_database: str) -> None:
    with connect(fresh_database) as conn:
        conn.execute(UNFIT_SCHEMA.encode())
        with pytest.raises(ManifestInvalid) as caught:
            load(conn, parse(UNFIT), "north")
    assert sorted(mistake.place for mistake in caught.value.mistakes) == sorted(
        [
            "area",
            "aggregates[1].organisation",
            "aggregates[1].closed.column",
            "aggregates[1].closed.organisation",
            "aggregates[1].closed.table",  # without the area column
            "aggregates[1].closed.until",
            "aggregates[1].parts[0].keys",
            "aggregates[1].parts[0].parent",
            "aggregates[2].keys",
        ]
    )


@pytest.mark.parametrize(("area", "fits"), [("7", True), ("007", False), ("north", False), ("99999999999", False)])
def test_an_area_is_written_as_the_database_writes_it(fresh_database: str, area: str, fits: bool) -> None:
    manifest = parse(
        UNFIT.replace(UNFIT[UNFIT.index("[organisations]") : UNFIT.index('[[aggregates]]\ntable = "no')], "")
    )
    with connect(fresh_database) as conn:
        conn.execute(UNFIT_SCHEMA.encode())
        with pytest.raises(ManifestInvalid) as caught:
            load(conn, manifest, area)
    assert ("area" not in [mistake.place for mistake in caught.value.mistakes]) == fits


def test_types_that_only_differ_in_width_fit(fresh_database: str) -> None:
    with connect(fresh_database) as conn:
        conn.execute("""
            CREATE TABLE firms (id varchar(9) PRIMARY KEY, name text);
            CREATE TABLE bills (id bigint PRIMARY KEY, firm text, on_day timestamptz);
            CREATE TABLE closings (firm char(9), until timestamp);
            CREATE TABLE lines (id varchar(36) PRIMARY KEY, bill integer);
            """)
        text = UNFIT.replace('isolation = "column"\narea_column = "area"\n', "")
        text = text.replace('organisation = "until", until = "firm"', 'organisation = "firm", until = "until"')
        text = text[: text.rindex("[[aggregates]]")].replace('keys = "uuid"', 'keys = "natural"', 2)
        assert [root.name for root in load(conn, parse(text), None).roots] == ["firms", "bills"]


@pytest.mark.parametrize("platform", ["3.11", "python", "", ">= three", ">=3.11,"])
def test_a_platform_that_is_no_specifier_is_a_mistake(platform: str) -> None:
    text = MANIFEST.replace('version = "1"', f'version = "1"\nplatform = "{platform}"')
    assert "configuration.platform" in [mistake.place for mistake in survey(text).mistakes]


@pytest.mark.parametrize("platform", [">=3.11", ">=3.11,<4", "== 3.12.*"])
def test_specifiers_are_what_packages_write(platform: str) -> None:
    text = MANIFEST.replace('version = "1"', f'version = "1"\nplatform = "{platform}"')
    assert not survey(text).mistakes


@pytest.mark.parametrize(
    "sqlite", ["migrations/2.sqlite.sql", "ALTR TABLE bills", "CREATE TABLE bills (", "SELECT 'open", "COMMIT"]
)
def test_sql_of_a_migration_that_cannot_be_read_is_a_mistake(sqlite: str) -> None:
    text = f'{MANIFEST}\n[[migrations]]\nfrom = "0.9"\nsqlite = "{sqlite}"\n'
    assert [mistake.place for mistake in survey(text).mistakes] == ["migrations[0].sqlite"]


def test_sql_of_a_migration_may_name_tables_that_nobody_knows_now() -> None:
    sql = "-- before; after\\n;ALTER TABLE bills ADD COLUMN note TEXT; UPDATE old SET a = 'b;c'; -- that is all"
    assert not survey(f'{MANIFEST}\n[[migrations]]\nfrom = "0.9"\nsqlite = "{sql}"\n').mistakes
