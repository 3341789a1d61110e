"""Page, lines 101-106: activation and ping."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.e2e.contract.office import PASSWORD, Office
from tests.e2e.contract.replica import PROGRAM, Workplace
from tests.e2e.contract.service import Caller, good, refused

pytestmark = pytest.mark.xdist_group("contract-exchange")


def test_activation_gives_a_token_for_ninety_days_and_the_packages_position(office: Office) -> None:
    """Lines 101 and 104."""
    workplace = office.unpack(office.package(office.ready(organisations=[office.first])["id"]))
    got = good(workplace.activate(office.admin_login, PASSWORD), 200)
    assert set(got) >= {"token", "expires_at", "position"}
    left = datetime.fromisoformat(got["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89, hours=23) < left <= timedelta(days=90)
    assert got["position"] == workplace.state("position")
    workplace.exchange()


def test_activation_codes(office: Office, nobody: Caller) -> None:
    """Lines 102-104."""
    workplace = office.unpack(office.package(office.ready(organisations=[office.first])["id"]))
    refused(workplace.activate(office.admin_login, "wrong"), 401, "wrong_credentials")
    refused(workplace.activate(office.user_login, PASSWORD), 403, "not_permitted")
    good(office.admin.patch(f"/workplaces/{workplace.id}", {"users": [office.user_login]}))
    good(workplace.activate(office.user_login, PASSWORD), 200)
    good(workplace.activate(office.user_login, PASSWORD), 200)
    body = {"login": office.admin_login, "password": PASSWORD, "replica_id": str(uuid4()), "program": PROGRAM}
    refused(nobody.post(f"/workplaces/{uuid4()}/activation", body), 404, "not_found")
    good(office.admin.delete(f"/workplaces/{workplace.id}"))
    refused(workplace.activate(office.admin_login, PASSWORD), 410, "workplace_deleted")


def test_a_copy_is_refused_and_the_first_goes_on(office: Office) -> None:
    """Lines 101-103, 114."""
    first = office.workplace(office.first)
    package = office.package(first.id)
    copy = office.unpack(package)
    refused(copy.activate(office.admin_login, PASSWORD), 409, "activated_elsewhere")
    refused(first.open(replica_id=copy.replica_id), 409, "activated_elsewhere")
    first.exchange()


def test_activating_again_renews_the_token(office: Office) -> None:
    """Line 104."""
    workplace = office.workplace(office.first)
    old = workplace.token
    good(workplace.activate(office.admin_login, PASSWORD), 200)
    assert workplace.token != old
    workplace.exchange()


def test_a_stranger_who_knows_the_workplace_learns_nothing(office: Office) -> None:
    """Lines 33 and 102-103: somebody without any role here."""
    workplace = office.unpack(office.package(office.ready(organisations=[office.first])["id"]))
    other = office.person("user")
    refused(workplace.activate(other, PASSWORD), 403, "not_permitted")


def test_ping_needs_no_token_and_with_one_tells_workplace_and_state(office: Office, nobody: Caller) -> None:
    """Line 106."""
    pinged = good(nobody.get("/ping"), 200)
    assert set(pinged) >= {"service", "protocol", "time"}
    assert pinged["protocol"] == [1]
    assert abs(datetime.fromisoformat(pinged["time"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert "workplace" not in pinged
    workplace: Workplace = office.active(office.first)
    known = good(workplace.caller.get("/ping"), 200)
    assert known["workplace"] == workplace.id
    assert known["state"] == "active"
    assert set(known) >= set(pinged)
    with Caller(office.url, "no such token") as stranger:
        assert stranger.get("/ping").status_code == 401
