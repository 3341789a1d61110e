"""Calls between services: one client, one door."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated

import httpx
from fastapi import Header

from shared.runtime.problem import MEDIA_TYPE, Problem

IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
TIMEOUT = httpx.Timeout(30, connect=5)
RETRY_DELAYS = (0.1, 0.4, 1.6)


def service_client(
    base_url: str,
    token: str,
    transport: httpx.AsyncBaseTransport | None = None,
    retry_delays: tuple[float, ...] = RETRY_DELAYS,
) -> httpx.AsyncClient:
    """A client for another service's internal door; the caller closes it.

    A problem document in the answer is raised as `Problem`, a service that cannot be reached as `Problem`
    `service_unavailable`. Idempotent calls are repeated when the connection fails; others only when nothing was sent.
    `transport`: `httpx.ASGITransport(app, raise_app_exceptions=False)` reaches an application in the same process.
    """
    return httpx.AsyncClient(
        base_url=base_url,
        headers={"Authorization": f"Bearer {token}"},
        timeout=TIMEOUT,
        transport=_Retrying(transport or httpx.AsyncHTTPTransport(), retry_delays),
        event_hooks={"response": [_raise_problem]},
    )


def require_service_token(token: str) -> Callable[[str], Awaitable[None]]:
    """A FastAPI dependency: without `Authorization: Bearer <token>` the answer is 401 `not_authenticated`."""
    expected = f"Bearer {token}".encode()

    async def check(authorization: Annotated[str, Header()] = "") -> None:
        if not secrets.compare_digest(authorization.encode(), expected):
            raise Problem(
                "not_authenticated", "This door is for the services of Yurt; their token is missing or wrong."
            )

    return check


async def _raise_problem(response: httpx.Response) -> None:
    if response.status_code >= 400 and response.headers.get("content-type", "").startswith(MEDIA_TYPE):
        await response.aread()
        document = response.json()
        extra = {k: v for k, v in document.items() if k not in {"type", "title", "status", "detail", "code"}}
        passed_on = {k: response.headers[k] for k in ("Retry-After",) if k in response.headers}
        raise Problem(document["code"], document["detail"], status=response.status_code, headers=passed_on, **extra)


class _Retrying(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, delays: tuple[float, ...]) -> None:
        self._inner = inner
        self._delays = delays

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for delay in (*self._delays, None):
            try:
                return await self._inner.handle_async_request(request)
            except httpx.TransportError as error:
                unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                repeatable = isinstance(request.stream, httpx.ByteStream)
                if delay is None or not repeatable or not (unsent or request.method in IDEMPOTENT):
                    raise Problem(
                        "service_unavailable",
                        f"{request.url.host} did not answer ({type(error).__name__}); try again a little later.",
                        headers={"Retry-After": "5"},
                    ) from error
                await asyncio.sleep(delay)
        raise AssertionError("unreachable: the last round returns or raises")

    async def aclose(self) -> None:
        await self._inner.aclose()
