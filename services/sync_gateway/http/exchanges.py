"""The exchange of a workplace with its application."""

from collections.abc import AsyncIterator, Iterator
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import Field, StringConstraints
from starlette.requests import ClientDisconnect

from services.sync_gateway.administration.kept_replies import Reply, reply_once
from services.sync_gateway.exchange import message_body, running_exchange
from services.sync_gateway.exchange.complete_exchange import (
    Completion,
    Repaired,
    abandon_exchange,
    complete_exchange,
    drop_files,
)
from services.sync_gateway.exchange.offer_changes import offer_changes
from services.sync_gateway.exchange.offer_schema import offer_schema
from services.sync_gateway.exchange.open_exchange import Greeting, open_exchange
from services.sync_gateway.exchange.receive_message import receive_message
from services.sync_gateway.http.bodies import BIGINT, Body, Count, Line
from services.sync_gateway.http.callers import ActiveReplica
from services.sync_gateway.http.stored_files import StoredFile, answer_file
from services.sync_gateway.http.wiring import Wired
from services.sync_gateway.http.workplaces import IdempotencyKey
from services.sync_gateway.moments import id_of
from services.sync_gateway.tables import Exchange, Workplace
from shared.runtime.problem import Problem

router = APIRouter(tags=["exchange"])

NDJSON = "application/x-ndjson"
_PIECE = 1 << 18

Position = Annotated[str, StringConstraints(max_length=100_000)]
TableName = Annotated[str, StringConstraints(min_length=1, max_length=63)]


class GreetingBody(Body, Greeting):
    """`POST /exchanges`."""

    replica_id: Line
    configuration: Line
    version: Line
    generation: Line
    position: Position
    scope_version: Count
    last_message: Count
    sending: Annotated[int, Field(ge=1, le=BIGINT, strict=True)] | None = None
    pending: Count
    free: dict[TableName, Count] | None = None
    verify: bool | Literal["tables", "buckets"] | None = None
    program: Line


class RepairedBody(Body, Repaired):
    """Rows of one table that a repair found."""

    missing: Count
    extra: Count
    different: Count


class CompletionBody(Body, Completion):
    """`POST /exchanges/{id}/completion`."""

    position: Position
    applied: Count
    differing: dict[TableName, list[Annotated[int, Field(ge=0, le=255, strict=True)]]] | None = None
    repaired: dict[TableName, RepairedBody] | None = None  # type: ignore[assignment]  # a narrower value
    problems: Count | None = None


async def _living(exchange: str, replica: ActiveReplica, parts: Wired) -> tuple[Exchange, Workplace]:
    return await running_exchange.living_exchange(parts.sessions, replica, id_of(exchange), parts.exchange.lifetime)


Living = Annotated[tuple[Exchange, Workplace], Depends(_living)]


