from collections.abc import AsyncIterator, Callable, Sequence

import httpx
import pytest
from fastapi import Depends, FastAPI

from shared.runtime import problem
from shared.runtime.http import require_service_token, service_client
from shared.runtime.problem import Problem

TOKEN = "a-token-of-the-services"
Step = httpx.Response | Callable[[httpx.Request], Exception]


class Scripted(httpx.AsyncBaseTransport):
    """A network that does what it is told, call by call, and the last of it for ever."""

    def __init__(self, *steps: Step) -> None:
        self._steps: Sequence[Step] = steps
        self.calls = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        step = self._steps[min(self.calls, len(self._steps) - 1)]
        self.calls += 1
        if isinstance(step, httpx.Response):
            return step
        raise step(request)


def refused(request: httpx.Request) -> Exception:
    return httpx.ConnectError("refused", request=request)


def broken(request: httpx.Request) -> Exception:
    return httpx.ReadError("broken", request=request)


def client(transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    return service_client("http://licensing", TOKEN, transport, retry_delays=(0, 0))


@pytest.mark.parametrize(("method", "calls"), [("GET", 3), ("PUT", 3), ("DELETE", 3), ("POST", 1), ("PATCH", 1)])
async def test_only_idempotent_calls_are_repeated_when_the_connection_breaks(method: str, calls: int) -> None:
    transport = Scripted(broken)
    async with client(transport) as licensing:
        with pytest.raises(Problem) as raised:
            await licensing.request(method, "/x")
    assert raised.value.code == "service_unavailable"
    assert raised.value.headers["Retry-After"]
    assert transport.calls == calls


async def test_a_call_that_was_never_sent_is_repeated_whatever_it_is() -> None:
    transport = Scripted(refused, refused, httpx.Response(201, json={}))
    async with client(transport) as licensing:
        assert (await licensing.post("/x", json={})).status_code == 201
    assert transport.calls == 3


async def test_a_body_that_flows_is_not_sent_twice() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"x"

    transport = Scripted(broken)
    async with client(transport) as licensing:
        with pytest.raises(Problem):
            await licensing.put("/x", content=parts())
    assert transport.calls == 1


async def test_the_problem_of_the_other_service_arrives_as_a_problem() -> None:
    app = FastAPI()
    problem.install(app)

    @app.get("/x", dependencies=[Depends(require_service_token(TOKEN))])
    async def answer() -> None:
        raise Problem("too_many_attempts", "Wait.", headers={"Retry-After": "7"}, limit=5)

    async with client(httpx.ASGITransport(app)) as licensing:
        with pytest.raises(Problem) as raised:
            await licensing.get("/x")
    assert (raised.value.code, raised.value.status, raised.value.detail) == ("too_many_attempts", 429, "Wait.")
    assert (raised.value.extra, raised.value.headers) == ({"limit": 5}, {"Retry-After": "7"})


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", TOKEN, "Bearer ", "Bearer токен".encode()])
async def test_without_the_service_token_the_door_stays_closed(authorization: str | bytes | None) -> None:
    app = FastAPI()
    problem.install(app)

    @app.get("/x", dependencies=[Depends(require_service_token(TOKEN))])
    async def answer() -> str:
        return "open"

    headers = {} if authorization is None else {"Authorization": authorization}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://licensing") as stranger:
        refused_answer = await stranger.get("/x", headers=headers)  # type: ignore[arg-type] # bytes are possible
    assert (refused_answer.status_code, refused_answer.json()["code"]) == (401, "not_authenticated")
    async with client(httpx.ASGITransport(app)) as licensing:
        assert (await licensing.get("/x")).json() == "open"
