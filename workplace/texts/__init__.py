"""What the program says to people, one catalogue module per language."""

import locale
import os
from collections.abc import Mapping

from shared.protocol.errors import ERRORS
from workplace.engine.failures import Failure
from workplace.texts import en, kk, ru

LANGUAGES = {"en": en, "ru": ru, "kk": kk}
_COMMANDS: Mapping[str, Mapping[str, str]] = {name: module.COMMANDS for name, module in LANGUAGES.items()}


class Texts:
    """The sentences of one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._messages: Mapping[str, str] = LANGUAGES[language].MESSAGES
        self.commands: Mapping[str, str] = LANGUAGES[language].COMMANDS

    def __call__(self, key: str, /, **values: object) -> str:
        """A sentence with its values put in."""
        return self._messages[key].format(**values)

    def code(self, code: str) -> str:
        """The sentence of an error code, for the person who must act; the code itself when nobody knows it."""
        if sentence := self._messages.get(f"error.{code}"):
            return sentence
        known = ERRORS.get(code)
        if known is not None:
            return {"en": known.en, "ru": known.ru, "kk": known.kk}[self.language] + "."
        if code.startswith("http_"):
            return self("error.http", status=code.removeprefix("http_"))
        return code

    def failure(self, failure: Failure) -> str:
        """A failure as a sentence, what is particular about it behind."""
        column = failure.extra.get("column")
        details = [str(detail) for detail in (column, failure.detail) if detail]
        known = failure.extra.get("known")
        if known:
            details.append(self("known", names=", ".join(map(str, known))))
        return self.code(failure.code) + (f" ({'; '.join(dict.fromkeys(details))})" if details else "")


def choose_language(told: str | None) -> str:
    """`--lang`, else YURT_LANG, else the computer's language, else English."""
    for candidate in (told, os.environ.get("YURT_LANG"), *_of_the_computer()):
        short = (candidate or "")[:2].lower()
        if short in LANGUAGES:
            return short
    return "en"


def _of_the_computer() -> list[str]:
    named = [os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG")]
    try:
        named.append(locale.getlocale()[0] or "")
    except ValueError:  # a locale that Python does not know
        named.append("")
    words = {"russian": "ru", "kazakh": "kk", "english": "en"}  # as Windows calls them
    return [words.get(name.partition("_")[0].lower(), name) for name in named]


def command_of(word: str) -> str | None:
    """The command that a word names in any language."""
    for commands in _COMMANDS.values():
        for command, name in commands.items():
            if word.lower() in {command, name}:
                return command
    return None
