"""The workplace program, built once per start for the snapshot builder to put into packages."""

import subprocess
import sys
from pathlib import Path


def build_program(folder: Path) -> Path:
    """Afterwards `folder` holds what `python -m workplace.build_pyz` writes; its path is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).parent.parent.parent
    subprocess.run(
        [sys.executable, "-m", "workplace.build_pyz", str(folder)], cwd=root, check=True, capture_output=True
    )
    return folder
