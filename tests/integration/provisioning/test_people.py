"""Subscribers, applications, people and their passwords."""

import asyncio
from typing import Any, Literal

import pytest
from argon2 import PasswordHasher, extract_parameters

from services.provisioning.attempts import AttemptRules
from services.provisioning.authenticate_user import authenticate_user, forget_failures
from services.provisioning.passwords import Passwords
from services.provisioning.settings import LoginSettings
from shared.contracts.provisioning import WorkplaceChanged, WorkplaceEnded
from shared.runtime.problem import Problem
from tests.integration.one_service import OneService
from tests.integration.provisioning.office import APPLICATION, PEOPLE, ask, create, look, refused

RULES: AttemptRules = LoginSettings().rules()


class CountingHasher(PasswordHasher):
    """Remembers every hash a password was compared with: the work of a login is that of its comparisons."""

    def __init__(self) -> None:
        super().__init__(time_cost=2, memory_cost=1024, parallelism=1)
        self.verified: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002  # argon2's own name
        self.verified.append(str(hash))
        return super().verify(hash, password)


async def sign_in(service: OneService, login: str, password: str) -> tuple[int, dict[str, Any]]:
    answer = await service.client.post("/authentications", json={"login": login, "password": password})
    return answer.status_code, answer.json() | {"Retry-After": answer.headers.get("Retry-After")}


async def let_the_wait_pass(service: OneService) -> None:
    await service.execute("UPDATE failed_logins SET blocked_until = now()")


async def test_an_application_is_attached_changed_and_read_with_its_people(provisioning: OneService) -> None:
    read = await ask(provisioning, "GET", "/applications/books")
    users = [{"login": k, "full_name": v["full_name"], "role": v["role"]} for k, v in sorted(PEOPLE.items())]
    assert read == APPLICATION | {"code": "books", "users": users}
    changed = await ask(
        provisioning, "PUT", "/applications/books", APPLICATION | {"version": "1.1.0", "title": "Books"}
    )
    assert (changed["version"], changed["title"], changed["users"]) == ("1.1.0", "Books", users)


async def test_a_subscriber_is_registered_renamed_and_read(empty: OneService) -> None:
    assert await refused(empty, "GET", "/subscribers/acme") == (404, "not_found")
    await ask(empty, "PUT", "/subscribers/acme", {"name": "Acme"}, expect=201)
    await ask(empty, "PUT", "/subscribers/acme", {"name": "ТОО «Акме»"})
    assert await ask(empty, "GET", "/subscribers/acme") == {"code": "acme", "name": "ТОО «Акме»"}


async def test_subscribers_and_attached_applications_are_listed_by_code_and_page_by_page(empty: OneService) -> None:
    for code in ("steppe", "acme", "mountain"):
        await ask(empty, "PUT", f"/subscribers/{code}", {"name": code.title()}, expect=201)
        await ask(empty, "PUT", f"/applications/{code}-books", APPLICATION | {"subscriber": code}, expect=201)
    await ask(empty, "DELETE", "/applications/mountain-books", expect=204)
    first = await ask(empty, "GET", "/subscribers?limit=2")
    assert first == {
        "items": [{"code": "acme", "name": "Acme"}, {"code": "mountain", "name": "Mountain"}],
        "next": "mountain",
    }
    rest = await ask(empty, "GET", "/subscribers?limit=2&after=mountain")
    assert rest == {"items": [{"code": "steppe", "name": "Steppe"}], "next": None}
    one = await ask(empty, "GET", "/applications?limit=1")
    outline = {name: value for name, value in APPLICATION.items() if name != "manifest"}
    assert one == {"items": [outline | {"code": "acme-books"}], "next": "acme-books"}
    last = await ask(empty, "GET", "/applications?after=acme-books")
    assert ([item["code"] for item in last["items"]], last["next"]) == (["steppe-books"], None)


