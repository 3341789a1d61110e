"""Page, lines 134-135, 143, 157-158: rejections, merging, conflicts, closed periods, policies, problems."""

from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.contract.lines import STAMP, new, new_task, order_line, put, task
from tests.e2e.contract.office import Office
from tests.e2e.contract.replica import Workplace
from tests.e2e.contract.service import Json, good, refused

pytestmark = pytest.mark.xdist_group("contract-exchange")

PROBLEM = {
    "id",
    "workplace",
    "table",
    "key",
    "kind",
    "code",
    "detail",
    "title",
    "columns",
    "service",
    "pushed",
    "in_force",
    "state",
    "created_at",
    "edited_at",
    "edited_by",
    "resolved_by",
    "comment",
}


@pytest.fixture
def workplace(office: Office, organisation: str) -> Workplace:
    return stocked(office, organisation)


@pytest.fixture(scope="module")
def tried(office: Office) -> Workplace:
    """One workplace for one attempt of each kind."""
    return stocked(office, office.organisation())


def stocked(office: Office, organisation: str) -> Workplace:
    """With a customer, an order and a task."""
    customer = office.customer(organisation, "Customer", code="taken", phone="1")
    office.order(organisation, customer, comment="first", net="1.00", number="1")
    office.insert("tasks", task(organisation, title="task"))
    return office.workplace(organisation)


def only(workplace: Workplace, table: str) -> str:
    return str(workplace.rows(f"SELECT id FROM {table}")[0][0])


def new_order(workplace: Workplace, organisation: str, **values: Any) -> Json:
    order = str(uuid4())
    given = {
        "organisation_id": organisation,
        "ordered_on": "2026-01-01",
        "customer_id": only(workplace, "customers"),
        **values,
    }
    return new(workplace, "orders", {"id": order}, **given)


def _bad(office: Office, workplace: Workplace, organisation: str, code: str) -> Json:
    order = only(workplace, "orders")
    if code == "closed_period":
        office.sql("INSERT INTO closing_dates VALUES (%s, '2026-03-31')", organisation)
        return new_order(workplace, organisation, ordered_on="2026-03-31")
    if code == "unique_violation":
        return new(workplace, "customers", {"id": str(uuid4())}, organisation_id=organisation, name="x", code="taken")
    if code == "foreign_key_violation":
        return new_order(workplace, organisation, customer_id=str(uuid4()))
    if code == "check_violation":
        line = new_order(workplace, organisation)
        line["parts"]["order_lines"] = [order_line(line["key"]["id"], quantity="-1")]
        return line
    if code == "not_null_violation":
        return new(workplace, "customers", {"id": str(uuid4())}, organisation_id=organisation, name=None)
    if code == "outside_scope":
        return new_task(workplace, office.first)
    if code == "read_only":
        return new(workplace, "units", {"code": uuid4().hex}, title="unit")
    if code == "unknown_table":
        return {**new_task(workplace, organisation), "table": "employees"}
    if code == "invalid_value":
        return put(workplace, "customers", {"id": only(workplace, "customers")}, discount="a little")
    assert code == "application_error"
    return put(workplace, "orders", {"id": order}, comment="forbidden")


