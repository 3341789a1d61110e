"""What every found or started server is described by."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit


class ServerMissing(Exception):
    """A real part cannot be had; the text says what was tried and what to do."""


def _nothing_to_stop() -> None:
    """Somebody else's server runs on."""


@dataclass(frozen=True)
class Server:
    """A server that answers now.

    `url` is as the matching `YURT_` setting takes it; `origin` says where it comes from; `stop` ends it if it is ours,
    and does nothing to a server that was merely found.
    """

    part: str
    version: str
    url: str
    origin: str
    stop: Callable[[], None] = _nothing_to_stop

    def __str__(self) -> str:
        place = urlsplit(self.url)
        return f"{self.part} {self.version} at {place.hostname}:{place.port} ({self.origin})"
