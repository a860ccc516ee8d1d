"""Host, origin, rate, token and faults, with the real application; its engine is not started."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from drshym_pipeline.errors import InputError
from drshym_pipeline.service.app import create_app
from drshym_pipeline.service.guards import host_name
from tests.http_service import ExplicitSettings, problem_of

TOKEN = "correct-horse-battery-staple"


def client_of(root: Path, **more: object) -> TestClient:
    app = create_app(ExplicitSettings(root=root, **more))
    return TestClient(app, base_url="http://127.0.0.1:8080", raise_server_exceptions=False)


@pytest.fixture
def guarded(tmp_path) -> TestClient:
    return client_of(tmp_path, token=SecretStr(TOKEN), host="0.0.0.0")


@pytest.mark.parametrize("path", ["/v1/scenes", "/v1/jobs", "/metrics", "/openapi.json", "/v1/model", "/nothing"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
    ],
)
def test_without_the_right_token_nothing_is_answered(guarded, path, headers):
    response = guarded.get(path, headers=headers)
    problem_of(response, 401, "token_needed")
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_with_the_token_requests_reach_their_routes(guarded):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    # The engine of this application is not started.
    problem_of(guarded.get("/v1/scenes", headers=headers), 503, "not_ready")
    assert guarded.get("/openapi.json", headers=headers).json()["security"] == [{"token": []}]


def test_page_health_and_readiness_need_no_token(guarded):
    assert guarded.get("/health").json() == {"status": "ok"}
    problem_of(guarded.get("/ready"), 503, "not_ready")
    assert guarded.get("/").status_code == 200
    assert guarded.get("/static/main.js").status_code == 200


def test_no_line_of_the_log_has_a_token_or_a_query(guarded, caplog):
    caplog.set_level(logging.DEBUG)
    guarded.get("/v1/scenes", headers={"Authorization": f"Bearer {TOKEN}"}, params={"limit": "secret-in-the-query"})
    ours = [line.getMessage() for line in caplog.records if line.name.startswith("drshym")]
    assert any("GET '/v1/scenes'" in line for line in ours)
    assert not any(TOKEN in line or "secret-in-the-query" in line for line in ours)


def test_a_client_that_asks_too_often_is_told_when_to_come_back(tmp_path):
    client = client_of(tmp_path, rate="3/minute")
    for _ in range(3):
        problem_of(client.get("/v1/jobs"), 503, "not_ready")
    refused = client.get("/v1/jobs")
    said = problem_of(refused, 429, "too_many_requests")
    assert said.startswith("This address has sent more than 3 requests in 1 minute. Try again in ")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert client.get("/health").status_code == 200
    assert client.get("/static/main.js").status_code == 200
    # Pictures are counted separately, because a map asks for many of them.
    for _ in range(30):
        problem_of(client.get("/v1/scenes/x/tiles/mask/0/0/0.png"), 503, "not_ready")
    said = problem_of(client.get("/v1/scenes/x/tiles/mask/0/0/0.png"), 429, "too_many_requests")
    assert "more than 30 requests for pictures in 1 minute" in said


def test_an_address_that_a_client_claims_to_have_does_not_count(tmp_path):
    client = client_of(tmp_path, rate="1/minute")
    client.get("/v1/jobs", headers={"X-Forwarded-For": "10.0.0.1"})
    problem_of(client.get("/v1/jobs", headers={"X-Forwarded-For": "10.0.0.2"}), 429, "too_many_requests")


def test_a_rate_that_cannot_be_understood_is_an_error_at_the_start(tmp_path):
    with pytest.raises(
        InputError, match=r"DRSHYM_SERVICE_RATE: cannot be 'often'\. Give a number per time, such as 600/minute"
    ):
        create_app(ExplicitSettings(root=tmp_path, rate="often"))


def test_a_fault_has_an_id_that_is_in_the_log_and_no_trace_of_the_program(tmp_path, caplog):
    client = client_of(tmp_path)

    @client.app.get("/broken")
    def broken() -> None:
        raise RuntimeError("secret of /root/the/machine")

    response = client.get("/broken")
    detail = problem_of(response, 500, "fault")
    assert "secret" not in response.text
    assert "/root" not in response.text
    fault = detail.partition("under the id ")[2].partition(". ")[0]
    logged = next(line for line in caplog.records if fault in line.getMessage())
    assert "secret of /root/the/machine" in str(logged.exc_info)


def test_a_full_disk_is_said_to_be_full(tmp_path):
    client = client_of(tmp_path)

    @client.app.get("/full")
    def full() -> None:
        raise OSError(28, "No space left on device", "/root/secret")

    assert "/root" not in problem_of(client.get("/full"), 507, "disk_full")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("127.0.0.1:8080", "127.0.0.1"),
        ("LocalHost", "localhost"),
        ("[::1]:8080", "::1"),
        ("[::1]", "::1"),
        ("", ""),
        ("a:b:c", "a"),
    ],
)
def test_the_name_of_a_host_has_no_port(header, name):
    assert host_name(header) == name


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:8080", "[::2]"])
def test_on_the_loopback_address_other_names_are_refused(tmp_path, host):
    problem_of(client_of(tmp_path).get("/health", headers={"Host": host}), 400, "unknown_host")


@pytest.mark.parametrize(
    "hosts",
    [
        ["127.0.0.1:99999"],
        ["127.0.0.1:65536"],
        ["127.0.0.1:x"],
        ["127.0.0.1:"],
        ["user@127.0.0.1"],
        ["user:password@127.0.0.1:8080"],
        ["evil.example@127.0.0.1"],
        ["127.0.0.1", "127.0.0.1"],
        ["127.0.0.1", "evil.example"],
        ["127.0.0.1/x"],
    ],
)
def test_a_host_that_cannot_be_read_is_refused(tmp_path, hosts):
    sent = client_of(tmp_path).get("/health", headers=[("Host", host) for host in hosts])
    problem_of(sent, 400, "malformed_request")


@pytest.mark.parametrize("origin", ["https://127.0.0.1:8080", "ftp://127.0.0.1:8080", "http://127.0.0.1", "null", ""])
def test_an_origin_of_another_scheme_or_port_is_foreign(tmp_path, origin):
    client = client_of(tmp_path)
    problem_of(client.post("/v1/segment", json={}, headers={"Origin": origin}), 403, "foreign_origin")
    own = client.post("/v1/segment", json={}, headers={"Origin": "http://127.0.0.1:8080"})
    problem_of(own, 503, "not_ready")


def test_names_of_a_proxy_are_accepted_when_they_are_configured(tmp_path):
    client = client_of(tmp_path, hosts=("maps.example",))
    assert client.get("/health", headers={"Host": "maps.example"}).status_code == 200
    problem_of(client.get("/health", headers={"Host": "evil.example"}), 400, "unknown_host")
    sent = client.post("/v1/segment", json={}, headers={"Origin": "https://maps.example"})
    problem_of(sent, 503, "not_ready")
    sent = client.post("/v1/segment", json={}, headers={"Origin": "http://maps.example"})
    problem_of(sent, 403, "foreign_origin")


def test_the_description_names_every_error_of_every_route(tmp_path):
    described = client_of(tmp_path).get("/openapi.json").json()
    assert described["paths"]["/v1/segment"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            errors = {code for code in operation["responses"] if code[0] in "45"}
            assert {"400", "405", "422"} <= errors, (method, path)
            for code in errors:
                assert list(operation["responses"][code]["content"]) == ["application/problem+json"], (method, path)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/jobs/x", "DELETE, GET, HEAD"),
        ("/v1/scenes/x", "DELETE, GET, HEAD"),
        ("/v1/scenes/x/files/y", "GET, HEAD"),
        ("/health", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_allowed_is_answered_with_all_that_are(tmp_path, path, methods):
    response = client_of(tmp_path).put(path)
    problem_of(response, 405, "method_not_allowed")
    assert response.headers["allow"] == methods


def test_no_page_of_the_framework_is_served(tmp_path):
    client = client_of(tmp_path)
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        problem_of(client.get(path), 404, "not_found")


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080"])
def test_names_of_the_loopback_are_always_accepted(host, tmp_path):
    client = client_of(tmp_path, token=SecretStr(TOKEN), host="0.0.0.0", hosts=("maps.example",))
    assert client.get("/health", headers={"Host": host}).status_code == 200
    assert client.get("/health", headers={"Host": "maps.example"}).status_code == 200
    for other in ("rebinding.example", "127.0.0.1.rebinding.example", "localhost.rebinding.example"):
        problem_of(client.get("/health", headers={"Host": other}), 400, "unknown_host")
