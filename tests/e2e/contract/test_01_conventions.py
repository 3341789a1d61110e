"""Page, lines 3-10: errors, lists, idempotency keys."""

import socket
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from deploy.stack.stack import Stack
from tests.e2e.contract.office import Office
from tests.e2e.contract.replica import Workplace
from tests.e2e.contract.service import Caller, good, refused

pytestmark = pytest.mark.xdist_group("contract")


def test_every_error_is_a_problem_document_with_type_title_status_detail_and_code(
    office: Office, nobody: Caller
) -> None:
    """Line 7."""
    refused(nobody.post("/sessions", {"login": office.admin_login, "password": "wrong"}), 401, "wrong_credentials")
    refused(office.admin.get(f"/workplaces/{uuid4()}"), 404, "not_found")
    refused(office.admin.get("/no/such/door"), 404, "not_found")
    refused(office.admin.call("PUT", "/api/v1/applications"), 405, "method_not_allowed")
    refused(nobody.get("/applications"), 401, "not_authenticated")
    refused(office.admin.post(f"/applications/{office.code}/workplaces", {"users": 5}), 422, "invalid_request")
    broken = office.admin.call(
        "POST",
        f"/api/v1/applications/{office.code}/workplaces",
        content=b"{",
        headers={"Content-Type": "application/json"},
    )
    assert broken.status_code in {400, 422}
    refused(broken, broken.status_code, broken.json()["code"])


def test_a_head_without_an_end_is_not_taken_in(stack: Stack) -> None:
    """As httptools would; nothing is allowed to grow before anybody has said who he is."""
    parts = urlsplit(stack.url)
    with socket.create_connection((parts.hostname, parts.port)) as line:
        line.sendall(b"GET /api/v1/ping HTTP/1.1\r\nHost: yurt\r\nX-Long: ")
        with pytest.raises(ConnectionError):  # noqa: PT012 – somewhere on the way
            for _ in range(1000):
                line.sendall(b"x" * 100_000)


def test_lists_have_items_and_next_and_are_paged_with_limit_and_after(office: Office, organisation: str) -> None:
    """Lines 8-9."""
    made = {office.create(organisations=[organisation])["id"] for _ in range(3)}
    path = f"/applications/{office.code}/workplaces"
    first = good(office.admin.get(path, params={"limit": 2}))
    assert set(first) == {"items", "next"}
    assert len(first["items"]) == 2
    assert first["next"] is not None
    second = good(office.admin.get(path, params={"limit": 2, "after": first["next"]}))
    assert not {w["id"] for w in first["items"]} & {w["id"] for w in second["items"]}
    everything = office.admin.everything(path, limit=1)
    ids = [w["id"] for w in everything]
    assert len(ids) == len(set(ids))
    assert made <= set(ids)
    whole = good(office.admin.get(path, params={"limit": 200}))
    assert whole["next"] is None
    assert {w["id"] for w in whole["items"]} == set(ids)


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many"])
def test_a_limit_outside_1_to_200_is_refused(office: Office, limit: str) -> None:
    """Line 8."""
    for path in ("", f"/{office.code}/workplaces", f"/{office.code}/exchanges", f"/{office.code}/problems"):
        answer = office.admin.get(f"/applications{path}", params={"limit": limit})
        refused(answer, 422, "invalid_request")


def test_every_list_takes_limits_1_and_200(office: Office) -> None:
    """Line 8."""
    for path in ("", f"/{office.code}/workplaces", f"/{office.code}/exchanges", f"/{office.code}/problems"):
        for limit in (1, 200):
            page = good(office.admin.get(f"/applications{path}", params={"limit": limit}))
            assert len(page["items"]) <= limit


def test_a_repeated_idempotency_key_creates_one_workplace_and_gives_the_same_answer(
    office: Office, organisation: str
) -> None:
    """Line 9."""
    key = {"Idempotency-Key": str(uuid4())}
    path, body = f"/applications/{office.code}/workplaces", {"name": f"n-{uuid4()}", "organisations": [organisation]}
    first = good(office.admin.post(path, body, headers=key), 202)
    again = good(office.admin.post(path, body, headers=key), 202)
    assert again["id"] == first["id"]
    named = [w for w in office.admin.everything(path) if w["name"] == body["name"]]
    assert len(named) == 1


def test_the_same_idempotency_key_with_another_body_is_a_mismatch(office: Office, organisation: str) -> None:
    """Lines 9-10."""
    key = {"Idempotency-Key": str(uuid4())}
    path = f"/applications/{office.code}/workplaces"
    good(office.admin.post(path, {"organisations": [organisation]}, headers=key), 202)
    other = office.admin.post(path, {"organisations": [organisation], "name": "other"}, headers=key)
    refused(other, 422, "idempotency_mismatch")


def test_an_idempotency_key_belongs_to_one_person(office: Office, organisation: str) -> None:
    """Line 9: per person."""
    key = {"Idempotency-Key": str(uuid4())}
    path, body = f"/applications/{office.code}/workplaces", {"organisations": [organisation]}
    first = good(office.admin.post(path, body, headers=key), 202)
    with office.session(office.person("administrator")) as colleague:
        second = good(colleague.post(path, body, headers=key), 202)
    assert first["id"] != second["id"]


def test_an_idempotency_key_is_honoured_when_a_package_is_ordered(office: Office) -> None:
    """Line 9: on every POST that creates."""
    made = office.ready(organisations=[office.first])
    key, path = {"Idempotency-Key": str(uuid4())}, f"/workplaces/{made['id']}/package"
    first = good(office.admin.post(path, headers=key), 202)
    assert good(office.admin.post(path, headers=key), 202) == first


def test_an_idempotency_key_is_honoured_when_an_exchange_is_opened(office: Office, common_workplace: Workplace) -> None:
    """Line 9: on every POST that creates."""
    workplace = common_workplace
    key, opening = {"Idempotency-Key": str(uuid4())}, workplace.opening(verify="tables")
    first = good(workplace.caller.post("/exchanges", opening, headers=key), 201)
    assert good(workplace.caller.post("/exchanges", opening, headers=key), 201)["id"] == first["id"]
