import json
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from shared.protocol.errors import ERRORS
from shared.runtime import problem
from shared.runtime.database import create_engine
from shared.runtime.problem import Problem


class Lamp(BaseModel):
    watts: int
    password: str = ""


def application() -> FastAPI:
    app = FastAPI()
    problem.install(app)

    @app.get("/refused")
    async def refused() -> None:
        raise Problem("message_gap", "Message 4 is missing.", expected=4, headers={"X-Lamp": "a"})

    @app.get("/who")
    async def who() -> None:
        raise Problem("not_authenticated", "Sign in.")

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret of the house")

    @app.get("/away")
    async def away() -> None:
        async with create_engine("postgresql://yurt@127.0.0.1:9/yurt").connect():
            pass

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    @app.get("/half")
    async def half() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("in the middle")

        return StreamingResponse(parts())

    @app.post("/lamps")
    async def lamps(lamp: Lamp) -> None:
        return None

    return app


async def call(method: str, path: str, **options: object) -> httpx.Response:
    transport = httpx.ASGITransport(application())
    async with httpx.AsyncClient(transport=transport, base_url="http://yurt") as client:
        return await client.request(method, path, **options)  # type: ignore[arg-type] # httpx's own many options


async def test_a_problem_is_a_document_with_its_extra_members() -> None:
    answer = await call("GET", "/refused")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-lamp"] == "a"
    assert answer.json() == {
        "type": "urn:yurt:message_gap",
        "title": ERRORS["message_gap"].en,
        "status": 409,
        "detail": "Message 4 is missing.",
        "code": "message_gap",
        "expected": 4,
    }


@pytest.mark.parametrize(
    ("accepted", "language"), [("ru-RU,ru;q=0.9,en;q=0.8", "ru"), ("kk", "kk"), ("de, kk;q=0.5", "kk"), ("de", "en")]
)
async def test_the_title_is_in_the_persons_language(accepted: str, language: str) -> None:
    answer = await call("GET", "/refused", headers={"Accept-Language": accepted})
    assert answer.json()["title"] == getattr(ERRORS["message_gap"], language)


async def test_who_is_not_known_is_told_how_to_say_who_he_is() -> None:
    assert (await call("GET", "/who")).headers["www-authenticate"] == "Bearer"


async def test_an_unexpected_error_is_logged_and_does_not_leak(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await call("GET", "/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "secret of the house" in caplog.text


async def test_an_error_in_the_middle_of_an_answer_does_not_end_it_as_if_whole() -> None:
    with pytest.raises(RuntimeError, match="in the middle"):
        await call("GET", "/half")


async def test_an_invalid_request_names_every_place_and_no_values() -> None:
    answer = await call("POST", "/lamps", json={"watts": "hidden", "password": 5})
    document = answer.json()
    assert (answer.status_code, document["code"]) == (422, "invalid_request")
    assert [mistake["place"] for mistake in document["mistakes"]] == ["body.watts", "body.password"]
    assert "hidden" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/refused", 405, "method_not_allowed"),
        ("GET", "/teapot", 418, "bad_request"),
    ],
)
async def test_what_the_framework_refuses_is_a_problem_document_too(
    method: str, path: str, status: int, code: str
) -> None:
    answer = await call(method, path)
    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (status, code, status)


def test_a_code_that_is_not_registered_needs_a_status() -> None:
    with pytest.raises(LookupError, match="no_such_code"):
        Problem("no_such_code", "")
    assert json.dumps(Problem("of_another_service", "", status=409).document())


def test_a_code_that_is_no_answer_by_itself_needs_a_status() -> None:
    with pytest.raises(LookupError):
        Problem("closed_period", "")


async def test_a_service_whose_own_database_is_away_says_when_to_come_back() -> None:
    answer = await call("GET", "/away")
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert "127.0.0.1" not in answer.text
