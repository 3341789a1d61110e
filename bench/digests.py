"""What a proof costs: digests of ROWS rows on both sides, beside cheaper questions to the same rows in the same run.

Needs `YURT_POSTGRES_URL` (a superuser, on this computer). Makes a database with the table `ledger` of the anchors (13
columns), cuts its replica, damages one row of it, and drops everything. Medians of three.
"""

import argparse
import gzip
import hashlib
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from psycopg import Connection

from bench.figures import forget_peak, peak_memory, present_memory
from shared.protocol.digest import table_digests
from shared.replication import capture, delta, image
from shared.replication.digest import service_digests
from shared.replication.history import current_generation, position_of
from shared.replication.manifest import parse
from shared.replication.model import Model, load
from shared.replication.scope import Scope
from shared.replication.session import connect
from workplace.engine.apply import apply
from workplace.engine.replica import Replica
from workplace.engine.spool import Delta

CODE = "ledgers"
ROUNDS = 3
ALL = Scope(None)

SCHEMA = """
CREATE TABLE ledger (
    id bigint PRIMARY KEY, organisation_id uuid NOT NULL, account_id uuid NOT NULL, document_id uuid NOT NULL,
    debit numeric(15, 2) NOT NULL, credit numeric(15, 2) NOT NULL, quantity numeric(12, 3), rate numeric(12, 6),
    line_no integer NOT NULL, posted boolean NOT NULL, entered_on date NOT NULL, note text,
    changed_at timestamptz NOT NULL
)"""
FILL = """
INSERT INTO ledger
SELECT n, md5('o' || n %% 3)::uuid, md5('a' || n %% 500)::uuid, md5('d' || n / 7)::uuid,
       (n * 37 %% 1000000) / 100.0, (n * 91 %% 1000000) / 100.0, n %% 1000 / 8.0,
       CASE WHEN n %% 4 = 0 THEN n %% 977 / 1000.0 END, n %% 7, n %% 5 <> 0,
       date '2020-01-01' + (n %% 2000)::int, 'Проводка № ' || n || ' по договору поставки',
       timestamptz '2020-01-01 00:00+00' + n * interval '61.5 seconds'
FROM generate_series(1, %s) n"""
MANIFEST = """
[configuration]
name = "ledgers"
version = "1.0.0"
title = { en = "Ledgers" }
platform = ">=3.11"
isolation = "database"

[[aggregates]]
table = "ledger"
key = ["id"]
keys = "natural"
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.digests", description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="yurt-bench-") as folder, database() as url, connect(url) as conn:
        conn.execute(SCHEMA)
        conn.execute(FILL, [rows])
        conn.execute("VACUUM ANALYZE ledger")
        model = load(conn, parse(MANIFEST), None)
        capture.install(conn, CODE, model)
        file = Path(folder) / "infobase.db"
        built = image.build(conn, model, ALL, file, lambda *_: None)
        position = position_of(current_generation(conn, CODE), built.snapshot)
        image.personalise(file, {"position": position, "version": "1.0.0", "created_at": None}, {})
        said = conn.execute("SELECT pg_table_size('ledger')").fetchone() or (0,)
        print(f"{rows:,} rows of 13 columns: {said[0] / 1e6:.0f} MB in PostgreSQL, {file.stat().st_size / 1e6:.0f} MB")
        print(f"in SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}; medians of {ROUNDS}\n")
        service(conn, model)
        with Replica(file) as replica:
            workplace(replica.connection)
            return repair(conn, model, replica)


@contextmanager
def database() -> Iterator[str]:
    server_url, name = os.environ["YURT_POSTGRES_URL"], f"yurt_bench_{uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def service(conn: Connection[Any], model: Model) -> None:
    print("the service's side (one PostgreSQL backend)")
    pid = conn.info.backend_pid
    ask(pid, "  COPY of the rows as text, thrown away", lambda: copied(conn))
    ask(pid, "  count, sum(hashtextextended(row as text))", lambda: one(conn, HASHED))
    ask(pid, "  md5 of the ordered dump", lambda: md5_of_the_dump(conn))
    ask(pid, "  digests by table", lambda: service_digests(conn, model, ALL))
    ask(pid, "  digests by bucket", lambda: service_digests(conn, model, ALL, buckets=True))


HASHED = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM ledger t"


def workplace(replica: sqlite3.Connection) -> None:
    print("\nthe workplace's side (one Python process)")
    pid = os.getpid()
    ask(pid, "  every row into Python, thrown away", lambda: sum(1 for _ in replica.execute("SELECT * FROM ledger")))
    ask(pid, "  md5 of the ordered dump", lambda: md5_of_the_replica(replica))
    ask(pid, "  digests by table", lambda: table_digests(replica))
    ask(pid, "  digests by bucket", lambda: table_digests(replica, buckets=True))


def repair(conn: Connection[Any], model: Model, replica: Replica) -> int:
    """One row is damaged: what is stated, what travels, what is written."""
    stated = service_digests(conn, model, ALL)
    equal = table_digests(replica.connection) == stated
    with replica.writing() as file:
        file.execute("INSERT INTO yurt_paused DEFAULT VALUES")
        file.execute("UPDATE ledger SET note = 'damaged' WHERE id = (SELECT max(id) FROM ledger)")
        file.execute("DELETE FROM yurt_paused")
    theirs = service_digests(conn, model, ALL, buckets=True)
    ours = table_digests(replica.connection, buckets=True)
    pairs = zip(theirs["ledger"]["buckets"], ours["ledger"]["buckets"], strict=True)
    differing = [place for place, (there, here) in enumerate(pairs) if there != here]
    print(f"\na repair: one row was damaged, which {len(differing)} of 256 buckets tell")
    for name, document in (("tables", stated), ("buckets", theirs)):
        body = json.dumps(document).encode()
        print(
            f"{'  digests by ' + name + ' on the wire':52} {len(body):8,} bytes, {len(gzip.compress(body)):,} gzipped"
        )
    began = time.perf_counter()
    position = str(replica.get("position"))
    with delta.read(conn, CODE, model, "w1", ALL, ALL, position, repair={"ledger": differing}) as found:
        lines = list(found.lines)
    print(f"{'  the service reads that bucket':52} {time.perf_counter() - began:8.2f} s {len(lines) - 2:13,} lines")
    body = b"".join(lines)
    print(f"{'  it travels whole':52} {len(body):8,} bytes, {len(gzip.compress(body, 1)):,} gzipped")
    with tempfile.TemporaryFile() as file:
        file.write(body)
        received = Delta(file)
        received.prove()
        began = time.perf_counter()
        done = apply(replica, received, schema=None, last_message=0, progress=lambda *_: None)
    print(f"{'  the workplace compares and writes':52} {time.perf_counter() - began:8.2f} s", end="")
    print(f" {done.unchanged:,} left alone, {sum(done.put.values())} written, found {done.found}")
    repaired = table_digests(replica.connection) == service_digests(conn, model, ALL)
    print(f"{'  equal before, and after the repair':52} {equal!s:>8}, {repaired}")
    return 0 if equal and repaired and len(differing) == 1 else 1


def ask(pid: int, name: str, question: Callable[[], object]) -> None:
    """Prints the median time of a question, and how much memory the process `pid` took for it."""
    before, taken = present_memory(pid), []
    forget_peak(pid)
    for _ in range(ROUNDS):
        began = time.perf_counter()
        question()
        taken.append(time.perf_counter() - began)
    grown = (peak_memory(pid) - before) / 1e6
    spread = f"[{min(taken):.2f}–{max(taken):.2f}]"
    print(f"{name:52} {statistics.median(taken):8.2f} s {spread:>16} {grown:+8.1f} MB", flush=True)


def one(conn: Connection[Any], query: str) -> object:
    return conn.execute(query.encode()).fetchone()


def copied(conn: Connection[Any]) -> int:
    with conn.cursor().copy("COPY ledger TO STDOUT") as rows:
        return sum(len(piece) for piece in rows)


def md5_of_the_dump(conn: Connection[Any]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with conn.cursor().copy("COPY (SELECT * FROM ledger ORDER BY id) TO STDOUT") as rows:
        for piece in rows:
            digest.update(piece)
    return digest.hexdigest()


def md5_of_the_replica(replica: sqlite3.Connection) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for row in replica.execute("SELECT * FROM ledger ORDER BY id"):
        digest.update(repr(row).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
