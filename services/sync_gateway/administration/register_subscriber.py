"""An operator registers a subscriber with his subscription."""

from typing import Any

import httpx

from services.sync_gateway.peers import Answer, ask


async def register_subscriber(
    provisioning: httpx.AsyncClient, licensing: httpx.AsyncClient, code: str, name: str, terms: dict[str, Any]
) -> Answer:
    """The subscriber is known and his subscription has these terms; a failure in between is mended by a repetition."""
    subscriber = await ask(provisioning, "PUT", f"/subscribers/{code}", {"name": name})
    subscription = await ask(licensing, "PUT", f"/subscriptions/{code}", terms)
    answer = Answer({"code": code, "name": name, **subscription})
    answer.pop("subscriber", None)
    answer.status = 201 if 201 in {subscriber.status, subscription.status} else 200
    return answer
