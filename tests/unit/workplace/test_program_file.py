"""The one file, its starters and the instruction, as they stand in a package."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from string import Template

import pytest

from tests.unit.workplace.small_replica import make_replica
from workplace.build_pyz import STARTERS, write_package_files


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    write_package_files(folder)
    make_replica(folder)
    return folder


def run(built: Path, *words: str, lang: str = "en") -> subprocess.CompletedProcess[str]:
    """The program on a bare Python: no site-packages, no environment, no network address that answers."""
    command = [sys.executable, "-I", "-S", "-W", "error", str(built / "yurt-workplace.pyz"), *words]
    environment = {"YURT_CONFIG_HOME": str(built / "computer"), "YURT_LANG": lang, "PATH": os.defpath}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, encoding="utf-8")


def test_it_works_on_a_bare_python(built: Path) -> None:
    for words in (
        ["status"],
        ["list"],
        ["list", "orders"],
        ["show", "orders", "o1"],
        ["edit", "orders", "o1", "note=x"],
    ):
        ended = run(built, *words)
        assert (ended.returncode, ended.stderr.replace("It goes to the service with the next synchronisation.\n", "")) \
            == (0, ""), words  # fmt: skip
    assert "Not sent yet" in run(built, "status").stdout


def test_it_holds_nothing_but_the_program_and_the_protocol(built: Path) -> None:
    names = zipfile.ZipFile(built / "yurt-workplace.pyz").namelist()
    assert {name.split("/")[0] for name in names} == {"__main__.py", "shared", "workplace"}
    assert {"/".join(name.split("/")[:2]) for name in names if name.startswith("shared/")} == {
        "shared/__init__.py", "shared/protocol"
    }  # fmt: skip


def test_it_imports_nothing_but_the_standard_library(built: Path) -> None:
    code = (
        "import sys, pkgutil, importlib; sys.path.insert(0, sys.argv[1]); import workplace, shared.protocol\n"
        "for package in (workplace, shared.protocol):\n"
        "    for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if not found.name.endswith('__main__'): importlib.import_module(found.name)\n"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(built / "yurt-workplace.pyz")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_equal_sources_give_equal_bytes(built: Path, tmp_path: Path) -> None:
    write_package_files(tmp_path)
    for name in ("yurt-workplace.pyz", "ReadMe.html.in", *STARTERS):
        assert (tmp_path / name).read_bytes() == (built / name).read_bytes()


def test_the_starter_starts_it(built: Path) -> None:
    environment = {"YURT_CONFIG_HOME": str(built / "computer"), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    for starter in ("start-linux.sh", "start-macos.command"):
        ended = subprocess.run(
            [str(built / starter), "--lang", "kk", "күй"], capture_output=True, text=True, check=False, env=environment
        )
        assert ended.returncode == 0, ended.stderr
        assert "Жұмыс орны" in ended.stdout


def test_the_windows_starter_has_windows_lines(built: Path) -> None:
    content = (built / "start-windows.cmd").read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n")


def test_the_instruction_fills_in_and_loads_nothing(built: Path) -> None:
    template = (built / "ReadMe.html.in").read_text(encoding="utf-8")
    names = ("service", "name", "application", "version", "platform", "created_at")
    page = Template(template).substitute({name: f"[{name}]" for name in names})
    for name in names:
        assert f"[{name}]" in page
    assert re.findall(r"""(?:src|href)=["'](?!#)|@import|url\(""", page) == []
    assert all(f'lang="{language}"' in page for language in ("ru", "kk", "en"))
    assert "@media print" in page
