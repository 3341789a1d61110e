"""`make documents` writes them; `make check` calls it with `--check`, which fails when one is not current."""

import sys
from collections.abc import Callable
from pathlib import Path

from deploy.documents.asyncapi import asyncapi_document
from deploy.documents.errors import errors_page
from deploy.documents.openapi import openapi_document
from deploy.documents.settings import settings_page

FOLDER = Path(__file__).parent.parent.parent / "docs"
DOCUMENTS: dict[str, Callable[[], str]] = {
    "errors.md": errors_page,
    "settings.md": settings_page,
    "asyncapi.json": asyncapi_document,
    "openapi.json": openapi_document,
}


def stale(folder: Path) -> list[str]:
    """Names of the documents in `folder` that are not what the code says."""
    return [
        name
        for name, text in DOCUMENTS.items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text()
    ]


def main() -> int:
    """1 when `--check` finds a stale one."""
    found = stale(FOLDER)
    if "--check" in sys.argv:
        for name in found:
            print(f"docs/{name} is not what the code says: make documents", file=sys.stderr)
        return 1 if found else 0
    for name in found:
        (FOLDER / name).write_text(DOCUMENTS[name](), encoding="utf-8")
        print(f"docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
