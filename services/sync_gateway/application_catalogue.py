"""Applications as provisioning describes them."""

from dataclasses import fields
from time import monotonic

import httpx

from services.sync_gateway.application_databases import Application
from services.sync_gateway.peers import ask

_FIELDS = tuple(field.name for field in fields(Application) if field.name != "users")


class ApplicationCatalogue:
    """Asks provisioning, and remembers the answer for `seconds`: other gateways' changes are seen after that."""

    def __init__(self, provisioning: httpx.AsyncClient, *, seconds: float = 2) -> None:
        self._provisioning = provisioning
        self._seconds = seconds
        self._known: dict[str, tuple[float, Application]] = {}

    async def get(self, code: str, *, fresh: bool = False, version: str | None = None) -> Application:
        """The application. Raises the problem `not_found`.

        `fresh` asks anew (users must be current), and so does a `version` that is not the remembered one: of the two,
        nobody here knows which is the newer.
        """
        known = self._known.get(code)
        fresh = fresh or (known is not None and version is not None and known[1].version != version)
        if known is not None and not fresh and monotonic() - known[0] < self._seconds:
            return known[1]
        document = await ask(self._provisioning, "GET", f"/applications/{code}")
        application = Application(
            **{name: document[name] for name in _FIELDS}, users=tuple(document.get("users") or ())
        )
        self._known[code] = (monotonic(), application)
        return application

    def forget(self, code: str) -> None:
        """The next question goes to provisioning."""
        self._known.pop(code, None)
