"""The command line: commands in the person's language, English names always understood too."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from workplace.engine.service import PROGRAM
from workplace.texts import Texts, command_of

_PATTERNS = (
    (r"the following arguments are required: (?P<names>.+)", "usage.required"),
    (r"unrecognized arguments: (?P<names>.+)", "usage.unrecognised"),
    (r"argument .*?: invalid choice: (?P<name>.+?)( \(choose from.*)?", "usage.choice"),
    (r"argument (?P<name>[^:]+): expected .*", "usage.expected"),
    (r"argument (?P<name>[^:]+): invalid int value.*", "usage.number"),
)


class Usage(Exception):
    """The command line is not understood; the text says what."""


def parse_command_line(argv: Sequence[str], text: Texts) -> argparse.Namespace:
    """`command` and its arguments. Raises Usage; `--help` and `--version` end the program."""
    return _parser(text).parse_args([_localised(word, argv, place, text) for place, word in enumerate(argv)])


def print_help(text: Texts, command: str | None = None) -> None:
    """The help of the program or of one command."""
    parser = _parser(text)
    if command is None:
        parser.print_help()
    else:
        with_help = [text.commands[command], "--help"]
        parser.parse_args(with_help)


def _localised(word: str, argv: Sequence[str], place: int, text: Texts) -> str:
    """The first word that is neither an option nor an option's value is the command, in whatever language."""
    before = argv[:place]
    takes_value = bool(before) and before[-1] in {"--lang", "--folder"}
    if word.startswith("-") or takes_value or any(command_of(earlier) for earlier in before):
        return word
    command = command_of(word)
    return text.commands[command] if command else word


def _parser(text: Texts) -> argparse.ArgumentParser:
    class Localised(_Parser):
        texts = text

    parser = Localised(prog="yurt-workplace", description=text("about"))
    parser.add_argument("--lang", choices=["en", "ru", "kk"], help=text("help.lang"))
    parser.add_argument("--folder", help=text("help.folder"))
    parser.add_argument("--version", action="version", version=PROGRAM, help=text("help.version"))
    commands = parser.add_subparsers(title=text("commands"), metavar="", dest="word", parser_class=type(parser))

    def command(name: str) -> argparse.ArgumentParser:
        added = commands.add_parser(text.commands[name], help=text(f"help.{name}"), description=text(f"help.{name}"))
        added.set_defaults(command=name)
        return added

    command("status").add_argument("--json", action="store_true", help=text("help.json"))
    for name in ("activate", "sync", "verify"):
        added = command(name)
        _connection(added, text)
        if name == "sync":
            added.add_argument("--verify", action="store_true", help=text("help.prove"))
        if name == "verify":
            added.add_argument("--every", metavar="HOURS", help=text("help.every"))
    listing = command("list")
    listing.add_argument("table", nargs="?", metavar="TABLE", help=text("help.table"))
    listing.add_argument("--where", action="append", default=[], metavar="COL=VALUE", help=text("help.where"))
    listing.add_argument("--limit", type=int, default=50, metavar="N", help=text("help.limit"))
    listing.add_argument("--columns", metavar="A,B", help=text("help.columns"))
    listing.add_argument("--json", action="store_true", help=text("help.json"))
    showing = command("show")
    showing.add_argument("table", metavar="TABLE", help=text("help.table"))
    showing.add_argument("key", metavar="KEY", help=text("help.key"))
    showing.add_argument("--json", action="store_true", help=text("help.json"))
    _editing(command("edit"), text)
    troubles = command("problems")
    _connection(troubles, text)
    troubles.add_argument("--again", type=int, metavar="ID", help=text("help.again"))
    troubles.add_argument("--comment", nargs=2, metavar=("ID", "TEXT"), help=text("help.comment"))
    troubles.add_argument("--seen", type=int, metavar="ID", help=text("help.seen"))
    troubles.add_argument("--json", action="store_true", help=text("help.json"))
    command("help").add_argument("about", nargs="?", metavar="COMMAND")
    return parser


def _editing(parser: argparse.ArgumentParser, text: Texts) -> None:
    parser.add_argument("table", metavar="TABLE", help=text("help.table"))
    parser.add_argument("key", nargs="?", metavar="KEY", help=text("help.key"))
    parser.add_argument("cells", nargs="*", metavar="COL=VALUE", help=text("help.cells"))
    parser.add_argument("--new", nargs="*", metavar="COL=VALUE", help=text("help.new"))
    parser.add_argument("--delete", action="store_true", help=text("help.delete"))
    for name in ("line", "add", "remove"):
        parser.add_argument(f"--{name}", nargs="+", action="append", default=[], metavar="…", help=text(f"help.{name}"))
    parser.add_argument("--json", action="store_true", help=text("help.json"))


def _connection(parser: argparse.ArgumentParser, text: Texts) -> None:
    parser.add_argument("--login", help=text("help.login"))
    parser.add_argument("--password-stdin", action="store_true", help=text("help.password_stdin"))
    parser.add_argument("--proxy", metavar="URL", help=text("help.proxy"))
    parser.add_argument("--ca", metavar="FILE", help=text("help.ca"))
    parser.add_argument("--service", metavar="URL", help=text("help.service"))


class _Parser(argparse.ArgumentParser):
    """argparse in the language of `texts`; mistakes raise Usage."""

    texts: ClassVar[Texts]

    def __init__(self, **options: Any) -> None:
        text = self.texts
        super().__init__(add_help=False, allow_abbrev=False, **options)
        self._positionals.title = text("arguments")
        self._optionals.title = text("options")
        self.add_argument("-h", "--help", action="help", help=text("help.help"))

    def format_help(self) -> str:
        return super().format_help().replace("usage: ", self.texts("usage"), 1)

    def format_usage(self) -> str:
        return super().format_usage().replace("usage: ", self.texts("usage"), 1)

    def error(self, message: str) -> NoReturn:
        detail = message
        for pattern, key in _PATTERNS:
            if found := re.fullmatch(pattern, message):
                detail = self.texts(key, **found.groupdict())
                break
        raise Usage(f"{self.texts('usage.wrong', detail=detail)}\n{self.format_usage().rstrip()}")
