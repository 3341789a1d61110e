"""Accounting for Kazakhstan at its full size: two subscribers in one database, documents that move, scopes that change.

Each subscriber has INVOICES in three organisations. Every exchange is one of the package's own program over a metered
line; after each, the copy is compared with the database key by key and by digests. Embedded servers, loopback only.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psutil

from bench.figures import forget_peak, peak_memories, timed
from deploy.stack.settings import StackSettings
from deploy.stack.stack import Stack
from tests.e2e.neighbours import Books, move, neighbours, three_organisations

MOVED = 1_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.accounting_scale", description=__doc__)
    parser.add_argument("invoices", type=int, nargs="?", default=100_000)
    invoices = parser.parse_args().invoices
    with tempfile.TemporaryDirectory(prefix="yurt-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        settings = StackSettings(home=folder / "yurt", port=0)
        with Stack(settings, say=print) as stack, ExitStack() as opened:
            print(f"\n{invoices:,} invoices of each of two subscribers; {psutil.cpu_count()} cores\n")
            both = timed(
                "fill, attach, build and activate a workplace of each",
                lambda: opened.enter_context(neighbours(stack, folder, invoices)),
            )
            return measure(*both)


def measure(mine: Books, theirs: Books) -> int:
    first, second, third = three_organisations(mine.cloud, mine.area)
    print(f"package of two organisations: {mine.workplace['package']['size'] / 1e6:.1f} MB")
    wrong = shown(mine)
    way = ((third, first, 334), (second, third, 333), (first, second, 333))
    timed(f"move {MOVED:,} invoices in the cloud: in, out, inside", lambda: [move(mine.cloud, *step) for step in way])
    wrong += exchanged(f"{MOVED:,} invoices moved", mine)
    mine.take([first, second, third])
    wrong += exchanged("widened to three organisations", mine)
    mine.take([second])
    wrong += exchanged("narrowed to one organisation", mine)
    wrong += exchanged("the other subscriber, meanwhile", theirs)
    print(f"\nrows missing, foreign, or digests that differ: {wrong}")
    return min(wrong, 1)


def exchanged(name: str, books: Books) -> int:
    """One exchange, and how far the copy is from its scope afterwards."""
    (service,) = books.stack.services.values()
    forget_peak(service.pid)
    figures = books.synchronise()
    (peak,) = peak_memories(books.stack).values()
    print(
        f"\n{name}: {figures.lines:,} lines ({figures.changed:,} changed, {figures.removed:,} removed),"
        f" {figures.bytes_down:,} bytes down, {figures.bytes_up:,} up, {figures.seconds:.2f} s;"
        f" peak memory of the services {peak / 1e6:.0f} MB",
        flush=True,
    )
    return shown(books)


def shown(books: Books) -> int:
    """Prints the copy beside the database; how much is wrong."""
    compared, equal = books.compared(), books.digests_are_equal()
    for table, held in compared.items():
        print(f"  {table:18} {held.rows:9,} rows {held.missing:6} missing {held.foreign:6} foreign")
    print(f"  digests of {len(compared)} tables equal: {equal}", flush=True)
    return sum(held.missing + held.foreign for held in compared.values()) + (not equal)


if __name__ == "__main__":
    sys.exit(main())
