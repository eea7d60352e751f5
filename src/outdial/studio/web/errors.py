"""Errors the studio returns: JSON below /api, a page everywhere else.

StudioError
├── InvalidInput        400
├── NotSignedIn         401
│   └── SecondFactorMissing
├── PermissionDenied    403
├── ResourceNotFound    404
├── MethodNotAllowed    405
├── ResourceConflict    409
├── PreconditionFailed  412
├── RequestTooLarge     413
├── TooManyRequests     429
├── InternalError       500
└── ServiceUnavailable  503
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel

from outdial.errors_http import error_body


class StudioError(Exception):
    """An error response. The message tells the reader what to do; `details` become further keys of the JSON body."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.headers: Mapping[str, str] = dict(headers or {})
        self.details: Mapping[str, Any] = details

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        return error_body(self.code, self.message, self.details)


class NotSignedIn(StudioError):
    """The request carries no valid credentials."""

    status = 401
    code = "NOT_SIGNED_IN"


class SecondFactorMissing(NotSignedIn):
    """The caller's user has a second factor, which was not given in this session. Until then it opens nothing."""

    code = "SECOND_FACTOR_MISSING"


class PermissionDenied(StudioError):
    """The caller's role does not allow this request."""

    status = 403
    code = "FORBIDDEN"


class ResourceNotFound(StudioError):
    """The resource does not exist, or it belongs to another organization."""

    status = 404
    code = "NOT_FOUND"


class InvalidInput(StudioError):
    """The request is invalid; `fields` maps the name of each invalid field to the reason."""

    status = 400
    code = "INVALID_REQUEST"

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message, fields=dict(fields or {}))
        self.fields = dict(fields or {})

    @property
    def summary(self) -> str:
        """The message and the reasons in one line, for pages that show no error beside the field."""
        reasons = "; ".join(self.fields.values())
        return f"{self.message}: {reasons}" if reasons else self.message


class ResourceConflict(StudioError):
    """The current state of the resource does not allow this request."""

    status = 409
    code = "CONFLICT"


class PreconditionFailed(StudioError):
    """The resource has changed since the caller loaded it."""

    status = 412
    code = "OUTDATED"


class MethodNotAllowed(StudioError):
    """The route exists, but not for this method."""

    status = 405
    code = "METHOD_NOT_ALLOWED"


class RequestTooLarge(StudioError):
    """The request body exceeds the limit of the route."""

    status = 413
    code = "TOO_LARGE"


class TooManyRequests(StudioError):
    """The caller has reached a limit that applies per caller."""

    status = 429
    code = "TOO_MANY_REQUESTS"


class InternalError(StudioError):
    """An unexpected error; the log holds the cause under the request's id."""

    status = 500
    code = "INTERNAL"


class ServiceUnavailable(StudioError):
    """The database, Auth or the function host cannot be reached."""

    status = 503
    code = "UNAVAILABLE"


class ErrorBody(BaseModel):
    """The body of every error response. `error` and `message` hold the same sentence; `code` is for programs."""

    error: str
    code: str
    message: str
    fields: dict[str, str] | None = None
    """The reason for each invalid field, by name."""


ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": meaning,
        # FastAPI would build a validator for each status of each route from a model here: 1,400 of them.
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}}},
    }
    for status, meaning in {
        400: "The request is invalid",
        401: "Not signed in",
        403: "The caller's role does not allow this request",
        404: "Not found, or it belongs to another organization",
        409: "The current state does not allow this request",
        412: "Changed since it was loaded",
        413: "The request is too large",
        503: "The database is unavailable",
    }.items()
}
"""Error responses that every API route may return, as the OpenAPI document lists them with the schema of their body."""