async def test_the_same_put_many_times_at_once_makes_one(empty: OneService) -> None:
    async def puts(path: str, body: dict[str, Any]) -> list[int]:
        answers = await asyncio.gather(*(empty.client.put(path, json=body) for _ in range(20)))
        return sorted(answer.status_code for answer in answers)

    once = [200] * 19 + [201]
    assert await puts("/subscribers/acme", {"name": "Acme"}) == once
    assert await puts("/applications/books", APPLICATION) == once
    assert await puts("/applications/books/users/anna", PEOPLE["anna"]) == once


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": "other"},
        {"connection": ""},
        {"connection": "a\0"},
        {"manifest": "a\0b"},
        {"manifest": None},
        {"title": {"en": "a\0"}},
        {"title": {"EN": "Books"}},
        {"organisations_declared": None},
    ],
)
async def test_an_application_that_makes_no_sense_is_refused(empty: OneService, wrong: dict[str, Any]) -> None:
    await ask(empty, "PUT", "/subscribers/acme", {"name": "Acme"}, expect=201)
    body = APPLICATION | wrong
    assert await refused(empty, "PUT", "/applications/books", body) == (422, "invalid_request")


@pytest.mark.parametrize("damage", [b"\xff", b'{"name": "\\ud800"}', b"[" * 20_000, b'{"name": 1e999}', b""])
async def test_a_damaged_body_is_refused_as_a_problem(empty: OneService, damage: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await empty.client.put("/subscribers/acme", content=damage, headers=headers)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_application_stays_with_its_subscriber(provisioning: OneService) -> None:
    await ask(provisioning, "PUT", "/subscribers/rival", {"name": "Rival"}, expect=201)
    moved = APPLICATION | {"subscriber": "rival"}
    assert await refused(provisioning, "PUT", "/applications/books", moved) == (422, "invalid_request")
    await ask(provisioning, "DELETE", "/applications/books", expect=204)
    assert await refused(provisioning, "PUT", "/applications/books", moved) == (422, "invalid_request")
    orphan = APPLICATION | {"subscriber": "ghost"}
    assert await refused(provisioning, "PUT", "/applications/new", orphan) == (422, "invalid_request")


async def test_a_removed_application_ends_its_workplaces_and_rights(provisioning: OneService) -> None:
    workplaces = [await create(provisioning) for _ in range(3)]
    await ask(provisioning, "DELETE", "/applications/books", expect=204)
    for workplace in workplaces:
        assert (await look(provisioning, workplace))["state"] == "deleted"
    assert len(await provisioning.recorded(WorkplaceEnded)) == 3
    assert (await ask(provisioning, "GET", "/users/anna"))["roles"] == {}
    for method, path in (("GET", "books"), ("DELETE", "books"), ("GET", "books/workplaces")):
        assert await refused(provisioning, method, f"/applications/{path}") == (404, "not_found")


async def test_the_same_person_has_a_role_in_each_application(provisioning: OneService) -> None:
    await ask(provisioning, "PUT", "/applications/other", APPLICATION, expect=201)
    person = {"full_name": "Анна Ахметова", "role": "user"}
    admitted = await ask(provisioning, "PUT", "/applications/other/users/anna", person, expect=201)
    assert admitted == {"login": "anna", "full_name": "Анна Ахметова", "role": "user", "password_changed": False}
    known = await ask(provisioning, "GET", "/users/anna")
    assert known == {
        "login": "anna",
        "full_name": "Анна Ахметова",
        "roles": {"books": "administrator", "other": "user"},
    }
    assert await refused(provisioning, "GET", "/users/ghost") == (404, "not_found")


async def test_a_login_belongs_to_one_subscriber_for_ever(provisioning: OneService) -> None:
    await ask(provisioning, "PUT", "/subscribers/rival", {"name": "Rival"}, expect=201)
    await ask(provisioning, "PUT", "/applications/shop", APPLICATION | {"subscriber": "rival"}, expect=201)
    person = {"full_name": "Anna", "role": "user", "password": "stolen"}
    assert await refused(provisioning, "PUT", "/applications/shop/users/anna", person) == (409, "login_taken")
    await ask(provisioning, "DELETE", "/applications/books/users/anna", expect=204)
    assert await refused(provisioning, "PUT", "/applications/shop/users/anna", person) == (409, "login_taken")
    assert (await sign_in(provisioning, "anna", "stolen"))[0] == 401


async def test_a_dismissed_user_is_taken_off_the_workplaces(provisioning: OneService) -> None:
    workplace = await create(provisioning, users=["boris"])
    other = await create(provisioning)
    await provisioning.forget_recorded()
    await ask(provisioning, "DELETE", "/applications/books/users/boris", expect=204)
    (changed,) = await provisioning.recorded(WorkplaceChanged)
    assert (str(changed.workplace), changed.users) == (workplace["workplace"], ["anna"])
    assert await look(provisioning, other) == other
    assert await refused(provisioning, "DELETE", "/applications/books/users/boris") == (404, "not_found")
    body = {"users": ["boris"]}
    path = f"/workplaces/{workplace['workplace']}"
    assert await refused(provisioning, "PATCH", path, body) == (422, "unknown_user")


async def test_whoever_is_admitted_again_needs_a_new_password(provisioning: OneService) -> None:
    password = str(PEOPLE["boris"]["password"])
    assert (await sign_in(provisioning, "boris", password))[0] == 200
    await ask(provisioning, "DELETE", "/applications/books/users/boris", expect=204)
    assert (await sign_in(provisioning, "boris", password))[0] == 401
    again = {"full_name": "Boris", "role": "user"}
    await ask(provisioning, "PUT", "/applications/books/users/boris", again, expect=201)
    await let_the_wait_pass(provisioning)
    assert (await sign_in(provisioning, "boris", password))[0] == 401
    await ask(provisioning, "PUT", "/applications/books/users/boris", again | {"password": "another one, longer"})
    await let_the_wait_pass(provisioning)
    assert (await sign_in(provisioning, "boris", "another one, longer"))[0] == 200


async def test_nobody_is_listed_who_is_dismissed_at_the_same_moment(provisioning: OneService) -> None:
    for _ in range(5):
        workplace = await create(provisioning)
        await asyncio.gather(
            provisioning.client.patch(f"/workplaces/{workplace['workplace']}", json={"users": ["boris"]}),
            provisioning.client.delete("/applications/books/users/boris"),
        )
        assert (await look(provisioning, workplace))["users"] == ["anna"]
        await ask(provisioning, "PUT", "/applications/books/users/boris", PEOPLE["boris"], expect=201)


@pytest.mark.parametrize(
    ("login", "wrong"),
    [
        ("Anna", {}),
        ("a%00b", {}),
        ("анна", {}),
        ("a" * 101, {}),
        ("new", {"role": "owner"}),
        ("new", {"full_name": ""}),
        ("new", {"full_name": "a\0"}),
        ("new", {"password": ""}),
        ("new", {"password": "p" * 201}),
        ("new", {"admin": True}),
    ],
)
async def test_people_that_make_no_sense_are_refused(
    provisioning: OneService, login: str, wrong: dict[str, Any]
) -> None:
    person = {"full_name": "New", "role": "user"} | wrong
    assert await refused(provisioning, "PUT", f"/applications/books/users/{login}", person) == (422, "invalid_request")


async def test_a_right_password_tells_who_it_is(provisioning: OneService) -> None:
    status, person = await sign_in(provisioning, "boris", "boris' secret")
    assert status == 200
    assert (person["login"], person["full_name"], person["roles"]) == ("boris", "Борис", {"books": "user"})


async def test_without_a_password_nobody_signs_in(provisioning: OneService) -> None:
    person = {"full_name": "New", "role": "user"}
    await ask(provisioning, "PUT", "/applications/books/users/new", person, expect=201)
    assert (await sign_in(provisioning, "new", "anything"))[0] == 401


async def test_a_password_stays_until_another_is_given(provisioning: OneService) -> None:
    path = "/applications/books/users/boris"
    kept = await ask(provisioning, "PUT", path, {"full_name": "Борис", "role": "administrator"})
    assert kept["password_changed"] is False
    assert (await ask(provisioning, "PUT", path, PEOPLE["boris"]))["password_changed"] is False
    assert (await sign_in(provisioning, "boris", "boris' secret"))[0] == 200
    assert (await ask(provisioning, "PUT", path, PEOPLE["boris"] | {"password": "other"}))["password_changed"] is True
    assert (await sign_in(provisioning, "boris", "boris' secret"))[0] == 401
    assert (await sign_in(provisioning, "boris", "other"))[0] == 200


@pytest.mark.parametrize("login", ["anna", "nobody"])
async def test_guessing_is_slowed_down_then_locked_for_known_and_unknown_alike(
    provisioning: OneService, login: str
) -> None:
    answers = [await sign_in(provisioning, login, "wrong") for _ in range(5)]
    assert [status for status, _ in answers] == [401, 401, 401, 401, 429]
    assert answers[-1][1]["Retry-After"] == "1"
    for _ in range(6):
        await let_the_wait_pass(provisioning)
        assert (await sign_in(provisioning, login, "wrong"))[0] == 401
    status, problem = await sign_in(provisioning, login, "anna's secret")
    assert (status, problem["code"]) == (429, "too_many_attempts")
    assert 800 < int(problem["Retry-After"]) <= 900


async def test_a_right_password_in_between_starts_the_count_anew(provisioning: OneService) -> None:
    for _ in range(3):
        assert [(await sign_in(provisioning, "anna", "wrong"))[0] for _ in range(3)] == [401] * 3
        assert (await sign_in(provisioning, "anna", "anna's secret"))[0] == 200


async def test_a_password_given_by_the_operator_ends_the_lock(provisioning: OneService) -> None:
    for _ in range(5):
        await sign_in(provisioning, "boris", "wrong")
    await ask(provisioning, "PUT", "/applications/books/users/boris", PEOPLE["boris"])
    assert (await sign_in(provisioning, "boris", "boris' secret"))[0] == 200


async def test_a_hundred_guesses_at_once_are_judged_one_after_the_other(provisioning: OneService) -> None:
    # The fourth failure locks for long, so that no guess can come after a wait however slow the machine is.
    strict = AttemptRules(free=3, lock_after=4, lock=RULES.lock)
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))

    async def guess(number: int) -> str:
        with pytest.raises(Problem) as refused:
            await authenticate_user(provisioning.sessions, passwords, strict, "anna", f"guess {number}")
        return refused.value.code

    codes = await asyncio.gather(*(guess(number) for number in range(100)))
    assert codes.count("wrong_credentials") == 4
    assert codes.count("too_many_attempts") == 96


