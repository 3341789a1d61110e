"""The public doors the story goes through: the operator's and a person's, both over HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx

from deploy.demo.narrator import StoryBroken

Document = dict[str, Any]
_FINAL = {"ready", "failed", "refused", "deleted"}


class Door:
    """An HTTP client with a bearer token; an answer that is no success breaks the story with its problem document."""

    def __init__(self, url: str, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=120)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def call(self, method: str, path: str, body: Document | None = None, *, allow: tuple[int, ...] = ()) -> Document:
        """The JSON of a success, or of a failure whose status is in `allow`."""
        answer = self.http.request(method, path, json=body)
        if answer.is_error and answer.status_code not in allow:
            raise StoryBroken(f"{method} {path} was answered {answer.status_code}: {answer.text}")
        document: Document = answer.json() if answer.content else {}
        return document


class Operator(Door):
    """The operator of the service."""

    def put(self, path: str, body: Document) -> Document:
        """`PUT /operator/v1/…`."""
        return self.call("PUT", f"/operator/v1/{path}", body)


class Person(Door):
    """Somebody signed in to the service."""

    def __init__(self, url: str, login: str, password: str) -> None:
        with Door(url) as door:
            session = door.call("POST", "/api/v1/sessions", {"login": login, "password": password})
        super().__init__(f"{url}/api/v1", session["token"])
        self.name = session["user"]["full_name"]

    def follow(self, workplace: str) -> Iterator[Document]:
        """Its states as server-sent events, until the last one of a creation."""
        with self.http.stream("GET", f"workplaces/{workplace}/events") as stream:
            stream.raise_for_status()
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    document: Document = json.loads(line[5:])
                    yield document
                    if document["state"] in _FINAL:
                        return

    def download_part(self, workplace: str, file: Path, *, until: int | None = None, etag: str | None = None) -> str:
        """Appends to `file` what is missing, from its present end; `until` breaks the line there. Returns the ETag."""
        begin = file.stat().st_size if file.exists() else 0
        headers = {"Range": f"bytes={begin}-", **({"If-Range": etag} if etag else {})}
        with (
            self.http.stream("GET", f"workplaces/{workplace}/package", headers=headers) as stream,
            file.open("ab") as to,
        ):
            if stream.status_code != 206:
                raise StoryBroken(f"a request for bytes from {begin} was answered {stream.status_code}, not 206")
            for piece in stream.iter_raw():
                to.write(piece)
                if until is not None and to.tell() >= until:
                    break
            return str(stream.headers["ETag"])
