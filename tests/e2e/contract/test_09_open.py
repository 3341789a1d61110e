"""Page, lines 110-116: opening an exchange."""

import time
from uuid import uuid4

import pytest

from tests.e2e.contract.office import MANIFEST, PASSWORD, Office
from tests.e2e.contract.replica import Workplace
from tests.e2e.contract.service import good, refused

pytestmark = pytest.mark.xdist_group("contract-exchange")

OPENED = {"id", "expires_at", "next_message", "last_result", "schema", "resync", "backoff"}


def test_an_opening_has_every_member(office: Office, common_workplace: Workplace) -> None:
    """Lines 110-112."""
    workplace = common_workplace
    opened = workplace.begin()
    assert set(opened) >= OPENED
    assert opened["next_message"] == 1
    assert opened["last_result"] is None
    assert opened["schema"] is None
    assert opened["resync"] is None
    assert opened["expires_at"].endswith("Z")


def test_nothing_to_do_is_over_in_one_request_and_its_position_is_acknowledged(office: Office) -> None:
    """Lines 112-113."""
    workplace = office.workplace(office.first, synchronised=True)
    idle = good(workplace.open(), 200)
    assert idle["idle"] is True
    assert idle["next_exchange_in"] > 0
    assert idle["position"]
    workplace.keep(position=idle["position"])
    assert good(workplace.open(), 200)["idle"] is True
    customer = office.customer(office.first)
    done = workplace.exchange()
    assert done.delta
    assert done.delta.first["from"] == idle["position"]
    assert done.delta.put("customers", id=customer)


@pytest.mark.parametrize("reason", ["pending", "remote", "verify", "leases"])
def test_something_to_do_opens_an_exchange(office: Office, organisation: str, reason: str) -> None:
    """Lines 111-113."""
    workplace = office.workplace(organisation, synchronised=True)
    change: dict[str, object] = {}
    if reason == "pending":
        workplace.db.execute("INSERT INTO rates VALUES (?, '2026-03-03', '1', 'x')", [uuid4().hex[:3]])
    if reason == "remote":
        office.customer(organisation)
    if reason == "verify":
        change["verify"] = "tables"
    if reason == "leases":
        change["free"] = {"items": 10, "entries": 10_000}
    opened = good(workplace.open(**change), 201)
    if reason == "leases":
        assert set(opened["ranges"]) == {"items"}


def test_another_organisations_change_is_nothing_to_do(office: Office, organisation: str) -> None:
    """Line 112."""
    workplace = office.workplace(organisation, synchronised=True)
    office.customer(office.organisation())
    assert good(workplace.open(), 200)["idle"] is True


