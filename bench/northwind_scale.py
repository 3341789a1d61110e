"""Northwind multiplied, through the whole system: how long, how big, how much memory.

A bare COPY of the same rows to a file stands beside the snapshot as the other side: the machine's own pace.
Needs NORTHWIND_SQL (default ../shared/data/northwind/northwind.sql). Embedded servers, one computer, loopback only.
"""

import argparse
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench.figures import peak_memories, timed
from deploy.demo.cloud import ROOT, fill
from deploy.demo.computer import Computer
from deploy.demo.doors import Operator, Person
from deploy.demo.plot import read_plot
from deploy.demo.told_digests import service_digests
from deploy.stack.settings import StackSettings
from deploy.stack.stack import Stack

PLOT = read_plot("northwind")
PASSWORD = "northwind-in-bulk-42"
MOVED = 10_000


def widen(stack: Stack, orders: int) -> str:
    """The demonstration's Northwind with `orders` orders; its URL."""
    fill(stack, PLOT)
    url = stack.database_url(stack.demo_database("northwind"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT set_config('yurt.orders', %s, false)", [str(orders)])
        connection.execute((ROOT / "applications" / "northwind" / "widen.sql").read_bytes())
        connection.execute("ANALYZE")
    return url


def copy_out(url: str, folder: Path) -> None:
    """The other side: every row of every table as PostgreSQL's text, to a file."""
    with psycopg.connect(url) as connection, (folder / "rows.txt").open("wb") as file:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            with connection.cursor().copy(f'COPY public."{table}" TO STDOUT'.encode()) as rows:
                for piece in rows:
                    file.write(piece)


def attach(stack: Stack, operator: Operator) -> Person:
    terms = {
        "name": PLOT.subscriber,
        "plan": "prof",
        "extra_seats": 0,
        "valid_until": "2099-12-31",
        "local_licence": True,
    }
    operator.put(f"subscribers/{PLOT.code}", terms)
    manifest = (ROOT / "applications" / "northwind" / "manifest.toml").read_text(encoding="utf-8")
    document = {"subscriber": PLOT.code, "title": PLOT.title, "manifest": manifest, "connection": PLOT.connection}
    operator.put(f"applications/{PLOT.code}", document)
    user = {"full_name": PLOT.administrator, "role": "administrator", "password": PASSWORD}
    operator.put(f"applications/{PLOT.code}/users/bulk@northwind", user)
    return Person(stack.url, "bulk@northwind", PASSWORD)


def create(person: Person) -> dict[str, Any]:
    workplace = person.call("POST", f"applications/{PLOT.code}/workplaces", {})
    for state in person.follow(workplace["id"]):
        workplace = state
    if workplace["state"] != "ready":
        raise SystemExit(f"the workplace is {workplace['state']}: {workplace['reason']}")
    return workplace


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.northwind_scale", description=__doc__)
    parser.add_argument("orders", type=int, nargs="?", default=100_000)
    orders = parser.parse_args().orders
    with tempfile.TemporaryDirectory(prefix="yurt-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        settings = StackSettings(home=folder / "yurt", port=0)
        with Stack(settings, say=print) as stack, Operator(stack.url, stack.operator_token) as operator:
            measure(stack, operator, folder, orders)
    return 0


def measure(stack: Stack, operator: Operator, folder: Path, orders: int) -> None:
    url = widen(stack, orders)
    person = attach(stack, operator)
    before = peak_memories(stack)
    print(f"\n{orders:,} orders; {psutil.cpu_count()} cores\n")
    timed("bare COPY of all rows to a file", lambda: copy_out(url, folder))
    workplace = timed("create a workplace, request to ready (cold)", lambda: create(person))
    package = workplace["package"]
    after = peak_memories(stack)
    print(f"{'package':58} {package['size'] / 1e6:8.1f} MB")
    for service, peak in after.items():
        grown = (peak - before[service]) / 1e6
        print(f"{'peak memory of ' + service:58} {peak / 1e6:8.1f} MB ({grown:+.1f} by the build)")
    timed("create a second workplace (warm)", lambda: create(person))
    file = folder / "package.zip"
    timed("download", lambda: person.download_part(workplace["id"], file))
    computer = Computer(folder / "workplace", folder / "computer")
    computer.unzip(file)
    sign_in = ("--login", "bulk@northwind", "--password-stdin")
    timed(
        "first synchronisation (activation, nothing to do)",
        lambda: computer.run("sync", *sign_in, typed=PASSWORD + "\n"),
    )
    moved = min(MOVED, orders)
    with closing(sqlite3.connect(computer.replica)) as replica, replica:
        timed(
            f"edit {moved:,} orders offline (capture on)",
            lambda: replica.execute(
                "UPDATE orders SET ship_name = 'offline ' || order_id WHERE order_id IN"
                " (SELECT order_id FROM orders ORDER BY order_id LIMIT ?)",
                [moved],
            ),
        )
    timed(f"push {moved:,} orders (freeze to completion)", lambda: print(computer.run("sync").strip()))
    with psycopg.connect(url, autocommit=True) as connection:
        timed(
            f"edit {moved:,} orders in the cloud (capture on)",
            lambda: connection.execute(
                "UPDATE orders SET freight = freight + 1 WHERE order_id IN"
                " (SELECT order_id FROM orders ORDER BY order_id LIMIT %s)",
                [moved],
            ),
        )
    timed(f"pull {moved:,} orders (opening to completion)", lambda: print(computer.run("sync").strip()))
    there = timed(
        "digests of all tables, both sides", lambda: (service_digests(stack.url, computer), computer.digests())
    )
    print(f"{'digests equal':58} {there[0] == there[1]!s:>8}")


if __name__ == "__main__":
    sys.exit(main())
