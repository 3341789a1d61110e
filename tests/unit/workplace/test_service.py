"""HTTP: what is retried, what is refused, where a token goes."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.workplace.scripted_gateway import Answer, Gateway, Request, document, problem
from workplace.engine.failures import Failure, NoConnection, ServiceRefused, UnexpectedAnswer
from workplace.engine.home import InternetAccess
from workplace.engine.service import Service


def test_a_problem_document_is_an_exception_with_its_code(service: Service, gateway: Gateway) -> None:
    gateway.faults.append(lambda _: problem(409, "message_gap", expected=7, detail="a gap"))
    with pytest.raises(ServiceRefused) as refused:
        service.call("POST", "/exchanges", {})
    assert (refused.value.code, refused.value.status, refused.value.detail) == ("message_gap", 409, "a gap")
    assert refused.value.extra == {"expected": 7}


def test_maintenance_says_when_to_come_back(service: Service, gateway: Gateway) -> None:
    def maintain(_: Request) -> Answer:
        answer = problem(503, "maintenance")
        answer.headers["Retry-After"] = "120"
        return answer

    gateway.faults.append(maintain)
    with pytest.raises(ServiceRefused) as refused:
        service.call("POST", "/exchanges", {})
    assert (refused.value.code, refused.value.retry_after) == ("maintenance", 120)
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("broken", [Answer(200, drop=True), Answer(502, b"<html>"), Answer(504)])
def test_a_broken_line_or_a_gateway_error_is_tried_again(service: Service, gateway: Gateway, broken: Answer) -> None:
    answers = [broken, broken]
    gateway.faults.append(lambda _: answers.pop() if answers else document(200, {"idle": True}))
    assert service.call("POST", "/exchanges", {}).document == {"idle": True}
    assert len(gateway.requests) == 3


def test_a_gateway_error_told_in_the_words_of_the_service_is_tried_again(service: Service, gateway: Gateway) -> None:
    """The proxy of docker-compose.yml does so when a gateway dies over a request."""
    answers = [problem(502, "service_unavailable")]
    gateway.faults.append(lambda _: answers.pop() if answers else document(200, {"idle": True}))
    assert service.call("POST", "/exchanges", {}).document == {"idle": True}
    assert len(gateway.requests) == 2


def test_nobody_there_is_no_connection() -> None:
    waited: list[float] = []
    service = Service("http://127.0.0.1:9", InternetAccess(proxy="none"), pause=waited.append)
    with pytest.raises(NoConnection) as raised:
        service.call("GET", "/ping")
    assert raised.value.code == "no_connection"
    assert len(waited) == 3


def test_a_page_of_the_network_is_not_the_service(service: Service, gateway: Gateway) -> None:
    gateway.faults.append(lambda _: Answer(200, b"<html>Sign in to the hotel</html>"))
    with pytest.raises(UnexpectedAnswer):
        service.call("POST", "/exchanges", {})


def test_an_answer_cut_off_in_its_head_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:

        def answer_in_part() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-le")

        answered = pool.submit(answer_in_part)
        service = Service(f"http://127.0.0.1:{listener.getsockname()[1]}", InternetAccess(proxy="none"))
        with pytest.raises(UnexpectedAnswer):
            service.call("POST", "/exchanges", {})
        answered.result()


def test_a_redirect_is_not_followed_with_the_token(service: Service, gateway: Gateway) -> None:
    gateway.faults.append(lambda _: Answer(302, b"", {"Location": "http://127.0.0.1:9/elsewhere"}))
    with pytest.raises(ServiceRefused) as refused:
        service.call("POST", "/exchanges", {})
    assert refused.value.code == "http_302"


def test_a_token_goes_to_its_own_service_only(service: Service, gateway: Gateway) -> None:
    other = Service("http://127.0.0.1:9", InternetAccess(proxy="none"), "another token", pause=lambda _: None)
    gateway.faults.append(lambda _: Answer(200, b"text"))
    assert other.text(f"{gateway.url}/api/v1/schemas/1") == "text"
    assert "authorization" not in gateway.requests[-1].headers
    service.text("/api/v1/schemas/1")
    assert gateway.requests[-1].headers["authorization"] == f"Bearer {gateway.token}"


def test_what_the_service_names_is_fetched_by_the_address_that_it_is_reached_by(gateway: Gateway) -> None:
    """A schema's URL is absolute: behind a tunnel the workplace was sent around it, without its token."""
    service = Service("http://yurt.example/", InternetAccess(proxy="none", service=gateway.url), token="secret")
    gateway.faults.append(lambda _: Answer(200, b"SELECT 1"))
    assert service.text("http://yurt.example/api/v1/exchanges/7/schema") == "SELECT 1"
    assert gateway.requests[-1].path == "/api/v1/exchanges/7/schema"
    assert gateway.requests[-1].headers["authorization"] == "Bearer secret"


def test_no_other_scheme_is_opened(service: Service) -> None:
    with pytest.raises(UnexpectedAnswer):
        service.text("file:///etc/passwd")


def test_requests_go_through_the_proxy_that_was_told(gateway: Gateway) -> None:
    gateway.faults.append(lambda _: document(200, {"service": "yurt"}))
    proxied = Service("http://yurt.example", InternetAccess(proxy=gateway.url), pause=lambda _: None)
    assert proxied.call("GET", "/ping").document == {"service": "yurt"}
    assert gateway.requests[-1].path == "http://yurt.example/api/v1/ping"


def test_a_proxy_that_wants_a_password_is_named(gateway: Gateway) -> None:
    gateway.faults.append(lambda _: Answer(407))
    proxied = Service("http://yurt.example", InternetAccess(proxy=gateway.url), pause=lambda _: None)
    with pytest.raises(NoConnection) as raised:
        proxied.call("GET", "/ping")
    assert raised.value.code == "proxy"


def test_a_missing_authority_file_is_named() -> None:
    with pytest.raises(Failure) as raised:
        Service("https://yurt.example", InternetAccess(ca_file="/nowhere.pem"))
    assert raised.value.code == "certificate"
