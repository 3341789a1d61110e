"""Questions to the other services."""

from typing import Any

import httpx


class Answer(dict[str, Any]):
    """The document of a peer, with its status."""

    status: int


async def ask(
    peer: httpx.AsyncClient,
    method: str,
    path: str,
    document: dict[str, Any] | None = None,
    *,
    headers: dict[str, str] | None = None,
) -> Answer:
    """The peer's answer to one call. Its problems, also that it is away, are raised as they are."""
    response = await peer.request(method, path, json=document, headers=headers)
    response.raise_for_status()
    answer = Answer(response.json() if response.content else {})
    answer.status = response.status_code
    return answer
