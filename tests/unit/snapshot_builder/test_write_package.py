import hashlib
import json
import stat
import subprocess
import zipfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest

from services.snapshot_builder import write_package as module
from services.snapshot_builder.build_steps import BuildStopped
from services.snapshot_builder.write_package import Member, write_package

AT = datetime(2026, 5, 4, 3, 2, 2, tzinfo=UTC)


def packed(members: list[Member], rows: dict[str, int] | None = None) -> bytes:
    return b"".join(write_package(members, rows or {}, AT, lambda _: None))


@pytest.fixture
def members(tmp_path: Path) -> list[Member]:
    replica = tmp_path / "infobase.db"
    replica.write_bytes(b"rows " * 600_000)
    return [
        Member("InfoBase/workplace.json", b'{"name": "Dala"}'),
        Member("InfoBase/infobase.db", replica),
        Member("Дала.sh", b"#!/bin/sh\n", executable=True),
        Member("empty.txt", b""),
    ]


def test_python_reads_every_file_back(members: list[Member]) -> None:
    with zipfile.ZipFile(BytesIO(packed(members))) as package:
        assert package.testzip() is None
        assert package.namelist() == [*(member.path for member in members), "manifest.json"]
        assert package.read("InfoBase/infobase.db") == b"rows " * 600_000
        assert package.read("empty.txt") == b""


def test_the_manifest_is_true_of_every_file_but_itself(members: list[Member]) -> None:
    with zipfile.ZipFile(BytesIO(packed(members, {"orders": 3}))) as package:
        manifest = json.loads(package.read("manifest.json"))
        assert manifest["format"] == 1
        assert manifest["rows"] == {"orders": 3}
        assert set(manifest["files"]) == {member.path for member in members}
        for path, told in manifest["files"].items():
            content = package.read(path)
            assert told == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_the_unzip_program_is_content_and_starters_are_executable(members: list[Member], tmp_path: Path) -> None:
    archive = tmp_path / "package.zip"
    archive.write_bytes(packed(members))
    assert subprocess.run(["unzip", "-t", archive], capture_output=True, check=False).returncode == 0
    subprocess.run(["unzip", "-q", archive, "-d", tmp_path / "out"], check=True)
    assert stat.S_IMODE((tmp_path / "out" / "Дала.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "out" / "InfoBase" / "workplace.json").stat().st_mode) == 0o644


def test_a_huge_package_uses_zip64(members: list[Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = packed(members)
    monkeypatch.setattr(module, "ZIP_32_LIMIT", 1000)
    huge = packed(members)
    assert huge != plain
    archive = tmp_path / "huge.zip"
    archive.write_bytes(huge)
    assert subprocess.run(["unzip", "-t", archive], capture_output=True, check=False).returncode == 0
    with zipfile.ZipFile(archive) as package:
        assert package.testzip() is None


def test_whoever_watches_the_reading_may_stop_it(members: list[Member]) -> None:
    seen = 0

    def stop_in_the_replica(size: int) -> None:
        nonlocal seen
        seen += size
        if seen > 1_000_000:
            raise BuildStopped

    with pytest.raises(BuildStopped):
        b"".join(write_package(members, {}, AT, stop_in_the_replica))
    assert seen < 3_000_000
