import hashlib
import json
import sqlite3
import subprocess
import zipfile
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from shared.contracts.snapshot_builder import BuildProgressed, PackageBuilt
from shared.runtime.problem import Problem
from tests.integration.snapshot_builder.stand import Stand

FILES = {
    "InfoBase/infobase.db",
    "InfoBase/workplace.json",
    "InfoBase/ReadMe.html",
    "yurt-workplace.pyz",
    "start-linux.sh",
    "start-macos.command",
    "start-windows.cmd",
    "manifest.json",
}


async def built(stand: Stand, target: Path, organisations: list[str] | None = None) -> tuple[PackageBuilt, Path]:
    async with stand.running() as running:
        request = await running.request(organisations)
        event = await running.witness.next(PackageBuilt)
    assert event.package.id == request.package
    return event, await stand.download(event.package.object, target / "package.zip")


def unzip_is_content(archive: Path) -> bool:
    return subprocess.run(["unzip", "-t", archive], capture_output=True, check=False).returncode == 0


async def test_a_package_holds_the_files_of_the_protocol_with_true_hashes(stand: Stand, tmp_path: Path) -> None:
    event, archive = await built(stand, tmp_path)
    assert event.package.size == archive.stat().st_size
    assert event.package.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    with zipfile.ZipFile(archive) as package:
        assert package.testzip() is None
        assert set(package.namelist()) == FILES
        manifest = json.loads(package.read("manifest.json"))
        assert manifest["files"] == {
            path: {"size": len(package.read(path)), "sha256": hashlib.sha256(package.read(path)).hexdigest()}
            for path in FILES - {"manifest.json"}
        }
        assert manifest["rows"] == event.rows == stand.application.rows()
        assert b"do not tell" not in package.read("InfoBase/infobase.db")
    assert unzip_is_content(archive)


async def test_workplace_json_and_the_replica_say_the_same_of_the_workplace(stand: Stand, tmp_path: Path) -> None:
    event, archive = await built(stand, tmp_path, ["north"])
    with zipfile.ZipFile(archive) as package:
        document = json.loads(package.read("InfoBase/workplace.json"))
        package.extract("InfoBase/infobase.db", tmp_path)
    assert document == {
        "service": "https://yurt.example",
        "workplace": str(event.workplace),
        "name": "Прилавок 1",
        "application": "stall",
        "configuration": "stall",
        "version": "1.0.0",
        "prefix": "A",
        "organisations": ["north"],
        "generation": event.package.generation,
        "position": event.package.position,
        "scope_version": 1,
        "platform": ">=3.11",
        "created_at": document["created_at"],
    }
    with closing(sqlite3.connect(tmp_path / "InfoBase" / "infobase.db")) as replica:
        kept = {key: json.loads(value) for key, value in replica.execute("SELECT key, value FROM yurt_workplace")}
        assert kept == {**document, "last_message": 0}
        counted = {table: replica.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in event.rows}
    assert counted == event.rows == stand.application.rows("north")


async def test_leased_keys_come_with_the_package_and_void_those_of_the_last(stand: Stand, tmp_path: Path) -> None:
    workplace = uuid4()
    spans = []
    async with stand.running() as running:
        for _ in range(2):
            await running.request(workplace=workplace)
            event = await running.witness.next(PackageBuilt)
            archive = await stand.download(event.package.object, tmp_path / "package.zip")
            with zipfile.ZipFile(archive) as package:
                package.extract("InfoBase/infobase.db", tmp_path)
            with closing(sqlite3.connect(tmp_path / "InfoBase" / "infobase.db")) as replica:
                spans.append(
                    replica.execute('SELECT "next", "last" FROM yurt_ranges WHERE table_name = \'orders\'').fetchall()
                )
    (first,), (second,) = spans
    assert 300 < first[0] <= first[1] < second[0] <= second[1]


