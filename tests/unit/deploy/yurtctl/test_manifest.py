"""A manifest on the operator's disk: SQL files inline, mistakes with their lines."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.yurtctl.manifest_file import read_manifest
from deploy.yurtctl.manifest_places import nearest, spots
from tests.unit.deploy.yurtctl.scripted import ScriptedGateway

ROOT = Path(__file__).parents[4]
ODD = '''# a comment with [brackets] = and "quotes"
title = """
[[aggregates]]
not = "a table" """
"quoted key" . inner = { a = 1, b = [ 1, { c = 'x # y' } ] } # trailing
when = 1979-05-27 07:32:00
[configuration]
name = "odd"
[[aggregates]]
table = 'first'
key = [
  "id",  # one
  "other",
]
[aggregates.number]
column = "n"
[[aggregates.parts]]
table = "p0"
[[aggregates.parts]]
table = "p1"

  [[aggregates]]
  table = "second"
  parts = [
    { table = "q0", key = ["id"] },
    { table = "q1", key = ["id"] },
  ]
[[migrations]]
from = "1.0.0"
sqlite = "migrations/one.sql"
[[migrations]]
from = "1.1.0"
sqlite = "update t set x = 1;"
'''
ATTACH = ("--code", "trade", "--subscriber", "acme", "--title", "Trade", "--connection", "trade-db")


def places(value: Any, place: str = "") -> Iterator[str]:
    if place:
        yield place
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, f"{place}.{name}" if place else name)
    if isinstance(value, list):
        for at, inner in enumerate(value):
            yield from places(inner, f"{place}[{at}]")


@pytest.mark.parametrize("file", sorted(ROOT.glob("applications/*/manifest.toml")), ids=lambda file: file.parent.name)
def test_every_place_of_the_shipped_manifests_is_found(file: Path) -> None:
    text = file.read_text()
    assert set(places(tomllib.loads(text))) <= set(spots(text))


def test_places_are_found_however_the_toml_is_written() -> None:
    found = spots(ODD)
    assert set(places(tomllib.loads(ODD))) <= set(found)
    lines = {
        "title": 2,
        "quoted key.inner.b[1].c": 5,
        "when": 6,
        "configuration.name": 8,
        "aggregates[0]": 9,
        "aggregates[0].key[1]": 13,
        "aggregates[0].number.column": 16,
        "aggregates[0].parts[1].table": 20,
        "aggregates[1].parts[1].key[0]": 26,
        "migrations[1].sqlite": 33,
    }
    assert {place: found[place].line for place in lines} == lines
    for place, line in {"aggregates[1].keys": 22, "aggregates[1].parts[0].parent": 25, "aggregates": 9}.items():
        assert (spot := nearest(found, place)) is not None
        assert spot.line == line
    assert nearest(found, "area") is None


def test_sql_files_are_sent_inside_the_text(tmp_path: Path) -> None:
    sql = 'ALTER TABLE "t" ADD x TEXT DEFAULT \'\\\t🏕\x7f\';\n-- """ end\n'
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations/one.sql").write_text(sql, encoding="utf-8")
    (tmp_path / "manifest.toml").write_text(ODD, encoding="utf-8")
    file = read_manifest(tmp_path / "manifest.toml")
    assert file.mistakes == []
    as_sent, as_written = tomllib.loads(file.text), tomllib.loads(ODD)
    as_written["migrations"][0]["sqlite"] = sql
    assert as_sent == as_written


