"""A bad line between a workplace and the gateway: HTTP as it is lost, cut, doubled and late on real networks."""

import re
import socket
import socketserver
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

# What may befall one request. `late`: the client hears nothing, and the request arrives after the following one.
FAULTS = ("lose_request", "lose_reply", "cut_request", "cut_reply", "double", "late")

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PATIENCE = 60.0


class Line(socketserver.ThreadingTCPServer):
    """Forwards a free local port to the gateway, one request per connection, as the program makes them.

    `plan` says what befalls the next requests, one after the other; None and whatever comes after it pass.
    """

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        parts = urlsplit(url)
        self.target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.befell: Counter[str] = Counter()
        self._plan: deque[str | None] = deque()
        self._late: list[bytes] = []
        self._deciding = threading.Lock()

    def plan(self, faults: Sequence[str | None]) -> None:
        """What is to befall the next requests."""
        with self._deciding:
            self._plan = deque(faults)

    def decide(self) -> str | None:
        """What befalls the request that came just now."""
        with self._deciding:
            fault = self._plan.popleft() if self._plan else None
            if fault:
                self.befell[fault] += 1
            return fault

    def hold(self, request: bytes) -> None:
        """The request is on a long way."""
        with self._deciding:
            self._late.append(request)

    def deliver_late_ones(self) -> None:
        """What was on a long way arrives; nobody hears the answers."""
        with self._deciding:
            arriving, self._late = self._late, []
        for request in arriving:
            self.ask(request)

    def ask(self, request: bytes, *, whole: bool = True) -> bytes:
        """The gateway's answer; a request that is not whole ends in its middle and has none."""
        with socket.create_connection(self.target, timeout=_PATIENCE) as gateway:
            with suppress(ConnectionError):
                gateway.sendall(request)
                if not whole:
                    gateway.shutdown(socket.SHUT_WR)
            answer = bytearray()
            with suppress(ConnectionError):
                while piece := gateway.recv(1 << 16):
                    answer += piece
            return bytes(answer)


class _Connection(socketserver.BaseRequestHandler):
    server: Line

    def handle(self) -> None:
        request = self._read()
        if not request:
            return
        fault = self.server.decide()
        self.server.deliver_late_ones()
        if fault == "lose_request":
            return
        if fault == "late":
            self.server.hold(request)
            return
        if fault == "cut_request":
            self.server.ask(request[: len(request) * 2 // 3], whole=False)
            return
        answer = self.server.ask(request)
        if fault == "double":
            answer = self.server.ask(request)
        if fault == "lose_reply":
            return
        if fault == "cut_reply":
            answer = answer[: len(answer) * 2 // 3]
        with suppress(ConnectionError):
            self.request.sendall(answer)

    def _read(self) -> bytes:
        request = bytearray()
        self.request.settimeout(_PATIENCE)
        while b"\r\n\r\n" not in request:
            piece = self.request.recv(1 << 16)
            if not piece:
                return b""
            request += piece
        head, _, body = bytes(request).partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        missing = (int(length[1]) if length else 0) - len(body)
        while missing > 0:
            piece = self.request.recv(1 << 16)
            if not piece:
                return b""
            request += piece
            missing -= len(piece)
        return bytes(request)


@contextmanager
def bad_line(url: str) -> Iterator[Line]:
    """A line that forwards as long as one is inside."""
    with Line(url) as line:
        forwarding = threading.Thread(target=line.serve_forever, kwargs={"poll_interval": 0.05})
        forwarding.start()
        try:
            yield line
        finally:
            line.shutdown()
            forwarding.join()
