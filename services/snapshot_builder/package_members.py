"""Which files stand in a package, and under which names."""

import json
from collections.abc import Mapping
from pathlib import Path
from stat import S_IXUSR
from typing import Any

from services.snapshot_builder.readme import render_readme
from services.snapshot_builder.write_package import Member

TEMPLATE = "ReadMe.html.in"


def package_members(replica: Path, document: Mapping[str, Any], title: str, program: Path) -> list[Member]:
    """The replica, its papers, and every file of the program's folder beside them; `manifest.json` is not there yet."""
    workplace = (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()
    readme = render_readme((program / TEMPLATE).read_text(encoding="utf-8"), readme_values(document, title))
    return [
        Member("InfoBase/workplace.json", workplace),
        Member("InfoBase/ReadMe.html", readme),
        Member("InfoBase/infobase.db", replica),
        *(
            Member(file.name, file, executable=bool(file.stat().st_mode & S_IXUSR))
            for file in sorted(program.iterdir())
            if file.is_file() and file.name != TEMPLATE
        ),
    ]


def readme_values(document: Mapping[str, Any], title: str) -> dict[str, str]:
    """What the template may name."""
    told = ("service", "name", "configuration", "version", "platform")
    created = f"{document['created_at']:.16} UTC".replace("T", " ")  # for people: to the minute
    return {"application": title, "created_at": created, **{key: str(document[key]) for key in told}}
