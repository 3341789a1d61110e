"""Open an exchange: what the replica says meets what the service knows (protocol.md, Exchange, 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
from pydantic import BaseModel
from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sync_gateway.access.callers import Replica, require_living_right
from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.application_databases import ApplicationDatabases, Connection
from services.sync_gateway.exchange.compatibility import require_program, unknown_configuration
from services.sync_gateway.exchange.running_exchange import require_exchanging, supersede
from services.sync_gateway.moments import wire_time
from services.sync_gateway.settings import ExchangeSettings
from services.sync_gateway.tables import Activation, Exchange, KnownScope, Workplace
from shared.replication import capture, opening, ranges, upgrade, versions
from shared.replication.blueprint import Blueprint
from shared.replication.manifest import Configuration
from shared.replication.model import Model
from shared.replication.opening import Opening
from shared.replication.scope import Scope
from shared.runtime.database import Sessions
from shared.runtime.problem import Problem


class Greeting(BaseModel):
    """What a replica says of itself at the beginning."""

    replica_id: str
    configuration: str
    version: str
    generation: str
    position: str
    scope_version: int
    last_message: int
    sending: int | None = None
    pending: int
    free: dict[str, int] | None = None
    verify: bool | str | None = None
    program: str


@dataclass(frozen=True)
class Opened:
    """The answer; `leftovers` are delta files of exchanges that this one ended."""

    status: int
    document: dict[str, Any]
    leftovers: list[str]


@dataclass(frozen=True)
class _Known:
    workplace: Workplace
    activation: Activation
    held: Scope | None

    @property
    def scope(self) -> Scope:
        return scope_of(self.workplace)

    @property
    def reissued(self) -> bool:
        return self.activation.reissued_at is not None

    def is_fresh(self, greeting: Greeting) -> bool:
        """The replica has not come further than the present package."""
        return greeting.position == (self.workplace.package or {}).get("position")


def scope_of(workplace: Workplace) -> Scope:
    """The organisations the workplace has now, from the service's own records."""
    keys = workplace.organisations
    return Scope(None if keys is None else tuple(keys), workplace.scope_version)


async def open_exchange(
    sessions: Sessions,
    provisioning: httpx.AsyncClient,
    catalogue: ApplicationCatalogue,
    databases: ApplicationDatabases,
    settings: ExchangeSettings,
    replica: Replica,
    greeting: Greeting,
    exchanges_url: str,
) -> Opened:
    """A new exchange (201), or the answer that there is nothing to do (200): then the position is acknowledged.

    The replica's unfinished exchanges are over. A replica of a former configuration version is told the schema that
    leads to today's, under `exchanges_url`; the tables that it alters come whole in the delta. Problems:
    `not_authenticated`, `workplace_deleted`, `suspended`, `activated_elsewhere`, `program_too_old`,
    `configuration_changed`, `maintenance`, `application_unavailable`.
    """
    async with sessions() as db:
        known = await _known(db, replica, greeting)
    workplace = known.workplace
    if workplace.state != "deleted":
        await require_living_right(sessions, provisioning, replica, workplace.application, workplace.users)
    require_exchanging(workplace)
    if settings.maintenance:
        raise Problem("maintenance", "The service is being maintained.", headers={"Retry-After": "60"})
    require_program(greeting.program, settings.minimal_program)
    if replica.replica != greeting.replica_id or known.activation.replica != replica.replica:
        raise Problem("activated_elsewhere", "This token was given to another replica of the workplace.")
    look = partial(_look, workplace.application, known, greeting)
    application = await catalogue.get(workplace.application, version=greeting.version)
    try:
        seen = await databases.run(application, look, anew=True)
    except Problem as problem:
        if problem.code != "configuration_changed":
            raise
        # Another gateway may have attached a new version that this one has not heard of.
        application = await catalogue.get(workplace.application, fresh=True)
        seen = await databases.run(application, look, anew=True)
    found, leased, present = seen.opening, seen.leased, application.version
    resync = _resync(found, reissued=known.reissued)
    idle = (
        found.idle
        and greeting.version == present
        and not (greeting.pending or greeting.sending or greeting.verify or leased or resync)
        and not known.activation.differing
        and known.held == known.scope
    )
    now = datetime.now(UTC)
    exchange = Exchange(
        id=uuid4(),
        workplace=workplace.id,
        application=workplace.application,
        replica=replica.replica,
        login=replica.login,
        program=greeting.program,
        started_at=now,
        expires_at=now + settings.lifetime,
        finished_at=now if idle else None,
        result="idle" if idle else None,
        opened={
            "position": greeting.position,
            "scope": known.held and [known.held.organisations, known.held.version],
            "pending": greeting.pending,
            "next_message": found.next_message,
            "reset": resync is not None,
            "repair": {**(known.activation.differing or {}), **{table: [] for table in seen.altered}},
            "version": present,
            "former": greeting.version if greeting.version != present else None,
        },
        unsent=greeting.pending,
    )
    async with sessions.begin() as db:
        leftovers = list(await supersede(db, replica))
        activation = await db.get_one(Activation, workplace.id, with_for_update=True)
        activation.unsent = greeting.pending
        if idle:
            activation.position, activation.scope_version = found.position, known.scope.version
            await _forget_idle_ones(db, replica)
        db.add(exchange)
    if idle:
        document = {"idle": True, "position": found.position, "next_exchange_in": settings.next_exchange_in}
        return Opened(200, document, leftovers)
    document = {
        "id": str(exchange.id),
        "expires_at": wire_time(exchange.expires_at),
        "next_message": found.next_message,
        "last_result": found.last_result,
        "schema": {"version": present, "url": f"{exchanges_url}/{exchange.id}/schema"}
        if greeting.version != present
        else None,
        "resync": resync,
        "backoff": None,
    }
    return Opened(201, document | ({"ranges": leased} if leased else {}), leftovers)


