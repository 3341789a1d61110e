"""Application databases forget what every workplace has seen (architecture.md, Change history, 4)."""

import logging
from functools import partial
from urllib.parse import urlencode

import httpx

from services.sync_gateway.application_databases import ApplicationDatabases
from services.sync_gateway.peers import ask
from services.sync_gateway.settings import HistorySettings
from shared.replication import retention
from shared.runtime.problem import Problem

PAGE = 200

_log = logging.getLogger(__name__)


async def shorten_histories(
    provisioning: httpx.AsyncClient, databases: ApplicationDatabases, settings: HistorySettings
) -> None:
    """One round over all databases; any number of gateways may make one at the same time. Who is away waits."""
    for connection in sorted(await _connections(provisioning)):
        forget = partial(retention.forget, keep=settings.keep, retention=settings.retention)
        try:
            forgotten = await databases.run_on(connection, forget)
        except Problem as problem:
            _log.warning("a history is not shortened yet: %s", problem.code)
            continue
        if forgotten and (forgotten.seen or forgotten.repeated):
            _log.info("history shortened: %s marks seen by all, %s repeated", forgotten.seen, forgotten.repeated)


async def _connections(provisioning: httpx.AsyncClient) -> set[str]:
    """The databases with an attached application."""
    found: set[str] = set()
    after: str | None = None
    while True:
        query = urlencode({"limit": PAGE} | ({} if after is None else {"after": after}))
        page = await ask(provisioning, "GET", f"/applications?{query}")
        found |= {item["connection"] for item in page["items"]}
        after = page["next"]
        if after is None:
            return found
