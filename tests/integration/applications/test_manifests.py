"""Both manifests are right, and fit the databases they are for."""

import re

import pytest
from psycopg import Connection

from shared.replication import manifest, model
from tests.integration.applications.conftest import APPLICATIONS, ROOT
from tests.integration.applications.rows import Database, tables


def _manifest(application: str) -> manifest.Manifest:
    return manifest.parse((APPLICATIONS / application / "manifest.toml").read_text(encoding="utf-8"))


def _bound(database: Connection[tuple[object, ...]], application: str, area: str | None = None) -> model.Model:
    return model.load(database, _manifest(application), area)


@pytest.mark.parametrize("application", ["accounting_kz", "northwind"])
def test_an_application_is_named_in_three_languages(application: str) -> None:
    configuration = _manifest(application).configuration
    assert configuration.name == application
    assert set(configuration.title) == {"en", "ru", "kk"}


def test_accounting_synchronises_all_but_its_areas_its_counters_and_internal_notes(accounting: Database) -> None:
    bound = _bound(accounting, "accounting_kz", "1")
    left_out = {"areas", "number_counters", "standard_accounts"}
    assert {*tables(accounting)} - {table.name for table in bound.tables} == left_out
    assert not [table.name for table in bound.tables if "area_id" in table.by_name]
    assert "internal_note" not in bound.root["invoices"].table.by_name
    shared = {root.name for root in bound.roots if root.organisation is None}
    assert shared == {"accounts", "units", "items"}
    read_only = {root.name for root in bound.roots if root.access == "read_only"}
    assert read_only == {"organisations", "closing_dates", "units", "accounts", "journal_entries"}


def test_northwind_synchronises_every_table(northwind: Database) -> None:
    bound = _bound(northwind, "northwind")
    assert sorted(table.name for table in bound.tables) == tables(northwind)
    leased = {table.name for table in bound.tables if table.leased}
    assert leased == {"categories", "suppliers", "products", "employees", "orders"}
    # Nothing is lost on the way: each foreign key of the database holds in the replica too.
    assert sum(len(table.foreign_keys) for table in bound.tables) == 13


def test_the_page_for_integrators_names_every_key_of_a_manifest() -> None:
    page = (ROOT / "docs" / "application.md").read_text(encoding="utf-8")
    sections = (manifest.Manifest, manifest.Configuration, manifest.Organisations, manifest.Aggregate)
    more = (manifest.Numbering, manifest.Closed, manifest.Part, manifest.Migration)
    keys = {field.alias or name for section in sections + more for name, field in section.model_fields.items()}
    described = set(re.findall(r"`\[{0,2}(\w+)\]{0,2}`", page))
    assert keys - described == set()
