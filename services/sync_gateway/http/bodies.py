"""Request bodies: bounded, readable, without what no text column can hold, and without unknown fields."""

import re
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.runtime.problem import Problem, response

CODE = r"^[a-z0-9][a-z0-9._-]{0,62}$"
LOGIN = r"^[a-z0-9][a-z0-9._@+-]{0,99}$"
BIGINT = 2**63 - 1

Count = Annotated[int, Field(ge=0, le=BIGINT, strict=True)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Password = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Login = Annotated[str, StringConstraints(pattern=LOGIN)]

_MAX_CONTAINERS = 20_000
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_STREAMED = re.compile(r"^/api/v1/exchanges/[^/]+/messages/[^/]+$")


class Body(BaseModel):
    """A request: what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid")


class BoundedBodies:
    """Reads each body whole before its door opens, never more than `limit` bytes; messages bound themselves.

    Answers 413 `body_too_large`; 422 `invalid_request` for what is no JSON, is nested too deeply, or holds NUL or
    halves of surrogate pairs.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _STREAMED.match(scope["path"]):
            await self.app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
            if body:
                _require_plain_json(body)
        except Problem as problem:
            await response(problem, Headers(scope=scope))(scope, receive, send)
            return
        delivered = False

        async def replay() -> Message:
            nonlocal delivered
            if delivered:
                return await receive()
            delivered = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced[:18]) > self._limit:
            raise _too_large(self._limit)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b""
            body += message.get("body", b"")
            if len(body) > self._limit:
                raise _too_large(self._limit)
            if not message.get("more_body", False):
                return bytes(body)


def _too_large(limit: int) -> Problem:
    return Problem("body_too_large", f"A request may have {limit} bytes.", headers={"Connection": "close"})


def _require_plain_json(body: bytes) -> None:
    """By orjson, which knows no halves of surrogate pairs and needs a fiftieth of the time for a hostile body."""
    if body.count(b"[") + body.count(b"{") > _MAX_CONTAINERS:
        raise Problem("invalid_request", f"A body may hold {_MAX_CONTAINERS} lists and objects.")
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem("invalid_request", "The body is no JSON this service can read.") from error
    if _NUL.search(body):
        raise Problem("invalid_request", "NUL is not allowed in texts.")
