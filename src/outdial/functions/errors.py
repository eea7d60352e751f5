"""What can go wrong between a request and its function."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

# The codes of what the HTTP server answers by itself, by status.
CODES: Final[Mapping[int, str]] = {
    400: "BAD_REQUEST",
    408: "REQUEST_TIMEOUT",
    413: "BODY_TOO_LARGE",
    431: "HEADERS_TOO_LARGE",
    500: "EDGE_FUNCTION_ERROR",
    501: "NOT_IMPLEMENTED",
    503: "WORKER_OVERLOADED",
    505: "HTTP_VERSION_NOT_SUPPORTED",
}


class FunctionsError(Exception):
    """The functions cannot do what was asked."""

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or "").partition("\n")[0]


class HttpError(FunctionsError):
    """An answer that is an error: raise it anywhere in a function.

    The body is `{"error": message, "code": code, "message": message, **fields}`, and the header `sb-error-code` holds
    the code, as on Supabase.
    """

    def __init__(self, status: int, code: str, message: str, /, **fields: object) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.fields = status, code, message, fields


class FunctionNotLoaded(FunctionsError):
    """A function's directory cannot be loaded; `traceback` is that of the import, empty when it did not fail."""

    def __init__(self, path: Path, reason: str, traceback: str = "") -> None:
        super().__init__(f"{path}: {reason}")
        self.traceback = traceback
