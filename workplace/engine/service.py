"""The service over HTTP: one request at a time, proxies, time-outs, problem documents as exceptions."""

import errno
import gzip
import http.client
import json
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from hashlib import sha256
from typing import Any, NoReturn, TypeVar

from workplace.engine.failures import Failure, NoConnection, ServiceRefused, UnexpectedAnswer
from workplace.engine.home import InternetAccess

PROGRAM = "yurt-workplace/0.1.0"
API = "/api/v1"
SHORT, LONG = 30.0, 600.0
_LARGEST_DOCUMENT = 64_000_000
_PAUSES = (0.5, 1.0, 2.0)  # between attempts; everything that is retried may be repeated by the protocol
Result = TypeVar("Result")


@dataclass(frozen=True)
class Reply:
    """An answer that was read whole."""

    status: int
    headers: Message
    document: dict[str, Any]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The protocol's only redirect is followed by who expects it; a token goes nowhere by itself."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None

    def http_error_303(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:  # noqa: ARG002 - urllib's
        return fp


class Service:
    """The gateway, as one workplace sees it. `address` is the URL that stands in the package."""

    def __init__(
        self,
        address: str,
        access: InternetAccess | None = None,
        token: str | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        access = access or InternetAccess()
        self._told = address
        self.address = (access.service or address).rstrip("/").removesuffix(API)
        self.token = token
        self._pause = pause or threading.Event().wait
        proxies = {"system": None, "none": {}}.get(access.proxy, {"http": access.proxy, "https": access.proxy})
        try:
            tls = ssl.create_default_context(cafile=access.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise NoConnection("certificate", f"{access.ca_file}: {error}") from error
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=tls), _NoRedirect()
        )

    def call(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None = None,
        *,
        timeout: float = SHORT,
        once: bool = False,
        idempotency_key: str | None = None,
    ) -> Reply:
        """A JSON request and its answer. Raises ServiceRefused for errors, NoConnection when nobody answered."""
        body = None if document is None else json.dumps(document, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        if once:
            return self._whole(method, path, body, headers, timeout)
        return self.retried(lambda: self._whole(method, path, body, headers, timeout))

    def send_message(self, exchange: str, number: int, body: bytes, version: str) -> Reply:
        """Sends a message of changes, compressed and with its digest."""
        coded = gzip.compress(body, compresslevel=5, mtime=0)
        headers = {
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            "Content-Digest": f"sha-256=:{b64encode(sha256(coded).digest()).decode()}:",
            "Yurt-Version": version,
        }
        path = f"/exchanges/{exchange}/messages/{number}"
        return self.retried(lambda: self._whole("POST", path, coded, headers, LONG))

    def text(self, url: str) -> str:
        """A text the service names by URL (the schema)."""

        def read() -> str:
            with self.open("GET", url, headers={"Accept-Encoding": "gzip"}, timeout=LONG) as response:
                body = response.read()
                return (gzip.decompress(body) if response.headers.get("Content-Encoding") == "gzip" else body).decode()

        return self.retried(read)

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = SHORT,
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer that is read piece by piece inside. 303 is an answer too; other errors raise, as from `call`."""
        url = self.resolve(path)
        if not url.startswith(("https://", "http://")):
            raise UnexpectedAnswer("unexpected_answer", url)
        request = urllib.request.Request(url, data=body, method=method)  # noqa: S310 - the scheme was checked
        request.add_header("User-Agent", PROGRAM)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        if self.token and _origin(url) == _origin(self.address):
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        with translated():
            try:
                response = self._opener.open(request, timeout=timeout)
            except urllib.error.HTTPError as error:
                _refuse(error)
            with response:
                yield response

    def resolve(self, path: str) -> str:
        """The URL of a path of the protocol, or of an URL or path that the service gave.

        The service names itself as in the package: where it is reached by another address, that is meant.
        """
        if urllib.parse.urlsplit(path).scheme:
            if _origin(path) != _origin(self._told):
                return path
            return self.address + urllib.parse.urlunsplit(("", "", *urllib.parse.urlsplit(path)[2:]))
        if path.startswith(f"{API}/"):
            return self.address + path
        return f"{self.address}{API}{path}"

    def retried(self, attempt: Callable[[], Result]) -> Result:
        """The result of `attempt`, repeated when nobody answered or a gateway on the way failed."""
        for seconds in _PAUSES:
            try:
                return attempt()
            except NoConnection as error:
                if error.code in {"certificate", "proxy"}:
                    raise
            except ServiceRefused as error:
                if not error.on_the_way:
                    raise
            self._pause(seconds)
        return attempt()

    def rest(self, attempts: int) -> None:
        """Waits before the next attempt, longer after each that was in vain."""
        self._pause(_PAUSES[min(attempts, len(_PAUSES) - 1)])

    def _whole(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float) -> Reply:
        with self.open(method, path, body, {"Accept": "application/json", **headers}, timeout) as response:
            return Reply(response.status, response.headers, self.read_document(response, path))

    @staticmethod
    def read_document(response: http.client.HTTPResponse, path: str) -> dict[str, Any]:
        """The JSON object of an answer, empty if it has no content. Raises UnexpectedAnswer for anything else.

        An answer that was cut off in its head has no length and reads as an empty one: that is none.
        """
        if response.status == 204:
            return {}
        try:
            document = json.loads(response.read(_LARGEST_DOCUMENT))
        except ValueError as error:
            raise UnexpectedAnswer("unexpected_answer", path) from error
        if not isinstance(document, dict):
            raise UnexpectedAnswer("unexpected_answer", path)
        return document


@contextmanager
def translated() -> Iterator[None]:
    """The library's errors about connections as NoConnection."""
    try:
        yield
    except urllib.error.URLError as error:
        raise _no_connection(error.reason) from error
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}:
            raise Failure("disk_full", str(error)) from error
        raise _no_connection(error) from error


def _no_connection(reason: object) -> NoConnection:
    text = str(reason)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return NoConnection("certificate", text)
    if "Tunnel connection failed" in text:
        return NoConnection("proxy", text)
    if isinstance(reason, TimeoutError):
        return NoConnection("timeout", text)
    return NoConnection("no_connection", text or type(reason).__name__)


def _refuse(error: urllib.error.HTTPError) -> NoReturn:
    with error:
        try:
            document = json.loads(error.read(1_000_000))
        except ValueError:
            document = None
    if error.code == 407:
        raise NoConnection("proxy", str(error))
    found = document if isinstance(document, dict) and isinstance(document.get("code"), str) else {}
    code, detail = found.pop("code", f"http_{error.code}"), str(found.pop("detail", "") or error.reason)
    after = error.headers.get("Retry-After", "")
    extra = {name: value for name, value in found.items() if name not in {"status", "type", "title", "retry_after"}}
    raise ServiceRefused(
        code, detail, status=error.code, retry_after=int(after) if after.isdigit() else None, **extra
    ) from error


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
