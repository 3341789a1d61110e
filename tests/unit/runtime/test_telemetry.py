import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.trace import SpanKind

from shared.runtime import telemetry
from shared.runtime.settings import TelemetrySettings

WRITER = """
import sys
from opentelemetry.trace import SpanKind
from shared.runtime import telemetry
from shared.runtime.settings import TelemetrySettings

name, file = sys.argv[1:]
tracing = telemetry.setup(name, TelemetrySettings(trace_file=file))
for n in range(500):
    with telemetry.continued(name, "x" * (n % 300), SpanKind.INTERNAL, {}, {"n": n, "text": "ы" * 500}):
        pass
tracing.close()
"""


def spans(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_several_processes_share_a_trace_file_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, f"w{n}", str(file)]) for n in range(4)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0, 0]
    found = spans(file)
    assert len(found) == 2000
    assert {span["service"] for span in found} == {"w0", "w1", "w2", "w3"}


async def test_services_in_one_process_keep_their_names_and_one_trace(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    settings = TelemetrySettings(trace_file=file)
    caller, called = telemetry.setup("caller", settings), telemetry.setup("called", settings)
    app = FastAPI()

    @app.get("/x")
    async def x() -> str:
        return telemetry.inject()["traceparent"]

    @app.get("/health/live")
    async def live() -> None:
        return None

    called.instrument(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://called") as client:
        caller.instrument_client(client)
        with telemetry.continued("caller", "work", SpanKind.INTERNAL, {}, {}):
            await client.get("/x")
        await client.get("/health/live")
    caller.close()
    called.close()
    asked, call, work = (span for span in spans(file) if "health" not in str(span["attributes"]))
    assert (asked["service"], asked["name"], asked["parent"]) == ("called", "GET /x", call["span"])
    assert (call["service"], call["kind"], call["parent"]) == ("caller", "client", work["span"])
    assert asked["trace"] == call["trace"] == work["trace"]
    assert [span for span in spans(file) if span["service"] == "called"] == [asked], "health checks leave no spans"


def test_an_error_leaves_its_type_and_not_its_message(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    tracing = telemetry.setup("lamps", TelemetrySettings(trace_file=file))
    with (
        pytest.raises(ValueError, match="secret"),
        telemetry.continued("lamps", "work", SpanKind.INTERNAL, {}, {}),
    ):
        raise ValueError("secret")
    tracing.close()
    (span,) = spans(file)
    assert span["failed"]
    assert "ValueError" in str(span["attributes"])
    assert "secret" not in file.read_text()


def test_without_settings_nothing_is_recorded_and_the_context_passes(tmp_path: Path) -> None:
    tracing = telemetry.setup("silent", TelemetrySettings())
    given = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    with telemetry.continued("silent", "work", SpanKind.INTERNAL, given, {}):
        assert telemetry.inject() == given
    assert telemetry.inject() == {}
    tracing.close()


def test_a_closed_service_records_nothing_more(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    telemetry.setup("gone", TelemetrySettings(trace_file=file)).close()
    with telemetry.continued("gone", "work", SpanKind.INTERNAL, {}, {}):
        pass
    assert spans(file) == []