@pytest.mark.parametrize(
    "code",
    [
        "unique_violation",
        "foreign_key_violation",
        "check_violation",
        "not_null_violation",
        "outside_scope",
        "read_only",
        "unknown_table",
        "invalid_value",
        "application_error",
        "closed_period",  # the last: it closes the others' period
    ],
)
def test_a_bad_aggregate_is_rejected_with_its_code_kept_as_a_problem_and_stops_nothing_else(
    office: Office, tried: Workplace, code: str
) -> None:
    """Lines 131-135, 51-53."""
    workplace, (organisation,) = tried, tried.about["organisations"]
    bad = {**_bad(office, workplace, organisation, code), "seq": 5}
    fine = [new_task(workplace, organisation, seq=n, title=f"fine {code}") for n in (4, 6)]
    answer = workplace.pushed(workplace.begin(), fine[0], bad, fine[1])
    assert answer["counts"] == {"applied": 2, "merged": 0, "conflict": 0, "rejected": 1}
    (result,) = answer["results"]
    assert set(result) >= {"seq", "status", "code", "detail", "problem"}
    assert (result["seq"], result["status"], result["code"]) == (5, "rejected", code)
    assert result["detail"]
    assert len(office.sql("SELECT 1 FROM tasks WHERE title = %s", f"fine {code}")) == 2
    problems = office.admin.everything(f"/workplaces/{workplace.id}/problems")
    (problem,) = [p for p in problems if p["id"] == result["problem"]]
    assert set(problem) >= PROBLEM
    assert (problem["kind"], problem["code"], problem["state"]) == ("rejected", code, "open")
    assert (problem["workplace"], problem["table"], problem["key"]) == (workplace.id, bad["table"], bad["key"])
    assert problem["in_force"] == "service"
    assert problem["pushed"]["row"]
    assert problem["edited_by"] == STAMP["edited_by"]
    assert problem["edited_at"] == STAMP["edited_at"]


@pytest.mark.parametrize("column", ["missing", "unknown"])
def test_a_missing_or_unknown_column_is_an_invalid_value(workplace: Workplace, organisation: str, column: str) -> None:
    """Line 135."""
    line = new_task(workplace, organisation)
    if column == "missing":
        del line["row"]["title"]
    else:
        line["row"]["colour"] = "red"
    (result,) = workplace.pushed(workplace.begin(), line)["results"]
    assert (result["status"], result["code"]) == ("rejected", "invalid_value")


def test_an_excluded_column_is_unknown_and_keeps_its_value(office: Office, workplace: Workplace) -> None:
    """Lines 74, 127, 135."""
    order = only(workplace, "orders")
    office.sql("UPDATE orders SET internal_note = 'kept' WHERE id = %s", order)
    opened = workplace.begin()
    bad = put(workplace, "orders", {"id": order}, comment="x")
    bad["row"]["internal_note"] = "stolen"
    (result,) = workplace.pushed(opened, bad)["results"]
    assert result["code"] == "invalid_value"
    fine = put(workplace, "orders", {"id": order}, comment="y")
    workplace.pushed(opened, fine)
    assert office.one("SELECT internal_note FROM orders WHERE id = %s", order)["internal_note"] == "kept"


def test_a_change_that_builds_on_a_rejected_one_is_after_rejection(office: Office, workplace: Workplace) -> None:
    """Line 135."""
    order = only(workplace, "orders")
    workplace.db.execute("UPDATE orders SET comment = 'forbidden' WHERE id = ?", [order])
    opened = workplace.begin()
    body = workplace.freeze(1)
    workplace.db.execute("UPDATE orders SET paid = 1 WHERE id = ?", [order])
    answer = good(workplace.push(opened["id"], 1, body), 200)
    assert answer["results"][0]["code"] == "application_error"
    workplace.answered(answer)
    body = workplace.freeze(2)
    answer = good(workplace.push(opened["id"], 2, body), 200)
    (result,) = answer["results"]
    assert (result["status"], result["code"]) == ("rejected", "after_rejection")
    assert office.one("SELECT paid FROM orders WHERE id = %s", order)["paid"] is False


def test_rejected_losing_and_merged_aggregates_come_back_in_the_same_exchanges_delta(
    office: Office, workplace: Workplace
) -> None:
    """Line 143."""
    order, customer = only(workplace, "orders"), only(workplace, "customers")
    workplace.db.execute("UPDATE orders SET comment = 'forbidden' WHERE id = ?", [order])
    workplace.db.execute("UPDATE customers SET name = 'Offline', code = 'changed' WHERE id = ?", [customer])
    office.sql("UPDATE customers SET name = 'Cloud', discount = 3 WHERE id = %s", customer)
    done = workplace.exchange()
    assert {r["status"] for r in done.results} == {"rejected", "conflict"}
    assert done.delta
    assert done.delta.put("orders", id=order)
    assert done.delta.put("customers", id=customer)
    assert workplace.rows("SELECT comment FROM orders WHERE id = ?", order)[0][0] == "first"
    assert workplace.rows("SELECT name FROM customers WHERE id = ?", customer)[0][0] == "Cloud"
    assert workplace.verified(done.delta)


