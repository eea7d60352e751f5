"""What the host answers in a function's place: Supabase's codes, a text for each client, and the limit that was met."""

import json
from typing import Any

import pytest

from outdial.functions.response import CORS_HEADERS
from outdial.host.wire import responses as answers
from outdial.host.wire.outcomes import BootFailure, InvocationTimedOut, LimitExceeded, PoolOverloaded, WorkerCrashed
from outdial.host.wire.responses import ErrorResponse, Failure, error_for
from outdial.http import HttpResponse


def headers_of(answer: HttpResponse) -> dict[str, str]:
    lines = answer.headers.decode().removesuffix("\r\n").split("\r\n")
    return dict(line.split(": ", 1) for line in lines)


def told(refusal: ErrorResponse) -> dict[str, Any]:
    return dict(json.loads(refusal.answer().body))


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (PoolOverloaded(4, 128), 503, "WORKER_OVERLOADED"),
        (BootFailure("SyntaxError"), 503, "BOOT_ERROR"),
        (WorkerCrashed("signal SIGSEGV", "e-1"), 500, "WORKER_ERROR"),
        (LimitExceeded("cpu", 2000, 2104, "e-1"), 546, "WORKER_RESOURCE_LIMIT"),
        (LimitExceeded("memory", 256, 261, "e-1"), 546, "WORKER_RESOURCE_LIMIT"),
        (InvocationTimedOut(300.0, "e-1"), 504, "IDLE_TIMEOUT"),
    ],
)
def test_each_failure_has_the_status_and_the_code_of_supabase(failure: Failure, status: int, code: str) -> None:
    answer = error_for(failure).answer()

    assert answer.status == status
    assert headers_of(answer)["sb-error-code"] == code
    body = json.loads(answer.body)
    assert body["code"] == code
    # supabase-py shows `error`, everything else `message`.
    assert body["error"] == body["message"] != ""


def test_what_a_limit_was_and_what_was_used_is_told() -> None:
    assert (
        told(error_for(LimitExceeded("cpu", 2000, 2104, "e-1"))).items() >= {"limit_ms": 2000, "used_ms": 2104}.items()
    )
    memory = told(error_for(LimitExceeded("memory", 256, 261, "e-1")))
    assert memory.items() >= {"resource": "memory", "limit_mib": 256, "used_mib": 261}.items()
    assert "limited to 256 MiB, and it used 261 MiB" in memory["message"]
    assert told(error_for(InvocationTimedOut(300.0, "e-1")))["limit_s"] == 300
    assert told(answers.body_too_large(10, 11)).items() >= {"limit_bytes": 10, "used_bytes": 11}.items()
    assert told(error_for(PoolOverloaded(4, 128))).items() >= {"workers": 4, "limit_waiting": 128}.items()


@pytest.mark.parametrize(("wait_s", "seconds"), [(0.004, "1"), (1.0, "1"), (2.3, "3")])
def test_a_rate_limit_says_when_to_come_again(wait_s: float, seconds: str) -> None:
    refusal = answers.rate_limited(100.0, wait_s)

    assert refusal.status == 429
    assert headers_of(refusal.answer())["retry-after"] == seconds
    assert told(refusal)["limit_per_second"] == 100


def test_the_reason_of_a_failed_start_stays_in_the_log() -> None:
    answer = error_for(BootFailure("File /srv/functions/x/index.py: SyntaxError")).answer()
    assert b"SyntaxError" not in answer.body


@pytest.mark.parametrize("status", [400, 408, 413, 431, 500, 501, 503, 505])
def test_what_the_server_refuses_looks_like_everything_else(status: int) -> None:
    answer = answers.server_error(status, "Because")

    assert answer.status == status
    headers, body = headers_of(answer), json.loads(answer.body)
    assert headers["access-control-allow-origin"] == "*"
    assert headers["sb-error-code"] == body["code"] != ""
    assert body["error"] == "Because"


def test_every_answer_carries_the_headers_that_browsers_ask_for() -> None:
    for answer in (answers.NOT_FOUND.answer(), answers.PREFLIGHT, answers.json_response({})):
        assert headers_of(answer).items() >= CORS_HEADERS.items()


def test_a_header_cannot_end_its_line() -> None:
    with pytest.raises(ValueError, match="end of a line"):
        answers.header_lines({"x-region": "eu\r\nset-cookie: a=b"})
