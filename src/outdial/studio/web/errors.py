"""What the studio refuses, in one shape for the API, and as a page for people.

StudioError
├── InvalidInput      400
├── NotSignedIn       401
├── Forbidden         403
├── NotFound          404
├── UnexpectedMethod  405
├── Conflict          409
├── Outdated          412
├── TooLarge          413
├── Internal          500
└── Unavailable       503
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel


class StudioError(Exception):
    """A request that is answered with an error; the message says what to do."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.headers: Mapping[str, str] = dict(headers or {})
        self.details: Mapping[str, Any] = details

    def body(self) -> dict[str, Any]:
        """Return the body that the API answers with."""
        return {"error": self.message, "code": self.code, "message": self.message, **self.details}


class NotSignedIn(StudioError):
    """Nobody is signed in, or no longer."""

    status = 401
    code = "NOT_SIGNED_IN"


class PermissionDenied(StudioError):
    """The caller belongs to the organization, and their role does not allow it."""

    status = 403
    code = "FORBIDDEN"


class ResourceNotFound(StudioError):
    """It is not there, or it is another organization's."""

    status = 404
    code = "NOT_FOUND"


class InvalidInput(StudioError):
    """What was sent cannot be used; `fields` says by name what is wrong with which field."""

    status = 400
    code = "INVALID_REQUEST"

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message, fields=dict(fields or {}))
        self.fields = dict(fields or {})


class ResourceConflict(StudioError):
    """The state of the thing does not allow it."""

    status = 409
    code = "CONFLICT"


class PreconditionFailed(StudioError):
    """Somebody else has changed it since the caller looked."""

    status = 412
    code = "OUTDATED"


class MethodNotAllowed(StudioError):
    """The address is right, and the method is not."""

    status = 405
    code = "METHOD_NOT_ALLOWED"


class RequestTooLarge(StudioError):
    """More was sent than is read."""

    status = 413
    code = "TOO_LARGE"


class InternalError(StudioError):
    """Something is wrong here; the log has it under the request's id."""

    status = 500
    code = "INTERNAL"


class ServiceUnavailable(StudioError):
    """Something that is needed for it does not answer now."""

    status = 503
    code = "UNAVAILABLE"


class ErrorBody(BaseModel):
    """How each error looks: `error` and `message` are the same sentence, `code` is for programs."""

    error: str
    code: str
    message: str
    fields: dict[str, str] | None = None
    """By the name of each field that cannot be used: why."""


ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": meaning}
    for status, meaning in {
        400: "What was sent cannot be used",
        401: "Nobody is signed in",
        403: "The caller's role does not allow it",
        404: "It is not there, or it is another organization's",
        409: "The state does not allow it",
        412: "Somebody else has changed it meanwhile",
        413: "More was sent than is read",
        503: "The database does not answer",
    }.items()
}
"""The answers that each route of the API may give besides its own."""
