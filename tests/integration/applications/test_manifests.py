"""Both manifests are right, and fit the databases they are for."""

import re
from pathlib import Path

import pytest
from psycopg import Connection

from shared.replication import model
from shared.replication.manifest import Manifest, parse
from tests.integration.applications.conftest import APPLICATIONS, ROOT
from tests.integration.applications.rows import Database, tables


def _manifest(application: str) -> Manifest:
    return parse((APPLICATIONS / application / "manifest.toml").read_text(encoding="utf-8"))


def _bound(database: Connection[tuple[object, ...]], application: str) -> model.Model:
    return model.load(database, _manifest(application), None)


@pytest.mark.parametrize("application", ["accounting_kz", "northwind"])
def test_an_application_is_named_in_three_languages(application: str) -> None:
    configuration = _manifest(application).configuration
    assert configuration.name == application
    assert set(configuration.title) == {"en", "ru", "kk"}


def test_accounting_synchronises_all_but_its_counters_and_internal_notes(accounting: Database) -> None:
    bound = _bound(accounting, "accounting_kz")
    assert {*tables(accounting)} - {table.name for table in bound.tables} == {"number_counters"}
    assert "internal_note" not in bound.root["invoices"].table.by_name
    shared = {root.name for root in bound.roots if root.organisation is None}
    assert shared == {"units", "items"}


def test_northwind_synchronises_every_table(northwind: Database) -> None:
    bound = _bound(northwind, "northwind")
    assert sorted(table.name for table in bound.tables) == tables(northwind)
    leased = {table.name for table in bound.tables if table.leased}
    assert leased == {"categories", "suppliers", "products", "employees", "orders"}
    # Nothing is lost on the way: each foreign key of the database holds in the replica too.
    assert sum(len(table.foreign_keys) for table in bound.tables) == 13


def test_the_page_for_integrators_names_every_key_of_a_manifest() -> None:
    page = (ROOT / "docs" / "application.md").read_text(encoding="utf-8")
    source = Path(model.__file__).with_name("manifest.py").read_text(encoding="utf-8")
    keys = set(re.findall(r"^    (?!model_config|schema_name|from_version)(\w+): ", source, re.MULTILINE))
    keys -= {"place", "text"}  # of a mistake, not of a manifest
    assert {key for key in keys | {"schema", "from"} if f"`{key}`" not in page} == set()
