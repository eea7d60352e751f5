"""The JSON body of an HTTP error, one shape for functions, the function host and the studio."""

from collections.abc import Mapping
from types import MappingProxyType

_NO_FIELDS: Mapping[str, object] = MappingProxyType({})


def error_body(code: str, message: str, fields: Mapping[str, object] = _NO_FIELDS) -> dict[str, object]:
    """Return `{"error": message, "code": code, "message": message, **fields}`.

    `error` repeats the message because supabase-py shows only that key; supabase-js reads `message`.
    """
    return {"error": message, "code": code, "message": message, **fields}
