"""Activation: one replica per workplace, one right per token."""

from tests.integration.sync_gateway.stand import API, OPERATOR, PASSWORD, Stand, code


def _claim(login: str = "anna", replica: str = "replica-1", password: str = PASSWORD) -> dict[str, str]:
    return {"login": login, "password": password, "replica_id": replica, "program": "tests/1.0"}


async def test_a_listed_user_activates_and_the_workplace_is_active(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    workplace = await stand.ready_workplace(anna)
    answer = await stand.client.post(f"{API}/workplaces/{workplace['id']}/activation", json=_claim())
    assert answer.status_code == 200
    assert set(answer.json()) == {"token", "expires_at", "position"}
    active = await stand.reaching(workplace["id"], lambda document: document["state"] == "active")
    ping = await stand.client.get(f"{API}/ping", headers={"Authorization": f"Bearer {answer.json()['token']}"})
    assert ping.json() | {"workplace": active["id"], "state": "active"} == ping.json()


async def test_activation_is_for_listed_users_with_the_right_password(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    workplace = await stand.ready_workplace(anna)
    path = f"{API}/workplaces/{workplace['id']}/activation"
    assert code(await stand.client.post(path, json=_claim(password="wrong"))) == (401, "wrong_credentials")
    assert code(await stand.client.post(path, json=_claim("boris"))) == (403, "not_permitted")
    unknown = f"{API}/workplaces/00000000-0000-4000-8000-000000000000/activation"
    assert code(await stand.client.post(unknown, json=_claim())) == (404, "not_found")
    assert code(await stand.client.post(f"{API}/workplaces/x/activation", json=_claim())) == (404, "not_found")


async def test_another_tenants_person_cannot_activate(stand: Stand) -> None:
    workplace = await stand.ready_workplace(await stand.sign_in("anna"))
    path = f"{API}/workplaces/{workplace['id']}/activation"
    assert code(await stand.client.post(path, json=_claim("olga"))) == (404, "not_found")


async def test_a_copy_is_refused_until_an_administrator_reissues(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    workplace = await stand.ready_workplace(anna)
    path = f"{API}/workplaces/{workplace['id']}"
    first = await stand.activate(workplace["id"])
    await stand.reaching(workplace["id"], lambda document: document["state"] == "active")
    copy = await stand.client.post(f"{path}/activation", json=_claim(replica="replica-2"))
    assert code(copy) == (409, "activated_elsewhere")
    assert (await stand.client.post(f"{path}/reissue", headers=anna)).status_code == 200
    assert (await stand.client.get(f"{API}/ping", headers=first)).status_code == 200
    copy = await stand.client.post(f"{path}/activation", json=_claim(replica="replica-2"))
    assert code(copy) == (409, "activated_elsewhere"), "only the old package can be meant"
    shown = (await stand.client.get(path, headers=anna)).json()
    assert (shown["state"], shown["package"], shown["progress"]["phase"]) == ("active", None, "waiting")
    assert code(await stand.client.get(f"{path}/package", headers=anna)) == (409, "package_not_ready")
    await stand.build_package(workplace["id"])
    second = await stand.activate(workplace["id"], replica="replica-2")
    assert (await stand.client.get(f"{API}/ping", headers=second)).status_code == 200
    assert code(await stand.client.get(f"{API}/ping", headers=first)) == (401, "not_authenticated")
    assert code(await stand.client.post(f"{path}/activation", json=_claim())) == (409, "activated_elsewhere")


async def test_the_same_replica_renews_its_token(stand: Stand) -> None:
    workplace = await stand.ready_workplace(await stand.sign_in("anna"))
    old = await stand.activate(workplace["id"])
    new = await stand.activate(workplace["id"])
    assert (await stand.client.get(f"{API}/ping", headers=new)).status_code == 200
    assert code(await stand.client.get(f"{API}/ping", headers=old)) == (401, "not_authenticated")


async def test_a_token_dies_when_its_person_is_taken_off_the_workplace(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    workplace = await stand.ready_workplace(anna, users=["boris", "robot"])
    boris = await stand.activate(workplace["id"], "boris")
    robot = await stand.activate(workplace["id"], "robot")
    changed = await stand.client.patch(f"{API}/workplaces/{workplace['id']}", json={"users": ["robot"]}, headers=anna)
    assert changed.status_code == 200
    assert code(await stand.client.get(f"{API}/ping", headers=boris)) == (401, "not_authenticated")
    assert (await stand.client.get(f"{API}/ping", headers=robot)).status_code == 200
    await stand.client.delete("/operator/v1/applications/trade/users/robot", headers=OPERATOR)
    assert code(await stand.client.get(f"{API}/ping", headers=robot)) == (401, "not_authenticated")
