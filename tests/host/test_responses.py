"""Errors of the host: Supabase's codes, a message for each client, and the exceeded limit."""

import json
from typing import Any

import pytest

from outdial.errors_http import CORS_HEADERS
from outdial.host.wire import responses
from outdial.host.wire.outcomes import (
    BootFailure,
    InvocationFailure,
    InvocationTimedOut,
    LimitExceeded,
    PoolOverloaded,
    WorkerCrashed,
)
from outdial.host.wire.responses import ErrorResponse, error_for
from outdial.http import HttpResponse, header_pairs


def headers_of(response: HttpResponse) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in response.headers}


def body_of(error: ErrorResponse) -> dict[str, Any]:
    return dict(json.loads(error.to_http().body))


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (PoolOverloaded(4, 128), 503, "WORKER_OVERLOADED"),
        (BootFailure("SyntaxError"), 503, "BOOT_ERROR"),
        (WorkerCrashed("signal SIGSEGV", "e-1"), 500, "WORKER_ERROR"),
        (LimitExceeded(resource="cpu", limit=2000, used=2104, execution_id="e-1"), 546, "WORKER_RESOURCE_LIMIT"),
        (LimitExceeded(resource="memory", limit=256, used=261, execution_id="e-1"), 546, "WORKER_RESOURCE_LIMIT"),
        (LimitExceeded(resource="threads", limit=128, used=300, execution_id="e-1"), 546, "WORKER_RESOURCE_LIMIT"),
        (InvocationTimedOut(300.0, "e-1"), 504, "IDLE_TIMEOUT"),
    ],
)
def test_each_failure_has_supabases_status_and_code(failure: InvocationFailure, status: int, code: str) -> None:
    response = error_for(failure).to_http()

    assert response.status == status
    assert headers_of(response)["sb-error-code"] == code
    body = json.loads(response.body)
    assert body["code"] == code
    # supabase-py shows `error`, everything else `message`.
    assert body["error"] == body["message"] != ""


def test_the_body_has_the_limit_and_the_usage() -> None:
    assert (
        body_of(error_for(LimitExceeded(resource="cpu", limit=2000, used=2104, execution_id="e-1"))).items()
        >= {"limit_ms": 2000, "used_ms": 2104}.items()
    )
    memory = body_of(error_for(LimitExceeded(resource="memory", limit=256, used=261, execution_id="e-1")))
    assert memory.items() >= {"resource": "memory", "limit_mib": 256, "used_mib": 261}.items()
    assert "limited to 256 MiB, and it used 261 MiB" in memory["message"]
    threads = body_of(error_for(LimitExceeded(resource="threads", limit=128, used=300, execution_id="e-1")))
    assert threads.items() >= {"resource": "threads", "limit_threads": 128, "used_threads": 300}.items()
    assert body_of(error_for(InvocationTimedOut(300.0, "e-1")))["limit_s"] == 300
    assert body_of(responses.body_too_large(10, 11)).items() >= {"limit_bytes": 10, "used_bytes": 11}.items()
    assert body_of(error_for(PoolOverloaded(4, 128))).items() >= {"workers": 4, "limit_waiting": 128}.items()


@pytest.mark.parametrize(("wait_s", "seconds"), [(0.004, "1"), (1.0, "1"), (2.3, "3")])
def test_a_rate_limit_error_has_retry_after(wait_s: float, seconds: str) -> None:
    error = responses.rate_limited(100.0, wait_s)

    assert error.status == 429
    assert headers_of(error.to_http())["retry-after"] == seconds
    assert body_of(error)["limit_per_second"] == 100


def test_the_reason_of_a_failed_boot_stays_in_the_log() -> None:
    response = error_for(BootFailure("File /srv/functions/x/index.py: SyntaxError")).to_http()
    assert b"SyntaxError" not in response.body


@pytest.mark.parametrize("status", [400, 408, 413, 431, 500, 501, 503, 505])
def test_errors_of_the_http_server_have_the_same_shape(status: int) -> None:
    response = responses.server_error(status, "Because")

    assert response.status == status
    headers, body = headers_of(response), json.loads(response.body)
    assert headers["access-control-allow-origin"] == "*"
    assert headers["sb-error-code"] == body["code"] != ""
    assert body["error"] == "Because"


def test_every_response_has_cors_headers() -> None:
    for response in (responses.NOT_FOUND.to_http(), responses.preflight([]), responses.json_response({})):
        assert headers_of(response).items() >= CORS_HEADERS.items()


def test_a_header_must_not_contain_a_line_break() -> None:
    with pytest.raises(ValueError, match="line break"):
        header_pairs({"x-region": "eu\r\nset-cookie: a=b"})
