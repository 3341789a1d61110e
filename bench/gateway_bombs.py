"""Hostile requests against a running gateway: what it answers, what memory each takes, whether others get through.

Embedded servers, loopback only. The last line says how many bombs were answered wrongly, took more memory than allowed,
kept `GET /ping` waiting, or changed the application's database.
"""

import argparse
import gzip
import http.client
import json
import socket
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psutil

from bench.figures import forget_peak, peak_memory, present_memory
from deploy.stack.settings import StackSettings
from deploy.stack.stack import Stack
from tests.e2e.contract.conftest import environment_with
from tests.e2e.contract.lines import new, new_task, order_line, task
from tests.e2e.contract.office import Office
from tests.e2e.contract.replica import Workplace, content_digest, ndjson
from tests.e2e.contract.service import Caller, good
from tests.integration.contents import contents

MB = 1_000_000
ALLOWED_MEMORY = 200 * MB
ALLOWED_LARGE = 500 * MB  # for several at once, and a single aggregate of nearly 64 MB, as the protocol has them
ALLOWED_WAIT = 2.0
TOO_LARGE, INVALID, REFUSED = {413}, {400, 422}, {400, 401, 403, 404, 405, 413, 414, 415, 422, 431}

Body = Iterable[bytes]


@dataclass(frozen=True)
class Bomb:
    """A request and the statuses that are right for it. `body` makes its pieces anew for each sending; without a
    length they go chunked."""

    name: str
    statuses: set[int]
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: Callable[[], Body] = tuple
    length: int | None = None
    at_once: int = 1
    allowed: int = ALLOWED_MEMORY


@dataclass(frozen=True)
class Seen:
    """What a bomb did: memory over the idle gateway in bytes, times in seconds."""

    answers: list[str]
    right: bool
    memory: int
    seconds: float
    longest_ping: float


# ---------------------------------------------------------------- sending


def send(address: tuple[str, int], bomb: Bomb) -> tuple[int, str]:
    """Status and code of the answer, also of one that comes before the body is out; (0, reason) without an answer."""
    with socket.create_connection(address, timeout=120) as line:
        upload = threading.Thread(target=_upload, args=(line, bomb))
        upload.start()
        try:
            answer = http.client.HTTPResponse(line, method=bomb.method)
            answer.begin()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            return 0, type(error).__name__
        finally:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            upload.join()
    try:
        return answer.status, str(json.loads(content).get("code", "-"))
    except ValueError:
        return answer.status, content[:40].decode("utf-8", "replace") or "-"


def _upload(line: socket.socket, bomb: Bomb) -> None:
    headers = {"Host": "yurt", "Connection": "close", **bomb.headers}
    pieces = bomb.body()
    if bomb.length is not None:
        headers["Content-Length"] = str(bomb.length)
    elif bomb.body is not tuple:
        headers["Transfer-Encoding"] = "chunked"
    with suppress(OSError):  # it has heard enough
        line.sendall(f"{bomb.method} {bomb.path} HTTP/1.1\r\n".encode())
        for name, value in headers.items():
            line.sendall(f"{name}: {value}\r\n".encode())
        line.sendall(b"\r\n")
        for piece in pieces:
            line.sendall(piece if bomb.length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
        if bomb.length is None and bomb.body is not tuple:
            line.sendall(b"0\r\n\r\n")


@contextmanager
def pinging(url: str) -> Iterator[list[float]]:
    """How long each of many pings took, one after the other, as long as one is inside."""
    waits: list[float] = []
    enough = threading.Event()

    def ping() -> None:
        with Caller(url) as caller:
            while not enough.wait(0.02):
                began = time.perf_counter()
                good(caller.get("/ping"), 200)
                waits.append(time.perf_counter() - began)

    thread = threading.Thread(target=ping)
    thread.start()
    try:
        yield waits
    finally:
        enough.set()
        thread.join()


def explode(stack: Stack, bomb: Bomb, idle: int) -> Seen:
    """Send it, so many at once as it says, and look at the gateway meanwhile."""
    pid, address = gateway(stack), _address(stack.url)
    forget_peak(pid)
    began = time.perf_counter()
    with pinging(stack.url) as waits, ThreadPoolExecutor(bomb.at_once) as senders:
        answers = list(senders.map(lambda _: send(address, bomb), range(bomb.at_once)))
    seconds = time.perf_counter() - began
    said = sorted({f"{status} {code}" for status, code in answers})
    right = all(status in bomb.statuses for status, _ in answers)
    return Seen(said, right, peak_memory(pid) - idle, seconds, max(waits, default=0.0))


def gateway(stack: Stack) -> int:
    """The process that holds the public door: the gateway's own, or the one of all four services."""
    return (stack.services.get("sync-gateway") or stack.services["yurt"]).pid


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


# ---------------------------------------------------------------- bodies


def zeros(size: int, *, lines: bool = False, members: int = 1) -> bytes:
    """Gzip of `members` times `size` bytes: one endless line, or short lines."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    step = (b'{"seq":1}\n' if lines else b"0" * 10) * 100_000
    packed = b"".join(packer.compress(step) for _ in range(size // len(step))) + packer.flush()
    return packed * members


def endless(total: int) -> Iterator[bytes]:
    """`total` bytes of one line, made as they go."""
    piece = b"0" * MB
    return (piece for _ in range(total // len(piece)))


def trickle(seconds: float, then: bytes) -> Iterator[bytes]:
    """A few bytes now and then, and the rest at the end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.1)
        yield b" "
    yield then


