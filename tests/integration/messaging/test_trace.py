"""One trace leads from the transaction that recorded an event into the handler of another service, and on."""

import json
from pathlib import Path
from typing import Any

from opentelemetry.trace import SpanKind
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.messaging.bus import Bus
from shared.messaging.outbox import record
from shared.runtime import telemetry
from shared.runtime.settings import TelemetrySettings
from tests.integration.messaging.events import LampLit, LampSold
from tests.integration.messaging.service import Service


async def test_the_trace_goes_through_outbox_bus_and_handlers(
    bus: Bus, lamps: Service, shop: Service, tmp_path: Path
) -> None:
    async def sell(session: AsyncSession, event: LampLit) -> None:
        await record(session, LampSold(lamp=event.lamp))

    file = tmp_path / "spans.jsonl"
    services = [telemetry.setup(name, TelemetrySettings(trace_file=file)) for name in ("lamps", "shop")]
    await bus.start(lamps.name, lamps.sessions, [lamps.subscribe("count", LampSold)])
    await bus.start(shop.name, shop.sessions, [shop.subscribe("light", LampLit, sell)])
    async with lamps.relay(bus).running(), shop.relay(bus).running():
        with telemetry.continued("lamps", "request", SpanKind.SERVER, {}, {}):
            await lamps.record(LampLit(lamp="a"))
        await lamps.until_effects(1)
        await shop.until_published()
    await bus.close()
    for service in services:
        service.close()

    spans: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    assert len({span["trace"] for span in spans}) == 1
    by_id = {span["span"]: span for span in spans}
    (last,) = (span for span in spans if span["name"] == "count lamps.lamp_sold.v1")
    way = [last]
    while way[-1]["parent"]:
        way.append(by_id[way[-1]["parent"]])
    assert [(span["service"], span["kind"], span["name"]) for span in reversed(way)] == [
        ("lamps", "server", "request"),
        ("lamps", "producer", "publish lamps.lamp_lit.v1"),
        ("shop", "consumer", "light lamps.lamp_lit.v1"),
        ("shop", "producer", "publish lamps.lamp_sold.v1"),
        ("lamps", "consumer", "count lamps.lamp_sold.v1"),
    ]
    assert "lamp" not in {key for span in spans for key in span["attributes"]}, "no bodies in spans"


async def test_a_service_without_tracing_passes_the_trace_on(bus: Bus, lamps: Service, shop: Service) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    seen: list[str] = []

    async def note(_: AsyncSession, event: LampLit) -> None:
        seen.append(telemetry.inject()["traceparent"])

    await bus.start(lamps.name, lamps.sessions, [])
    await bus.start(shop.name, shop.sessions, [shop.subscribe("light", LampLit, note)])
    async with lamps.relay(bus).running():
        with telemetry.continued("lamps", "request", SpanKind.SERVER, {"traceparent": given}, {}):
            await lamps.record(LampLit(lamp="a"))
        await shop.until_effects(1)
    assert seen == [given]
