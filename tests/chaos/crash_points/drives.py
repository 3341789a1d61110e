"""What is done until a point is reached, and after it until all is done: one function for each way."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from uuid import uuid4

from tests.chaos.crash_points import bazaar, launcher, oracle
from tests.chaos.crash_points.branch import Branch
from tests.chaos.crash_points.service import PATIENCE
from tests.chaos.crash_points.strikes import Point
from tests.chaos.crash_points.world import LOGIN, PASSWORD, World

ROOT = Path(__file__).parent.parent.parent.parent
DONE, PROBLEMS_CAME_BACK = 0, 3


class NotReached(AssertionError):
    """Nobody was killed: the point was not passed. Such a run proves nothing."""


def kill_once(world: World, point: Point) -> None:
    """One kill at the point under load, everything tried again until it is done, and the oracle asked."""
    DRIVES[point.drive](world, point)
    oracle.settle(world)


def exchange(world: World, point: Point) -> None:
    """All workplaces exchange at once while the cloud is written to; and once more, with a small change to bring."""
    _work(world)
    with _killed(world, point):
        with world.busy_cloud():
            world.exchange()
        if not world.stack.service.struck():
            world.exchange()  # what the others sent meanwhile
        if not world.stack.service.struck():
            world.sql("UPDATE items SET price = price + 1 WHERE id = 1")
            world.exchange()


def signing_in(world: World, point: Point) -> None:
    """As `exchange`; the workplaces have no token any more."""
    for branch in world.branches:
        branch.forget_token()
    exchange(world, point)


def decision(world: World, point: Point) -> None:
    """A conflict is decided for the workplace, while the others exchange."""
    branch = world.branches[0]
    _work(world)
    shared = list(bazaar.SHARED.values())
    world.sql("UPDATE orders SET note = 'cloud ' || gen_random_uuid() WHERE id = ANY(%s::uuid[])", shared)
    branch.exchange()
    disputed = [edit for edit in branch.edits if edit.turn == branch.turn and edit.kind == "shared"]
    [(problem,)] = world.sql(
        "SELECT id::text FROM yurt.problems WHERE workplace = %s AND pushed->'row'->>'note' = %s",
        branch.identity,
        disputed[-1].note,
    )
    with _killed(world, point), world.busy_cloud():
        others = world.pool.submit(world.exchange, world.branches[1:])
        path = f"problems/{problem}/resolution"
        world.insist(world.person.http, "POST", path, {"choice": "rejected"}, done=["already_resolved"])
        others.result(PATIENCE)
    [decided] = world.sql("SELECT state, in_force, resolved_by FROM yurt.problems WHERE id = %s", problem)
    assert decided == ("rejected", "workplace", LOGIN)
    assert world.sql("SELECT count(*) FROM journal WHERE note = %s", disputed[-1].note) == [(1,)]
    world.exchange()


def retention(world: World, point: Point) -> None:
    """The history is shortened every second anyway."""
    _work(world)
    deaths = world.stack.service.deaths
    with _killed(world, point), world.busy_cloud():
        world.exchange()
        world.stack.service.wait_for_death(deaths + 1)
        world.exchange()


def creation(world: World, point: Point) -> None:
    """A workplace is created, used once and deleted, while the others exchange."""
    _created_and_ended(world, at_creation=point)


def ending(world: World, point: Point) -> None:
    """As a creation; the kill comes when the workplace is deleted."""
    _created_and_ended(world, at_ending=point)


def reissue(world: World, point: Point) -> None:
    """A workplace moves to another computer: the former one uploads, the new one goes on from its package."""
    _work(world)
    branch, *others = world.branches
    with _killed(world, point), world.busy_cloud():
        load = world.pool.submit(world.exchange, others)
        world.insist(world.person.http, "POST", f"workplaces/{branch.identity}/reissue")
        load.result(PATIENCE)
        _wait_for_point(world, point)
    workplace = world.packaged(branch.identity)
    assert branch.exchange().resync == "reissued"
    branch.former = oracle.problems_of(world, branch)
    branch.computer = world.download(workplace)
    branch.exchange()


def upgrade(world: World, point: Point) -> None:
    """The application gets another version while replicas hold unsent edits in the words of the former one."""
    _work(world)
    with _killed(world, point):
        _next_version(world)
        world.exchange()


def restore(world: World, point: Point) -> None:
    """The operator declares a restore: every workplace uploads and gets its scope again."""
    _work(world)
    with _killed(world, point), world.busy_cloud():
        _declare_restored(world)
        world.exchange()


def activation(world: World, point: Point) -> None:
    """The program has to sign in."""
    world.branches[0].forget_token()
    program(world, point)


def program(world: World, point: Point) -> None:
    """The program of one workplace is killed in its exchange, edits go on, and it is run again; the others exchange."""
    _work(world)
    with world.busy_cloud():
        _program_killed(world, point)


def program_repair(world: World, point: Point) -> None:
    """As `program`, in the exchange that repairs a replica which lost rows and has others by nobody's edit."""
    victim = world.branches[0]
    victim.damage()
    assert victim.exchange(prove=True).differing
    program(world, point)


