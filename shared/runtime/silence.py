"""How long the other end of a connection may be silent before it counts as lost.

A line that is cut tells nobody: left to itself, TCP goes on sending for a quarter of an hour and waits for an answer
for ever; a server whose client was cut off keeps its locks for two hours.
"""

import socket
from collections.abc import Mapping
from math import ceil
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from psycopg import ConnectionInfo

SILENCE = 15.0
CONNECT_SECONDS = 5
_PROBES = 3

# What libpq watches a line by (libpq-connect), and what its server calls the same.
_SERVER_NAMES = {
    "keepalives_idle": "tcp_keepalives_idle",
    "keepalives_interval": "tcp_keepalives_interval",
    "keepalives_count": "tcp_keepalives_count",
    "tcp_user_timeout": "tcp_user_timeout",
}


def watched(url: str, seconds: float = SILENCE) -> str:
    """A PostgreSQL URL whose connections break `seconds` after the server was last heard of, about.

    What the URL says of the same itself holds.
    """
    probe = ceil(seconds / (_PROBES + 1))
    return _with(
        url,
        {
            "connect_timeout": CONNECT_SECONDS,
            "keepalives_idle": probe,
            "keepalives_interval": probe,
            "keepalives_count": _PROBES,
            "tcp_user_timeout": round(seconds * 1000),
        },
    )


def watched_at_both_ends(url: str, seconds: float = SILENCE) -> str:
    """The same for a database of our own: its server, too, watches the line, from the first moment on.

    For one behind a pooler, which may not know the parameter `options`, `watching` comes a statement later.
    """
    probe = ceil(seconds / (_PROBES + 1))
    settings = {
        "tcp_keepalives_idle": probe,
        "tcp_keepalives_interval": probe,
        "tcp_keepalives_count": _PROBES,
        "tcp_user_timeout": round(seconds * 1000),
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return _with(watched(url, seconds), {"options": options})


def watching(info: ConnectionInfo) -> str:
    """SQL by which the server watches the line as its client does: one that was cut off leaves no lock behind."""
    told = info.get_parameters()
    settings = [
        f"set_config('{of_server}', '{int(told[ours])}', false)"
        for ours, of_server in _SERVER_NAMES.items()
        if ours in told
    ]
    return f"SELECT {', '.join(settings)}"


def watched_broker(url: str, seconds: float = SILENCE) -> str:
    """An AMQP URL whose heartbeats tell both ends of a cut: aiormq waits for three of them and three seconds."""
    return _with(url, {"heartbeat": max(1, int(seconds / 3) - 1)})


def socket_options(seconds: float = SILENCE) -> list[tuple[int, int, int]]:
    """The same for a socket of one's own, as far as the system knows it."""
    probe = ceil(seconds / (_PROBES + 1))
    wanted = {
        "TCP_KEEPIDLE": probe,
        "TCP_KEEPINTVL": probe,
        "TCP_KEEPCNT": _PROBES,
        "TCP_USER_TIMEOUT": round(seconds * 1000),
    }
    known = [
        (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in wanted.items() if hasattr(socket, name)
    ]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *known]


def _with(url: str, wanted: Mapping[str, int | str]) -> str:
    query = urlsplit(url).query
    said = parse_qs(query, keep_blank_values=True)
    added = urlencode({name: value for name, value in wanted.items() if name not in said}, quote_via=quote)
    return f"{url}{'&' if query else '?'}{added}" if added else url
