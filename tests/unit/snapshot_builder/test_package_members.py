import json
from pathlib import Path

import pytest

from services.snapshot_builder.package_members import package_members

DOCUMENT = {
    "service": "https://yurt.example",
    "name": "Склад <Алматы>",
    "application": "dala",
    "configuration": "accounting_kz",
    "version": "1.0",
    "platform": ">=3.11",
    "created_at": "2026-05-04T03:02:01.000000Z",
}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    for name, text in {
        "yurt-workplace.pyz": "zip",
        "yurt.sh": "#!/bin/sh",
        "Yurt.command": "#!/bin/sh",
        "yurt.bat": "@echo off",
        "ReadMe.html.in": "<h1>$name</h1> $application, Python $platform",
    }.items():
        (tmp_path / name).write_text(text)
    for starter in ("yurt.sh", "Yurt.command"):
        (tmp_path / starter).chmod(0o755)
    return tmp_path


def test_a_package_holds_exactly_the_files_of_the_protocol(program: Path) -> None:
    members = package_members(Path("infobase.db"), DOCUMENT, "Dala & Co", program)
    assert {member.path: member.executable for member in members} == {
        "InfoBase/infobase.db": False,
        "InfoBase/workplace.json": False,
        "InfoBase/ReadMe.html": False,
        "yurt-workplace.pyz": False,
        "yurt.sh": True,
        "Yurt.command": True,
        "yurt.bat": False,
    }


def test_the_instruction_names_workplace_and_platform_and_is_escaped(program: Path) -> None:
    members = package_members(Path("infobase.db"), DOCUMENT, "Dala & Co", program)
    content = {member.path: member.content for member in members}
    readme = content["InfoBase/ReadMe.html"]
    assert isinstance(readme, bytes)
    assert readme.decode() == "<h1>Склад &lt;Алматы&gt;</h1> Dala &amp; Co, Python &gt;=3.11"
    workplace = content["InfoBase/workplace.json"]
    assert isinstance(workplace, bytes)
    assert json.loads(workplace) == DOCUMENT
