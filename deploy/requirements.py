"""Prints the pinned requirements of pyproject.toml, with those of the extras named. Standard library only.

Nothing of Yurt is installed into site-packages, so pip gets the list and not the project.
"""

import sys
import tomllib
from pathlib import Path


def requirements(project: Path, extras: list[str]) -> list[str]:
    """The direct dependencies of `project` and of its `extras`, as pip reads them."""
    with project.open("rb") as file:
        said = tomllib.load(file)["project"]
    return [*said["dependencies"], *(line for extra in extras for line in said["optional-dependencies"][extra])]


if __name__ == "__main__":
    print("\n".join(requirements(Path(__file__).parent.parent / "pyproject.toml", sys.argv[1:])))
