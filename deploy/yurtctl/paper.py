"""Results on stdout: tables and sentences for people, JSON for scripts."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

Document = dict[str, Any]
Columns = Mapping[str, str | Callable[[Document], object]]

_TIME = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|\+00:00)$")
_COPIED = {"id", "workplace"}  # what is copied into the next call stays on one line
_UNCUT = 100_000  # columns of a table that does not go to a terminal: no cell is broken into lines


class Paper:
    """Where a command writes; `as_json` decides how."""

    def __init__(self, *, as_json: bool, to: TextIO | None = None) -> None:
        self.as_json = as_json
        self._to = to or sys.stdout
        self._console = Console(
            file=self._to, width=None if self._to.isatty() else _UNCUT, highlight=False, soft_wrap=False
        )

    def table(self, documents: Iterable[Document], columns: Columns, nothing: str) -> None:
        """A line per document: each column is a field, or computed. JSON: an array of the documents as they came."""
        found = list(documents)
        if self.as_json:
            self.json(found)
            return
        if not found:
            self._console.print(Text(nothing))
            return
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for heading in columns:
            table.add_column(Text(heading), overflow="fold", no_wrap=heading in _COPIED)
        for document in found:
            table.add_row(*(Text(cell(_value(document, what))) for what in columns.values()))
        self._print(table)

    def card(self, document: Document, fields: Columns) -> None:
        """One document, a line per field. JSON: the document."""
        if self.as_json:
            self.json(document)
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for heading, what in fields.items():
            table.add_row(Text(heading), Text(cell(_value(document, what))))
        self._print(table)

    def say(self, sentence: str, document: Document) -> None:
        """What was done, as a sentence. JSON: the document."""
        if self.as_json:
            self.json(document)
        else:
            self._console.print(Text(plain(sentence)))

    def raw(self, text: str) -> None:
        """The text as it is."""
        self._to.write(text)

    def json(self, value: Sequence[Document] | Document) -> None:
        """The value as JSON, whoever reads."""
        self._to.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def _print(self, table: Table) -> None:
        if self._to.isatty():
            self._console.print(table)
            return
        with self._console.capture() as printed:
            self._console.print(table)
        self._to.write("".join(f"{line.rstrip()}\n" for line in printed.get().splitlines()))


def cell(value: object) -> str:
    """A value as people read it; times are in UTC."""
    match value:
        case None | [] | "":
            return "–"
        case bool():
            return "yes" if value else "no"
        case str():
            return plain(_TIME.sub(r"\1 \2", value))
        case list():
            return ", ".join(cell(item) for item in value)
        case _:
            return plain(str(value))


def title(value: str | Mapping[str, str]) -> str:
    """A title, or the one of its languages that comes first of English and the others."""
    return value if isinstance(value, str) else value.get("en") or next(iter(value.values()), "")


def plain(text: str) -> str:
    """The text without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "�" for letter in text)


def _value(document: Document, what: str | Callable[[Document], object]) -> object:
    return what(document) if callable(what) else document.get(what)
