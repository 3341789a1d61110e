"""Traces as trees."""

from typing import Any

from deploy.show_trace import tree


def span(name: str, parent: str | None) -> dict[str, Any]:
    return {"span": name, "parent": parent, "name": name}


def test_children_stand_under_their_parents_and_orphans_at_the_margin() -> None:
    spans = [span("a", None), span("b", "a"), span("c", "b"), span("d", "a"), span("orphan", "lost")]
    assert [(depth, s["name"]) for depth, s in tree(spans)] == [(0, "a"), (1, "b"), (2, "c"), (1, "d"), (0, "orphan")]
