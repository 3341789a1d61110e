"""What the tests of provisioning do with workplaces again and again."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.contracts.licensing import SeatGranted
from shared.contracts.provisioning import Package, PackageRequested
from shared.contracts.snapshot_builder import PackageBuilt
from shared.contracts.sync_gateway import WorkplaceActivated
from tests.integration.one_service import OneService

APPLICATION: dict[str, Any] = {
    "subscriber": "acme",
    "title": {"en": "Books", "ru": "Бухгалтерия"},
    "manifest": '[configuration]\nname = "accounting"\n',
    "connection": "books",
    "area": None,
    "configuration": "accounting",
    "version": "1.0.0",
    "platform": ">=3.11",
    "organisations_declared": True,
    "generation": "g1",
}
PEOPLE: dict[str, dict[str, Any]] = {
    "anna": {"full_name": "Анна", "role": "administrator", "password": "anna's secret"},
    "boris": {"full_name": "Борис", "role": "user", "password": "boris' secret"},
    "robot": {"full_name": "Robot", "role": "synchronisation", "password": "robot's secret"},
}
Document = dict[str, Any]


async def ask(service: OneService, method: str, path: str, body: Any = None, expect: int = 200) -> Document:
    answer = await service.client.request(method, path, json=body)
    assert answer.status_code == expect, answer.text
    document: Document = answer.json() if answer.content else {}
    return document


async def refused(service: OneService, method: str, path: str, body: Any = None) -> tuple[int, str]:
    answer = await service.client.request(method, path, json=body)
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


async def create(service: OneService, application: str = "books", **wishes: Any) -> Document:
    body = {"created_by": "anna"} | wishes
    return await ask(service, "POST", f"/applications/{application}/workplaces", body, expect=202)


async def look(service: OneService, workplace: Document) -> Document:
    return await ask(service, "GET", f"/workplaces/{workplace['workplace']}")


async def act(service: OneService, workplace: Document, what: str, expect: int = 200) -> Document:
    return await ask(service, "POST", f"/workplaces/{workplace['workplace']}/{what}", expect=expect)


def identity(workplace: Document) -> UUID:
    return UUID(workplace["workplace"])


def granted(workplace: Document) -> SeatGranted:
    return SeatGranted(workplace=identity(workplace), subscriber="acme")


async def wanted_package(service: OneService, workplace: Document) -> UUID:
    """The package that was asked for last."""
    asked = [e for e in await service.recorded(PackageRequested) if e.workplace == identity(workplace)]
    return asked[-1].package


def built(workplace: Document, package: UUID | None = None) -> PackageBuilt:
    made = Package(
        id=package or uuid4(),
        object=f"packages/{package}",
        filename="Автономная работа.zip",
        size=1000,
        sha256="0" * 64,
        position="1:1:",
        generation="g1",
        scope_version=1,
        expires_at=datetime.now(UTC) + timedelta(days=7),
    )
    return PackageBuilt(workplace=identity(workplace), package=made, rows={"invoices": 1})


def activated(workplace: Document) -> WorkplaceActivated:
    return WorkplaceActivated(
        workplace=identity(workplace), application="books", login="anna", replica="r", activated_at=datetime.now(UTC)
    )


async def make_preparing(service: OneService, **wishes: Any) -> Document:
    workplace = await create(service, **wishes)
    await service.take(granted(workplace))
    return await look(service, workplace)


async def make_ready(service: OneService, **wishes: Any) -> Document:
    workplace = await make_preparing(service, **wishes)
    await service.take(built(workplace, await wanted_package(service, workplace)))
    return await look(service, workplace)


async def make_active(service: OneService, **wishes: Any) -> Document:
    workplace = await make_ready(service, **wishes)
    await service.take(activated(workplace))
    return await look(service, workplace)
