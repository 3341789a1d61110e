"""The internal door: what a package is."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from services.snapshot_builder.tables import StoredPackage
from shared.runtime.database import Sessions
from shared.runtime.http import require_service_token
from shared.runtime.problem import Problem


class PackageRow(BaseModel):
    """A finished package. It cannot be downloaded once `ended_at` or `removed_at` is set or `expires_at` has passed."""

    id: UUID
    workplace: UUID
    application: str
    object: str
    filename: str
    size: int
    sha256: str
    position: str
    generation: str
    scope_version: int
    rows: dict[str, int]
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    removed_at: datetime | None


def internal_routes(sessions: Sessions, service_token: str) -> APIRouter:
    """Doors for other services; they need the service token."""
    internal = APIRouter(dependencies=[Depends(require_service_token(service_token))])

    @internal.get("/packages/{package}")
    async def read_package(package: UUID) -> PackageRow:
        async with sessions() as session:
            row = await session.get(StoredPackage, package)
        if row is None:
            raise Problem("not_found", f"There is no package {package}, or it is not built yet.")
        return PackageRow.model_validate(row.model_dump())

    return internal