def program_upgrade(world: World, point: Point) -> None:
    """As `program`, in the exchange that brings another version of the application."""
    _work(world)
    _next_version(world)
    _program_killed(world, point)


def program_restore(world: World, point: Point) -> None:
    """As `program`, in the exchange after a restore."""
    _work(world)
    with world.busy_cloud():
        _declare_restored(world)
        _program_killed(world, point)


def _work(world: World) -> None:
    for branch in world.branches:
        branch.work()
        branch.use_up_keys()


@contextmanager
def _killed(world: World, point: Point) -> Iterator[None]:
    """Inside, the service is killed at the point; afterwards it serves again. NotReached."""
    service = world.stack.service
    deaths = service.deaths
    service.arm(point)
    yield
    if not service.struck():
        service.disarm()
        raise NotReached(f"{point.name}: {point.at} was not passed")
    assert service.wait_for_death(deaths + 1), "the point was reached, but the service did not die"
    service.wait_until_serving()


def _created_and_ended(world: World, at_creation: Point | None = None, at_ending: Point | None = None) -> None:
    _work(world)
    seats = world.seats()
    name = f"New {uuid4()}"
    with world.busy_cloud():
        load = world.pool.submit(world.exchange)
        with _killed(world, at_creation) if at_creation else _unharmed():
            made = world.create(name, random_firms())
            assert made["state"] == "ready", made["reason"]
            _wait_for_point(world, at_creation)
        assert world.seats() == seats + 1
        branch = world.install(made)
        branch.work()
        assert branch.exchange(prove=True).verified is True
        load.result(PATIENCE)
        with _killed(world, at_ending) if at_ending else _unharmed():
            world.insist(world.person.http, "DELETE", f"workplaces/{made['id']}", done=["workplace_deleted"])
            _wait_for_point(world, at_ending)
    world.wait_until_deleted(made["id"])
    assert world.seats() == seats
    assert world.service_sql("provisioning", "SELECT count(*) FROM workplaces WHERE name = %s", name) == [(1,)]
    complaints = [*oracle.notes_of_branch(world, branch)]
    assert not complaints, complaints


def _wait_for_point(world: World, point: Point | None) -> None:
    """Events take their time, the answer to the person may be there before they are settled."""
    if point is not None:
        world.stack.service.wait_for_death(world.stack.service.armed_at_death + 1)


@contextmanager
def _unharmed() -> Iterator[None]:
    yield


def random_firms() -> tuple[str, ...] | None:
    """What a new workplace takes with it."""
    return None if uuid4().int % 2 else (bazaar.FIRMS[uuid4().int % len(bazaar.FIRMS)],)


def _next_version(world: World) -> None:
    world.number += 1
    world.sql(bazaar.ALTERATIONS[world.number % len(bazaar.ALTERATIONS)])
    world.attach()


def _declare_restored(world: World) -> None:
    path = f"/operator/v1/applications/{bazaar.CODE}/restored"
    world.insist(world.operator.http, "POST", path)


def _program_killed(world: World, point: Point) -> None:
    victim, *others = world.branches
    load = world.pool.submit(world.exchange, others)
    code = _run_program(victim, point)
    if code != -signal.SIGKILL:
        raise NotReached(f"{point.name}: {point.at} was not passed, the program ended with {code}")
    victim.note_again()
    load.result(PATIENCE)
    until = monotonic() + PATIENCE
    while _run_program(victim, None) not in {DONE, PROBLEMS_CAME_BACK}:
        assert monotonic() < until, "the program does not get through any more"


def _run_program(branch: Branch, point: Point | None) -> int:
    """Exit code of the workplace's program in a process of its own, killed at the point if there is one."""
    started = [launcher.__name__, point.name, str(point.nth), "--"] if point else []
    command = [sys.executable, "-m", *started, "workplace.terminal", "--lang", "en", *branch.program()]
    env = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(ROOT),
        "YURT_CONFIG_HOME": str(branch.computer.settings),
        "YURT_FOLDER": str(branch.computer.folder),
    }
    told = subprocess.run(
        command, input=f"{PASSWORD}\n", cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    return told.returncode


DRIVES: dict[str, Callable[[World, Point], None]] = {
    "exchange": exchange,
    "signing in": signing_in,
    "decision": decision,
    "retention": retention,
    "creation": creation,
    "ending": ending,
    "reissue": reissue,
    "upgrade": upgrade,
    "restore": restore,
    "activation": activation,
    "program": program,
    "program repair": program_repair,
    "program upgrade": program_upgrade,
    "program restore": program_restore,
}
