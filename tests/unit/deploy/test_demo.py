"""The demonstration before it starts anything: missing data are named, plots are whole."""

import sys
from pathlib import Path

import pytest

from deploy.demo.__main__ import main
from deploy.demo.plot import read_plot
from deploy.stack.stack import DEMO_APPLICATIONS


def test_absent_northwind_data_are_named_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NORTHWIND_SQL", str(tmp_path / "absent.sql"))
    monkeypatch.setenv("YURT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "argv", ["make demo", "--app", "northwind"])
    assert main() == 1
    assert str(tmp_path / "absent.sql") in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("application", DEMO_APPLICATIONS)
def test_a_plot_names_only_values_it_picks(application: str) -> None:
    plot = read_plot(application)
    assert plot.conflict["key"] in plot.picks
    words = [word for edit in plot.offline for word in edit.program if word.startswith(":")]
    assert {word[1:] for word in words} <= plot.picks.keys()
    assert all(bool(edit.sql) != bool(edit.program) for edit in (*plot.offline, *plot.cloud))