@pytest.mark.parametrize("name", ["missing.sql", "../outside.sql", "folder.sql"])
def test_an_sql_file_that_is_not_beside_the_manifest_is_a_mistake_beside_those_of_the_service(
    gateway: ScriptedGateway, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "application"
    (folder / "folder.sql").mkdir(parents=True)
    (tmp_path / "outside.sql").write_text("secret")
    file = folder / "manifest.toml"
    file.write_text(ODD.replace("migrations/one.sql", name))
    url = "PUT /operator/v1/applications/trade?dry_run=true"
    gateway.answer(url, {})
    ended = gateway.call("application", "attach", str(file), *ATTACH)
    assert ended.code == 1
    assert ended.err.splitlines() == [
        f"{file}:30: migrations[0].sqlite: there is no file {name} beside the manifest",
        "manifest_invalid: The manifest has 1 mistake(s); nothing was changed.",
    ]
    gateway.refuse(url, 422, "manifest_invalid", "…", mistakes=[{"place": "aggregates[1].table", "text": "gone"}])
    ended = gateway.call("application", "attach", str(file), *ATTACH)
    assert ended.err.splitlines()[0] == f"{file}:23: aggregates[1].table: gone"
    assert "2 mistake(s)" in ended.err
    assert "secret" not in json.dumps([asked.body for asked in gateway.asked])


def test_mistakes_of_the_service_get_the_lines_of_the_file(gateway: ScriptedGateway, tmp_path: Path) -> None:
    file = tmp_path / "manifest.toml"
    file.write_text(ODD.replace("migrations/one.sql", ";"))
    mistakes = [
        {"place": "aggregates[1].parts[1].parent", "text": "Field required"},
        {"place": "area", "text": "an area is needed"},
        {"place": "aggregates[0].key[1]", "text": "there is no column other"},
    ]
    gateway.refuse("PUT /operator/v1/applications/trade?dry_run=true", 422, "manifest_invalid", "…", mistakes=mistakes)
    ended = gateway.call("application", "attach", str(file), "--dry-run", *ATTACH)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines() == [
        f"{file}: area: an area is needed",
        f"{file}:13: aggregates[0].key[1]: there is no column other",
        f"{file}:26: aggregates[1].parts[1].parent: Field required",
        "manifest_invalid: The manifest has 3 mistake(s); nothing was changed.",
    ]
    scripted = gateway.call("application", "attach", str(file), "--dry-run", "--json", *ATTACH)
    assert [mistake["line"] for mistake in json.loads(scripted.err)["mistakes"]] == [None, 13, 26]


def test_what_is_no_toml_is_refused_by_the_service_with_its_line(gateway: ScriptedGateway, tmp_path: Path) -> None:
    file = tmp_path / "manifest.toml"
    file.write_text("[configuration]\nname = = 1\n")
    said = {"place": "manifest", "text": "Invalid value (at line 2, column 8)"}
    gateway.refuse("PUT /operator/v1/applications/trade", 422, "manifest_invalid", "…", mistakes=[said])
    ended = gateway.call("application", "attach", str(file), *ATTACH)
    assert ended.err.splitlines()[0] == f"{file}:2: manifest: Invalid value (at line 2, column 8)"


@pytest.mark.parametrize(
    ("titles", "sent"),
    [
        (["Trade"], "Trade"),
        (["a = b"], "a = b"),
        (["en=Trade"], {"en": "Trade"}),
        (["en=Trade", "ru=Торговля = хорошо"], {"en": "Trade", "ru": "Торговля = хорошо"}),
    ],
)
def test_a_title_may_be_said_in_languages(
    gateway: ScriptedGateway, tmp_path: Path, titles: list[str], sent: str | dict[str, str]
) -> None:
    file = tmp_path / "manifest.toml"
    file.write_text("")
    gateway.answer("PUT /operator/v1/applications/trade?dry_run=true", {"code": "trade"})
    given = [part for title in titles for part in ("--title", title)]
    rest = ("--code", "trade", "--subscriber", "acme", "--connection", "c", "--area", "7", "--dry-run")
    ended = gateway.call("application", "attach", str(file), *rest, *given)
    assert ended.out == f"{file} fits the database behind c. Nothing was changed.\n"
    assert gateway.asked[0].body == {
        "subscriber": "acme",
        "title": sent,
        "manifest": "",
        "connection": "c",
        "area": "7",
    }


def test_titles_of_which_one_has_no_language_are_a_mistake(gateway: ScriptedGateway, tmp_path: Path) -> None:
    file = tmp_path / "manifest.toml"
    file.write_text("")
    assert gateway.call("application", "attach", str(file), *ATTACH, "--title", "en=Trade").code == 2
