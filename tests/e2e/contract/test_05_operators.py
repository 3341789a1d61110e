"""Page, lines 56-62: the operators' calls."""

from uuid import uuid4

import pytest

from tests.e2e.contract.office import MANIFEST, PASSWORD, Office, days, subscription
from tests.e2e.contract.replica import Workplace
from tests.e2e.contract.service import good, refused, sign_in

pytestmark = pytest.mark.xdist_group("contract")


def test_a_subscriber_is_created_with_201_and_changed_with_200(office: Office) -> None:
    """Lines 56-57."""
    code = f"sub-{uuid4().hex[:8]}"
    terms = subscription(plan="starter", extra_seats=2, valid_until=days(3))
    made = good(office.operator.operate("PUT", f"/subscribers/{code}", terms), 201)
    assert {k: made[k] for k in terms} == terms
    changed = good(office.operator.operate("PUT", f"/subscribers/{code}", {**terms, "extra_seats": 4}), 200)
    assert changed["extra_seats"] == 4


@pytest.mark.parametrize(
    "change", [{"plan": "gold"}, {"extra_seats": -1}, {"valid_until": "soon"}, {"local_licence": "perhaps"}]
)
def test_a_subscription_with_a_wrong_value_is_refused(office: Office, change: dict[str, object]) -> None:
    """Line 57."""
    answer = office.operator.operate("PUT", f"/subscribers/sub-{uuid4().hex[:8]}", {**subscription(), **change})
    refused(answer, 422, "invalid_request")


def test_an_application_attached_again_answers_200_with_the_resource(office: Office) -> None:
    """Lines 56-59."""
    again = good(office.operator.operate("PUT", f"/applications/{office.code}", office.attachment()), 200)
    assert again["code"] == office.code
    assert again["version"] == "2.1.0"


def test_every_mistake_of_a_manifest_is_in_one_answer_with_its_place(office: Office) -> None:
    """Lines 59-60, 77-78."""
    wrong = (
        MANIFEST.replace('table = "units"', 'table = "no_such_table"')
        .replace('exclude = ["credit_rating"]', 'exclude = ["no_such_column"]')
        .replace('within_scope = ["customer_id"]', 'within_scope = ["comment"]')
        .replace('parent = "order_id" },\n]', 'parent = "no_parent" },\n]')
    )
    _mistakes(office, wrong, "no_such_table", "no_such_column", "comment", "no_parent")


def test_mistakes_of_form_and_mistakes_against_the_tables_are_in_one_answer(office: Office) -> None:
    """Lines 59-60."""
    wrong = MANIFEST.replace('table = "units"', 'table = "no_such_table"').replace('"manual"', '"coin"')
    _mistakes(office, wrong, "no_such_table", "coin")


def _mistakes(office: Office, manifest: str, *named: str) -> None:
    answer = office.operator.operate("PUT", f"/applications/{office.code}", office.attachment(manifest=manifest))
    problem = refused(answer, 422, "manifest_invalid")
    for mistake in named:
        assert mistake in str(problem), (mistake, problem)
    (mistakes,) = [value for value in problem.values() if isinstance(value, list)]
    assert len(mistakes) >= len(named)
    assert all(m["place"] and m["text"] for m in mistakes)
    assert good(office.admin.get(f"/applications/{office.code}"))["version"] == "2.1.0", "nothing was changed"


def test_a_manifest_that_is_no_toml_is_invalid(office: Office) -> None:
    """Line 60."""
    answer = office.operator.operate("PUT", f"/applications/{office.code}", office.attachment(manifest="[["))
    refused(answer, 422, "manifest_invalid")


def test_an_unknown_connection_or_subscriber_is_told(office: Office) -> None:
    """Line 59."""
    path = f"/applications/app-{uuid4().hex[:8]}"
    refused(
        office.operator.operate("PUT", path, office.attachment(connection="no-such-name")), 422, "unknown_connection"
    )
    assert office.operator.operate("PUT", path, office.attachment(subscriber="no-such")).status_code in {404, 422}


def test_a_user_is_created_changed_and_keeps_his_password_when_none_is_given(office: Office) -> None:
    """Lines 60-61."""
    login = f"person-{uuid4().hex[:8]}@steppe.kz"
    path = f"/applications/{office.code}/users/{login}"
    body = {"full_name": "Айгуль", "role": "user", "password": PASSWORD}
    made = good(office.operator.operate("PUT", path, body), 201)
    assert made["login"] == login
    assert made["role"] == "user"
    assert "password" not in made
    changed = good(office.operator.operate("PUT", path, {"full_name": "Айгуль А.", "role": "administrator"}), 200)
    assert changed["full_name"] == "Айгуль А."
    with sign_in(office.url, login, PASSWORD) as person:
        good(person.post(f"/applications/{office.code}/workplaces", {"organisations": [office.first]}), 202)
    assert office.operator.operate("DELETE", path).status_code in {200, 204}
    assert login not in [u["login"] for u in good(office.admin.get(f"/applications/{office.code}"))["users"]]


