"""A program killed between any two steps of an exchange; the next one continues."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.workplace.scripted_gateway import Gateway, delta
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


@pytest.mark.parametrize("step", range(9))
def test_a_kill_loses_and_doubles_nothing(path: Path, service: Service, gateway: Gateway, step: int) -> None:
    changes = delta([order("o1", "theirs", "l1")], position="p5")
    gateway.deltas = [changes, changes]
    with Replica(path) as replica:
        edit_customers(replica, 4)
    command = [sys.executable, "-c", _PROGRAM, str(path), gateway.url, str(step), gateway.token]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode in {0, 9}, ended.stderr
    with Replica(path) as replica:
        assert replica.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        sync(replica, service)
        assert count_unsent(replica.connection) == 0
        assert replica.get("position") == "p5"
        assert replica.connection.execute("SELECT note FROM orders WHERE id = 'o1'").fetchone() == ("theirs",)
        assert replica.connection.execute("SELECT count(*) FROM yurt_paused").fetchone() == (0,)
    sent = [key for number in sorted(gateway.messages) for key in keys(gateway, number)]
    assert sent == ["c0", "c1", "c2", "c3"]
