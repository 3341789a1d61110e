"""The stack: servers first, then the services, then ready; in the opposite order at the end."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from deploy.processes import free_port
from deploy.servers import postgres, rabbit
from deploy.servers.named import named_server
from deploy.servers.postgres import WheelPostgres
from deploy.servers.rclone import RcloneStore
from deploy.servers.server import Server
from deploy.stack.home import held, kept_secret
from deploy.stack.program import build_program
from deploy.stack.service import SupervisedService
from deploy.stack.settings import StackSettings
from shared.contracts.services import SERVICES

ROOT = Path(__file__).parent.parent.parent

# Read by glibc: what a large message took goes back to the system, not into a heap of each thread.
GIVE_MEMORY_BACK = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "1000000"}

DEMO_APPLICATIONS = ("accounting_kz", "northwind")


class Stack:
    """A running Yurt, as a context manager: inside it the gateway answers at `url`.

    `environment` is passed to the services under the stack's own settings; `say` gets one sentence per step.
    A stack that was killed leaves nothing that hinders the next start over the same home.
    """

    def __init__(
        self,
        settings: StackSettings,
        *,
        environment: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._environment = dict(os.environ if environment is None else environment)
        self._say = say
        self._ending = ExitStack()
        self.home = settings.home.resolve()
        self.services: dict[str, SupervisedService] = {}
        self.postgres_url = ""
        self.url = ""

    @property
    def operator_token(self) -> str:
        """What opens `/operator/v1`."""
        if self._settings.operator_token is not None:
            return self._settings.operator_token.get_secret_value()
        return kept_secret(self.home / "operator-token")

    def demo_database(self, application: str) -> str:
        """The name of the database the demonstration makes for one of its applications."""
        return f"{self._settings.database_prefix}_demo_{application}"

    def database_url(self, name: str) -> str:
        """The URL of a database on the stack's PostgreSQL server."""
        return urlunsplit(urlsplit(self.postgres_url)._replace(path=f"/{name}"))

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._ending.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.close()

    def _start(self) -> None:
        self._ending.enter_context(held(self.home))
        database = self._server(self._given_postgres, lambda: WheelPostgres(self.home / "postgres").start())
        store = self._server(self._given_s3, lambda: RcloneStore(self.home).start())
        self.postgres_url = database.url
        port = self._settings.port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        common = {
            **GIVE_MEMORY_BACK,
            **self._environment,
            **self._demo_connections(),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "YURT_HOME": str(self.home),
            "YURT_HOST": "127.0.0.1",
            "YURT_POSTGRES_URL": database.url,
            "YURT_DATABASE_PREFIX": self._settings.database_prefix,
            "YURT_S3_URL": store.url,
            "YURT_SERVICE_TOKEN": self._environment.get("YURT_SERVICE_TOKEN")
            or kept_secret(self.home / "service-token"),
            "YURT_OPERATOR_TOKEN": self.operator_token,
            "YURT_PUBLIC_URL": self._settings.public_url or self.url,
            "YURT_PROGRAM_DIR": str(build_program(self.home / "program")),
        }
        if self._settings.amqp_url is None:
            self._say("Events go from the outbox to their handlers in process; the four services are one process.")
            self._launch({"yurt": ("deploy.stack.one_process", common | {"YURT_PORT": str(port)})})
        else:
            broker = named_server("RabbitMQ", "YURT_AMQP_URL", self._settings.amqp_url, rabbit.version_of)
            self._say(f"{broker}; the four services are four processes.")
            self._launch(_four(common | {"YURT_AMQP_URL": broker.url}, port))
        self._say(f"The gateway answers at {self.url}.")

    def _server(self, given: Callable[[], Server | None], own: Callable[[], Server]) -> Server:
        server = given() or own()
        self._ending.callback(server.stop)
        self._say(f"{server}.")
        return server

    def _given_postgres(self) -> Server | None:
        url = self._settings.postgres_url
        return named_server("PostgreSQL", "YURT_POSTGRES_URL", url, postgres.version_of) if url else None

    def _given_s3(self) -> Server | None:
        url = self._settings.s3_url
        return Server("S3", "endpoint", url, "YURT_S3_URL") if url else None

    def _demo_connections(self) -> dict[str, str]:
        """The demonstration's databases by name: `demo-accounting-kz` is database `yurt_demo_accounting_kz`."""
        return {
            f"YURT_CONNECTION_DEMO_{name.upper()}": self.database_url(self.demo_database(name))
            for name in DEMO_APPLICATIONS
        }

    def _launch(self, wanted: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
        for name, (module, env) in wanted.items():
            service = SupervisedService(name, sys.executable, module, env, self.home, self._say)
            self.services[name] = service
            self._ending.callback(service.stop)
            service.start()
        for service in self.services.values():
            service.wait_until_ready(timeout=120)


def _four(common: Mapping[str, str], gateway_port: int) -> dict[str, tuple[str, Mapping[str, str]]]:
    ports = {name: free_port() for name in SERVICES} | {"sync-gateway": gateway_port}
    addresses = {
        f"YURT_{name.replace('-', '_').upper()}_URL": f"http://127.0.0.1:{port}" for name, port in ports.items()
    }
    return {
        name: (f"services.{name.replace('-', '_')}.main", {**common, **addresses, "YURT_PORT": str(port)})
        for name, port in ports.items()
    }