def test_ranges_are_leased_anew_below_a_quarter(office: Office, common_workplace: Workplace) -> None:
    """Lines 91-92, 111-112."""
    workplace = common_workplace
    (lease,) = workplace.rows("SELECT next, last FROM yurt_ranges WHERE table_name = 'items'")
    size = lease["last"] - lease["next"] + 1
    enough = workplace.begin(free={"items": size // 4 + 1, "entries": size})
    assert "items" not in (enough.get("ranges") or {})
    few = workplace.begin(free={"items": size // 4 - 1, "entries": size})
    assert set(few["ranges"]) == {"items"}
    assert few["ranges"]["items"]["column"] == "id"
    for first, last in few["ranges"]["items"]["spans"]:
        assert first <= last
        assert first > lease["last"] or last < lease["next"]


def test_the_last_result_is_the_stored_answer_and_such_a_message_is_not_sent_again(
    office: Office, organisation: str
) -> None:
    """Lines 112, 118-119."""
    workplace = office.workplace(organisation, synchronised=True)
    currency = uuid4().hex[:3]
    workplace.db.execute("INSERT INTO rates VALUES (?, '2026-03-03', '1', 'x')", [currency])
    opened = workplace.begin()
    body = workplace.freeze(opened["next_message"])
    answer = good(workplace.push(opened["id"], opened["next_message"], body), 200)  # and our line breaks
    again = good(workplace.open(), 201)
    assert again["last_result"] == answer
    assert again["next_message"] == opened["next_message"] + 1
    done = workplace.exchange()
    assert done.answers == []
    assert workplace.rows("SELECT * FROM yurt_outbox") == []
    assert len(office.sql("SELECT 1 FROM rates WHERE currency = %s", currency)) == 1


def test_an_opening_ends_the_replicas_own_unfinished_exchange(office: Office, common_workplace: Workplace) -> None:
    """Lines 114-115."""
    workplace = common_workplace
    first = workplace.begin()
    workplace.begin()
    refused(workplace.caller.get(f"/exchanges/{first['id']}/changes", params={"after": "x"}), 410, "exchange_over")
    refused(workplace.push(first["id"], 1, b""), 410, "exchange_over")
    refused(workplace.complete(first["id"]), 410, "exchange_over")


def test_every_call_on_a_completed_or_abandoned_exchange_is_over(office: Office, common_workplace: Workplace) -> None:
    """Lines 115 and 145."""
    workplace = common_workplace
    completed = workplace.begin()
    workplace.apply(workplace.pull(completed["id"]))
    good(workplace.complete(completed["id"]), 200)
    abandoned = workplace.begin()
    assert workplace.caller.delete(f"/exchanges/{abandoned['id']}").status_code in {200, 204}
    for over in (completed, abandoned):
        path = f"/exchanges/{over['id']}"
        refused(
            workplace.caller.get(f"{path}/changes", params={"after": workplace.state("position")}), 410, "exchange_over"
        )
        refused(workplace.caller.get(f"{path}/delta"), 410, "exchange_over")
        refused(workplace.push(over["id"], 1, b""), 410, "exchange_over")
        refused(workplace.complete(over["id"]), 410, "exchange_over")
        refused(workplace.caller.delete(path), 410, "exchange_over")


def test_an_unknown_exchange_is_404(office: Office, common_workplace: Workplace) -> None:
    """Line 33."""
    workplace = common_workplace
    refused(workplace.complete(str(uuid4())), 404, "not_found")


def test_an_opening_without_a_member_or_with_a_wrong_type_is_refused(
    office: Office, common_workplace: Workplace
) -> None:
    """Line 110."""
    workplace = common_workplace
    for name in ("replica_id", "configuration", "version", "generation", "position", "scope_version", "last_message"):
        body = workplace.opening()
        del body[name]
        refused(workplace.caller.post("/exchanges", body), 422, "invalid_request")
    refused(workplace.open(scope_version="one"), 422, "invalid_request")


def test_a_position_that_is_none_is_refused_or_answered_with_a_resync(
    office: Office, common_workplace: Workplace
) -> None:
    """Lines 4 and 147: the page does not say which."""
    workplace = common_workplace
    answer = workplace.open(position="nonsense", verify="tables")
    if answer.status_code == 201:
        assert answer.json()["resync"] is not None
    else:
        refused(answer, 422, "invalid_request")


def test_a_table_altered_behind_the_manifest_is_configuration_changed_until_attached_again(office: Office) -> None:
    """Lines 115-116."""
    code, dsn, workplace = own_application(office, "altered")
    office.execute(dsn, "ALTER TABLE tasks ADD COLUMN surprise text")
    until = time.monotonic() + 15  # it is noticed within seconds
    while (answer := workplace.open(verify="tables")).status_code == 201:
        assert time.monotonic() < until
    refused(answer, 409, "configuration_changed")
    office.execute(dsn, "ALTER TABLE tasks DROP COLUMN surprise")
    good(office.operator.operate("PUT", f"/applications/{code}", office.attachment(connection=dsn)), 200)
    workplace.exchange()


def test_while_the_application_database_is_away_it_is_503_with_retry_after(office: Office) -> None:
    """Line 116."""
    _, dsn, workplace = own_application(office, "away")
    with office.away(dsn):
        answer = workplace.open(verify="tables")
        refused(answer, 503, "application_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    workplace.exchange()


def own_application(office: Office, name: str, manifest: str = MANIFEST) -> tuple[str, str, Workplace]:
    """An application in a database of its own, that a test may spoil; a synchronised workplace of it."""
    code = f"{name}-{uuid4().hex[:8]}"
    dsn = office.database(code)
    good(
        office.operator.operate("PUT", f"/applications/{code}", office.attachment(connection=dsn, manifest=manifest)),
        201,
    )
    path = f"/applications/{code}/users/{office.admin_login}"
    good(office.operator.operate("PUT", path, {"full_name": "A", "role": "administrator"}), 200, 201)
    made = good(office.admin.post(f"/applications/{code}/workplaces"), 202)
    office.admin.wait_until(made["id"], "ready")
    workplace = office.unpack(office.package(made["id"]))
    good(workplace.activate(office.admin_login, PASSWORD), 200)
    workplace.exchange()
    return code, dsn, workplace
