"""A builder of the test's own: databases, bucket, folders."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from minio import Minio
from psycopg import sql

from services.snapshot_builder.settings import BuilderSettings, SnapshotBuilderSettings
from services.snapshot_builder.workshop import SERVICE
from shared.runtime.database import ensure_database, migrate, service_database_url
from shared.runtime.objects import Objects
from shared.runtime.settings import (
    ConnectionSettings,
    ObjectSettings,
    PostgresSettings,
    ServiceSettings,
    TelemetrySettings,
)
from tests.integration.snapshot_builder.application import Application
from tests.integration.snapshot_builder.stand import Stand, database_of, opened
from workplace.build_pyz import write_package_files


@pytest.fixture
def application(fresh_database: str) -> Application:
    """Attached, with 300 orders."""
    application = Application(fresh_database)
    application.attach(orders=300)
    return application


@pytest.fixture
def settings(
    tmp_path: Path, postgres_url: str, bucket: ObjectSettings, application: Application
) -> Iterator[SnapshotBuilderSettings]:
    program = tmp_path / "program"
    write_package_files(program)
    prefix = f"yurt_{uuid4().hex}"
    yield SnapshotBuilderSettings(
        postgres=PostgresSettings(postgres_url=postgres_url, database_prefix=prefix),
        objects=bucket,
        service=ServiceSettings(service_token="token-of-these-tests", home=tmp_path / "home"),
        telemetry=TelemetrySettings(),
        connections=ConnectionSettings(connection={"stall": application.url}),
        builder=BuilderSettings(
            public_url="https://yurt.example",
            program_dir=program,
            build_lease=3,
            build_progress_interval=0.05,
            build_retry_first=0.05,
        ),
    )
    with psycopg.connect(postgres_url, autocommit=True) as server:
        name = urlsplit(service_database_url(postgres_url, SERVICE, prefix)).path.strip("/")
        server.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def bucket(s3_url: str) -> Iterator[ObjectSettings]:
    """A bucket that goes with all that is in it."""
    name = f"yurt-test-{uuid4().hex}"
    settings = ObjectSettings(s3_url=urlunsplit(urlsplit(s3_url)._replace(path=f"/{name}")))
    yield settings
    client = Minio(
        settings.endpoint,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        secure=settings.secure,
        region=settings.s3_region,
    )
    if client.bucket_exists(name):
        for found in client.list_objects(name, recursive=True):
            client.remove_object(name, found.object_name or "")
        client.remove_bucket(name)


@pytest.fixture
async def stand(settings: SnapshotBuilderSettings, application: Application) -> AsyncIterator[Stand]:
    """The builder, not running yet; its database and its bucket are there."""
    url = database_of(settings)
    await ensure_database(url)
    await migrate("services.snapshot_builder", url)
    objects = Objects(settings.objects)
    await objects.ensure_bucket()
    async with opened(settings) as sessions:
        yield Stand(settings, application, objects, sessions)
