"""What the host itself answers in a function's place: Supabase's codes and statuses, and the limit that was met."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never

import msgspec

from outdial.functions.errors import CODES
from outdial.functions.response import CORS_HEADERS
from outdial.host.wire.outcomes import BootFailure, InvocationTimedOut, LimitExceeded, PoolOverloaded, WorkerCrashed
from outdial.http import HttpResponse

Failure = PoolOverloaded | BootFailure | WorkerCrashed | LimitExceeded | InvocationTimedOut

# Supabase answers 405 to all others (docs: Edge Functions, Limits).
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ALLOW: Final = {"allow": ", ".join(sorted(METHODS))}


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Return `headers` as lines that end with CRLF; raise ValueError for one that would break out of its line."""
    text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        raise ValueError("a header holds the end of a line")
    return text.encode("latin-1")


CORS: Final = header_lines(CORS_HEADERS)
JSON: Final = b"content-type: application/json\r\n"


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An answer of the platform: `{"error", "code", "message", **fields}` with `sb-error-code` and CORS headers.

    `error` repeats the message, because supabase-py shows that key only; without CORS headers, a browser would hide
    the status from supabase-js.
    """

    status: int
    code: str
    message: str
    fields: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self, standing: bytes = b"") -> HttpResponse:
        """Return it with the header lines `standing` at the end."""
        body = {"error": self.message, "code": self.code, "message": self.message, **self.fields}
        own = header_lines({"sb-error-code": self.code, **self.headers})
        return HttpResponse(self.status, CORS + JSON + own + standing, msgspec.json.encode(body, enc_hook=str))


PREFLIGHT: Final = HttpResponse(204, CORS)


def json_response(value: object, *, status: int = 200, standing: bytes = b"") -> HttpResponse:
    """Return `value` as JSON with CORS headers and the header lines `standing`."""
    return HttpResponse(status, CORS + JSON + standing, msgspec.json.encode(value, enc_hook=str))


NOT_FOUND: Final = ErrorResponse(404, "NOT_FOUND", "Requested function was not found")
NO_SUCH_ROUTE: Final = ErrorResponse(
    404, "NOT_FOUND", "There is nothing at this path: functions are at /functions/v1/<name>"
)
HTTPS_REQUIRED: Final = ErrorResponse(
    403, "HTTPS_REQUIRED", "This request came over plain HTTP: what it carries was readable on the way. Use https"
)
METRICS_UNAUTHORIZED: Final = ErrorResponse(
    401, "UNAUTHORIZED", "Metrics are for this machine, and for bearers of an access token of this host"
)


INVALID_STATUS: Final = ErrorResponse(
    500, "INVALID_RESPONSE_STATUS_CODE", "The function's answer cannot be sent: its status is none of 200 to 599"
)
INVALID_HEADERS: Final = ErrorResponse(
    500, "INVALID_RESPONSE_HEADERS", "The function's answer cannot be sent: its headers are not well-formed"
)


INTERNAL_ERROR: Final = ErrorResponse(500, "INTERNAL_ERROR", "Request failed due to an internal server error")


def server_error(status: int, message: str) -> HttpResponse:
    """Return what the HTTP server says of a request that the gateway never sees."""
    # No function has failed where the server itself does.
    code = INTERNAL_ERROR.code if status == INTERNAL_ERROR.status else CODES.get(status, CODES[400])
    return ErrorResponse(status, code, message).answer()


def method_not_allowed(method: str) -> ErrorResponse:
    """405: a method that functions never see."""
    allowed = ", ".join(sorted(METHODS))
    return ErrorResponse(405, "METHOD_NOT_ALLOWED", f"{method} is not answered here: use {allowed}", headers=_ALLOW)


def body_too_large(limit: int, used: int) -> ErrorResponse:
    """413: the body is announced with `used` bytes, more than the function's `limit`."""
    message = f"The body may have {limit} bytes at most, and this one has {used}"
    return ErrorResponse(413, "BODY_TOO_LARGE", message, {"limit_bytes": limit, "used_bytes": used})


def rate_limited(limit: float, wait_s: float) -> ErrorResponse:
    """429: more than `limit` requests per second; the next one is taken in `wait_s`."""
    seconds = max(1, math.ceil(wait_s))
    message = f"More than {limit:g} requests per second, which is the function's rate limit: try again in {seconds} s"
    fields = {"limit_per_second": limit, "retry_after_ms": math.ceil(wait_s * 1000)}
    return ErrorResponse(429, "RATE_LIMIT_EXCEEDED", message, fields, {"retry-after": str(seconds)})


def region_unreachable(region: str) -> ErrorResponse:
    """502 from the relay between hosts: the caller asked for `region`, whose host does not answer.

    Supabase fails over to no other region either; `x-relay-error` is what its clients know a failed relay by.
    """
    message = f"The host of the region {region}, which was asked for, does not answer"
    return ErrorResponse(502, "REGION_UNREACHABLE", message, {"region": region}, {"x-relay-error": "true"})


def auth_unreachable() -> ErrorResponse:
    """502 when the server behind /auth/v1 does not answer; Supabase's clients keep their session and try again."""
    return ErrorResponse(502, "AUTH_UNREACHABLE", "The server that signs people in does not answer")


def error_for(failure: Failure) -> ErrorResponse:
    """Return how an invocation that came to nothing is answered (supabase.com docs: Edge Functions, Error codes)."""
    match failure:
        case PoolOverloaded():
            return _overloaded(failure)
        case BootFailure():
            return ErrorResponse(503, "BOOT_ERROR", "Function failed to start (please check logs)")
        case WorkerCrashed():
            return ErrorResponse(500, "WORKER_ERROR", "Function exited due to an error (please check logs)")
        case LimitExceeded():
            return _over_limit(failure)
        case InvocationTimedOut(limit_s):
            message = f"The function did not answer within its wall clock of {limit_s:g} s"
            return ErrorResponse(504, "IDLE_TIMEOUT", message, {"limit_s": limit_s})
        case _:
            assert_never(failure)


def _overloaded(failure: PoolOverloaded) -> ErrorResponse:
    reason = (
        f"the request waited {failure.waited_s:.1f} s for one"
        if failure.waited_s
        else f"all {failure.limit} places of the queue are taken"
    )
    message = f"Every worker is busy ({failure.workers} at work), and {reason}: try again"
    fields = {"workers": failure.workers, "limit_waiting": failure.limit}
    return ErrorResponse(503, "WORKER_OVERLOADED", message, fields, {"retry-after": "1"})


def _over_limit(failure: LimitExceeded) -> ErrorResponse:
    unit, what = ("ms", "CPU time") if failure.resource == "cpu" else ("MiB", "memory")
    message = (
        "Function failed due to not having enough compute resources (please check logs): "
        f"{what} is limited to {failure.limit} {unit}, and it used {failure.used} {unit}"
    )
    unit = unit.lower()
    fields = {"resource": failure.resource, f"limit_{unit}": failure.limit, f"used_{unit}": failure.used}
    return ErrorResponse(546, "WORKER_RESOURCE_LIMIT", message, fields)
