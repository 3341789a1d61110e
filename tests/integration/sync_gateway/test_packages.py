"""Download of packages: whole, by range, and not at all."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.integration.sync_gateway.stand import API, Stand, code

CONTENT = bytes(range(256)) * 40


async def _path(stand: Stand, anna: dict[str, str], **package: Any) -> str:
    workplace = await stand.create_workplace(anna)
    await stand.build_package(workplace["id"], CONTENT, **package)
    return f"{API}/workplaces/{workplace['id']}/package"


async def test_a_package_is_downloaded_whole_with_both_names(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    path = await _path(stand, anna)
    answer = await stand.client.get(path, headers=anna)
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == (
        'attachment; filename="yurt-workplace.zip"; '
        "filename*=UTF-8''%D0%90%D0%B2%D1%82%D0%BE%D0%BD%D0%BE%D0%BC%D0%BD%D0%B0%D1%8F%20"
        "%D1%80%D0%B0%D0%B1%D0%BE%D1%82%D0%B0.zip"
    )
    head = await stand.client.head(path, headers=anna)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(CONTENT))
    assert head.headers["etag"] == answer.headers["etag"]
    unchanged = await stand.client.get(path, headers=anna | {"If-None-Match": answer.headers["etag"]})
    assert unchanged.status_code == 304


async def test_a_broken_download_goes_on_by_range(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    path = await _path(stand, anna)
    etag = (await stand.client.head(path, headers=anna)).headers["etag"]
    for header, expected in {
        "bytes=0-99": CONTENT[:100],
        "bytes=9000-": CONTENT[9000:],
        "bytes=-10": CONTENT[-10:],
        "bytes=10000-99999999": CONTENT[10000:],
    }.items():
        part = await stand.client.get(path, headers=anna | {"Range": header, "If-Range": etag})
        assert part.status_code == 206, header
        assert part.content == expected
        assert part.headers["content-range"].endswith(f"/{len(CONTENT)}")
    changed = await stand.client.get(path, headers=anna | {"Range": "bytes=0-99", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, CONTENT)
    beyond = await stand.client.get(path, headers=anna | {"Range": f"bytes={len(CONTENT)}-"})
    assert code(beyond) == (416, "range_not_satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{len(CONTENT)}"


async def test_an_expired_package_is_gone_until_a_new_one_is_ordered(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    path = await _path(stand, anna, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert code(await stand.client.get(path, headers=anna)) == (410, "package_expired")
    ordered = await stand.client.post(path, headers=anna)
    assert ordered.status_code == 202
    await stand.build_package(ordered.json()["id"], b"anew")
    assert (await stand.client.get(path, headers=anna)).content == b"anew"


async def test_before_it_is_built_there_is_no_package(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    workplace = await stand.create_workplace(anna)
    answer = await stand.client.get(f"{API}/workplaces/{workplace['id']}/package", headers=anna)
    assert code(answer) == (409, "package_not_ready")


async def test_the_replica_fetches_the_package_of_its_own_workplace_only(stand: Stand) -> None:
    anna = await stand.sign_in("anna")
    path = await _path(stand, anna)
    replica = await stand.activate(path.split("/")[-2])
    other = await _path(stand, anna)
    assert (await stand.client.get(path, headers=replica)).content == CONTENT
    assert code(await stand.client.get(other, headers=replica)) == (404, "not_found")


async def test_another_tenants_person_cannot_read_a_package(stand: Stand) -> None:
    path = await _path(stand, await stand.sign_in("anna"))
    assert code(await stand.client.get(path, headers=await stand.sign_in("olga"))) == (404, "not_found")