@dataclass(frozen=True)
class _Seen:
    """What the application's database says. `altered`: tables that a schema makes others than the replica holds."""

    opening: Opening
    leased: Mapping[str, Any]
    altered: Sequence[str]


def _look(
    code: str,
    known: _Known,
    greeting: Greeting,
    conn: Connection,
    model: Model,
) -> _Seen:
    identity = str(known.workplace.id)
    _require_attached(conn, code, model)
    former = _former(conn, code, greeting, model.manifest.configuration)
    found = opening.inspect(
        conn,
        code,
        model,
        identity,
        scope_before=known.held,
        scope_now=known.scope,
        position=greeting.position,
        generation=greeting.generation,
        last_message=greeting.last_message,
        sending=greeting.sending,
        fresh=known.is_fresh(greeting),
    )
    if found.resync or known.reissued:
        leased = ranges.renew(conn, code, model, identity)
    else:
        # What the schema makes leased has no key of its own yet.
        anew = upgrade.newly_leased(former, model, model.manifest.migration(greeting.version)) if former else ()
        leased = ranges.lease(conn, code, model, identity, {**dict.fromkeys(anew, 0), **(greeting.free or {})})
    leased = {table: lease for table, lease in leased.items() if lease["spans"]}
    return _Seen(found, leased, upgrade.altered(former, model) if former else ())


def _former(conn: Connection, code: str, greeting: Greeting, present: Configuration) -> Blueprint | None:
    """What a replica of a former version is, None for one of today's. Problem `configuration_changed`."""
    of_this = greeting.configuration == present.name
    if of_this and greeting.version == present.version:
        return None
    former = versions.find(conn, code, greeting.version) if of_this else None
    if former is None:
        raise unknown_configuration((greeting.configuration, greeting.version), (present.name, present.version))
    return former


async def _known(db: AsyncSession, replica: Replica, greeting: Greeting) -> _Known:
    workplace = await db.get_one(Workplace, replica.workplace)
    activation = await db.get_one(Activation, replica.workplace)
    held = await db.get(KnownScope, (replica.workplace, greeting.scope_version))
    if held is None:
        return _Known(workplace, activation, None)
    keys = held.organisations
    return _Known(workplace, activation, Scope(None if keys is None else tuple(keys), held.version))


def _require_attached(connection: Connection, code: str, model: Model) -> None:
    """The application is as it was attached. Problem `configuration_changed`."""
    attached = capture.state(connection, code)
    version = model.manifest.configuration.version
    if attached is None or (attached.version, attached.fingerprint) != (version, model.fingerprint):
        raise Problem(
            "configuration_changed",
            "A synchronised table was altered: the operator has to attach the application again.",
        )


def _resync(found: Opening, *, reissued: bool) -> dict[str, Any] | None:
    if reissued:
        return {"reason": "reissued", "upload_first": True}
    if found.resync is not None:
        return {"reason": found.resync, "upload_first": found.upload_first}
    return None


async def _forget_idle_ones(db: AsyncSession, replica: Replica) -> None:
    """Of exchanges without anything to do only the last is kept."""
    await db.exec(delete(Exchange).where(col(Exchange.workplace) == replica.workplace, col(Exchange.result) == "idle"))
