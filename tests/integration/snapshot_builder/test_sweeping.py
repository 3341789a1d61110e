from uuid import uuid4

from shared.contracts.snapshot_builder import PackageBuilt
from tests.integration.snapshot_builder.stand import Stand, until


async def all_removed(stand: Stand) -> bool:
    return all(package.removed_at for package in (await stand.packages()).values())


async def stored_are(stand: Stand, names: set[str]) -> bool:
    return set(await stand.stored("")) == names


async def test_packages_of_an_ended_workplace_are_removed(stand: Stand) -> None:
    async with stand.running() as running:
        request = await running.request()
        event = await running.witness.next(PackageBuilt)
        await running.end(request.workplace)
        await until(lambda: all_removed(stand))
        assert await stand.stored("packages/") == []
        told = (await running.client.get(f"/packages/{event.package.id}")).json()
        assert told["removed_at"] is not None


async def test_an_expired_package_is_removed(stand: Stand) -> None:
    stand.having(package_life=0.2, build_sweep_interval=0.1)
    async with stand.running() as running:
        await running.request()
        await running.witness.next(PackageBuilt)
        await until(lambda: all_removed(stand))
    assert await stand.stored("packages/") == []


async def test_objects_and_folders_that_no_row_knows_go_once_they_are_old(stand: Stand) -> None:
    for name in (f"packages/{uuid4()}.1.zip", f"base/key/{uuid4()}.db.gz"):
        await stand.objects.put_stream(name, [b"left by a crash"])
    folder = stand.settings.service.home / "snapshot-builder" / "work" / f"{uuid4()}.1"
    folder.mkdir(parents=True)
    async with stand.running() as running:
        await running.request()
        await running.witness.next(PackageBuilt)
        assert len(await stand.stored("packages/")) == 2
    stand.having(build_leftover_age=0.001, build_sweep_interval=0.1)
    (package,) = (await stand.packages()).values()
    (image,) = await stand.base_images()
    async with stand.running():
        await until(lambda: stored_are(stand, {package.object, image.object}))
    assert not folder.exists()


async def test_base_images_go_when_no_package_can_begin_with_them(stand: Stand) -> None:
    async with stand.running() as running:
        await running.request()
        package = (await running.witness.next(PackageBuilt)).package
    stand.having(base_image_max_age=0.01, build_leftover_age=0.01, build_sweep_interval=0.1)
    async with stand.running():
        await until(lambda: stored_are(stand, {package.object}))
    assert await stand.base_images() == []
    assert list((stand.settings.service.home / "snapshot-builder" / "cache").iterdir()) == []
