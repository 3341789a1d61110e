"""The generator of accounting_kz: how long it takes for so many documents, what memory, how many rows.

On a PostgreSQL of its own from the wheel; nothing of Yurt but that is in it.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import psutil
import psycopg

from bench.figures import peak_memory, timed
from deploy.demo.cloud import sources
from deploy.demo.plot import read_plot
from deploy.servers.postgres import WheelPostgres


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.accounting_generator", description=__doc__)
    parser.add_argument("documents", type=int, nargs="?", default=1_000_000)
    documents = parser.parse_args().documents
    with tempfile.TemporaryDirectory(prefix="yurt-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = WheelPostgres(folder / "postgres").start()
        try:
            print(f"{server}\n{documents:,} documents; {psutil.cpu_count()} cores\n")
            with psycopg.connect(server.url, autocommit=True) as connection:
                measure(connection, documents)
        finally:
            server.stop()
    return 0


def measure(connection: psycopg.Connection[tuple[int]], documents: int) -> None:
    for file in sources(read_plot("accounting_kz")):
        connection.execute(file.read_bytes())
    connection.add_notice_handler(lambda notice: print(f"  {notice.message_primary}"))
    query = "SELECT generate(%s, 3, 1, 2)"
    timed(f"generate({documents:,}, 3 organisations, seed 1, 2 areas)", lambda: connection.execute(query, [documents]))
    memory = peak_memory(connection.info.backend_pid)
    print(f"{'peak memory of its process, shared buffers included':58} {memory / 1e6:8.1f} MB")
    (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
    print(f"{'the database':58} {size / 1e6:8.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
