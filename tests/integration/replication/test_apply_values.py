"""Values that one reader takes and another does not: told to whom they belong, and in nobody else's way."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.replication import capture
from shared.replication.manifest import parse
from shared.replication.model import load
from shared.replication.scope import Scope
from shared.replication.session import connect
from tests.integration.replication.market import APPLICATION, Market
from tests.integration.replication.test_apply import converged, statuses
from tests.integration.replication.tiny_replica import TinyReplica

SCHEMA = """
CREATE TABLE firms (id text PRIMARY KEY);
CREATE TABLE closings (firm text PRIMARY KEY REFERENCES firms, until date NOT NULL);
CREATE TABLE papers (
    id integer PRIMARY KEY, firm text NOT NULL REFERENCES firms, dated date, facts json, notes json[], amount integer,
    code text UNIQUE, secret text DEFAULT 'TOP SECRET', CONSTRAINT positive CHECK (amount > 0)
);
CREATE FUNCTION divide() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.amount := 10 / (NEW.amount - 7); RETURN NEW; END $$;
CREATE TRIGGER divide BEFORE INSERT OR UPDATE ON papers FOR EACH ROW WHEN (NEW.amount = 7) EXECUTE FUNCTION divide();
INSERT INTO firms VALUES ('A');
"""
MANIFEST = """
[configuration]
name = "papers"
version = "2.0"
title = { en = "Papers" }
[organisations]
table = "firms"
key = "id"
title = "id"
[[aggregates]]
table = "firms"
key = ["id"]
keys = "natural"
[[aggregates]]
table = "papers"
key = ["id"]
keys = "natural"
organisation = "firm"
exclude = ["secret"]
closed = { column = "dated", table = "closings", organisation = "firm", until = "until" }
"""


@pytest.fixture
def papers(fresh_database: str) -> Iterator[Market]:
    with connect(fresh_database) as conn:
        conn.execute(SCHEMA.encode())
        model = load(conn, parse(MANIFEST), None)
        capture.install(conn, APPLICATION, model)
        yield Market(conn, model, fresh_database)


@pytest.fixture
def one(papers: Market) -> TinyReplica:
    made = TinyReplica(papers, "w1", Scope(("A",)))
    made.pull()
    return made


def paper(number: int, **more: Any) -> dict[str, Any]:
    empty = {"firm": "A", "dated": None, "facts": None, "notes": None, "amount": 1, "code": None}
    return {**empty, "id": number, **more}


@pytest.mark.parametrize(
    "facts", ['{"a":"\\u0000"}', '"\\ud800"', "1e400000", "NaN", '{"a":}', "[" * 100_000, '{"a": 1} x']
)
def test_json_that_not_every_reader_can_hold_is_refused_alone(papers: Market, one: TinyReplica, facts: str) -> None:
    one.put("papers", paper(1, facts=facts))
    one.put("papers", paper(2, notes=[facts]))
    one.put("papers", paper(3, facts='{"b": 1.50, "a": "\\u04d9"}'))
    assert statuses(one.push()) == {1: ("rejected", "invalid_value"), 2: ("rejected", "invalid_value")}
    converged(papers, one)
    assert one.at("papers", id=3)["row"]["facts"] == '{"a": "ә", "b": 1.50}'  # type: ignore[index]


def test_json_of_the_application_that_jsonb_cannot_hold_travels_as_it_is_stored(
    papers: Market, one: TinyReplica
) -> None:
    strange = '{"a":"\\u0000"}'
    papers.sql(
        "INSERT INTO papers (id, firm, amount, facts, notes) VALUES (1, 'A', 1, %s::json, ARRAY[%s::json])",
        strange, strange,
    )  # fmt: skip
    converged(papers, one)
    row = one.at("papers", id=1)["row"]  # type: ignore[index]
    assert (row["facts"], row["notes"]) == (strange, [strange])


@pytest.mark.parametrize("dated", ["infinity", "-infinity", "0044-03-15 BC", "12000-01-01", "2024-05-01"])
def test_a_document_of_any_date_can_be_entered_while_its_period_is_open(
    papers: Market, one: TinyReplica, dated: str
) -> None:
    one.put("papers", paper(1, dated=dated))
    assert one.push()["results"] == []
    one.put("papers", {"id": 1, "code": "edited"})
    assert one.push()["results"] == []
    converged(papers, one)
    papers.sql("INSERT INTO closings VALUES ('A', 'infinity')")
    one.put("papers", {"id": 1, "code": "again"})
    assert statuses(one.push()) == {1: ("rejected", "closed_period")}
    converged(papers, one)


def test_a_refusal_shows_nothing_that_the_workplace_has_not(papers: Market, one: TinyReplica) -> None:
    papers.sql("INSERT INTO papers (id, firm, amount, code) VALUES (1, 'A', 1, 'taken')")
    one.pull()
    one.put("papers", {"id": 1, "amount": -5})
    one.put("papers", paper(2, code="taken"))
    answer = one.push()
    assert statuses(answer) == {1: ("rejected", "check_violation"), 2: ("rejected", "unique_violation")}
    told = json.dumps(answer)
    assert "TOP SECRET" not in told
    assert "positive" in told
    assert "(code)=(taken)" in told
    kept = papers.sql("SELECT detail FROM yurt.problems")
    assert not any("SECRET" in detail for (detail,) in kept)


def test_what_a_trigger_cannot_compute_is_the_applications_error(papers: Market, one: TinyReplica) -> None:
    one.put("papers", paper(1, amount=7))
    one.put("papers", paper(2, amount=2**40))
    assert statuses(one.push()) == {1: ("rejected", "application_error"), 2: ("rejected", "invalid_value")}
    converged(papers, one)
