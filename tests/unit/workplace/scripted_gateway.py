"""A gateway of the test's own: real HTTP, the protocol's answers, and whatever faults a test asks for."""

import gzip
import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Lines = list[dict[str, Any]]
# Given the request, answers instead of the gateway; None lets it answer itself.
Fault = Callable[["Request"], "Answer | None"]


@dataclass
class Request:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.body or b"{}"))


@dataclass
class Answer:
    """An answer; `cut` closes the line after that many bytes of the body, `drop` before any."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    drop: bool = False


def problem(status: int, code: str, **extra: Any) -> Answer:
    """A problem document."""
    body = json.dumps({"type": f"urn:yurt:{code}", "title": code, "status": status, "code": code, **extra}).encode()
    return Answer(status, body, {"Content-Type": "application/problem+json"})


def document(status: int, body: dict[str, Any]) -> Answer:
    """A JSON answer."""
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def delta(lines: Lines, *, position: str, reset: bool = False, digests: Any = None, generation: str = "g1") -> bytes:
    """The bytes of a delta."""
    head = {"from": "?", "to": position, "generation": generation, "scope_version": 1, "reset": reset, "estimate": 1}
    body = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in [head, *lines])
    tail = {"end": True, "count": len(lines), "sha256": sha256(body).hexdigest(), "position": position}
    if digests is not None:
        tail["digests"] = digests
    return body + json.dumps(tail).encode() + b"\n"


class Gateway:
    """Stores messages as the protocol says; deltas, refusals and resync are what the test sets."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.messages: dict[int, bytes] = {}
        self.versions: dict[int, str] = {}
        self.results: dict[int, list[dict[str, Any]]] = {}
        self.deltas: list[bytes] = []
        self.opening: dict[str, Any] = {}
        self.problems: Lines = []
        self.faults: list[Fault] = []
        self.token = "t" * 32
        self.password = "secret"
        self.url = ""
        self.exchanges = 0

    @property
    def next_message(self) -> int:
        return max(self.messages, default=0) + 1

    def lines(self, number: int) -> Lines:
        """The aggregates of a stored message."""
        return [json.loads(line) for line in self.messages[number].splitlines()]

    def paths(self) -> list[str]:
        """What was asked, in order."""
        return [f"{request.method} {request.path.removeprefix('/api/v1')}" for request in self.requests]

    def answer(self, request: Request) -> Answer:
        """The answer to a request, a fault's first."""
        self.requests.append(request)
        for fault in self.faults:
            if (told := fault(request)) is not None:
                return told
        path = request.path.removeprefix("/api/v1")
        if path.endswith("/activation"):
            return self._activate(request)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return problem(401, "not_authenticated")
        if (request.method, path) == ("POST", "/exchanges"):
            return self._open(request)
        if found := re.fullmatch(r"/exchanges/\w+/messages/(\d+)", path):
            return self._message(int(found[1]), request)
        if re.match(r"/exchanges/\w+/changes", path):
            return self._changes(request)
        if path.endswith("/completion"):
            return document(200, {"next_exchange_in": 900})
        if "/problems" in path:
            return self._problems(path, request)
        return problem(404, "not_found")

    def _problems(self, path: str, request: Request) -> Answer:
        if path.startswith("/workplaces/"):
            return document(200, {"items": self.problems, "next": None})
        for item in self.problems:
            if path == f"/problems/{item['id']}/comments":
                told = {"text": request.document["text"], "by": "aigul", "at": "2026-01-01T00:00:00.000000Z"}
                item["comments"] = [*item.get("comments", []), told]
                return document(201, item)
        return problem(404, "not_found")

    def _activate(self, request: Request) -> Answer:
        if request.document["password"] != self.password:
            return problem(401, "wrong_credentials")
        return document(200, {"token": self.token, "expires_at": "2027-01-01T00:00:00.000000Z", "position": "p0"})

    def _open(self, request: Request) -> Answer:
        asked = request.document
        if not (self.deltas or self.opening or asked["pending"] or asked["sending"] or asked.get("verify")):
            return document(200, {"idle": True, "position": asked["position"], "next_exchange_in": 900})
        self.exchanges += 1
        last = self.next_message - 1
        standard = {
            "id": f"x{self.exchanges}", "expires_at": "2027-01-01T00:00:00.000000Z", "next_message": last + 1,
            "last_result": self._result(last) if last else None, "schema": None, "resync": None, "backoff": None,
        }  # fmt: skip
        return document(201, standard | self.opening)

    def _message(self, number: int, request: Request) -> Answer:
        expected = f"sha-256=:{b64encode(sha256(request.body).digest()).decode()}:"
        if request.headers.get("content-digest") != expected:
            return problem(400, "digest_mismatch")
        body = gzip.decompress(request.body)
        if number in self.messages:
            if self.messages[number] == body and number == self.next_message - 1:
                return document(200, self._result(number))
            digest = sha256(self.messages[number]).hexdigest()
            last = number == self.next_message - 1
            return problem(409, "message_differs") if last else problem(409, "message_old", digest=digest)
        if number > self.next_message:
            return problem(409, "message_gap", expected=self.next_message)
        self.messages[number] = body
        self.versions[number] = request.headers["yurt-version"]
        return document(200, self._result(number))

    def _result(self, number: int) -> dict[str, Any]:
        body, results = self.messages[number], self.results.get(number, [])
        counts = {name: sum(r["status"] == name for r in results) for name in ("merged", "conflict", "rejected")}
        counts["applied"] = body.count(b"\n") - sum(counts.values())
        return {"message": number, "digest": sha256(body).hexdigest(), "counts": counts, "results": results}

    def _changes(self, request: Request) -> Answer:
        body = self.deltas.pop(0) if self.deltas else delta([], position="p1")
        return Answer(200, gzip.compress(body), {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"})


@contextmanager
def running(gateway: Gateway) -> Iterator[Gateway]:
    """The gateway on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = gateway.answer(Request(self.command, self.path, headers, body))
            if answer.drop:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body if answer.cut is None else answer.body[: answer.cut])
            if answer.cut is not None:
                self.close_connection = True

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the library's names

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the library's name
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