async def test_many_workplaces_signing_in_at_once_do_not_block_each_other(provisioning: OneService) -> None:
    answers = await asyncio.gather(*(sign_in(provisioning, "robot", "robot's secret") for _ in range(100)))
    assert {status for status, _ in answers} == {200}


async def test_old_failures_are_forgotten(provisioning: OneService) -> None:
    await sign_in(provisioning, "nobody", "wrong")
    await sign_in(provisioning, "anna", "wrong")
    long_ago = "UPDATE failed_logins SET blocked_until = now() - interval '1 day' WHERE login = 'nobody'"
    await provisioning.execute(long_ago)
    async with provisioning.sessions.begin() as session:
        await forget_failures(session, RULES)
    async with provisioning.engine.connect() as connection:
        kept = (await connection.exec_driver_sql("SELECT login FROM failed_logins")).scalars().all()
    assert kept == ["anna"]


async def test_an_unknown_login_costs_the_same_work_as_a_known_one(provisioning: OneService) -> None:
    hasher = CountingHasher()
    passwords = Passwords(hasher)
    hashed = await passwords.hash("secret")
    await provisioning.execute("UPDATE users SET password_hash = :hash WHERE login = 'anna'", hash=hashed)
    for login in ("anna", "nobody"):
        with pytest.raises(Problem, match="wrong_credentials"):
            await authenticate_user(provisioning.sessions, passwords, RULES, login, "wrong")
    known, unknown = hasher.verified
    assert extract_parameters(known) == extract_parameters(unknown)


async def test_the_tables_keep_no_password(provisioning: OneService) -> None:
    async with provisioning.engine.connect() as connection:
        result = await connection.exec_driver_sql("SELECT login, password_hash FROM users ORDER BY login")
        rows = result.mappings().all()
    assert [row["login"] for row in rows] == ["anna", "boris", "robot"]
    assert all(row["password_hash"].startswith("$argon2id$") for row in rows)
