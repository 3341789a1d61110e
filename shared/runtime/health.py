"""Whether a service lives and whether it can work: two doors without a token, the same in every service."""

from fastapi import APIRouter
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.runtime.problem import database_away


def health_routes(engine: AsyncEngine) -> APIRouter:
    """`/health/live` answers while the process does; `/health/ready` when its database does too, else 503."""
    router = APIRouter(prefix="/health")

    @router.get("/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @router.get("/ready")
    async def ready() -> dict[str, str]:
        try:
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError) as error:
            raise database_away() from error
        return {"status": "ready"}

    return router
