"""HTTP errors of functions, the function host and the studio: the JSON body, the codes, and the CORS headers."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# As in @supabase/supabase-js/cors. Errors carry them too: without them a browser hides the status.
CORS_HEADERS: Final[Mapping[str, str]] = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": (
        "authorization, x-client-info, apikey, content-type, x-retry-count, traceparent, tracestate, baggage"
    ),
    "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
    "access-control-expose-headers": "sb-error-code, sb-request-id, retry-after, x-relay-error",
}

# Error codes of responses that the HTTP server makes before a function sees the request.
SERVER_ERROR_CODES: Final[Mapping[int, str]] = {
    400: "BAD_REQUEST",
    408: "REQUEST_TIMEOUT",
    413: "BODY_TOO_LARGE",
    431: "HEADERS_TOO_LARGE",
    500: "EDGE_FUNCTION_ERROR",
    501: "NOT_IMPLEMENTED",
    503: "WORKER_OVERLOADED",
    505: "HTTP_VERSION_NOT_SUPPORTED",
}

# A list of names of headers (RFC 9110, 5.6.1 and 5.6.2), of a length that fits the other limits of a head.
_NAMES: Final = re.compile(r"(?=.{1,2000}\Z)[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")


def preflight_headers(requested: str, default: Mapping[str, str] = CORS_HEADERS) -> Mapping[str, str]:
    """Return the headers of a response to a preflight: all request headers in the list `requested` are allowed.

    Without a list, or with a malformed one, those in `default` are.
    """
    if not _NAMES.fullmatch(requested):
        return default
    return {**default, "access-control-allow-headers": requested, "vary": "access-control-request-headers"}


_NO_FIELDS: Mapping[str, object] = MappingProxyType({})


def error_body(code: str, message: str, fields: Mapping[str, object] = _NO_FIELDS) -> dict[str, object]:
    """Return `{"error": message, "code": code, "message": message, **fields}`.

    `error` repeats the message because supabase-py shows only that key; supabase-js reads `message`.
    """
    return {"error": message, "code": code, "message": message, **fields}
