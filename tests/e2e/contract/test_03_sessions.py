"""Page, lines 30-34: sessions, kinds of tokens, roles."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.e2e.contract.office import PASSWORD, Office, subscription
from tests.e2e.contract.replica import Workplace
from tests.e2e.contract.service import Caller, good, refused, sign_in

pytestmark = pytest.mark.xdist_group("contract")


def test_a_session_is_a_bearer_token_with_an_end_and_its_user(office: Office, nobody: Caller) -> None:
    """Line 30."""
    opened = good(nobody.post("/sessions", {"login": office.admin_login, "password": PASSWORD}), 201)
    assert set(opened) >= {"token", "expires_at", "user"}
    assert opened["expires_at"].endswith("Z")
    with Caller(office.url, opened["token"]) as person:
        good(person.get("/applications"))


def test_the_cookie_is_the_same_session(office: Office, nobody: Caller) -> None:
    """Lines 30-31. How a console asks for its cookie is not on the page (`cookie: true`, from docs/openapi.json)."""
    good(nobody.post("/sessions", {"login": office.admin_login, "password": PASSWORD, "cookie": True}), 201)
    assert len(nobody.http.cookies) == 1
    good(nobody.get("/applications"))
    with Caller(office.url) as stranger:
        refused(stranger.get("/applications"), 401, "not_authenticated")


def test_an_ended_session_opens_nothing(office: Office) -> None:
    """Line 31."""
    with office.session(office.user_login) as person:
        assert person.delete("/sessions/current").status_code in {200, 204}
        refused(person.get("/applications"), 401, "not_authenticated")


def test_wrong_passwords_slow_down_with_retry_after(office: Office, nobody: Caller) -> None:
    """Line 31."""
    login = office.person("user")
    seen = [nobody.post("/sessions", {"login": login, "password": "wrong"}) for _ in range(6)]
    slowed = next(answer for answer in seen if answer.status_code == 429)
    refused(slowed, 429, "too_many_attempts")
    assert int(slowed.headers["retry-after"]) >= 1
    even_right = nobody.post("/sessions", {"login": login, "password": PASSWORD})
    refused(even_right, 429, "too_many_attempts")


def test_unknown_logins_and_wrong_passwords_are_told_alike(office: Office, nobody: Caller) -> None:
    """Line 31."""
    unknown = refused(nobody.post("/sessions", {"login": f"{uuid4()}", "password": "x"}), 401, "wrong_credentials")
    wrong = refused(
        nobody.post("/sessions", {"login": office.person("user"), "password": "x"}), 401, "wrong_credentials"
    )
    assert {k: unknown[k] for k in ("title", "detail")} == {k: wrong[k] for k in ("title", "detail")}


def test_a_session_does_not_open_exchanges(office: Office, common_workplace: Workplace) -> None:
    """Line 32."""
    workplace = common_workplace
    opening = workplace.opening()
    refused(office.admin.post("/exchanges", opening), 403, "wrong_token_kind")
    refused(office.admin.get("/ping"), 403, "wrong_token_kind")


def test_a_session_of_a_person_does_not_open_any_call_of_an_exchange(
    office: Office, common_workplace: Workplace
) -> None:
    """Line 32."""
    workplace = common_workplace
    exchange = workplace.begin()["id"]
    position = workplace.state("position")
    refused(office.admin.get(f"/exchanges/{exchange}/changes", params={"after": position}), 403, "wrong_token_kind")
    refused(office.admin.get(f"/exchanges/{exchange}/delta"), 403, "wrong_token_kind")
    refused(
        office.admin.post(f"/exchanges/{exchange}/completion", {"position": position, "applied": 0}),
        403,
        "wrong_token_kind",
    )
    refused(office.admin.delete(f"/exchanges/{exchange}"), 403, "wrong_token_kind")
    refused(office.admin.post(f"/exchanges/{exchange}/messages/1"), 403, "wrong_token_kind")


def test_a_workplaces_token_opens_its_package_and_problems_and_nothing_of_a_sessions(
    office: Office, common_workplace: Workplace
) -> None:
    """Line 32."""
    workplace = common_workplace
    own, app = f"/workplaces/{workplace.id}", f"/applications/{office.code}"
    assert workplace.caller.get(f"{own}/package").status_code == 200
    good(workplace.caller.get(f"{own}/problems"))
    for path in (
        own,
        f"{own}/events",
        "/applications",
        app,
        f"{app}/workplaces",
        f"{app}/exchanges",
        f"{app}/problems",
    ):
        refused(workplace.caller.get(path), 403, "wrong_token_kind")
    for path in (f"{app}/workplaces", f"{own}/suspend", f"{own}/resume", f"{own}/reissue", f"{own}/package"):
        refused(workplace.caller.post(path), 403, "wrong_token_kind")
    refused(workplace.caller.patch(own, {"name": "x"}), 403, "wrong_token_kind")
    refused(workplace.caller.delete(own), 403, "wrong_token_kind")
    refused(workplace.caller.delete("/sessions/current"), 403, "wrong_token_kind")


def test_another_workplaces_package_problems_and_exchanges_are_404(office: Office) -> None:
    """Line 33."""
    one, other = office.workplace(office.first), office.workplace(office.first)
    exchange = other.begin()["id"]
    refused(one.caller.get(f"/workplaces/{other.id}/package"), 404, "not_found")
    refused(one.caller.get(f"/workplaces/{other.id}/problems"), 404, "not_found")
    refused(one.caller.get(f"/exchanges/{exchange}/changes", params={"after": one.state("position")}), 404, "not_found")
    refused(one.complete(exchange), 404, "not_found")
    refused(one.caller.delete(f"/exchanges/{exchange}"), 404, "not_found")
    refused(one.push(exchange, 1, b""), 404, "not_found")


def test_operator_calls_open_to_the_operators_token_alone(
    office: Office, nobody: Caller, common_workplace: Workplace
) -> None:
    """Lines 32 and 56."""
    workplace = common_workplace
    assert nobody.operate("GET", "/dead-letters").status_code == 401
    assert office.admin.operate("GET", "/dead-letters").status_code in {401, 403}
    assert workplace.caller.operate("GET", "/dead-letters").status_code in {401, 403}
    assert office.operator.get("/applications").status_code in {401, 403}


def test_foreign_and_unknown_ids_are_404_alike(office: Office, stranger: Caller, common_workplace: Workplace) -> None:
    """Line 33."""
    workplace = common_workplace
    calls = [("GET", f"/workplaces/{{}}{end}") for end in ("", "/events", "/package", "/problems")] + [
        ("POST", f"/workplaces/{{}}/{end}") for end in ("suspend", "resume", "reissue", "package")
    ]
    for method, path in calls:
        foreign = stranger.call(method, f"/api/v1{path.format(workplace.id)}")
        unknown = stranger.call(method, f"/api/v1{path.format(uuid4())}")
        first, second = refused(foreign, 404, "not_found"), refused(unknown, 404, "not_found")
        assert {k: first[k] for k in ("title", "type")} == {k: second[k] for k in ("title", "type")}
    refused(stranger.patch(f"/workplaces/{workplace.id}", {"name": "mine"}), 404, "not_found")
    refused(stranger.delete(f"/workplaces/{workplace.id}"), 404, "not_found")
    for end in ("", "/workplaces", "/exchanges", "/problems"):
        refused(stranger.get(f"/applications/{office.code}{end}"), 404, "not_found")
    refused(stranger.post(f"/applications/{office.code}/workplaces"), 404, "not_found")
    assert office.code not in [a.get("code") for a in stranger.everything("/applications")]


@pytest.fixture
def stranger(office: Office) -> Iterator[Caller]:
    """An administrator of another subscriber's application."""
    other, login = f"other-{uuid4().hex[:8]}", f"stranger-{uuid4().hex[:8]}@else.kz"
    good(office.operator.operate("PUT", f"/subscribers/{other}", subscription()), 201)
    app = office.attachment(subscriber=other, connection=office.second_database())
    good(office.operator.operate("PUT", f"/applications/{other}", app), 201)
    person = {"full_name": "X", "role": "administrator", "password": PASSWORD}
    good(office.operator.operate("PUT", f"/applications/{other}/users/{login}", person), 200, 201)
    with sign_in(office.url, login, PASSWORD) as caller:
        yield caller
    good(office.operator.operate("DELETE", f"/applications/{other}"))


