"""HTTP errors of functions, the function host and the studio: the JSON body, the codes, and the CORS headers."""

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

_NO_FIELDS: Mapping[str, object] = MappingProxyType({})


def error_body(code: str, message: str, fields: Mapping[str, object] = _NO_FIELDS) -> dict[str, object]:
    """Return `{"error": message, "code": code, "message": message, **fields}`.

    `error` repeats the message because supabase-py shows only that key; supabase-js reads `message`.
    """
    return {"error": message, "code": code, "message": message, **fields}
