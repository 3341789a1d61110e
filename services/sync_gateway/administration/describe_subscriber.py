"""Subscribers as the operator sees them: with their subscription and the seats in use."""

import asyncio
from typing import Any
from urllib.parse import urlencode

import httpx

from services.sync_gateway.peers import ask
from shared.runtime.problem import Problem

TERMS = ("plan", "extra_seats", "valid_until", "local_licence", "limit", "used", "lapsed", "over", "grace_until")


async def describe_subscriber(
    provisioning: httpx.AsyncClient, licensing: httpx.AsyncClient, code: str
) -> dict[str, Any]:
    """The subscriber, with every term null when no subscription was concluded. Problem `not_found`."""
    subscriber = await ask(provisioning, "GET", f"/subscribers/{code}")
    return await _with_terms(licensing, subscriber)


async def list_subscribers(
    provisioning: httpx.AsyncClient, licensing: httpx.AsyncClient, limit: int, after: str | None
) -> dict[str, Any]:
    """A page by code."""
    query = urlencode({"limit": limit} | ({} if after is None else {"after": after}))
    page = await ask(provisioning, "GET", f"/subscribers?{query}")
    items = await asyncio.gather(*(_with_terms(licensing, subscriber) for subscriber in page["items"]))
    return {"items": items, "next": page["next"]}


async def _with_terms(licensing: httpx.AsyncClient, subscriber: dict[str, Any]) -> dict[str, Any]:
    try:
        subscription: dict[str, Any] = await ask(licensing, "GET", f"/subscriptions/{subscriber['code']}")
    except Problem as problem:
        if problem.code != "not_found":
            raise
        subscription = {}
    return {**subscriber, **{term: subscription.get(term) for term in TERMS}}
