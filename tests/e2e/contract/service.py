"""The service as people, scripts and operators call it. Nothing but the public contract."""

import json
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx

Json = dict[str, Any]


class Caller:
    """Somebody with a bearer token (or none)."""

    def __init__(self, url: str, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url = url
        self.token = token
        self.http = httpx.Client(base_url=url, headers=headers, timeout=60, verify=False)  # plain HTTP

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.http.close()

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.http.request(method, path, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.call("GET", f"/api/v1{path}", **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return self.call("POST", f"/api/v1{path}", json={} if body is None else body, **options)

    def patch(self, path: str, body: Any) -> httpx.Response:
        return self.call("PATCH", f"/api/v1{path}", json=body)

    def delete(self, path: str) -> httpx.Response:
        return self.call("DELETE", f"/api/v1{path}")

    def operate(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.call(method, f"/operator/v1{path}", **({} if body is None else {"json": body}))

    def everything(self, path: str, **params: Any) -> list[Json]:
        """All items of a list, page by page."""
        items: list[Json] = []
        while True:
            page = good(self.get(path, params=params))
            items += page["items"]
            if page["next"] is None:
                return items
            params["after"] = page["next"]

    def events(self, workplace: str) -> Iterator[Json]:
        """The states of a workplace until the stream ends by itself."""
        with self.http.stream("GET", f"/api/v1/workplaces/{workplace}/events") as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            kind, end = None, time.monotonic() + 60
            for line in answer.iter_lines():
                assert time.monotonic() < end, "what was waited for did not come"
                if line.startswith("event:"):
                    kind = line[6:].strip()
                elif line.startswith("data:"):
                    assert kind == "workplace"
                    yield json.loads(line[5:])

    def wait_until(self, workplace: str, *states: str) -> Json:
        """Follows the events to the first of these states."""
        last = None
        for document in self.events(workplace):
            last = document
            if document["state"] in states:
                return document
        raise AssertionError(f"the stream ended with {last}")


def good(answer: httpx.Response, *statuses: int) -> Any:
    """The body of an answer that is no error."""
    assert answer.status_code in (statuses or (200, 201, 202, 204)), f"{answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def refused(answer: httpx.Response, status: int, code: str) -> Json:
    """A problem document as RFC 9457 and the page's conventions have it."""
    assert answer.status_code == status, f"{answer.status_code} instead of {status} {code}: {answer.text}"
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.headers
    problem: Json = answer.json()
    assert problem["code"] == code, problem
    assert problem["type"] == f"urn:yurt:{code}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


def sign_in(url: str, login: str, password: str) -> Caller:
    with Caller(url) as nobody:
        answer = good(nobody.post("/sessions", {"login": login, "password": password}), 201)
    return Caller(url, answer["token"])