class Bombs:
    """All of them, aimed at an exchange of this workplace."""

    def __init__(self, workplace: Workplace, office: Office) -> None:
        self._workplace, self._office = workplace, office
        self._exchange = workplace.begin(pending=1)["id"]
        self._version = workplace.state("version")

    def message(
        self,
        name: str,
        statuses: set[int],
        sent: bytes,
        *,
        zipped: bool = False,
        at_once: int = 1,
    ) -> Bomb:
        """A body of a message with its true digest."""
        headers = self._headers(content_digest(sent)) | ({"Content-Encoding": "gzip"} if zipped else {})
        pieces = [sent[at : at + MB] for at in range(0, len(sent), MB)]
        return Bomb(name, statuses, "POST", self._path(), headers, lambda: pieces, len(sent), at_once)

    def unending(self, name: str, statuses: set[int], body: Callable[[], Body], length: int | None = None) -> Bomb:
        """A body that is made while it goes, under a digest it has not."""
        return Bomb(name, statuses, "POST", self._path(), self._headers(content_digest(b"")), body, length)

    def _path(self, number: int = 1) -> str:
        return f"/api/v1/exchanges/{self._exchange}/messages/{number}"

    def _headers(self, digest: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._workplace.token}",
            "Content-Type": "application/x-ndjson",
            "Content-Digest": digest,
            "Yurt-Version": self._version,
        }

    def line(self, **change: Any) -> dict[str, Any]:
        """A good line but for these members."""
        return new_task(self._workplace, self._office.first) | change

    def raw_line(self, member: str, text: bytes) -> bytes:
        """A good line whose `member` is this text, as it stands."""
        return ndjson(self.line(**{member: "@"})).replace(b'"@"', text)

    def of_messages(self) -> Iterator[Bomb]:
        """Sizes and shapes of messages. None of them may change anything."""
        yield self.message("gzip, 1 GB in one line", TOO_LARGE, zeros(1000 * MB), zipped=True)
        yield self.message("gzip, 10 GB in ten members", TOO_LARGE, zeros(1000 * MB, members=10), zipped=True)
        yield self.message("gzip, 1 GB of short lines", TOO_LARGE, zeros(1000 * MB, lines=True), zipped=True)
        yield self.unending("1 GB with its Content-Length", TOO_LARGE, partial(endless, 1000 * MB), 1000 * MB)
        yield self.unending("1 GB chunked", TOO_LARGE, partial(endless, 1000 * MB))
        many = ndjson(*(new_task(self._workplace, self._office.first, n) for n in range(20_001)))
        yield self.message("20,001 aggregates", TOO_LARGE, gzip.compress(many, 1), zipped=True)
        yield self.message("20,000 empty lines and one", {400}, b"\n" * 19_999 + b"{}\n")
        yield self.message("nested 100,000 deep", {400}, self.raw_line("row", b"[" * 100_000 + b"]" * 100_000))
        yield self.message("nested 30,000,000 deep", TOO_LARGE, self.raw_line("row", b"[" * 30 * MB + b"]" * 30 * MB))
        keys = b"{%b}" % b",".join(b'"%d":0' % n for n in range(1_000_000))
        yield self.message("a million keys in `key`", {400}, self.raw_line("key", keys))
        yield self.message("a number of 1 MB digits", {400}, self.raw_line("seq", b"1" * MB))
        yield self.message("a fraction of 1 MB digits", {400}, self.raw_line("seq", b"0." + b"1" * MB))
        yield self.message("a string of 60 MB as `op`", {400}, self.raw_line("op", b'"%b"' % (b"x" * 60 * MB)))
        for name, text in (("empty lists", b"[]"), ("objects", b'{"a":0}'), ("zeros", b"0"), ("letters", b'"a"')):
            for count in (250_000, 1_900_000, 60 * MB // (len(text) + 1)):
                some = b"[%b]" % b",".join([text] * count)
                yield self.message(f"{count:,} {name} as `op`", {400, 413}, self.raw_line("op", some))
        wide = b'"%b"' % (b"x" * 60 * MB + "\N{GRINNING FACE}".encode())
        yield self._large(self.message("a string of 60 MB with an emoji as `op`", {400}, self.raw_line("op", wide)))
        twice = ndjson(self.line()) * 2
        yield self.message("a key twice, in two lines", {400}, twice)
        yield self.message("a key 20,000 times", {400}, gzip.compress(twice * 10_000), zipped=True)
        yield self.unending("3 s of a byte now and then", {400}, partial(trickle, 3.0, ndjson(self.line())))

    def side_by_side(self) -> Iterator[Bomb]:
        """Eight at once of those that take most."""
        yield self.message("8 × gzip, 1 GB in one line", TOO_LARGE, zeros(1000 * MB), zipped=True, at_once=8)
        lists = b"[%b]" % b",".join([b"[]"] * (20 * MB))
        yield self.message("8 × 60 MB of empty lists", REFUSED, self.raw_line("op", lists), at_once=8)
        string = b'"%b"' % (b"x" * 60 * MB)
        yield self._large(self.message("8 × a string of 60 MB", {400}, self.raw_line("op", string), at_once=8))
        for count in (900_000, 1_900_000):
            letters = b"[%b]" % b",".join([b'"a"'] * count)
            name = f"8 × {count:,} letters as `op`"
            yield self._large(self.message(name, {400}, self.raw_line("op", letters), at_once=8))
        slow = self.unending("100 × 3 s of a byte now and then", {400}, partial(trickle, 3.0, ndjson(self.line())))
        yield Bomb(slow.name, slow.statuses, slow.method, slow.path, slow.headers, slow.body, at_once=100)

    def of_heads(self) -> Iterator[Bomb]:
        """Paths, queries and headers without an end."""
        token = {"Authorization": f"Bearer {self._workplace.token}"}
        long = "x" * 50 * MB
        yield Bomb("a path of 50 MB", REFUSED | {0}, "GET", f"/api/v1/{long}")
        yield Bomb("a query of 50 MB", REFUSED | {0}, "GET", f"/api/v1/ping?{long}")
        position = f"/api/v1/exchanges/{self._exchange}/changes?after=1:1:{'1,' * 30_000}"
        yield Bomb("a position of 60 kB", REFUSED | {0}, "GET", position, token)
        yield Bomb("a header of 50 MB", REFUSED | {0}, "GET", "/api/v1/ping", {"X-Long": long})
        yield Bomb(
            "a token of 50 MB", REFUSED | {0}, "GET", "/api/v1/applications", {"Authorization": f"Bearer {long}"}
        )
        several = {f"X-{n}": "x" * 500 for n in range(100_000)}
        yield Bomb("100,000 headers of 500 bytes", REFUSED | {0}, "GET", "/api/v1/ping", several)
        yield Bomb("8 × a header of 50 MB", REFUSED | {0}, "GET", "/api/v1/ping", {"X-Long": long}, at_once=8)

    def of_documents(self) -> Iterator[Bomb]:
        """Bodies for every door that takes JSON, by whoever may open it."""
        document = good(self._office.operator.call("GET", "/openapi.json"), 200)
        ids = {"app": self._office.code, "workplace": self._workplace.id, "exchange": self._exchange}
        ids |= {"problem": str(uuid4()), "code": self._office.code, "login": self._office.admin_login, "letter": "1"}
        for path, methods in document["paths"].items():
            for method, about in methods.items():
                if "requestBody" not in about:
                    continue
                token = {"Authorization": f"Bearer {self._holder(path)}", "Content-Type": "application/json"}
                request = partial(Bomb, method=method.upper(), path=path.format(**ids), headers=token)
                yield from _documents(f"{method.upper()} {path}", request, _members(document, about))

    def _holder(self, path: str) -> str | None:
        if path.startswith("/operator"):
            return self._office.operator.token
        return self._workplace.token if "/exchanges" in path else self._office.admin.token

    def of_good_ones(self) -> Iterator[Bomb]:
        """Large messages with nothing wrong: they are applied."""
        first = self._office.first
        yield self._numbered(1, "a message of 16 MB, applied", self._tasks())
        order, customer = str(uuid4()), self._office.customer(first)
        values = {"organisation_id": first, "customer_id": customer, "ordered_on": "2026-05-05"}
        row = new(self._workplace, "orders", {"id": order}, **values)
        row["parts"]["order_lines"] = [order_line(order, position=n) for n in range(1, 280_001)]
        yield self._large(self._numbered(2, "an aggregate of 280,000 lines, applied", ndjson(row)))
        text = ndjson(new_task(self._workplace, first, title="x" * 60 * MB))
        yield self._large(self._numbered(3, "a text of 60 MB, applied", text))
        keys = self.raw_line("op", b'"put",%b' % b",".join(b'"%d":0' % n for n in range(1_000_000)))
        yield self._numbered(4, "a line with a million members nobody knows, applied", keys)
        once = self._numbered(5, "8 × the same message of 16 MB, applied once", self._tasks())
        yield self._large(replace(once, at_once=8))

    def _tasks(self) -> bytes:
        """Nearly 16 MB of new objects."""
        size = len(ndjson(new_task(self._workplace, self._office.first, 10_000, title="x" * 1000)))
        some = range(15_900_000 // size)
        return ndjson(*(new_task(self._workplace, self._office.first, n, title="x" * 1000) for n in some))

    @staticmethod
    def _large(bomb: Bomb) -> Bomb:
        return replace(bomb, allowed=ALLOWED_LARGE)

    def _numbered(self, number: int, name: str, sent: bytes) -> Bomb:
        pieces = [sent[at : at + MB] for at in range(0, len(sent), MB)]
        headers = self._headers(content_digest(sent))
        return Bomb(name, {200}, "POST", self._path(number), headers, lambda: pieces, len(sent))


def _members(document: dict[str, Any], about: dict[str, Any]) -> list[str]:
    (content,) = about["requestBody"]["content"].values()
    schema = content["schema"]
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return list(schema["properties"])


def _documents(door: str, request: Callable[..., Bomb], members: list[str]) -> Iterator[Bomb]:
    huge = json.dumps(dict.fromkeys(members, "x" * (900_000 // len(members))))
    deep = b"[" * 400_000 + b"]" * 400_000
    keys = json.dumps({f"k{n}": 0 for n in range(70_000)})
    digits = b'{"%b":%b}' % (members[0].encode(), b"1" * 900_000)
    lists = b"[%b]" % b",".join([b"[]"] * 300_000)
    for name, statuses, body in (
        ("2 MB", TOO_LARGE, b" " * 2 * MB),
        ("huge strings in every member", INVALID | {401, 404}, huge.encode()),
        ("nested 400,000 deep", INVALID, deep),
        ("70,000 keys", INVALID, keys.encode()),
        ("a number of 900,000 digits", INVALID, digits),
        ("300,000 empty lists", INVALID, lists),
    ):
        yield request(name=f"{door}: {name}", statuses=statuses, body=partial(tuple, [body]), length=len(body))


# ---------------------------------------------------------------- the run


def main() -> int:
    argparse.ArgumentParser(prog="bench.gateway_bombs", description=__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="yurt-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        settings = StackSettings(home=folder / "yurt", port=0)
        with (
            Stack(settings, environment=environment_with(), say=print) as stack,
            Caller(stack.url, stack.operator_token) as operator,
        ):
            office = Office(stack.url, operator, stack.postgres_url, folder, "bombed")
            try:
                return measure(stack, office)
            finally:
                office.close()


def measure(stack: Stack, office: Office) -> int:
    office.insert("tasks", task(office.first))
    bombs = Bombs(office.workplace(office.first, synchronised=True), office)
    before = contents(office.dsn)
    idle = present_memory(gateway(stack))
    print(f"\n{psutil.cpu_count()} cores; the gateway's process holds {idle / MB:.0f} MB when idle\n")
    print(f"{'bomb':92} {'MB more':>8} {'s':>6} {'ping':>6}  answers")
    wrong = 0
    for kind in (bombs.of_heads, bombs.of_messages, bombs.of_documents, bombs.side_by_side):
        wrong += sum(shown(bomb, explode(stack, bomb, idle)) for bomb in kind())
    unchanged = contents(office.dsn) == before
    print(f"\nthe application's database is unchanged: {unchanged}\n")
    for bomb in bombs.of_good_ones():
        wrong += shown(bomb, explode(stack, bomb, idle))
    left = present_memory(gateway(stack)) - idle
    print(f"\nafterwards it holds {left / MB:.0f} MB more than at first; wrong: {wrong + (not unchanged)}")
    return min(wrong + (not unchanged), 1)


def shown(bomb: Bomb, seen: Seen) -> bool:
    """Prints a line; whether something of it is not as it should be."""
    wrong = not seen.right or seen.memory > bomb.allowed or seen.longest_ping > ALLOWED_WAIT
    print(
        f"{bomb.name:92} {seen.memory / MB:8.1f} {seen.seconds:6.1f} {seen.longest_ping:6.2f}"
        f"  {', '.join(seen.answers)}{'  WRONG' if wrong else ''}",
        flush=True,
    )
    return wrong


if __name__ == "__main__":
    sys.exit(main())
