"""Errors of functions: those a handler raises, and those of loading one."""

from pathlib import Path


class FunctionsError(Exception):
    """A function cannot be loaded or cannot respond."""

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or "").partition("\n")[0]


class HttpError(FunctionsError):
    """An error response. Raise it anywhere in a function.

    The body is `{"error": message, "code": code, "message": message, **fields}`, and the header `sb-error-code` holds
    the code, as on Supabase.
    """

    def __init__(self, status: int, code: str, message: str, /, **fields: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields


class FunctionNotLoaded(FunctionsError):
    """A function could not be loaded. `traceback` is that of its import, empty when the import succeeded."""

    def __init__(self, path: Path, reason: str, traceback: str = "") -> None:
        super().__init__(f"{path}: {reason}")
        self.traceback = traceback
