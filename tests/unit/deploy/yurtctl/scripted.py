"""A gateway that answers what the test wrote down, and yurtctl called against it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from typer.testing import CliRunner

from deploy.yurtctl.program import yurtctl

TOKEN = "a-token-nobody-may-see"


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    authorization: str | None
    body: Any


@dataclass(frozen=True)
class Ended:
    """What a call of yurtctl left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class ScriptedGateway:
    """`answers`: method and path with query → status, media type and body."""

    url: str = ""
    answers: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, request: str, document: Any, status: int = 200) -> None:
        self.answers[request] = (status, "application/json", json.dumps(document))

    def refuse(self, request: str, status: int, code: str, detail: str, **extra: Any) -> None:
        problem = {"type": f"urn:yurt:{code}", "title": "Title", "status": status, "detail": detail, "code": code}
        self.answers[request] = (status, "application/problem+json", json.dumps(problem | extra))

    def call(self, *arguments: str, stdin: str = "", **environment: str | None) -> Ended:
        """yurtctl in this process, without a terminal; whatever it prints, it never prints the token."""
        env: dict[str, str | None] = {"YURT_URL": self.url, "YURT_OPERATOR_TOKEN": TOKEN, "COLUMNS": "200"}
        result = CliRunner().invoke(yurtctl, list(arguments), prog_name="yurtctl", input=stdin, env=env | environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert TOKEN not in result.output
        return Ended(result.exit_code, result.stdout, result.stderr)


@contextmanager
def scripted_gateway() -> Iterator[ScriptedGateway]:
    """A port of its own; a request that no answer was written for gets 500 without a problem document."""
    gateway = ScriptedGateway()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            body = json.loads(self.rfile.read(length)) if length else None
            gateway.asked.append(Asked(self.command, self.path, self.headers.get("Authorization"), body))
            missing = (500, "text/plain", f"no answer is written for {self.command} {self.path}")
            status, kind, text = gateway.answers.get(f"{self.command} {self.path}", missing)
            self.send_response(status)
            content = text.encode()
            if status != 204:
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content if status != 204 else b"")

        do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815  # names of http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield gateway
        finally:
            server.shutdown()
            serving.join()
