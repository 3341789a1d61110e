"""The operator's door of the gateway, over HTTP."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from deploy.yurtctl.usage import UsageMistake

Document = dict[str, Any]
PAGE = 200
# Attaching waits for locks of a busy application; nothing else takes long.
TIMEOUT = httpx.Timeout(120, connect=5)


class Refused(Exception):
    """The service said no. `document` is its problem document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.code = str(document.get("code", "internal_error"))
        self.sentences = [f"{self.code}: {document.get('detail') or document.get('title')}"]
        super().__init__(self.sentences[0])


class Unreachable(Exception):
    """Nobody answered, or somebody who is not Yurt; the text says which."""


class Door:
    """A client of the gateway at `url` with the operator's token, which no message ever shows."""

    def __init__(self, url: str, token: str) -> None:
        """Raises `UsageMistake` for what is no URL."""
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            raise UsageMistake("The URL of the service must look like http://127.0.0.1:8080 (--url, YURT_URL).")
        self.address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def call(
        self, method: str, path: str, body: Document | None = None, params: Mapping[str, str] | None = None
    ) -> Document:
        """The document of a success, `{}` when it has none. Raises `Refused`, `Unreachable`."""
        with self._answering():
            answer = self._http.request(method, path, json=body, params=params)
        return self._document(answer)

    def page(self, path: str, params: Mapping[str, str]) -> tuple[list[Document], str | None]:
        """One page of a list, and the mark of the next one."""
        page = self.call("GET", path, params=params)
        return page["items"], page["next"]

    def items(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[Document]:
        """All items of a list, page by page."""
        mark: str | None = ""
        while mark is not None:
            wanted = {**(params or {}), "limit": str(PAGE), **({"after": mark} if mark else {})}
            items, mark = self.page(path, wanted)
            yield from items

    def lines(self, path: str, params: Mapping[str, str], accept: str) -> Iterator[str]:
        """The text of an answer of another media type, as it comes."""
        with self._answering(), self._http.stream("GET", path, params=params, headers={"Accept": accept}) as answer:
            if not answer.is_success or not answer.headers.get("content-type", "").startswith(accept):
                answer.read()
                self._document(answer)
                raise self._stranger(answer)
            yield from answer.iter_text()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise Unreachable(f"Nobody answers at {self.address}: does the service run there?") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            text = (
                f"The connection to {self.address} broke ({type(error).__name__}): what was asked may have been done."
            )
            raise Unreachable(text) from None

    def _document(self, answer: httpx.Response) -> Document:
        kind = answer.headers.get("content-type", "").partition(";")[0]
        try:
            document = answer.json() if answer.content else {}
        except (json.JSONDecodeError, UnicodeDecodeError):
            document = None
        if not isinstance(document, dict):
            raise self._stranger(answer)
        if kind == "application/problem+json" and "code" in document:
            raise Refused(document)
        if not answer.is_success:
            raise self._stranger(answer)
        return document

    def _stranger(self, answer: httpx.Response) -> Unreachable:
        return Unreachable(f"What answers at {self.address} is not Yurt (status {answer.status_code}).")


def operator_path(*segments: str) -> str:
    """A path of `/operator/v1`. Raises `UsageMistake` for a name that cannot stand in one."""
    for segment in segments:
        if segment in {"", ".", ".."}:
            raise UsageMistake(f"{segment!r} is no code, login or id.")
    return "/operator/v1/" + "/".join(quote(segment, safe="") for segment in segments)
