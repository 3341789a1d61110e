"""All public doors under their paths."""

from fastapi import APIRouter

from services.sync_gateway.http import (
    activation,
    applications,
    exchanges,
    operator,
    operator_reads,
    packages,
    ping,
    problems,
    sessions,
    workplaces,
)


def public_routes() -> APIRouter:
    """`/api/v1` and `/operator/v1`."""
    api = APIRouter(prefix="/api/v1")
    for room in (ping, sessions, applications, packages, activation, workplaces, problems, exchanges):
        api.include_router(room.router)
    routes = APIRouter()
    routes.include_router(api)
    routes.include_router(operator.router)
    routes.include_router(operator_reads.router)
    return routes
