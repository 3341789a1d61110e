"""Where in the text of a manifest a place like `aggregates[2].parts[0].parent` stands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r'''(?P<string>"""(?:\\.|(?!""").)*"{3,5}|\'\'\'(?:(?!\'\'\').)*\'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')'''
    r"""|(?P<line>\n)|(?P<mark>[\[\]{},=])|(?P<bare>[^\s\[\]{},=#"']+)|(?P<skip>\#[^\n]*|[^\S\n]+)|(?P<other>.)""",
    re.DOTALL,
)
_LAST_STEP = re.compile(r"(\.[^.\[\]]+|\[\d+\])$")


@dataclass(frozen=True)
class Spot:
    """Of a value, where it begins and ends in the text; of a table, its header. `line` counts from 1."""

    line: int
    begin: int
    end: int


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    begin: int
    end: int


def spots(text: str) -> dict[str, Spot]:
    """Every table and value of a TOML text that `tomllib` has read, by its place."""
    return _Reader(text).read()


def nearest(found: dict[str, Spot], place: str) -> Spot | None:
    """Where the place stands, or the closest thing around it."""
    while place and place not in found:
        place = _LAST_STEP.sub("", place) if _LAST_STEP.search(place) else ""
    return found.get(place)


class _Reader:
    """Leaves to `tomllib` whether the text is right; here only positions are found."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0
        self._found: dict[str, Spot] = {}
        self._counts: dict[str, int] = {}

    def read(self) -> dict[str, Spot]:
        table = ""
        while (token := self._ahead()) is not None:
            if token.kind == "line":
                self._at += 1
            elif token.text == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._found

    def _header(self) -> str:
        first = self._next()
        following = self._ahead()
        many = following is not None and following.text == "[" and following.begin == first.end
        if many:
            self._at += 1
        names = self._names("]")
        if many:
            self._at += 1
        place = ""
        for at, name in enumerate(names, 1):
            place = _joined(place, name)
            if at == len(names) and many:
                self._counts[place] = self._counts.get(place, 0) + 1
                self._note(place, first)
            if place in self._counts:
                place += f"[{self._counts[place] - 1}]"
        self._note(place, first)
        return place

    def _pair(self, inside: str) -> None:
        begin = self._tokens[self._at]
        place = inside
        for name in self._names("="):
            place = _joined(place, name)
            self._note(place, begin)
        first = self._at
        self._value(place)
        if self._at > first:
            tokens = self._tokens[first], self._tokens[self._at - 1]
            self._found[place] = Spot(self._line(begin), tokens[0].begin, tokens[1].end)

    def _value(self, place: str) -> None:
        token = self._ahead()
        if token is None:
            return
        if token.text == "[":
            self._array(place)
        elif token.text == "{":
            self._inline_table(place)
        elif token.kind == "string":
            self._at += 1
        else:
            while (token := self._ahead()) is not None and token.kind in {"bare", "other"}:
                self._at += 1

    def _array(self, place: str) -> None:
        self._at += 1
        count = 0
        while (token := self._inside()) is not None and token.text != "]":
            if token.text == ",":
                self._at += 1
                continue
            element = f"{place}[{count}]"
            begin = self._at
            self._value(element)
            if self._at == begin:
                return  # nothing that a value can begin with
            self._found[element] = Spot(self._line(token), token.begin, self._tokens[self._at - 1].end)
            count += 1
        self._at += 1

    def _inline_table(self, place: str) -> None:
        self._at += 1
        while (token := self._inside()) is not None and token.text != "}":
            if token.text == ",":
                self._at += 1
            else:
                self._pair(place)
        self._at += 1

    def _names(self, end: str) -> list[str]:
        names: list[str] = []
        while (token := self._ahead()) is not None:
            self._at += 1
            if token.text == end:
                break
            names += [token.text[1:-1]] if token.kind == "string" else [n for n in token.text.split(".") if n]
        return names

    def _inside(self) -> _Token | None:
        while (token := self._ahead()) is not None and token.kind == "line":
            self._at += 1
        return token

    def _ahead(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> _Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _note(self, place: str, token: _Token) -> None:
        self._found.setdefault(place, Spot(self._line(token), token.begin, token.end))

    def _line(self, token: _Token) -> int:
        return self._text.count("\n", 0, token.begin) + 1


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup and match.lastgroup != "skip":
            yield _Token(match.lastgroup, match.group(), match.start(), match.end())


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
