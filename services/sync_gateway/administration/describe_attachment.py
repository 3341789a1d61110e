"""Applications as the operator sees them: what was attached, whether or not its database answers."""

from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from services.sync_gateway.peers import ask


async def describe_attachment(provisioning: httpx.AsyncClient, code: str) -> dict[str, Any]:
    """The application with its manifest and its users. Problem `not_found`."""
    return without_secret(await ask(provisioning, "GET", f"/applications/{code}"))


async def list_attachments(provisioning: httpx.AsyncClient, limit: int, after: str | None) -> dict[str, Any]:
    """A page by code, without manifests and users."""
    query = urlencode({"limit": limit} | ({} if after is None else {"after": after}))
    page = await ask(provisioning, "GET", f"/applications?{query}")
    return {"items": [without_secret(item) for item in page["items"]], "next": page["next"]}


def without_secret(application: dict[str, Any]) -> dict[str, Any]:
    """A connection that is a URL (where those are allowed) is shown without who signs in and how."""
    connection = application["connection"]
    if "://" in connection:
        url = urlsplit(connection)
        connection = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
    return {**application, "connection": connection}
