"""What dead processes leave behind is gone after a while: events, jobs, objects, folders."""

import asyncio
from collections.abc import Iterator
from time import monotonic, sleep

from shared.runtime.objects import Objects
from shared.runtime.settings import ObjectSettings
from tests.chaos.crash_points.service import PATIENCE
from tests.chaos.crash_points.world import World

_SERVICES = ("licensing", "provisioning", "snapshot_builder", "sync_gateway")


def wait_until_gone(world: World) -> None:
    """Returns when nothing is left; AssertionError with what is left when that takes too long."""
    until = monotonic() + PATIENCE
    while left := [*_left(world)]:
        assert monotonic() < until, "\n".join(left)
        sleep(0.2)


def _left(world: World) -> Iterator[str]:
    for service in _SERVICES:
        for (name,) in world.service_sql(service, "SELECT name FROM outbox"):
            yield f"{service}: {name} is not published"
    for package, state in world.service_sql(
        "snapshot_builder", "SELECT package, state FROM jobs WHERE state IN ('waiting', 'running')"
    ):
        yield f"package {package} is {state}"
    for name, state in world.service_sql(
        "provisioning", "SELECT name, state FROM workplaces WHERE state IN ('requested', 'preparing')"
    ):
        yield f"workplace {name} is {state}"
    known = {name for (name,) in world.service_sql("snapshot_builder", "SELECT object FROM base_images")}
    offered = "SELECT object FROM packages WHERE ended_at IS NULL"
    known |= {name for (name,) in world.service_sql("snapshot_builder", offered)}
    for name in asyncio.run(_objects(world)) - known:
        yield f"object {name} is known to nobody"
    for folder in (world.stack.home / "snapshot-builder" / "work").iterdir():
        yield f"work folder {folder.name}"


async def _objects(world: World) -> set[str]:
    return {stored.name async for stored in Objects(ObjectSettings(s3_url=world.store_url)).list("")}