def test_a_user_reads_the_workplaces_he_is_listed_in_and_their_packages_and_changes_nothing(office: Office) -> None:
    """Line 34."""
    listed = office.ready(users=[office.user_login], organisations=[office.first])["id"]
    hidden = office.ready(organisations=[office.first])["id"]
    user, app = office.user, f"/applications/{office.code}"
    assert good(user.get(f"/workplaces/{listed}"))["id"] == listed
    assert user.get(f"/workplaces/{listed}/package").status_code == 200
    seen = {w["id"] for w in user.everything(f"{app}/workplaces")}
    assert listed in seen
    assert hidden not in seen
    for end in ("", "/package", "/events", "/problems"):
        refused(user.get(f"/workplaces/{hidden}{end}"), 404, "not_found")
    refused(user.post(f"{app}/workplaces"), 403, "not_permitted")
    for end in ("suspend", "resume", "reissue", "package"):
        refused(user.post(f"/workplaces/{listed}/{end}"), 403, "not_permitted")
    refused(user.patch(f"/workplaces/{listed}", {"name": "mine"}), 403, "not_permitted")
    refused(user.delete(f"/workplaces/{listed}"), 403, "not_permitted")
    refused(user.get(f"{app}/exchanges"), 403, "not_permitted")
    refused(user.get(f"{app}/problems"), 403, "not_permitted")


def _administration(office: Office, workplace: str) -> list[tuple[str, str]]:
    app = f"/applications/{office.code}"
    return [
        ("GET", app),
        ("GET", f"{app}/workplaces"),
        ("POST", f"{app}/workplaces"),
        ("GET", f"{app}/exchanges"),
        ("GET", f"{app}/problems"),
        ("GET", f"/workplaces/{workplace}"),
        ("GET", f"/workplaces/{workplace}/events"),
        ("GET", f"/workplaces/{workplace}/package"),
        ("POST", f"/workplaces/{workplace}/package"),
        ("POST", f"/workplaces/{workplace}/suspend"),
        ("DELETE", f"/workplaces/{workplace}"),
        ("GET", f"/workplaces/{workplace}/problems"),
        ("POST", f"/workplaces/{workplace}/reissue"),
    ]


def test_a_synchronisation_user_can_exchange_and_nothing_else(office: Office) -> None:
    """Line 34."""
    listed = office.ready(users=[office.robot_login], organisations=[office.first])["id"]
    for method, path in _administration(office, listed):
        answer: httpx.Response = office.robot.call(method, f"/api/v1{path}", json={} if method == "POST" else None)
        refused(answer, 403, "not_permitted")
    workplace = office.unpack(office.package(listed))
    good(workplace.activate(office.robot_login, PASSWORD), 200)
    workplace.exchange()
    assert good(office.admin.get(f"/workplaces/{listed}"))["state"] == "active"
