"""A program killed between any two steps of an exchange; the next one continues."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.workplace.scripted_gateway import Answer, Gateway, delta
from tests.unit.workplace.test_pull import order
from tests.unit.workplace.test_push import edit_customers, keys, sync
from workplace.engine.replica import Replica
from workplace.engine.service import Service
from workplace.engine.unsent import count_unsent

_PROGRAM = """
import os, sys
from pathlib import Path
from workplace.engine.exchange import synchronise
from workplace.engine.home import InternetAccess
from workplace.engine.replica import Replica
from workplace.engine.service import Service

left = int(sys.argv[3])
def die(step, done, total):
    global left
    left -= 1
    if left < 0:
        os._exit(9)  # as kill -9: nothing is closed, nothing is rolled back

replica = Replica(Path(sys.argv[1]))
synchronise(replica, Service(sys.argv[2], InternetAccess(proxy="none"), sys.argv[4]), "me", die)
"""


def killed(path: Path, gateway: Gateway, step: int) -> None:
    """An exchange ended as by kill -9 at its `step`-th sign of progress, unless it was over before."""
    command = [sys.executable, "-c", _PROGRAM, str(path), gateway.url, str(step), gateway.token]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode in {0, 9}, ended.stderr


@pytest.mark.parametrize("step", range(9))
def test_a_kill_loses_and_doubles_nothing(path: Path, service: Service, gateway: Gateway, step: int) -> None:
    changes = delta([order("o1", "theirs", "l1")], position="p5")
    gateway.deltas = [changes, changes]
    with Replica(path) as replica:
        edit_customers(replica, 4)
    killed(path, gateway, step)
    with Replica(path) as replica:
        assert replica.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        sync(replica, service)
        assert count_unsent(replica.connection) == 0
        assert replica.get("position") == "p5"
        assert replica.connection.execute("SELECT note FROM orders WHERE id = 'o1'").fetchone() == ("theirs",)
        assert replica.connection.execute("SELECT count(*) FROM yurt_paused").fetchone() == (0,)
    sent = [key for number in sorted(gateway.messages) for key in keys(gateway, number)]
    assert sent == ["c0", "c1", "c2", "c3"]


@pytest.mark.parametrize("step", range(9))
def test_a_kill_on_the_way_to_another_version_leaves_the_one_or_the_other(
    path: Path, service: Service, gateway: Gateway, step: int
) -> None:
    sql = (
        "ALTER TABLE orders RENAME COLUMN note TO remark;\n"
        "UPDATE yurt_columns SET column_name = 'remark' WHERE table_name = 'orders' AND column_name = 'note';\n"
        "UPDATE yurt_workplace SET value = '\"2.0.0\"' WHERE key = 'version';\n"
    )
    gateway.opening = {"schema": {"version": "2.0.0", "url": "/api/v1/schemas/2"}}
    told = Answer(200, sql.encode())
    gateway.faults += [lambda request: told if request.path.endswith("/schemas/2") else None] * 2
    theirs = order("o1", "theirs", "l1")
    theirs["row"]["remark"] = theirs["row"].pop("note")
    changes = delta([theirs], position="p5")
    gateway.deltas = [changes, changes]
    with Replica(path) as replica:
        edit_customers(replica, 4)
    killed(path, gateway, step)
    with Replica(path) as replica:
        upgraded = replica.get("version") == "2.0.0"
        assert upgraded == (replica.get("position") == "p5"), "schema and delta are one transaction"
        assert upgraded == ("remark" in replica.layout["orders"].root.by_name)
        if upgraded:
            gateway.opening = {}
        sync(replica, service)
        assert (replica.get("version"), replica.get("position")) == ("2.0.0", "p5")
        assert replica.connection.execute("SELECT remark FROM orders WHERE id = 'o1'").fetchone() == ("theirs",)
        assert count_unsent(replica.connection) == 0
        assert replica.connection.execute("SELECT count(*) FROM yurt_paused").fetchone() == (0,)
    sent = [key for number in sorted(gateway.messages) for key in keys(gateway, number)]
    assert sent == ["c0", "c1", "c2", "c3"]
