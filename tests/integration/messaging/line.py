"""A line to a server that a test can cut and mend."""

import asyncio
from urllib.parse import urlsplit, urlunsplit


class Line:
    """Forwards a local port to the host of `url` while it is whole; `url` of the line leads through it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 5672
        self._parts = parts
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._listening_on = 0

    @property
    def url(self) -> str:
        login = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{login}@127.0.0.1:{self._listening_on}"))

    async def mend(self) -> None:
        """New connections get through."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self._listening_on)
        self._listening_on = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Every connection breaks off and new ones are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, back}
        await asyncio.gather(_pump(reader, back), _pump(there, writer))
        self._writers -= {writer, back}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        writer.transport.abort()
    else:
        writer.close()
