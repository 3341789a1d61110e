"""Three languages that say the same things."""

import re
from pathlib import Path
from string import Formatter

import pytest

import workplace
from shared.protocol.errors import ERRORS
from workplace.texts import LANGUAGES, Texts, choose_language, command_of

SOURCES = list(Path(str(workplace.__path__[0])).rglob("*.py"))


def places(message: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(message) if name is not None}


@pytest.mark.parametrize("language", ["ru", "kk"])
def test_every_message_exists_in_every_language_with_the_same_places(language: str) -> None:
    english, other = LANGUAGES["en"].MESSAGES, LANGUAGES[language].MESSAGES
    assert english.keys() == other.keys()
    assert {key for key in english if places(english[key]) != places(other[key])} == set()
    assert LANGUAGES["en"].COMMANDS.keys() == LANGUAGES[language].COMMANDS.keys()


@pytest.mark.parametrize("language", ["en", "ru", "kk"])
def test_every_code_has_a_sentence(language: str) -> None:
    raised = r"(?:Failure|NoConnection|UnexpectedAnswer|ReplicaUnusable|Busy|Cancelled|WrongValue|Unsendable)"
    codes = {
        code
        for source in SOURCES
        for code in re.findall(raised + r'\(\s*"([a-z_]+)"', source.read_text(encoding="utf-8"))
    }
    assert {"no_connection", "damaged_delta", "unknown_column"} <= codes
    text = Texts(language)
    assert {code for code in codes | ERRORS.keys() if text.code(code) == code} == set()


def test_every_key_that_is_used_exists() -> None:
    used = {
        key for source in SOURCES for key in re.findall(r'\btext\("([a-z_.]+)"', source.read_text(encoding="utf-8"))
    }
    assert used - LANGUAGES["en"].MESSAGES.keys() == set()


def test_a_command_is_understood_in_any_language() -> None:
    assert [command_of(word) for word in ("sync", "Синхронизация", "синхрондау", "nonsense")] == [
        "sync", "sync", "sync", None
    ]  # fmt: skip
    names = [name for language in LANGUAGES.values() for name in language.COMMANDS.values()]
    assert len(names) == len(set(names))


def test_the_language_is_the_one_told_then_the_computers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YURT_LANG")
    monkeypatch.setenv("LC_ALL", "kk_KZ.UTF-8")
    assert choose_language(None) == "kk"
    monkeypatch.setenv("YURT_LANG", "ru")
    assert choose_language(None) == "ru"
    assert choose_language("en") == "en"