def test_what_a_trigger_of_the_application_changed_comes_back_in_the_same_exchange(
    office: Office, workplace: Workplace
) -> None:
    """Line 143."""
    order = only(workplace, "orders")
    workplace.db.execute("UPDATE orders SET comment = 'shout: hello' WHERE id = ?", [order])
    workplace.exchange()
    assert workplace.rows("SELECT comment FROM orders WHERE id = ?", order)[0][0] == "SHOUT: HELLO"


def test_edits_of_different_columns_are_merged_and_come_back(office: Office, workplace: Workplace) -> None:
    """Lines 128, 133, 143."""
    customer = only(workplace, "customers")
    workplace.db.execute("UPDATE customers SET name = 'Offline' WHERE id = ?", [customer])
    office.sql("UPDATE customers SET phone = 'cloud' WHERE id = %s", customer)
    done = workplace.exchange()
    assert [r["status"] for r in done.results] == ["merged"]
    assert workplace.row("SELECT name, phone FROM customers") == {"name": "Offline", "phone": "cloud"}
    stored = office.one("SELECT name, phone FROM customers WHERE id = %s", customer)
    assert (stored["name"], stored["phone"]) == ("Offline", "cloud")


def test_the_same_edit_on_both_sides_is_no_conflict(office: Office, workplace: Workplace) -> None:
    """Line 128."""
    customer = only(workplace, "customers")
    workplace.db.execute("UPDATE customers SET name = 'Same' WHERE id = ?", [customer])
    office.sql("UPDATE customers SET name = 'Same' WHERE id = %s", customer)
    done = workplace.exchange()
    assert not [r for r in done.results if r["status"] in {"conflict", "rejected"}]


def test_a_conflict_keeps_both_versions_and_can_be_reversed(office: Office, workplace: Workplace) -> None:
    """Lines 51-54: service_wins."""
    customer = only(workplace, "customers")
    workplace.db.execute("UPDATE customers SET name = 'Offline' WHERE id = ?", [customer])
    office.sql("UPDATE customers SET name = 'Cloud' WHERE id = %s", customer)
    done = workplace.exchange()
    (result,) = done.results
    assert result["status"] == "conflict"
    (problem,) = office.admin.everything(f"/workplaces/{workplace.id}/problems")
    assert (problem["kind"], problem["in_force"], problem["state"]) == ("conflict", "service", "open")
    assert problem["service"]["row"]["name"] == "Cloud"
    assert problem["pushed"]["row"]["name"] == "Offline"
    assert problem["columns"] == ["name"]
    assert problem["title"]
    assert problem["id"] in [
        p["id"] for p in office.admin.everything(f"/applications/{office.code}/problems", limit=200)
    ]
    resolved = good(
        office.admin.post(f"/problems/{problem['id']}/resolution", {"choice": "rejected", "comment": "ours"})
    )
    assert resolved["state"] == "rejected"
    assert resolved["comment"] == "ours"
    assert resolved["resolved_by"] == office.admin_login
    assert office.one("SELECT name FROM customers WHERE id = %s", customer)["name"] == "Offline"
    workplace.exchange()
    assert workplace.rows("SELECT name FROM customers")[0][0] == "Offline", "as a new change"
    second = office.admin.post(f"/problems/{problem['id']}/resolution", {"choice": "accepted"})
    refused(second, 409, "already_resolved")


