"""The four services in this very process, served on a real port: what a test patches, they do."""

import asyncio
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest.mock import patch

import uvicorn
from argon2 import PasswordHasher

from deploy.processes import free_port
from deploy.stack.one_process import public_door

OPERATOR_TOKEN = "operator-of-the-histories"
_PATIENCE = 60.0


class _Running:
    def __init__(self) -> None:
        self.started = threading.Event()
        self.server: uvicorn.Server | None = None
        self.failure: BaseException | None = None

    async def serve(self) -> None:
        async with public_door() as server:
            # In this process nobody needs their log of every request.
            logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
            logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
            self.server = server
            server.config.callback_notify = self._told
            server.config.timeout_notify = 0
            await server.serve()

    async def _told(self) -> None:
        """Called by the server once it serves, and again and again."""
        self.started.set()

    def run(self) -> None:
        try:
            asyncio.run(self.serve())
        except BaseException as error:  # noqa: BLE001 – whoever waits for the start is told
            self.failure = error
        finally:
            self.started.set()


@contextmanager
def services(environment: Mapping[str, str]) -> Iterator[str]:
    """The URL of the gateway; the services run while one is inside, with these settings."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    others = {name: value for name, value in os.environ.items() if not name.startswith("YURT_")}
    own = {
        "YURT_HOST": "127.0.0.1",
        "YURT_PORT": str(port),
        "YURT_PUBLIC_URL": url,
        "YURT_SERVICE_TOKEN": "service-of-the-histories",
        "YURT_OPERATOR_TOKEN": OPERATOR_TOKEN,
    }
    running = _Running()
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # nobody attacks these passwords
    with (
        patch.dict(os.environ, {**others, **own, **environment}, clear=True),
        patch("services.provisioning.main.PasswordHasher", lambda: cheap),
    ):
        thread = threading.Thread(target=running.run, name="services")
        thread.start()
        running.started.wait(_PATIENCE)
        if running.failure or running.server is None:
            thread.join(_PATIENCE)
            raise RuntimeError("the services did not start") from running.failure
        try:
            yield url
        finally:
            running.server.should_exit = True
            thread.join(_PATIENCE)
    if running.failure:
        raise RuntimeError("the services ended badly") from running.failure
