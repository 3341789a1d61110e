"""A workplace as the protocol shows it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from services.sync_gateway.moments import wire_time
from services.sync_gateway.tables import Activation, Build, Exchange, Workplace

_PHASES = {"requested": "waiting", "preparing": "waiting", "refused": "refused", "failed": "failed"}


async def describe_workplace(db: AsyncSession, workplace: Workplace) -> dict[str, Any]:
    """The document of one workplace (protocol.md, Sessions and administration)."""
    return (await describe_workplaces(db, [workplace]))[0]


async def describe_workplaces(db: AsyncSession, workplaces: Sequence[Workplace]) -> list[dict[str, Any]]:
    """The documents of several, in their order, with three questions for all of them."""
    ids = [workplace.id for workplace in workplaces]
    builds = {build.workplace: build for build in await db.exec(select(Build).where(col(Build.workplace).in_(ids)))}
    activations = {
        activation.workplace: activation
        for activation in await db.exec(select(Activation).where(col(Activation.workplace).in_(ids)))
    }
    last = (
        select(Exchange)
        .ext(distinct_on(col(Exchange.workplace)))
        .where(col(Exchange.workplace).in_(ids))
        .order_by(col(Exchange.workplace), col(Exchange.started_at).desc(), col(Exchange.id))
    )
    exchanges = {exchange.workplace: exchange for exchange in await db.exec(last)}
    return [_document(each, builds.get(each.id), activations.get(each.id), exchanges) for each in workplaces]


def describe_exchange(exchange: Exchange) -> dict[str, Any]:
    """The part of an exchange that a workplace shows as its last one."""
    return {
        "id": str(exchange.id),
        "started_at": wire_time(exchange.started_at),
        "finished_at": wire_time(exchange.finished_at) if exchange.finished_at else None,
        "result": exchange.result,
        "sent": exchange.sent,
        "received": exchange.received,
        "problems": exchange.problems,
    }


def _document(
    workplace: Workplace, build: Build | None, activation: Activation | None, exchanges: dict[UUID, Exchange]
) -> dict[str, Any]:
    exchange = exchanges.get(workplace.id)
    return {
        "id": str(workplace.id),
        "name": workplace.name,
        "application": workplace.application,
        "state": workplace.state,
        "reason": workplace.reason,
        "progress": _progress(workplace, build),
        "organisations": workplace.organisations,
        "users": workplace.users,
        "prefix": workplace.prefix,
        "package": _package(workplace.package),
        "last_exchange": describe_exchange(exchange) if exchange else None,
        "unsent": (activation.unsent if activation else None) or 0,
        "created_at": wire_time(workplace.created_at),
    }


def _progress(workplace: Workplace, build: Build | None) -> dict[str, Any]:
    """The build under way, or where the workplace stands when there is none."""
    finished = (workplace.package or {}).get("id")
    if build is not None and str(build.package) != finished:
        return {"phase": build.phase, "done": build.done, "total": build.total}
    total = build.total if build is not None else 0
    phase = "waiting" if is_awaited(workplace.state, workplace.package) else _PHASES.get(workplace.state, "done")
    return {"phase": phase, "done": total, "total": total}


def is_awaited(state: str, package: object) -> bool:
    """Whether a package is under way, the first one or another."""
    return state in {"requested", "preparing"} or (state in {"ready", "active", "suspended"} and package is None)


def _package(package: dict[str, Any] | None) -> dict[str, Any] | None:
    if package is None:
        return None
    expires_at = wire_time(datetime.fromisoformat(package["expires_at"]))
    return {name: package[name] for name in ("filename", "size", "sha256")} | {"expires_at": expires_at}
