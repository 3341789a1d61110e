"""Page, lines 35-54: applications, workplaces, events, exchange lists (package and problems: files of their own)."""

import csv
import io
from uuid import uuid4

import pytest

from tests.e2e.contract.office import PASSWORD, Office, days, subscription
from tests.e2e.contract.replica import Workplace
from tests.e2e.contract.service import Caller, good, refused, sign_in

pytestmark = pytest.mark.xdist_group("contract")

WORKPLACE = {
    "id",
    "name",
    "application",
    "state",
    "reason",
    "progress",
    "organisations",
    "users",
    "prefix",
    "package",
    "last_exchange",
    "unsent",
    "created_at",
}
EXCHANGE = {"id", "started_at", "finished_at", "result", "sent", "received", "problems"}


def test_an_application_tells_its_title_configuration_platform_organisations_users_and_seats(office: Office) -> None:
    """Lines 35-36."""
    assert office.code in [a["code"] for a in office.admin.everything("/applications")]
    seen = good(office.admin.get(f"/applications/{office.code}"))
    assert seen["title"] == "Степной учёт"
    assert seen["configuration"] == "steppe"
    assert seen["version"] == "2.1.0"
    assert ">=3.11" in seen.values(), "the required platform"
    assert {"key": office.first, "title": "Первая"} in seen["organisations"]
    assert {"login": office.robot_login, "full_name": "Имя synchronisation", "role": "synchronisation"} in seen["users"]
    assert seen["seats"]["limit"] == 1005, "prof 5 and 1000 additional"
    before = seen["seats"]["used"]
    office.ready(organisations=[office.first])
    assert good(office.admin.get(f"/applications/{office.code}"))["seats"] == {"limit": 1005, "used": before + 1}


def test_a_workplace_created_with_nothing_is_for_its_creator_all_organisations_and_gets_a_name(office: Office) -> None:
    """Lines 37-38."""
    one, two = office.create(), office.create()
    assert set(one) >= WORKPLACE
    assert one["organisations"] is None
    assert one["users"] == [office.admin_login]
    assert one["name"]
    assert one["name"] != two["name"]
    assert one["application"] == office.code
    assert one["state"] in {"requested", "preparing"}
    assert one["package"] is None
    assert one["last_exchange"] is None
    assert one["unsent"] == 0
    assert one["reason"] is None


def test_a_default_name_is_never_repeated_even_after_a_deletion(office: Office) -> None:
    """Line 38."""
    names = []
    for _ in range(3):
        made = office.create(organisations=[office.first])
        names.append(made["name"])
        good(office.admin.delete(f"/workplaces/{made['id']}"))
    assert len(set(names)) == 3


def test_null_organisations_are_all_and_those_named_are_kept(office: Office) -> None:
    """Lines 37-38."""
    assert office.create(organisations=None)["organisations"] is None
    assert office.create(organisations=[office.second])["organisations"] == [office.second]


def test_no_organisation_is_refused(office: Office) -> None:
    """Line 38."""
    answer = office.admin.post(f"/applications/{office.code}/workplaces", {"organisations": []})
    refused(answer, 422, "invalid_request")
    made = office.create(organisations=[office.first])
    refused(office.admin.patch(f"/workplaces/{made['id']}", {"organisations": []}), 422, "invalid_request")


def test_unknown_organisations_and_users_are_refused(office: Office) -> None:
    """Line 37."""
    path = f"/applications/{office.code}/workplaces"
    refused(office.admin.post(path, {"organisations": [str(uuid4())]}), 422, "unknown_organisation")
    refused(office.admin.post(path, {"users": ["nobody@nowhere.kz"]}), 422, "unknown_user")


def test_the_creator_is_always_among_the_users(office: Office) -> None:
    """Line 38."""
    made = office.create(users=[office.user_login], organisations=[office.first])
    assert set(made["users"]) == {office.admin_login, office.user_login}


def test_an_organisation_added_later_belongs_to_a_workplace_of_all(office: Office) -> None:
    """Lines 37-38."""
    everything, one = office.workplace(synchronised=True), office.workplace(office.first, synchronised=True)
    added = office.organisation("Позже")
    customer = office.customer(added)
    for workplace, wanted in ((everything, 1), (one, 0)):
        workplace.exchange()
        assert len(workplace.rows("SELECT 1 FROM organisations WHERE id = ?", added)) == wanted
        assert len(workplace.rows("SELECT 1 FROM customers WHERE id = ?", customer)) == wanted


@pytest.fixture
def small(office: Office) -> "Small":
    return Small(office)