@router.post("/exchanges", status_code=201)
async def post_exchange(
    body: GreetingBody,
    replica: ActiveReplica,
    parts: Wired,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Open (201), or hear that there is nothing to do (200)."""

    async def act() -> Reply:
        opened = await open_exchange(
            parts.sessions,
            parts.provisioning,
            parts.catalogue,
            parts.databases,
            parts.exchange,
            replica,
            body,
            f"{(parts.door.public_url or str(request.base_url)).rstrip('/')}/api/v1/exchanges",
        )
        await drop_files(parts.objects, opened.leftovers)
        return opened.status, opened.document

    owner = f"{replica.workplace}/{replica.login}"
    wanted = ["POST", "/exchanges", body.model_dump()]
    response.status_code, document = await reply_once(parts.sessions, owner, idempotency_key, wanted, act)
    return document


@router.post("/exchanges/{exchange}/messages/{number}")
async def post_message(
    number: str,
    request: Request,
    living: Living,
    replica: ActiveReplica,
    parts: Wired,
    content_digest: Annotated[list[str] | None, Header()] = None,
    content_encoding: Annotated[str | None, Header()] = None,
    content_type: Annotated[str, Header()] = NDJSON,
    yurt_version: Annotated[str | None, Header(max_length=100)] = None,
) -> dict[str, Any]:
    """Push a numbered message: applied once, answered for ever."""
    if not number.isascii() or not number.isdigit() or not 0 < int(number[:20]) <= BIGINT:
        raise Problem("not_found", "Messages are numbered from 1.")
    if content_type.partition(";")[0].strip().lower() != NDJSON:
        raise Problem("unsupported_media_type", f"A message is {NDJSON}.")
    if yurt_version is None:
        raise message_body.invalid_body("Yurt-Version is missing: the version the message was written in.")
    body = await message_body.receive(
        _chunks(request), ",".join(content_digest or ()), content_encoding, parts.exchange
    )
    try:
        answer = await receive_message(
            parts.sessions,
            parts.catalogue,
            parts.databases,
            parts.huge if body.large else parts.heavy,
            replica,
            *living,
            int(number),
            yurt_version,
            body,
        )
    finally:
        body.close()
    return answer


@router.get("/exchanges/{exchange}/changes", response_class=StreamingResponse)
async def get_changes(
    living: Living,
    request: Request,
    parts: Wired,
    after: Annotated[Position, Query()],
    digests: Annotated[Literal["tables", "buckets"] | None, Query()] = None,
) -> Response:
    """The delta; a large one waits as a file (303)."""
    exchange, workplace = living
    offer = await offer_changes(
        parts.sessions,
        parts.catalogue,
        parts.databases,
        parts.objects,
        exchange,
        workplace,
        after,
        digests,
        gzipped=accepts_gzip(request.headers.get("accept-encoding", "")),
        direct_limit=parts.exchange.delta_direct_limit,
    )
    if offer.file is None:
        place = request.url.path.removesuffix("/changes") + "/delta"
        return Response(status_code=303, headers={"Location": place})
    headers = {"Vary": "Accept-Encoding", "Cache-Control": "no-store"}
    if offer.gzipped:
        headers["Content-Encoding"] = "gzip"
    return StreamingResponse(_read_and_close(offer.file), media_type=NDJSON, headers=headers)


@router.get("/exchanges/{exchange}/schema", response_class=PlainTextResponse)
async def get_schema(living: Living, parts: Wired) -> str:
    """The SQL that brings a replica of a former configuration version to today's."""
    return await offer_schema(parts.catalogue, parts.databases, living[0])


@router.head("/exchanges/{exchange}/delta", include_in_schema=False)
@router.get("/exchanges/{exchange}/delta", response_class=Response)
async def get_delta(living: Living, request: Request, parts: Wired) -> Response:
    """The file of the last large delta of this exchange, by range as it is coded."""
    delta = living[0].delta
    if delta is None:
        raise Problem("not_found", "This exchange has no delta file.")
    headers = {"Cache-Control": "private, no-transform"}
    if delta["gzipped"]:
        headers["Content-Encoding"] = "gzip"
    file = StoredFile(delta["object"], delta["size"], delta["sha256"], NDJSON, headers)
    over = Problem("exchange_over", "The exchange is over and its delta is gone.")
    return await answer_file(request, parts.objects, file, missing=over)


@router.post("/exchanges/{exchange}/completion")
async def post_completion(body: CompletionBody, living: Living, parts: Wired) -> dict[str, Any]:
    """Acknowledge and end."""
    await complete_exchange(parts.sessions, parts.catalogue, parts.databases, parts.objects, *living, body)
    return {"next_exchange_in": parts.exchange.next_exchange_in}


@router.delete("/exchanges/{exchange}", status_code=204)
async def delete_exchange(living: Living, parts: Wired) -> None:
    """Abandon it."""
    await abandon_exchange(parts.sessions, parts.objects, living[0])


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise Problem("bad_request", "The line broke before the message was whole.") from error


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header lets us send gzip (RFC 9110, 12.5.3)."""
    for member in header.split(","):
        coding, _, parameters = member.partition(";")
        if coding.strip().lower() in {"gzip", "x-gzip", "*"}:
            weight = parameters.replace(" ", "").lower()
            return not (weight.startswith("q=0") and not weight.strip("q=0."))
    return False


def _read_and_close(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        yield from iter(lambda: file.read(_PIECE), b"")