def test_a_decided_problem_is_commented_on_reopened_and_decided_otherwise(office: Office, workplace: Workplace) -> None:
    """Choices: Problems."""
    customer = only(workplace, "customers")
    workplace.db.execute("UPDATE customers SET name = 'Offline' WHERE id = ?", [customer])
    office.sql("UPDATE customers SET name = 'Cloud' WHERE id = %s", customer)
    workplace.exchange()
    (problem,) = office.admin.everything(f"/workplaces/{workplace.id}/problems")
    path = f"/problems/{problem['id']}"
    refused(office.admin.post(f"{path}/reopening", {}), 409, "not_resolved")
    said = good(workplace.caller.post(f"{path}/comments", {"text": "he told me so"}), 201)
    assert [comment["text"] for comment in said["comments"]] == ["he told me so"]
    for name in ("Offline", "Cloud"):
        good(office.admin.post(f"{path}/resolution", {"choice": "rejected"}))
        office.sql("UPDATE customers SET phone = %s WHERE id = %s", name, customer)
        reopened = good(office.admin.post(f"{path}/reopening", {"comment": "wait"}))
        assert (reopened["state"], reopened["resolved_by"], reopened["comment"]) == ("open", None, None)
        workplace.exchange()
        assert workplace.row("SELECT name, phone FROM customers") == {"name": name, "phone": name}
    refused(workplace.caller.post(f"{path}/reopening", {}), 403, "wrong_token_kind")
    found = workplace.caller.get(path).json()
    assert [event["action"] for event in found["history"]] == ["commented", *["rejected", "reopened"] * 2]
    assert [event["by"] for event in found["history"]][1:] == [office.admin_login] * 4
    assert found["corrected_at"] is None
    workplace.db.execute("UPDATE customers SET phone = 'corrected' WHERE id = ?", [customer])
    workplace.exchange()
    corrected = workplace.caller.get(path).json()
    assert corrected["corrected_at"] == corrected["history"][-1]["at"]
    assert corrected["state"] == "open"


def test_accepted_keeps_what_is_in_force(office: Office, workplace: Workplace) -> None:
    """Line 54."""
    customer = only(workplace, "customers")
    workplace.db.execute("UPDATE customers SET name = 'Offline' WHERE id = ?", [customer])
    office.sql("UPDATE customers SET name = 'Cloud' WHERE id = %s", customer)
    workplace.exchange()
    (problem,) = office.admin.everything(f"/workplaces/{workplace.id}/problems")
    assert (
        good(office.admin.post(f"/problems/{problem['id']}/resolution", {"choice": "accepted"}))["state"] == "accepted"
    )
    assert office.one("SELECT name FROM customers WHERE id = %s", customer)["name"] == "Cloud"


def test_a_problem_is_resolved_by_an_administrator_only_and_the_choice_is_one_of_two(
    office: Office, workplace: Workplace, organisation: str
) -> None:
    """Lines 33 and 53."""
    good(office.admin.patch(f"/workplaces/{workplace.id}", {"users": [office.user_login]}))
    workplace.pushed(workplace.begin(), new_task(workplace, office.first))
    (problem,) = office.admin.everything(f"/workplaces/{workplace.id}/problems")
    path = f"/problems/{problem['id']}/resolution"
    refused(office.user.post(path, {"choice": "accepted"}), 403, "not_permitted")
    refused(workplace.caller.post(path, {"choice": "accepted"}), 403, "wrong_token_kind")
    refused(office.admin.post(path, {"choice": "both"}), 422, "invalid_request")
    refused(office.admin.post(f"/problems/{uuid4()}/resolution", {"choice": "accepted"}), 404, "not_found")
    assert workplace.caller.get(f"/workplaces/{workplace.id}/problems").json()["items"] == [problem]


