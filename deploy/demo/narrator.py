"""How the story looks on a terminal, and plainly where there is none."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any, Protocol, Self

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text


class StoryBroken(Exception):
    """Something the story promises did not happen; the text is that sentence."""


class Narrator:
    """Chapters, sentences, tables and bars; `expect` stops the story when it is not true."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _console()
        self._chapters = 0
        self.kept = 0

    @classmethod
    def silent(cls) -> Self:
        """One that is heard by nobody and stops at broken promises all the same."""
        return cls(Console(file=StringIO()))

    def chapter(self, title: str) -> None:
        """A numbered heading."""
        self._chapters += 1
        self._console.print()
        self._console.print(Text(f"{self._chapters}. {title}", style="bold cyan"))

    def say(self, sentence: str) -> None:
        """One sentence, indented under its chapter."""
        self._console.print(Padding(Text(sentence), (0, 0, 0, 3), expand=False))

    def aside(self, text: str, lines: int = 40) -> None:
        """What a program printed, set apart from the sentences; cut after so many `lines`."""
        printed = text.strip("\n").splitlines()
        cut = [f"… and {len(printed) - lines} more lines"] if len(printed) > lines else []
        for line in printed[:lines] + cut:
            self._console.print(Padding(Text(line, style="dim"), (0, 0, 0, 5), expand=False))

    def expect(self, truth: object, promise: str) -> None:
        """Goes on when `truth` holds and says the promise as kept; else `StoryBroken`."""
        if not truth:
            raise StoryBroken(promise)
        self.kept += 1
        self._console.print(Padding(Text.assemble(("✓ ", "green"), promise), (0, 0, 0, 3), expand=False))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], numbers: Sequence[int] = ()) -> None:
        """A table; `numbers` are the places of columns set to the right."""
        table = Table(box=None, padding=(0, 3, 0, 0), header_style="bold")
        for place, column in enumerate(columns):
            table.add_column(column, justify="right" if place in numbers else "left", overflow="fold")
        for row in rows:
            table.add_row(*("" if value is None else str(value) for value in row))
        self._console.print(Padding(table, (0, 0, 0, 5), expand=False))

    @contextmanager
    def bar(self, what: str) -> Iterator["Bar"]:
        """A progress bar; without a terminal one line per phase."""
        if not self._console.is_terminal:
            yield _Lines(self)
            return
        columns = (TextColumn("     {task.description}"), BarColumn(), TaskProgressColumn())
        with Progress(*columns, console=self._console) as progress:
            yield _Drawn(progress, progress.add_task(what, total=None))


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    return console


class Bar(Protocol):
    """What a long step reports to."""

    def show(self, phase: str, done: int, total: int | None) -> None:
        """`done` of `total` in `phase`; total None: not known yet."""


class _Drawn:
    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress = progress
        self._task = task

    def show(self, phase: str, done: int, total: int | None) -> None:
        self._progress.update(self._task, description=phase, completed=done, total=total or None)


class _Lines:
    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self._phase = ""

    def show(self, phase: str, done: int, total: int | None) -> None:
        if phase != self._phase:
            self._phase = phase
            self._narrator.aside(f"{phase} … {done}" + (f" of {total}" if total else ""))
