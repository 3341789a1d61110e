"""Output: tables, values, progress – for eyes in a terminal, plain lines for everything else."""

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from shared.protocol.values import Replica, kind
from workplace.engine.layout import Row, Table
from workplace.texts import Texts

_BAR = 28
_SPARE = 2


class Screen:
    """Where a command speaks. `out` for results, `err` for progress and mistakes."""

    def __init__(self, text: Texts, out: TextIO = sys.stdout, err: TextIO = sys.stderr) -> None:
        self.text = text
        self.out = out
        self.err = err

    def say(self, line: str = "") -> None:
        """A line of the result."""
        print(line, file=self.out)

    def complain(self, line: str) -> None:
        """A line for the person, apart from the result."""
        print(line, file=self.err)

    def pairs(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Names and values below each other."""
        listed = list(pairs)
        width = max((len(name) for name, _ in listed), default=0)
        for name, value in listed:
            self.say(f"{name:<{width}}  {value}")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table: as wide as the terminal, or with tabs between when a program reads."""
        if not self.out.isatty():
            self.say("\t".join(head))
            for row in rows:
                self.say("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
            return
        widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
        widths = _fitting(widths, shutil.get_terminal_size().columns)
        for row in (head, ["─" * width for width in widths], *rows):
            cells = (_cut(cell.replace("\n", " "), width) for cell, width in zip(row, widths, strict=False))
            self.say((" " * _SPARE).join(cells).rstrip())

    def cell(self, table: Table, name: str, value: Replica) -> str:
        """A value as a person reads it."""
        if value is None:
            return ""
        if isinstance(value, bytes):
            return f"<{len(value)} B>"
        column = table.by_name.get(name)
        if column is not None and kind(column.type) == "boolean":
            return self.text("yes") if value else self.text("no")
        return str(value)

    def progress(self) -> "_Bar | _Lines":
        """A function for the engine's progress: a bar in a terminal, else a line when a step begins."""
        return _Bar(self) if self.err.isatty() else _Lines(self)


class _Lines:
    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._step = ""

    def __call__(self, step: str, done: int, total: int) -> None:  # noqa: ARG002 - lines tell steps only
        if step != self._step:
            self._step = step
            self._screen.complain(self._screen.text(f"step.{step}"))

    def close(self) -> None:
        """Lines end by themselves."""


class _Bar:
    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._drawn = ""
        self._step = ""

    def __call__(self, step: str, done: int, total: int) -> None:
        name = self._screen.text(f"step.{step}")
        if total:
            share = min(1.0, done / total)
            line = f"{name:<14} {'█' * round(share * _BAR):░<{_BAR}} {share:4.0%}"
        elif done:
            line = f"{name:<14} {done / 1e6:.1f} MB"
        else:
            line = f"{name:<14} …"
        if line == self._drawn:
            return
        end = "\n" if self._step not in {"", step} else ""
        print(f"{end}\r{line}\033[K", end="", file=self._screen.err, flush=True)
        self._drawn, self._step = line, step

    def close(self) -> None:
        """Ends the line of the bar."""
        if self._step:
            print(file=self._screen.err)


def plain(row: Row) -> dict[str, Any]:
    """A row for JSON: replica values, bytes as hex."""
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}


def _fitting(widths: list[int], room: int) -> list[int]:
    """Narrows the widest columns until all fit; a column keeps at least six letters."""
    fitting = list(widths)
    while sum(fitting) + _SPARE * (len(fitting) - 1) > room and max(fitting) > 6:
        fitting[fitting.index(max(fitting))] -= 1
    return fitting


def _cut(cell: str, width: int) -> str:
    return f"{cell:<{width}}" if len(cell) <= width else cell[: width - 1] + "…"
