"""Attach an application to the service, and detach it: manifest, capture, provisioning."""

from collections.abc import Sequence
from typing import Any

import httpx
from pydantic import BaseModel

from services.sync_gateway.application_catalogue import ApplicationCatalogue
from services.sync_gateway.application_databases import ApplicationDatabases, Connection
from services.sync_gateway.peers import Answer, ask
from shared.replication import capture, model, versions
from shared.replication.manifest import Manifest, ManifestInvalid, Mistake, survey
from shared.runtime.problem import Problem

BUSY = {"Retry-After": "10"}


class Attachment(BaseModel):
    """What an operator says of an application. `connection` is a name, `area` its value of the area column."""

    subscriber: str
    title: str | dict[str, str]
    manifest: str
    connection: str
    area: str | None = None


async def attach_application(
    provisioning: httpx.AsyncClient,
    databases: ApplicationDatabases,
    catalogue: ApplicationCatalogue,
    code: str,
    wanted: Attachment,
    *,
    dry_run: bool,
) -> Answer:
    """Capture is installed or upgraded and provisioning knows the application; with `dry_run` it is only checked.

    Problems `manifest_invalid` with every mistake, `unknown_connection`, `application_unavailable`, and provisioning's.
    """
    await ask(provisioning, "GET", f"/subscribers/{wanted.subscriber}")
    surveyed = survey(wanted.manifest)
    manifest = surveyed.manifest
    if manifest is None:
        raise _invalid(surveyed.mistakes)

    def install(connection: Connection) -> str | None:
        bound = _bound(connection, code, manifest, wanted.area, surveyed.mistakes)
        try:
            return None if dry_run else capture.install(connection, code, bound).generation
        except ManifestInvalid as error:
            raise _invalid(error.mistakes) from error
        except capture.ApplicationBusy as error:
            raise Problem("application_unavailable", f"The application is busy: {error}", headers=BUSY) from error

    generation = await databases.run_on(wanted.connection, install)
    document = _document(wanted, manifest, generation)
    if dry_run:
        checked = Answer(document | {"code": code})
        checked.status = 200
        return checked
    answer = await ask(provisioning, "PUT", f"/applications/{code}", document)
    catalogue.forget(code)
    databases.forget_model(code)
    return answer


async def detach_application(
    provisioning: httpx.AsyncClient, databases: ApplicationDatabases, catalogue: ApplicationCatalogue, code: str
) -> None:
    """Its workplaces are ended and capture is removed; the application's own data are untouched."""
    application = await catalogue.get(code, fresh=True)

    def remove(connection: Connection) -> None:
        try:
            capture.remove(connection, code)
        except capture.ApplicationBusy as error:
            raise Problem("application_unavailable", f"The application is busy: {error}", headers=BUSY) from error

    await databases.run_on(application.connection, remove)
    await ask(provisioning, "DELETE", f"/applications/{code}")
    catalogue.forget(code)
    databases.forget_model(code)


async def declare_restore(
    provisioning: httpx.AsyncClient, databases: ApplicationDatabases, catalogue: ApplicationCatalogue, code: str
) -> dict[str, Any]:
    """The application's history has a new generation: every workplace uploads first and gets the whole scope again."""
    application = await catalogue.get(code, fresh=True)

    def restore(connection: Connection) -> str:
        try:
            return capture.restored(connection, code)
        except LookupError as error:
            raise Problem(
                "configuration_changed", "The restored database knows no capture: attach it again."
            ) from error

    generation = await databases.run_on(application.connection, restore)
    names = ("subscriber", "title", "manifest", "connection", "area", "configuration", "version", "platform")
    document = {name: getattr(application, name) for name in (*names, "organisations_declared")}
    await ask(provisioning, "PUT", f"/applications/{code}", document | {"generation": generation})
    catalogue.forget(code)
    return {"code": code, "generation": generation}


def _document(wanted: Attachment, manifest: Manifest, generation: str | None) -> dict[str, Any]:
    return {
        "subscriber": wanted.subscriber,
        "title": wanted.title,
        "manifest": wanted.manifest,
        "connection": wanted.connection,
        "area": wanted.area,
        "configuration": manifest.configuration.name,
        "version": manifest.configuration.version,
        "platform": manifest.configuration.platform,
        "organisations_declared": manifest.organisations is not None,
        "generation": generation,
    }


def _bound(
    connection: Connection, code: str, manifest: Manifest, area: str | None, mistakes: Sequence[Mistake]
) -> model.Model:
    """The manifest bound to its database; `mistakes` found before are told together with those found here."""
    try:
        bound = model.load(connection, manifest, area)
    except ManifestInvalid as error:
        raise _invalid([*mistakes, *error.mistakes]) from error
    if mistakes := [*mistakes, *versions.mistakes(connection, code, bound)]:
        raise _invalid(mistakes)
    return bound


def _invalid(mistakes: Sequence[Mistake]) -> Problem:
    return Problem(
        "manifest_invalid",
        f"The manifest has {len(mistakes)} mistake(s).",
        mistakes=[{"place": mistake.place, "text": mistake.text} for mistake in mistakes],
    )