def test_workplace_wins_puts_the_pushed_version_in_force_and_keeps_the_services(office: Office) -> None:
    """Lines 52 and 129."""
    currency = uuid4().hex[:3]
    office.sql("INSERT INTO rates VALUES (%s, '2026-01-01', 1, 'start')", currency)
    workplace = office.workplace(office.first, synchronised=True)
    workplace.db.execute("UPDATE rates SET source = 'offline' WHERE currency = ?", [currency])
    office.sql("UPDATE rates SET source = 'cloud' WHERE currency = %s", currency)
    done = workplace.exchange()
    assert [r["status"] for r in done.results] == ["conflict"]
    (problem,) = office.admin.everything(f"/workplaces/{workplace.id}/problems")
    assert problem["in_force"] == "workplace"
    assert problem["service"]["row"]["source"] == "cloud"
    assert office.one("SELECT source FROM rates WHERE currency = %s", currency)["source"] == "offline"
    good(office.admin.post(f"/problems/{problem['id']}/resolution", {"choice": "rejected"}))
    assert office.one("SELECT source FROM rates WHERE currency = %s", currency)["source"] == "cloud"


def test_under_manual_the_services_version_is_in_force_until_a_person_decides(
    office: Office, workplace: Workplace
) -> None:
    """Lines 157-158."""
    key = only(workplace, "tasks")
    workplace.db.execute("UPDATE tasks SET title = 'offline' WHERE id = ?", [key])
    office.sql("UPDATE tasks SET title = 'cloud' WHERE id = %s", key)
    done = workplace.exchange()
    assert [r["status"] for r in done.results] == ["conflict"]
    assert workplace.rows("SELECT title FROM tasks")[0][0] == "cloud"
    (problem,) = office.admin.everything(f"/workplaces/{workplace.id}/problems")
    assert (problem["in_force"], problem["state"]) == ("service", "open")
    good(office.admin.post(f"/problems/{problem['id']}/resolution", {"choice": "rejected"}))
    workplace.exchange()
    assert workplace.rows("SELECT title FROM tasks")[0][0] == "offline"


@pytest.mark.parametrize("deleted", ["service", "workplace"])
def test_a_delete_against_an_edit_is_a_conflict_with_both_versions(
    office: Office, workplace: Workplace, deleted: str
) -> None:
    """Lines 51-54: one of the versions is null."""
    key = only(workplace, "customers")
    office.sql("DELETE FROM orders WHERE customer_id = %s", key)
    workplace.exchange()
    if deleted == "service":
        workplace.db.execute("UPDATE customers SET name = 'Offline' WHERE id = ?", [key])
        office.sql("DELETE FROM customers WHERE id = %s", key)
    else:
        workplace.db.execute("DELETE FROM customers WHERE id = ?", [key])
        office.sql("UPDATE customers SET name = 'Cloud' WHERE id = %s", key)
    done = workplace.exchange()
    assert [r["status"] for r in done.results] == ["conflict"]
    (problem,) = office.admin.everything(f"/workplaces/{workplace.id}/problems")
    assert problem["in_force"] == "service"
    assert problem["service" if deleted == "service" else "pushed"] is None
    names = [r[0] for r in workplace.rows("SELECT name FROM customers")]
    assert names == ([] if deleted == "service" else ["Cloud"])
    good(office.admin.post(f"/problems/{problem['id']}/resolution", {"choice": "rejected"}))
    workplace.exchange()
    names = [r[0] for r in workplace.rows("SELECT name FROM customers")]
    assert names == (["Offline"] if deleted == "service" else [])


def test_a_rejected_change_corrected_is_sent_again_and_taken(
    office: Office, workplace: Workplace, organisation: str
) -> None:
    """Line 135 and the mission: nothing is lost."""
    key = str(uuid4())
    workplace.db.execute(
        "INSERT INTO customers (id, organisation_id, name, code) VALUES (?, ?, 'n', 'taken')", [key, organisation]
    )
    done = workplace.exchange()
    assert [r["code"] for r in done.results] == ["unique_violation"]
    workplace.db.execute(
        "INSERT OR REPLACE INTO customers (id, organisation_id, name, code) VALUES (?, ?, 'n', 'free')",
        [key, organisation],
    )
    done = workplace.exchange()
    assert done.results == []
    assert office.one("SELECT code FROM customers WHERE id = %s", key)["code"] == "free"


