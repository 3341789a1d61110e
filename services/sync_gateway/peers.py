"""Questions to the other services."""

import logging
from typing import Any

import httpx

from shared.runtime.problem import Problem

_log = logging.getLogger(__name__)


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
    """The peer's answer to one call. Its problems, also that it is away, are raised as they are.

    A peer that refuses the service's own token is no fault of the caller: 503 `service_unavailable`.
    """
    try:
        response = await peer.request(method, path, json=document, headers=headers)
    except Problem as problem:
        if problem.code != "not_authenticated":
            raise
        _log.error("%s refuses this service's token: YURT_SERVICE_TOKEN differs", peer.base_url)
        detail = "A part of the service is not set up; its operator has to act."
        raise Problem("service_unavailable", detail, headers={"Retry-After": "60"}) from problem
    response.raise_for_status()
    answer = Answer(response.json() if response.content else {})
    answer.status = response.status_code
    return answer
