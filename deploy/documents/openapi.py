"""docs/openapi.json: the public doors of the gateway."""

import json

import httpx
from pydantic import SecretStr

from services.sync_gateway.main import create_app
from services.sync_gateway.settings import (
    AllSettings,
    DoorSettings,
    ExchangeSettings,
    HistorySettings,
    OperatorSettings,
    PeerSettings,
)
from shared.messaging.bus import InProcessBus
from shared.runtime.settings import (
    ConnectionSettings,
    ObjectSettings,
    PostgresSettings,
    ServiceSettings,
    TelemetrySettings,
)


def openapi_document() -> str:
    """The document as JSON text. The application is only put together, nothing is opened."""
    settings = AllSettings(
        postgres=PostgresSettings(postgres_url="postgresql://nobody@127.0.0.1/nothing"),
        objects=ObjectSettings(s3_url="http://nobody:nothing@127.0.0.1/nothing"),
        service=ServiceSettings(service_token="of-no-service-at-all"),  # noqa: S106 - opens nothing
        telemetry=TelemetrySettings(trace_file=None, otlp_endpoint=None),
        connections=ConnectionSettings(connection={}),
        peers=PeerSettings(),
        operator=OperatorSettings(operator_token=SecretStr("of-no-operator")),
        exchange=ExchangeSettings(),
        door=DoorSettings(),
        history=HistorySettings(),
    )
    nobody = httpx.AsyncClient(base_url="http://nobody")
    document = create_app(settings, InProcessBus(), provisioning=nobody, licensing=nobody).openapi()
    return json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