def test_an_unknown_role_is_refused(office: Office) -> None:
    """Lines 34 and 60."""
    path = f"/applications/{office.code}/users/{uuid4().hex}"
    body = {"full_name": "X", "role": "king", "password": PASSWORD}
    refused(office.operator.operate("PUT", path, body), 422, "invalid_request")


def test_a_login_of_another_subscriber_is_taken(office: Office) -> None:
    """Lines 60-61."""
    other = f"other-{uuid4().hex[:8]}"
    good(office.operator.operate("PUT", f"/subscribers/{other}", subscription()), 201)
    app = office.attachment(subscriber=other, connection=office.second_database())
    good(office.operator.operate("PUT", f"/applications/{other}", app), 201)
    body = {"full_name": "X", "role": "user", "password": PASSWORD}
    taken = office.operator.operate("PUT", f"/applications/{other}/users/{office.user_login}", body)
    refused(taken, 409, "login_taken")
    good(office.operator.operate("DELETE", f"/applications/{other}"))


def test_a_deleted_user_loses_his_sessions_and_tokens(office: Office) -> None:
    """Lines 61 and 104: tokens die with the right they came from."""
    login = office.person("user")
    workplace = office.unpack(office.package(office.ready(users=[login], organisations=[office.first])["id"]))
    good(workplace.activate(login, PASSWORD), 200)
    session = office.session(login)
    good(office.operator.operate("DELETE", f"/applications/{office.code}/users/{login}"))
    assert workplace.open().status_code == 401
    answer = session.get(f"/applications/{office.code}")
    assert answer.status_code in {401, 404}
    session.http.close()


def test_a_changed_password_ends_sessions_and_tokens(office: Office) -> None:
    """Line 104: tokens die with the right they came from. What a new password ends is not on the page."""
    login = office.person("user")
    body = {"full_name": "X", "role": "user", "password": "another-password-2"}
    with office.session(login) as session:
        good(office.operator.operate("PUT", f"/applications/{office.code}/users/{login}", body), 200)
        assert session.get("/applications").status_code == 401


def test_dead_letters_are_a_list_and_an_unknown_one_is_404(office: Office) -> None:
    """Line 61."""
    letters = good(office.operator.operate("GET", "/dead-letters"))
    assert letters == {"items": [], "next": None}
    refused(office.operator.operate("POST", f"/dead-letters/{uuid4()}/replay"), 404, "not_found")


def test_deleting_an_application_removes_capture_and_its_workplaces(office: Office) -> None:
    """Line 60."""
    code = f"gone-{uuid4().hex[:8]}"
    dsn = office.database(code)
    good(office.operator.operate("PUT", f"/applications/{code}", office.attachment(connection=dsn)), 201)
    assert office.triggers(dsn)
    path = f"/applications/{code}/users/{office.admin_login}"
    good(office.operator.operate("PUT", path, {"full_name": "A", "role": "administrator"}), 200, 201)
    made = good(office.admin.post(f"/applications/{code}/workplaces"), 202)
    office.admin.wait_until(made["id"], "ready")
    assert office.operator.operate("DELETE", f"/applications/{code}").status_code in {200, 204}
    assert office.triggers(dsn) == 0
    refused(office.admin.get(f"/applications/{code}"), 404, "not_found")
    assert office.admin.get(f"/workplaces/{made['id']}").status_code in {404, 200}
    answer = office.admin.get(f"/workplaces/{made['id']}/package")
    assert answer.status_code in {404, 410}
    refused(office.operator.operate("DELETE", f"/applications/{code}"), 404, "not_found")


def test_a_restored_application_has_a_new_generation_and_workplaces_rejoin_with_their_edits(office: Office) -> None:
    """Lines 61-62 and 147."""
    code = f"restored-{uuid4().hex[:8]}"
    dsn = office.database(code)
    good(office.operator.operate("PUT", f"/applications/{code}", office.attachment(connection=dsn)), 201)
    path = f"/applications/{code}/users/{office.admin_login}"
    good(office.operator.operate("PUT", path, {"full_name": "A", "role": "administrator"}), 200, 201)
    made = good(office.admin.post(f"/applications/{code}/workplaces"), 202)
    workplace: Workplace = office.unpack(office.package(office.admin.wait_until(made["id"], "ready")["id"]))
    good(workplace.activate(office.admin_login, PASSWORD), 200)
    workplace.exchange()
    was = workplace.state("generation")
    workplace.db.execute("INSERT INTO rates VALUES ('KZT', '2026-01-01', '1', 'local')")
    answer = office.operator.operate("POST", f"/applications/{code}/restored")
    assert answer.status_code in {200, 201, 202, 204}
    done = workplace.exchange()
    assert done.opening["resync"] == {"reason": "generation", "upload_first": True}
    assert [a["counts"]["applied"] for a in done.answers] == [1]
    assert done.delta
    assert done.delta.first["reset"] is True
    assert workplace.state("generation") == done.delta.first["generation"] != was
    assert workplace.row("SELECT source FROM rates") == {"source": "local"}
    assert workplace.verified(done.delta)
    good(office.operator.operate("DELETE", f"/applications/{code}"))
