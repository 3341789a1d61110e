"""The door to the application databases: pooled connections, bound models, threads for the synchronous heart."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any, TypeVar

import psycopg
from anyio import CapacityLimiter, to_thread
from psycopg import errors
from psycopg_pool import ConnectionPool, PoolTimeout

from shared.replication.manifest import ManifestInvalid, parse
from shared.replication.model import Model, load
from shared.replication.problem import ProtocolProblem
from shared.replication.session import configure
from shared.runtime.problem import Problem
from shared.runtime.settings import ConnectionSettings
from shared.runtime.silence import watched

T = TypeVar("T")
Connection = psycopg.Connection[Any]
# Tables, columns or functions that the model or schema `yurt` counts on are not there.
_NOT_ATTACHED = (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction, errors.InvalidSchemaName)
RETRY_AFTER = {"Retry-After": "30"}


@dataclass(frozen=True)
class Application:
    """An application as provisioning knows it."""

    code: str
    subscriber: str
    title: Any
    manifest: str
    connection: str
    area: str | None
    configuration: str
    version: str
    platform: str
    organisations_declared: bool
    generation: str | None
    users: tuple[dict[str, Any], ...] = ()


class ApplicationDatabases:
    """Runs synchronous work on application databases, never more than `calls` at one time, never on the event loop."""

    def __init__(
        self, connections: ConnectionSettings, *, calls: int, size: int, seconds: float, binds_for: float
    ) -> None:
        self._connections = connections
        self._limiter = CapacityLimiter(calls)
        self._size = size
        self._seconds = seconds
        self._binds_for = binds_for
        self._pools: dict[str, ConnectionPool[Connection]] = {}
        self._models: dict[str, tuple[tuple[str, str, str | None], Model, float]] = {}
        self._lock = Lock()

    async def run(self, application: Application, work: Callable[[Connection, Model], T], *, anew: bool = False) -> T:
        """What `work` returns, called with a connection and the application's model in a thread.

        The connection commits each statement by itself; `work` opens its transactions. `anew` binds the manifest to the
        catalogue again when that was `binds_for` seconds ago, so that an altered table is noticed. A database that is
        away becomes 503 `application_unavailable`; a manifest that does not fit its catalogue any more 409
        `configuration_changed`; what the heart refuses its own problem.
        """

        def with_model(connection: Connection) -> T:
            try:
                model = self._model(connection, application, anew=anew)
            except ManifestInvalid as error:
                raise Problem("configuration_changed", str(error)) from error
            return work(connection, model)

        return await self.run_on(application.connection, with_model)

    async def run_on(self, name: str, work: Callable[[Connection], T]) -> T:
        """As `run`, on a named connection, before anything is known about an application there."""
        pool = self._pool(name)

        def in_thread() -> T:
            try:
                with pool.connection(self._seconds) as connection:
                    return work(connection)
            except ProtocolProblem as refused:
                raise Problem(refused.code, refused.detail, status=refused.status, **refused.extra) from refused
            except _NOT_ATTACHED as error:
                detail = "The application was altered or restored: the operator has to attach it again."
                raise Problem("configuration_changed", detail) from error
            except (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError) as error:
                raise _unavailable(error) from error

        return await to_thread.run_sync(in_thread, limiter=self._limiter)

    def forget_model(self, code: str) -> None:
        """The next call binds the manifest to the catalogue anew."""
        self._models.pop(code, None)

    async def close(self) -> None:
        """Close all pools; idle connections at once, busy ones when they come back."""
        for pool in self._pools.values():
            await to_thread.run_sync(pool.close)
        self._pools.clear()

    def _model(self, connection: Connection, application: Application, *, anew: bool) -> Model:
        made_of = (application.manifest, application.connection, application.area)
        known = self._models.get(application.code)
        stale = known is not None and anew and monotonic() - known[2] >= self._binds_for
        if known is None or known[0] != made_of or stale:
            known = (made_of, load(connection, parse(application.manifest), application.area), monotonic())
            self._models[application.code] = known
        return known[1]

    def _pool(self, name: str) -> ConnectionPool[Connection]:
        with self._lock:
            pool = self._pools.get(name)
            if pool is None:
                pool = ConnectionPool(
                    watched(self._connections.resolve(name), self._connections.silence),
                    min_size=0,
                    max_size=self._size,
                    timeout=self._seconds,
                    max_idle=60,
                    reconnect_timeout=self._seconds,
                    check=ConnectionPool.check_connection,
                    configure=configure,
                    kwargs={"connect_timeout": max(2, round(self._seconds))},
                    open=True,
                )
                self._pools[name] = pool
            return pool


def _unavailable(error: Exception) -> Problem:
    return Problem(
        "application_unavailable",
        f"The application's database does not answer ({type(error).__name__}); try again later.",
        headers=RETRY_AFTER,
    )
