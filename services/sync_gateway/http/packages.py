"""Download of packages."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from services.sync_gateway.access.callers import Person, Replica, require_living_right
from services.sync_gateway.access.rights import not_found, require_reader
from services.sync_gateway.http.callers import PersonOrReplica
from services.sync_gateway.http.stored_files import StoredFile, answer_file, attachment
from services.sync_gateway.http.wiring import Parts, Wired
from services.sync_gateway.moments import id_of
from services.sync_gateway.tables import Workplace
from shared.runtime.problem import Problem

router = APIRouter(tags=["workplaces"])


@router.head("/workplaces/{workplace}/package", include_in_schema=False)
@router.get("/workplaces/{workplace}/package", response_class=Response)
async def get_package(workplace: str, request: Request, caller: PersonOrReplica, parts: Wired) -> Response:
    """The zip, whole or by range: 409 `package_not_ready`, 410 `package_expired`, 410 `workplace_deleted`."""
    found = await readable_workplace(parts, workplace, caller)
    package = found.package
    if found.state == "deleted":
        raise Problem("workplace_deleted", "The workplace was deleted.")
    if package is None:
        raise Problem("package_not_ready", f"The workplace is {found.state}: there is no package.", state=found.state)
    expired = Problem("package_expired", "The package is not kept any more. Order a new one.")
    if datetime.fromisoformat(package["expires_at"]) <= datetime.now(UTC):
        raise expired
    headers = {"Content-Disposition": attachment(package["filename"]), "Cache-Control": "private, no-transform"}
    file = StoredFile(package["object"], package["size"], package["sha256"], "application/zip", headers)
    return await answer_file(request, parts.objects, file, missing=expired)


async def readable_workplace(parts: Parts, workplace: str, caller: Person | Replica) -> Workplace:
    """The workplace, when the person may read it or the replica is its own. Problems `not_found`, `not_permitted`."""
    identity = id_of(workplace)
    async with parts.sessions() as db:
        found = await db.get(Workplace, identity) if identity else None
    if isinstance(caller, Person):
        require_reader(caller, found)
    elif found is not None and found.id == caller.workplace and found.state != "deleted":
        await require_living_right(parts.sessions, parts.provisioning, caller, found.application, found.users)
    if found is None or (isinstance(caller, Replica) and found.id != caller.workplace):
        raise not_found("There is no such workplace.")
    return found
