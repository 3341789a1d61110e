"""Each import rule of pyproject.toml is seen failing on a planted violation, and kept by the tree as it is."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("services", "shared", "workplace", "deploy")

# rule → the files that break it: path → what is added to it
PLANTED: dict[str, dict[str, str]] = {
    "services-apart": {"services/licensing/planted.py": "import services.provisioning\n"},
    "shared-below": {"shared/runtime/planted.py": "import services.licensing\n"},
    "workplace-alone": {"workplace/planted.py": "import shared.runtime\n"},
    "pure-contracts": {"shared/contracts/planted.py": "import httpx\n"},
    "replication-knows-no-service": {"shared/replication/planted.py": "import sqlmodel\n"},
    "pure-merge": {"shared/replication/merge.py": "\nimport sqlite3\n"},
    "one-door-to-the-broker": {"services/licensing/planted.py": "import aio_pika\n"},
    "one-door-to-objects": {"shared/runtime/planted.py": "import minio\n"},
    "no-cycles": {
        "services/licensing/planted.py": "import services.licensing.grown\n",
        "services/licensing/grown.py": "import services.licensing.planted\n",
    },
}


def rules() -> list[str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return [contract["id"] for contract in tomllib.load(file)["tool"]["importlinter"]["contracts"]]


def lint(tree: Path, *rule: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    options = [option for name in rule for option in ("--contract", name)]
    return subprocess.run([program, "--no-cache", *options], cwd=tree, capture_output=True, text=True, check=False)


@pytest.fixture
def copied_tree(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_rule_has_a_planted_violation() -> None:
    assert sorted(PLANTED) == sorted(rules())


@pytest.mark.parametrize("rule", PLANTED)
def test_a_planted_violation_breaks_its_rule(rule: str, copied_tree: Path) -> None:
    assert lint(copied_tree, rule).returncode == 0, "kept before"
    for path, violation in PLANTED[rule].items():
        with (copied_tree / path).open("a", encoding="utf-8") as file:
            file.write(violation)
    done = lint(copied_tree, rule)
    assert done.returncode == 1
    assert "1 broken" in done.stdout


def test_the_tree_keeps_all_rules() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout
