"""Says in one sentence what is missing before the virtual environment is made. Runs on any Python 3."""

import importlib.util
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - exactly what is to be found out here
    sys.exit(
        "Yurt needs Python 3.11 or newer; %s is %s. Name another one: make PYTHON=python3.12 …"  # noqa: UP031 - readable by old ones
        % (sys.executable, sys.version.split()[0])
    )
if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
    sys.exit(
        "This Python cannot make virtual environments: venv or ensurepip is missing. "
        "On Debian and Ubuntu: apt install python3-venv"
    )
