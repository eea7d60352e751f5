"""Responses of the host itself, with Supabase's statuses and codes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never

import msgspec

from outdial.errors_http import CORS_HEADERS, SERVER_ERROR_CODES, error_body, preflight_headers
from outdial.host.wire.frames import Resource
from outdial.host.wire.headers import Headers, header_value
from outdial.host.wire.outcomes import (
    BootFailure,
    InvocationFailure,
    InvocationTimedOut,
    LimitExceeded,
    PoolOverloaded,
    WorkerCrashed,
)
from outdial.http import HeaderPairs, HttpResponse, header_pairs

# Supabase responds 405 to all others (docs: Edge Functions, Limits).
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ALLOWED: Final = ", ".join(sorted(METHODS))

CORS: Final = header_pairs(CORS_HEADERS)
JSON: Final = (b"content-type", b"application/json")
_RESOURCES: Final[Mapping[Resource, tuple[str, str]]] = {
    "cpu": ("CPU time is", "ms"),
    "memory": ("memory is", "MiB"),
    "threads": ("a worker is", "threads"),
}


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An error of the platform: the body of `error_body`, the header `sb-error-code`, and CORS headers.

    Without CORS headers a browser would hide the status from supabase-js.
    """

    status: int
    code: str
    message: str
    fields: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_http(self, extra: HeaderPairs = ()) -> HttpResponse:
        """Return the response with the headers `extra` at the end."""
        own = header_pairs({"sb-error-code": self.code, **self.headers})
        body = msgspec.json.encode(error_body(self.code, self.message, self.fields), enc_hook=str)
        return HttpResponse(self.status, [*CORS, JSON, *own, *extra], body)


def json_response(value: object, *, status: int = 200) -> HttpResponse:
    """Return `value` as JSON with CORS headers."""
    return HttpResponse(status, [*CORS, JSON], msgspec.json.encode(value, enc_hook=str))


NOT_FOUND: Final = ErrorResponse(404, "NOT_FOUND", "Requested function was not found")
NO_SUCH_ROUTE: Final = ErrorResponse(
    404, "NOT_FOUND", "Nothing is served at this path: functions are at /functions/v1/<name>"
)
HTTPS_REQUIRED: Final = ErrorResponse(
    403, "HTTPS_REQUIRED", "This request came over plain HTTP, so its contents were readable on the way: use https"
)
METRICS_UNAUTHORIZED: Final = ErrorResponse(
    401, "UNAUTHORIZED", "Metrics require a request from this machine or an access token of this host"
)
INVALID_STATUS: Final = ErrorResponse(
    500, "INVALID_RESPONSE_STATUS_CODE", "The function's response cannot be sent: its status is not within 200 to 599"
)
INVALID_HEADERS: Final = ErrorResponse(
    500, "INVALID_RESPONSE_HEADERS", "The function's response cannot be sent: its headers are malformed"
)
INTERNAL_ERROR: Final = ErrorResponse(500, "INTERNAL_ERROR", "Request failed due to an internal server error")
BOOT_ERROR: Final = ErrorResponse(503, "BOOT_ERROR", "Function failed to start (please check logs)")

BODIES_IN_FLIGHT: Final = ErrorResponse(
    503,
    "WORKER_OVERLOADED",
    "Requests in flight hold too much memory with their bodies: try again",
    headers={"retry-after": "1"},
)


def preflight(headers: Headers, extra: HeaderPairs = ()) -> HttpResponse:
    """Return the host's own response to a preflight with these request headers, with the headers `extra` at the end."""
    allowed = preflight_headers(header_value(headers, b"access-control-request-headers"))
    return HttpResponse(204, [*header_pairs(allowed), *extra])


def server_error(status: int, message: str) -> HttpResponse:
    """Return the response to a request that the HTTP server rejects before the gateway sees it."""
    # A 500 of the server itself is not an error of a function.
    default = SERVER_ERROR_CODES[400]
    code = INTERNAL_ERROR.code if status == INTERNAL_ERROR.status else SERVER_ERROR_CODES.get(status, default)
    return ErrorResponse(status, code, message).to_http()


def method_not_allowed(method: str) -> ErrorResponse:
    """405 for a method that functions never see."""
    message = f"{method} is not allowed here: use {_ALLOWED}"
    return ErrorResponse(405, "METHOD_NOT_ALLOWED", message, headers={"allow": _ALLOWED})


def body_too_large(limit: int, used: int) -> ErrorResponse:
    """413 for a content-length of `used` bytes, more than the function's `limit`."""
    message = f"The body may have at most {limit} bytes, and this one has {used}"
    return ErrorResponse(413, "BODY_TOO_LARGE", message, {"limit_bytes": limit, "used_bytes": used})


def rate_limited(limit: float, wait_s: float) -> ErrorResponse:
    """429 for more than `limit` requests per second; the next request is allowed in `wait_s`."""
    seconds = max(1, math.ceil(wait_s))
    message = f"The function's rate limit is {limit:g} requests per second: try again in {seconds} s"
    fields = {"limit_per_second": limit, "retry_after_ms": math.ceil(wait_s * 1000)}
    return ErrorResponse(429, "RATE_LIMIT_EXCEEDED", message, fields, headers={"retry-after": str(seconds)})


def region_unreachable(region: str) -> ErrorResponse:
    """502 when the requested region's host does not respond.

    Supabase does not fail over to another region either. Its clients recognize a failed relay by `x-relay-error`.
    """
    message = f"The host of the requested region {region} does not respond"
    return ErrorResponse(502, "REGION_UNREACHABLE", message, {"region": region}, headers={"x-relay-error": "true"})


def auth_unreachable() -> ErrorResponse:
    """502 when the server behind /auth/v1 does not respond. Supabase's clients keep their session and retry."""
    return ErrorResponse(502, "AUTH_UNREACHABLE", "The Auth server does not respond")


def error_for(failure: InvocationFailure) -> ErrorResponse:
    """Return the error for a failed invocation (supabase.com docs: Edge Functions, Error codes)."""
    match failure:
        case PoolOverloaded(workers, limit, waited_s):
            reason = f"the request waited {waited_s:.1f} s for one" if waited_s else f"the queue of {limit} is full"
            message = f"All {workers} workers are busy, and {reason}: try again"
            fields: dict[str, object] = {"workers": workers, "limit_waiting": limit}
            return ErrorResponse(503, "WORKER_OVERLOADED", message, fields, headers={"retry-after": "1"})
        case BootFailure():
            return BOOT_ERROR
        case WorkerCrashed():
            return ErrorResponse(500, "WORKER_ERROR", "Function exited due to an error (please check logs)")
        case LimitExceeded():
            what, unit = _RESOURCES[failure.resource]
            message = (
                "Function failed due to not having enough compute resources (please check logs): "
                f"{what} limited to {failure.limit} {unit}, and it used {failure.used} {unit}"
            )
            unit = unit.lower()
            fields = {"resource": failure.resource, f"limit_{unit}": failure.limit, f"used_{unit}": failure.used}
            return ErrorResponse(546, "WORKER_RESOURCE_LIMIT", message, fields)
        case InvocationTimedOut(limit_s):
            message = f"The function did not respond within its wall clock limit of {limit_s:g} s"
            return ErrorResponse(504, "IDLE_TIMEOUT", message, {"limit_s": limit_s})
        case _:
            assert_never(failure)