async def test_two_packages_of_the_same_organisations_share_a_base_image(stand: Stand) -> None:
    async with stand.running() as running:
        for organisations in (["south", "north"], ["north", "south"]):
            await running.request(organisations)
            await running.witness.next(PackageBuilt)
    (image,) = await stand.base_images()
    assert {package.base_image for package in (await stand.packages()).values()} == {image.id}
    assert await stand.stored("base/") == [image.object]


async def test_workers_that_want_one_base_image_at_once_build_it_once(stand: Stand) -> None:
    stand.having(build_workers=4)
    async with stand.running() as running:
        requests = [await running.request() for _ in range(4)]
        events = [await running.witness.next(PackageBuilt) for _ in requests]
    assert {event.package.id for event in events} == {request.package for request in requests}
    assert len(await stand.base_images()) == 1


async def test_another_set_of_organisations_or_an_old_image_needs_a_new_one(stand: Stand) -> None:
    async with stand.running() as running:
        for organisations in (["north"], ["south"], None):
            await running.request(organisations)
            await running.witness.next(PackageBuilt)
    assert len(await stand.base_images()) == 3
    stand.having(base_image_max_age=0.000_001)
    async with stand.running() as running:
        await running.request()
        await running.witness.next(PackageBuilt)
    assert len(await stand.base_images()) == 4


async def test_a_base_image_comes_from_the_store_where_the_disk_has_none(stand: Stand, tmp_path: Path) -> None:
    stand.having(build_cache_bytes=0)
    async with stand.running() as running:
        for _ in range(2):
            await running.request()
            event = await running.witness.next(PackageBuilt)
    assert len(await stand.base_images()) == 1
    archive = await stand.download(event.package.object, tmp_path / "package.zip")
    assert unzip_is_content(archive)


async def test_a_base_image_that_got_lost_is_built_again(stand: Stand) -> None:
    stand.having(build_cache_bytes=0)
    async with stand.running() as running:
        await running.request()
        await running.witness.next(PackageBuilt)
        (image,) = await stand.base_images()
        await stand.objects.delete(image.object)
        await running.request()
        await running.witness.next(PackageBuilt)
    (again,) = await stand.base_images()
    assert again.id != image.id


async def test_a_damaged_base_image_is_never_offered_and_built_again(stand: Stand, tmp_path: Path) -> None:
    async with stand.running() as running:
        await running.request()
        await running.witness.next(PackageBuilt)
        (image,) = await stand.base_images()
        cached = tmp_path / "home" / "snapshot-builder" / "cache" / f"{image.id}.db"
        with closing(sqlite3.connect(cached, isolation_level=None)) as replica:
            replica.execute("UPDATE goods SET name = 'something else' WHERE id = 'g7'")
        request = await running.request()
        event = await running.witness.next(PackageBuilt)
    assert event.package.id == request.package
    assert (await stand.jobs())[request.package].attempts == 2
    (again,) = await stand.base_images()
    assert again.id != image.id


async def test_the_package_is_told_to_services_and_to_nobody_else(stand: Stand) -> None:
    async with stand.running() as running:
        await running.request()
        event = await running.witness.next(PackageBuilt)
        told = (await running.client.get(f"/packages/{event.package.id}")).json()
        assert (told["object"], told["sha256"]) == (event.package.object, event.package.sha256)
        with pytest.raises(Problem, match="not_found"):
            await running.client.get(f"/packages/{uuid4()}")
        with pytest.raises(Problem, match="not_authenticated"):
            await running.client.get(f"/packages/{event.package.id}", headers={"Authorization": "Bearer of-somebody"})


async def test_progress_goes_through_its_phases(stand: Stand) -> None:
    stand.having(build_progress_interval=0.001)
    async with stand.running() as running:
        await running.request()
        await running.witness.next(PackageBuilt)
        phases = [event.phase for event in running.witness.all if isinstance(event, BuildProgressed)]
    order = ["waiting", "reading", "verifying", "packing"]
    assert phases == sorted(phases, key=order.index)