@pytest.mark.parametrize("spelled", [("2026-04-01", True), ("2026-03-31", False), ("2020-01-01", False)])
def test_a_closed_period_ends_with_until_inclusive(
    office: Office, workplace: Workplace, organisation: str, spelled: tuple[str, bool]
) -> None:
    """Line 157."""
    date, taken = spelled
    office.sql("INSERT INTO closing_dates VALUES (%s, '2026-03-31')", organisation)
    answer = workplace.pushed(workplace.begin(), new_order(workplace, organisation, ordered_on=date))
    assert [r["code"] for r in answer["results"]] == ([] if taken else ["closed_period"])


def test_a_document_cannot_be_moved_into_a_closed_period(
    office: Office, workplace: Workplace, organisation: str
) -> None:
    """Line 157: the date *after* the change."""
    office.sql("INSERT INTO closing_dates VALUES (%s, '2026-03-31')", organisation)
    line = put(workplace, "orders", {"id": only(workplace, "orders")}, ordered_on="2026-02-02")
    assert [r["code"] for r in workplace.pushed(workplace.begin(), line)["results"]] == ["closed_period"]


@pytest.mark.parametrize("attempt", ["move", "edit lines", "delete"])
def test_each_kind_of_change_of_a_closed_document_is_refused(
    office: Office, workplace: Workplace, organisation: str, attempt: str
) -> None:
    """Line 157."""
    order = only(workplace, "orders")
    office.sql("INSERT INTO closing_dates VALUES (%s, '2026-12-31')", organisation)
    if attempt == "move":
        workplace.db.execute("UPDATE orders SET ordered_on = '2027-01-01'")
    if attempt == "edit lines":
        workplace.db.execute("UPDATE order_lines SET price = '7.00' WHERE order_id = ?", [order])
    if attempt == "delete":
        workplace.db.execute("DELETE FROM orders")
    done = workplace.exchange()
    assert [r["code"] for r in done.results] == ["closed_period"]
    assert done.delta
    assert workplace.verified(done.delta)
    assert workplace.rows("SELECT id FROM orders")[0][0] == order


def test_no_closing_row_is_an_open_period(workplace: Workplace, organisation: str) -> None:
    """Line 157."""
    line = new_order(workplace, organisation, ordered_on="1999-01-01")
    assert workplace.pushed(workplace.begin(), line)["results"] == []


def test_an_order_cannot_be_moved_to_or_taken_from_an_organisation_outside(
    office: Office, workplace: Workplace, organisation: str
) -> None:
    """Line 134: `outside_scope`."""
    opened = workplace.begin()
    mine = put(workplace, "tasks", {"id": only(workplace, "tasks")}, organisation_id=office.first)
    (result,) = workplace.pushed(opened, mine)["results"]
    assert result["code"] == "outside_scope"
    foreign = task(office.first)
    office.insert("tasks", foreign)
    stolen = {**new_task(workplace, organisation), "key": {"id": foreign["id"]}}
    stolen["row"] = {**stolen["row"], "id": foreign["id"]}
    (result,) = workplace.pushed(opened, stolen)["results"]
    assert result["status"] in {"rejected", "conflict"}
    assert (
        str(office.one("SELECT organisation_id FROM tasks WHERE id = %s", foreign["id"])["organisation_id"])
        == office.first
    )
    (problem,) = [
        p for p in office.admin.everything(f"/workplaces/{workplace.id}/problems") if p["key"]["id"] == foreign["id"]
    ]
    seen = workplace.caller.get(f"/workplaces/{workplace.id}/problems").json()["items"]
    mine_of_it = next(p for p in seen if p["id"] == problem["id"])
    assert mine_of_it["service"] is None, "a workplace is not shown a row outside its scope"
