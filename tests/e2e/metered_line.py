"""A line between a workplace and the gateway that counts what passes."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class MeteredLine(socketserver.ThreadingTCPServer):
    """Forwards a free local port to the host of `url`; `up` and `down` are the bytes that passed so far."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        parts = urlsplit(url)
        self.target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.up = 0
        self.down = 0
        self._counting = threading.Lock()

    def count(self, *, up: int = 0, down: int = 0) -> None:
        """Add to the bytes that passed."""
        with self._counting:
            self.up += up
            self.down += down


class _Connection(socketserver.BaseRequestHandler):
    server: MeteredLine

    def handle(self) -> None:
        with socket.create_connection(self.server.target) as gateway:
            uploading = threading.Thread(target=self._upload, args=(gateway,))
            uploading.start()
            with suppress(ConnectionError):
                while piece := gateway.recv(1 << 16):
                    self.server.count(down=len(piece))
                    self.request.sendall(piece)
            self._end(self.request)
            uploading.join()

    def _upload(self, gateway: socket.socket) -> None:
        with suppress(ConnectionError):
            while piece := self.request.recv(1 << 16):
                self.server.count(up=len(piece))
                gateway.sendall(piece)
        self._end(gateway)

    @staticmethod
    def _end(side: socket.socket) -> None:
        with suppress(OSError):  # the other side may be gone already
            side.shutdown(socket.SHUT_WR)


@contextmanager
def metered_line(url: str) -> Iterator[MeteredLine]:
    """A line that forwards as long as one is inside."""
    with MeteredLine(url) as line:
        forwarding = threading.Thread(target=line.serve_forever)
        forwarding.start()
        try:
            yield line
        finally:
            line.shutdown()
            forwarding.join()


__all__ = ["MeteredLine", "metered_line"]
