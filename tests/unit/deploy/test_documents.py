"""The generated documents: a missing or changed one is noticed."""

from pathlib import Path

from deploy.documents.__main__ import DOCUMENTS, stale


def test_a_document_that_is_not_what_the_code_says_is_named(tmp_path: Path) -> None:
    assert stale(tmp_path) == list(DOCUMENTS)
    for name, text in DOCUMENTS.items():
        (tmp_path / name).write_text(text(), encoding="utf-8")
    assert stale(tmp_path) == []
    (tmp_path / "errors.md").write_text("something else", encoding="utf-8")
    assert stale(tmp_path) == ["errors.md"]
