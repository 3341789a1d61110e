"""Errors as RFC 9457 problem documents, one shape for every door."""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoneFree
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.protocol.errors import ERRORS, Language

MEDIA_TYPE = "application/problem+json"
MISTAKES_SHOWN = 100

_CODE_OF_STATUS = {
    400: "bad_request",
    401: "not_authenticated",
    403: "not_permitted",
    404: "not_found",
    405: "method_not_allowed",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    429: "too_many_attempts",
    503: "service_unavailable",
}

_log = logging.getLogger(__name__)


class Problem(Exception):
    """An answer that is an error. `code` stands in `shared.protocol.errors`, whose status holds unless one is given.

    `detail` is a sentence for the person who must act; `extra` become further members of the document.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status or _status_of(code)
        self.headers = dict(headers or {})
        self.extra = extra

    def document(self, language: Language = "en") -> dict[str, Any]:
        """The members of the problem document, title in `language`."""
        known = ERRORS.get(self.code)
        return {
            "type": f"urn:yurt:{self.code}",
            "title": known.title(language) if known else HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.extra,
        }


def _status_of(code: str) -> int:
    known = ERRORS.get(code)
    if known is None or known.status is None:
        raise LookupError(f"error code {code!r} has no status in shared/protocol/errors.py")
    return known.status


def install(app: FastAPI) -> None:
    """Every error becomes a problem document; an unexpected one is logged, and its answer tells nothing of it."""
    app.add_exception_handler(Problem, _render_problem)
    app.add_exception_handler(RequestValidationError, _render_invalid_request)
    app.add_exception_handler(HTTPException, _render_http_exception)
    app.add_exception_handler(OperationalError, _render_database_away)
    app.add_exception_handler(NoneFree, _render_database_away)
    app.add_middleware(_LastResort)


def response(problem: Problem, headers: Headers) -> Response:
    """The problem as an answer to a request with these headers (its language)."""
    extra = dict(problem.headers)
    if problem.status == 401:
        extra.setdefault("WWW-Authenticate", "Bearer")
    body = json.dumps(problem.document(_language(headers)), ensure_ascii=False, default=str)
    return Response(body, status_code=problem.status, headers=extra, media_type=MEDIA_TYPE)


async def _render_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return response(error, request.headers)


async def _render_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    shown = error.errors()[:MISTAKES_SHOWN]
    mistakes = [{"place": ".".join(str(part)[:200] for part in e["loc"]), "text": e["msg"]} for e in shown]
    detail = "; ".join(f"{mistake['place']}: {mistake['text']}" for mistake in mistakes)
    return response(Problem("invalid_request", detail, mistakes=mistakes), request.headers)


async def _render_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODE_OF_STATUS.get(error.status_code, "bad_request" if error.status_code < 500 else "internal_error")
    problem = Problem(code, str(error.detail), status=error.status_code, headers=error.headers)
    return response(problem, request.headers)


async def _render_database_away(request: Request, error: Exception) -> Response:
    _log.warning("no database for %s %s: %s", request.method, request.url.path, getattr(error, "orig", None) or error)
    return response(database_away(), request.headers)


def database_away() -> Problem:
    """The service's own database cannot serve now: it is away, stops, starts, or is full."""
    return Problem("service_unavailable", "The service's database is away.", headers={"Retry-After": "5"})


def _language(headers: Headers) -> Language:
    """The first of our languages the person reads, by order of mention; English otherwise."""
    for part in headers.get("accept-language", "").split(","):
        match part.strip()[:2].lower():
            case "ru":
                return "ru"
            case "kk":
                return "kk"
            case "en":
                return "en"
    return "en"


class _LastResort:
    """Answers an unexpected error with 500 `internal_error`; nothing of the error leaves but to the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def note(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, note)
        except Exception:
            _log.exception("unexpected error in %s %s", scope["method"], scope["path"])
            if started:
                raise  # half an answer is out: the server must cut the connection, not end it as if whole
            problem = Problem("internal_error", "The service has noted what happened; try again a little later.")
            await response(problem, Headers(scope=scope))(scope, receive, send)
