"""`python -m deploy.show_trace FILE [TRACE]`: traces of `YURT_TRACE_FILE` as trees; without TRACE the longest one."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Span = dict[str, Any]


def read_spans(file: Path) -> list[Span]:
    """All spans of a trace file, in the order they began."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda span: float(span["start"]))


def tree(spans: list[Span]) -> Iterator[tuple[int, Span]]:
    """Each span of one trace with its depth, parents before children; what lost its parent stands at depth 0."""
    known = {span["span"] for span in spans}
    children: dict[str | None, list[Span]] = {}
    for span in spans:
        children.setdefault(span["parent"] if span["parent"] in known else None, []).append(span)
    waiting = [(0, span) for span in reversed(children.get(None, []))]
    while waiting:
        depth, span = waiting.pop()
        yield depth, span
        waiting += [(depth + 1, child) for child in reversed(children.get(span["span"], []))]


def main() -> int:
    """1 when the file holds no such trace."""
    parser = argparse.ArgumentParser(prog="deploy.show_trace", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("trace", nargs="?")
    arguments = parser.parse_args()
    spans = read_spans(arguments.file)
    longest = Counter(span["trace"] for span in spans).most_common(1)
    wanted = arguments.trace or (longest[0][0] if longest else "")
    chosen = [span for span in spans if span["trace"] == wanted]
    if not chosen:
        print("no such trace", file=sys.stderr)
        return 1
    print(f"trace {wanted}: {len(chosen)} spans of {', '.join(sorted({span['service'] for span in chosen}))}")
    began = chosen[0]["start"]
    for depth, span in tree(chosen):
        at = (span["start"] - began) * 1000
        failed = " FAILED" if span["failed"] else ""
        what = f"{'  ' * depth}{span['service']}: {span['name']} ({span['kind']}){failed}"
        print(f"{at:9.1f} ms {span['milliseconds']:9.1f} ms  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