class Small:
    """Another subscriber whose subscription a test may choose."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.code = f"small-{uuid4().hex[:8]}"

    def session(self, **change: object) -> Caller:
        operator, login = self.office.operator, f"{self.code}@steppe.kz"
        self.subscribe(**change)
        app = self.office.attachment(subscriber=self.code, connection=self.office.second_database())
        good(operator.operate("PUT", f"/applications/{self.code}", app), 200, 201)
        person = {"full_name": "X", "role": "administrator", "password": PASSWORD}
        good(operator.operate("PUT", f"/applications/{self.code}/users/{login}", person), 200, 201)
        return sign_in(self.office.url, login, PASSWORD)

    def subscribe(self, **change: object) -> None:
        terms = subscription(extra_seats=0, **change) if "extra_seats" not in change else subscription(**change)
        good(self.office.operator.operate("PUT", f"/subscribers/{self.code}", terms), 200, 201)

    def create(self, admin: Caller) -> dict[str, object]:
        made: dict[str, object] = good(admin.post(f"/applications/{self.code}/workplaces"), 202)
        return admin.wait_until(str(made["id"]), "ready", "refused", "failed")


def test_a_plan_grants_its_seats_and_additional_ones(small: Small) -> None:
    """Lines 36 and 57, and the plans of the mission."""
    with small.session(plan="starter") as admin:
        for plan, seats in (("starter", 1), ("optimal", 2), ("extended", 5), ("prof", 5)):
            for extra in (0, 3):
                small.subscribe(plan=plan, extra_seats=extra)
                assert good(admin.get(f"/applications/{small.code}"))["seats"] == {"limit": seats + extra, "used": 0}


def test_not_one_workplace_more_than_seats_and_a_deleted_one_frees_its_seat_at_once(small: Small) -> None:
    """Lines 38-39, 47, 49."""
    with small.session(plan="optimal") as admin:
        made = [good(admin.post(f"/applications/{small.code}/workplaces"), 202)["id"] for _ in range(3)]
        states = [admin.wait_until(w, "ready", "refused") for w in made]
        assert sorted(s["state"] for s in states) == ["ready", "ready", "refused"]
        (refusal,) = [s for s in states if s["state"] == "refused"]
        assert refusal["reason"]["code"] == "seat_limit_reached"
        assert refusal["reason"]["text"]
        assert [s["state"] for s in admin.events(refusal["id"])] == ["refused"]
        refused(admin.get(f"/workplaces/{refusal['id']}/package"), 409, "package_not_ready")
        good(admin.delete(f"/workplaces/{next(s['id'] for s in states if s['state'] == 'ready')}"))
        assert small.create(admin)["state"] == "ready"


def test_without_a_local_licence_it_is_refused(small: Small) -> None:
    """Line 39. The mission: PROF connects without one, so a plan below it is taken."""
    with small.session(plan="optimal", local_licence=False) as admin:
        made = small.create(admin)
        assert made["state"] == "refused"
        assert made["reason"]["code"] == "local_licence_required"  # type: ignore[index]  # a document


def test_under_a_lapsed_subscription_it_is_refused(small: Small) -> None:
    """Line 39."""
    with small.session(valid_until=days(-1)) as admin:
        made = small.create(admin)
        assert made["state"] == "refused"
        assert made["reason"]["code"] == "subscription_lapsed"  # type: ignore[index]  # a document


def test_a_subscription_is_valid_on_its_last_date(small: Small) -> None:
    """Line 57: `valid_until` is the last valid date in UTC."""
    with small.session(valid_until=days(0)) as admin:
        assert small.create(admin)["state"] == "ready"


def test_a_workplace_document_has_every_member(office: Office) -> None:
    """Lines 40-42."""
    workplace = office.active(office.first)
    workplace.exchange()
    seen = office.seen(workplace)
    assert set(seen) >= WORKPLACE
    assert seen["state"] == "active"
    assert seen["prefix"] == workplace.state("prefix")
    assert set(seen["progress"]) >= {"phase", "done", "total"}
    assert set(seen["package"]) >= {"filename", "size", "sha256", "expires_at"}
    assert seen["package"]["filename"] == "Автономная работа.zip"
    assert set(seen["last_exchange"]) >= EXCHANGE
    assert seen["last_exchange"]["finished_at"] >= seen["last_exchange"]["started_at"]
    assert seen["last_exchange"]["problems"] == 0
    (listed,) = [
        w for w in office.admin.everything(f"/applications/{office.code}/workplaces") if w["id"] == workplace.id
    ]
    assert listed == seen


def test_unsent_is_what_the_last_opening_said(office: Office, common_workplace: Workplace) -> None:
    """Lines 42 and 111."""
    workplace = common_workplace
    opened = workplace.begin(pending=17)
    assert office.seen(workplace)["unsent"] == 17
    workplace.complete(opened["id"])


def test_events_begin_with_the_present_state_and_end_after_ready(office: Office) -> None:
    """Lines 43-44."""
    made = office.create(organisations=[office.organisation()])
    seen = list(office.admin.events(made["id"]))
    assert set(seen[0]) >= WORKPLACE
    assert seen[-1]["state"] == "ready"
    assert all(s["state"] in {"requested", "preparing"} for s in seen[:-1])
    assert seen[-1] == good(office.admin.get(f"/workplaces/{made['id']}"))
    (only,) = list(office.admin.events(made["id"]))
    assert only["state"] == "ready"


def test_events_end_after_deleted(office: Office) -> None:
    """Line 44."""
    workplace = office.active(office.first)
    stream = office.admin.events(workplace.id)
    assert next(stream)["state"] == "active"
    good(office.admin.delete(f"/workplaces/{workplace.id}"))
    assert [s["state"] for s in stream][-1] == "deleted"


def test_a_change_of_name_users_and_organisations_is_kept(office: Office) -> None:
    """Line 48."""
    made = office.ready(organisations=[office.first])
    changed = good(
        office.admin.patch(
            f"/workplaces/{made['id']}",
            {"name": "Новое имя", "users": [office.user_login], "organisations": [office.first, office.second]},
        )
    )
    assert changed["name"] == "Новое имя"
    assert office.user_login in changed["users"]
    assert set(changed["organisations"]) == {office.first, office.second}
    assert good(office.admin.get(f"/workplaces/{made['id']}")) == changed
    partly = good(office.admin.patch(f"/workplaces/{made['id']}", {"organisations": None}))
    assert partly["organisations"] is None
    assert partly["name"] == "Новое имя"


def test_removing_a_user_ends_the_tokens_he_activated(office: Office) -> None:
    """Line 48."""
    workplace = office.unpack(office.package(office.ready(users=[office.user_login])["id"]))
    good(workplace.activate(office.user_login, PASSWORD), 200)
    workplace.exchange()
    good(office.admin.patch(f"/workplaces/{workplace.id}", {"users": [office.admin_login]}))
    assert workplace.open().status_code == 401
    refused(workplace.activate(office.user_login, PASSWORD), 403, "not_permitted")
    good(workplace.activate(office.admin_login, PASSWORD), 200)
    workplace.exchange()


def test_a_suspended_workplace_opens_no_exchange_until_it_is_resumed(office: Office) -> None:
    """Lines 48 and 115."""
    workplace = office.active(office.first)
    suspended = good(office.admin.post(f"/workplaces/{workplace.id}/suspend"))
    assert suspended["state"] == "suspended"
    assert suspended["reason"]["code"]
    problem = refused(workplace.open(), 403, "suspended")
    assert suspended["reason"]["code"] in str(problem), "with the reason"
    assert good(workplace.caller.get("/ping"))["state"] == "suspended"
    resumed = good(office.admin.post(f"/workplaces/{workplace.id}/resume"))
    assert resumed["state"] == "active"
    assert resumed["reason"] is None
    workplace.exchange()


def test_a_deleted_workplace_is_gone_everywhere(office: Office) -> None:
    """Lines 47, 49, 104, 115."""
    workplace = office.workplace(office.first)
    used = good(office.admin.get(f"/applications/{office.code}"))["seats"]["used"]
    good(office.admin.delete(f"/workplaces/{workplace.id}"))
    assert good(office.admin.get(f"/applications/{office.code}"))["seats"]["used"] == used - 1, "at once"
    assert office.seen(workplace)["state"] == "deleted"
    refused(office.admin.get(f"/workplaces/{workplace.id}/package"), 410, "workplace_deleted")
    refused(workplace.open(), 410, "workplace_deleted")
    refused(workplace.activate(office.admin_login, PASSWORD), 410, "workplace_deleted")


def test_the_exchange_list_is_filtered_by_workplace_result_from_and_to(office: Office) -> None:
    """Lines 42 and 50."""
    workplace = office.workplace(office.first, synchronised=True)
    office.customer(office.first)
    workplace.exchange()
    path = f"/applications/{office.code}/exchanges"
    mine = office.admin.everything(path, workplace=workplace.id)
    assert len(mine) == 2
    assert all(set(e) >= {*EXCHANGE, "workplace"} and e["workplace"] == workplace.id for e in mine)
    kinds = {e["result"] for e in mine}
    assert len(kinds) == 1
    assert len(office.admin.everything(path, workplace=workplace.id, result=kinds.pop())) == 2
    times = sorted(e["started_at"] for e in mine)
    assert [e["started_at"] for e in office.admin.everything(path, workplace=workplace.id, **{"from": times[1]})] == [
        times[1]
    ]
    assert office.admin.everything(path, workplace=workplace.id, **{"from": "2099-01-01T00:00:00.000000Z"}) == []
    assert len(office.admin.everything(path, workplace=workplace.id, to="2099-01-01T00:00:00.000000Z")) == 2
    assert office.admin.everything(path, workplace=workplace.id, to="2000-01-01T00:00:00.000000Z") == []


def test_the_exchange_list_comes_also_as_csv(office: Office) -> None:
    """Line 50."""
    workplace = office.workplace(office.first, synchronised=True)
    path = f"/applications/{office.code}/exchanges"
    answer = office.admin.get(path, params={"workplace": workplace.id}, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    (row,) = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    (item,) = office.admin.everything(path, workplace=workplace.id)
    assert row["id"] == item["id"]
    assert row["started_at"] == item["started_at"]
    assert int(row["sent"]) == item["sent"]
