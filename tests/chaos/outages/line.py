"""A line to a server that can be cut as a cable is: whatever arrives is dropped, unanswered and unacknowledged.

The kernel does it, by a socket filter that lets no packet through (socket(7), SO_ATTACH_FILTER): both ends go on
sending and hear nothing, new connections are not answered, and nobody is told. A forwarder that merely stopped reading
would not do: its kernel would go on acknowledging, and time-outs of TCP itself would never show.
"""

import asyncio
import ctypes
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # asm-generic/socket.h
_DROP_ALL = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF_RET: 0 bytes of the packet are kept
_PROGRAM = struct.pack("HL", 1, ctypes.addressof(_DROP_ALL))


class Line:
    """Forwards a port of its own to the host of `url`; `through` gives a URL of that server by way of the line."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 0)
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._ends: list[asyncio.StreamWriter] = []
        self._forgotten: set[asyncio.StreamWriter] = set()
        self._is_cut = False

    def through(self, url: str) -> str:
        """The same URL, by way of the line."""
        parts = urlsplit(url)
        login, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{login}{at}127.0.0.1:{self._port}"))

    def cut(self) -> None:
        """From now on nothing arrives at either end of any connection, and no new one is answered."""
        self._do(self._silence)

    def mend(self, *, forgetting: int = 2) -> None:
        """New connections get through. Of those from before, one in so many stays silent for ever, as when a device on
        the way has forgotten it; the others go on where they were.
        """
        self._do(lambda: self._restore(forgetting))

    def refuse(self) -> None:
        """New connections are refused, as by a computer on which the server does not run."""
        self._do(self._close_door)

    def answer(self) -> None:
        """New connections get through."""
        asyncio.run_coroutine_threadsafe(self._open_door(), self._loop).result(timeout=30)

    @contextmanager
    def open(self) -> Iterator["Line"]:
        """Inside, the line is there."""
        self._thread.start()
        self.answer()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=30)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _do(self, work: Callable[[], None]) -> None:
        async def done() -> None:
            work()

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(timeout=30)

    async def _open_door(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def _close_door(self) -> None:
        assert self._server is not None
        self._server.close()

    def _silence(self) -> None:
        assert self._server is not None
        self._is_cut = True
        for door in self._server.sockets:
            door.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, _PROGRAM)
        for end in self._ends:
            _set(end, socket.SOL_SOCKET, _ATTACH_FILTER, _PROGRAM)

    def _restore(self, forgetting: int) -> None:
        assert self._server is not None
        self._is_cut = False
        pairs = list(zip(self._ends[::2], self._ends[1::2], strict=True))
        for pair in pairs[::forgetting]:
            self._forgotten.update(pair)
        for end in self._ends:
            if end in self._forgotten:
                _set(end, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
            else:
                _set(end, socket.SOL_SOCKET, _DETACH_FILTER, 0)
        for door in self._server.sockets:
            door.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)

    async def _end(self) -> None:
        self._close_door()
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._target)
        except ConnectionError:
            writer.transport.abort()
            return
        self._ends += [writer, back]
        for end in (writer, back):
            _watch(end)
            if self._is_cut:  # it was on the way in at that moment
                _set(end, socket.SOL_SOCKET, _ATTACH_FILTER, _PROGRAM)
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            for end in (writer, back):
                end.transport.abort()
                self._ends.remove(end)
                self._forgotten.discard(end)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


def _set(end: asyncio.StreamWriter, level: int, option: int, value: int | bytes) -> None:
    if not end.is_closing():  # else it has no socket any more
        end.get_extra_info("socket").setsockopt(level, option, value)


def _watch(end: asyncio.StreamWriter) -> None:
    """Whoever is gone when the line is whole again is noticed, so that the other end hears of it, too."""
    options = ((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1))
    often = ((socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 127))
    for option in (*options, *often):
        _set(end, *option)
