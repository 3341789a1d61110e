"""`python -m workplace.terminal` from a checkout."""

import sys
from pathlib import Path

from workplace.terminal.main import main

sys.exit(main(program=Path.cwd() / "yurt-workplace.pyz"))
