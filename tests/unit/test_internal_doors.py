"""The doors between the services: all but health ask for the service token, before anything else is looked at."""

from collections.abc import Callable
from pathlib import Path

import httpx
from fastapi import FastAPI

from services.licensing import main as licensing
from services.licensing.settings import AllSettings as LicensingSettings
from services.licensing.settings import LicensingSettings as Terms
from services.provisioning import main as provisioning
from services.provisioning.settings import AllSettings as ProvisioningSettings
from services.provisioning.settings import LoginSettings, WatchdogSettings
from services.snapshot_builder import main as snapshot_builder
from services.snapshot_builder.settings import BuilderSettings, SnapshotBuilderSettings
from shared.messaging.bus import InProcessBus
from shared.runtime.settings import (
    ConnectionSettings,
    ObjectSettings,
    PostgresSettings,
    ServiceSettings,
    TelemetrySettings,
)
from tests.integration.sync_gateway.stand import code

TOKEN = "a-service-token-of-the-tests"
WRONG = [
    "",
    TOKEN,
    "Bearer",
    "Bearer ",
    f"Basic {TOKEN}",
    f"Bearer {TOKEN[:-1]}",
    f"Bearer {TOKEN}x",
    "Bearer yurt_s_x",
]


def services() -> dict[str, FastAPI]:
    """Put together only: nothing is opened, so whatever passes the door finds no database behind it."""
    postgres = PostgresSettings(postgres_url="postgresql://nobody@127.0.0.1/nothing")
    service, telemetry = ServiceSettings(service_token=TOKEN), TelemetrySettings()
    nobody = httpx.AsyncClient(base_url="http://nobody")
    builder = SnapshotBuilderSettings(
        postgres,
        ObjectSettings(s3_url="http://nobody:nothing@127.0.0.1/nothing"),
        service,
        telemetry,
        ConnectionSettings(connection={}),
        BuilderSettings(public_url="http://nobody", program_dir=Path("nowhere")),
    )
    return {
        "licensing": licensing.create_app(LicensingSettings(postgres, service, telemetry, Terms()), InProcessBus()),
        "provisioning": provisioning.create_app(
            ProvisioningSettings(postgres, service, telemetry, LoginSettings(), WatchdogSettings()), InProcessBus()
        ),
        "snapshot-builder": snapshot_builder.create_app(builder, InProcessBus(), nobody),
    }


async def test_without_the_service_token_no_door_between_the_services_opens(
    record_property: Callable[[str, object], None],
) -> None:
    tried, opened = 0, []
    for name, app in services().items():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{name}") as client:
            doors = [(m, path) for path, methods in app.openapi()["paths"].items() for m in methods]
            assert [path for _, path in doors if path.startswith("/health")] == ["/health/live", "/health/ready"]
            for method, path in doors:
                if path.startswith("/health"):
                    continue
                for header in WRONG:
                    answer = await client.request(method, path, headers={"Authorization": header} if header else {})
                    tried += 1
                    if answer.status_code != 401 or code(answer) != (401, "not_authenticated"):
                        opened.append((name, method, path, header, answer.status_code))
    assert opened == []
    record_property("calls between services refused", f"{tried} of {tried}")
