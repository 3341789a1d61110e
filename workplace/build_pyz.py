"""`python -m workplace.build_pyz OUTDIR`: the program as one file, with its starters and the instruction's template.

Equal sources give equal bytes: files in order, a fixed time, stored and not deflated (the package compresses it).
"""

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE_FILES = Path(__file__).resolve().parent / "package"
STARTERS = ("start-linux.sh", "start-macos.command", "start-windows.cmd")
TEMPLATE = "ReadMe.html.in"
PROGRAM = "yurt-workplace.pyz"
_FOLDERS = ("shared/protocol", "workplace/engine", "workplace/terminal", "workplace/texts")
_SINGLE = ("shared/__init__.py", "workplace/__init__.py")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def write_package_files(folder: Path) -> None:
    """Afterwards `folder` holds the program, the starters and `ReadMe.html.in` (a `string.Template`)."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / PROGRAM
    write_program(program)
    program.chmod(0o755)
    for name in STARTERS:
        text = (PACKAGE_FILES / name).read_text(encoding="utf-8")
        # cmd.exe reads labels wrongly in files with bare newlines.
        (folder / name).write_bytes((text.replace("\n", "\r\n") if name.endswith(".cmd") else text).encode())
        (folder / name).chmod(0o755)
    (folder / TEMPLATE).write_bytes((PACKAGE_FILES / TEMPLATE).read_bytes())


def write_program(path: Path) -> None:
    """The zipapp: nothing but this package's code and `shared.protocol`."""
    with path.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, content in _members():
                entry = zipfile.ZipInfo(name, _LONG_AGO)
                entry.create_system = 3
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, content)


def _members() -> Iterator[tuple[str, bytes]]:
    yield "__main__.py", (PACKAGE_FILES / "main.py.in").read_bytes()
    modules = [path for folder in _FOLDERS for path in (ROOT / folder).rglob("*.py")]
    for path in sorted([*modules, *(ROOT / name for name in _SINGLE)]):
        yield path.relative_to(ROOT).as_posix(), path.read_bytes()


if __name__ == "__main__":
    write_package_files(Path(sys.argv[1]))
