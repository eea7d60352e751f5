"""How what goes wrong is answered: one shape of JSON below /api, a page for people everywhere else."""

from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import asyncpg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from outdial.campaigns.errors import CampaignClosed, CampaignNotFound, CampaignsError
from outdial.domain.errors import DomainError
from outdial.studio.web.errors import (
    InternalError,
    InvalidInput,
    MethodNotAllowed,
    NotSignedIn,
    PermissionDenied,
    ResourceConflict,
    ResourceNotFound,
    ServiceUnavailable,
    StudioError,
)
from outdial.studio.web.rendering import page

API_PREFIX: Final = "/api/"
_TITLES: Final = {
    403: "Not allowed",
    404: "Not found",
    409: "Not possible now",
    412: "Changed meanwhile",
    500: "Something broke",
    503: "Not available now",
}
_TROUBLE_WITH_DATABASE: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
)


def add_handlers(app: FastAPI) -> None:
    """Let `app` answer each kind of trouble; what is unforeseen is left to the shell around it."""

    async def handle(request: Request, error: Exception) -> Response:
        return error_response(request, to_studio_error(error))

    for kind in (
        StudioError,
        CampaignsError,
        DomainError,
        RequestValidationError,
        HTTPException,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        OSError,
    ):
        app.add_exception_handler(kind, handle)


def to_studio_error(error: Exception) -> StudioError:
    """Return what an error is to the caller; raises it again when it is unforeseen."""
    match error:
        case StudioError():
            return error
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            # FastAPI hides what was raised while it read the body.
            return error.__cause__ if isinstance(error.__cause__, StudioError) else _of_http(error)
        case CampaignNotFound():
            return ResourceNotFound("There is no such campaign, or you may not change it")
        case CampaignClosed():
            return ResourceConflict(_sentence(error), status=error.status)
        case CampaignsError() | DomainError():
            field = getattr(error, "field", None)
            return InvalidInput(_sentence(error), {field: str(error).removeprefix(f"{field}: ")} if field else None)
        case asyncpg.PostgresError() | asyncpg.InterfaceError() | OSError():
            return _of_database(error)
    raise error


def _of_database(error: Exception) -> StudioError:
    match error:
        case asyncpg.InsufficientPrivilegeError():
            return PermissionDenied("Your role in the organization does not allow it")
        case asyncpg.UniqueViolationError():
            return ResourceConflict("It is there already")
        case asyncpg.ForeignKeyViolationError():
            return ResourceConflict("It refers to something that is not there, or something still refers to it")
        case asyncpg.CheckViolationError() | asyncpg.DataError() | ValueError():
            return InvalidInput("A value is out of its range, or has characters that cannot be kept")
        case asyncpg.DeadlockDetectedError() | asyncpg.SerializationError():
            return ServiceUnavailable("Others are changing the same thing: try again")
        case _ if isinstance(error, _TROUBLE_WITH_DATABASE):
            return ServiceUnavailable("The database does not answer now: try again in a moment")
    raise error


def error_response(request: Request, error: StudioError) -> Response:
    """Return the answer to a request that went wrong."""
    if request.url.path.startswith(API_PREFIX):
        return JSONResponse(error.body(), error.status, headers=dict(error.headers))
    if isinstance(error, NotSignedIn):
        return RedirectResponse(f"/sign-in?next={quote(_back_to(request), safe='/')}", 303)
    title = _TITLES.get(error.status, "That did not work")
    response = page(request, "web/error.html", status=error.status, error=error, title=title, home=home_of(request))
    response.headers.update(error.headers)
    return response


def internal_error_response(request: Request, request_id: str) -> Response:
    """Return the answer to a request in which something broke; `request_id` finds its line in the log."""
    return error_response(
        request, InternalError("Something broke here, and has been written down", request_id=request_id)
    )


def home_of(request: Request) -> str:
    """Return where the reader of an error page may go on: the organization in its address, else the first."""
    parts = request.url.path.split("/")
    return f"/o/{quote(parts[2])}/campaigns" if len(parts) > 3 and parts[1] == "o" else "/"


def _back_to(request: Request) -> str:
    """Return the page to come back to after signing in: this one, or for a form the page of an organization."""
    if request.method not in ("GET", "HEAD"):
        return home_of(request)
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _invalid(error: RequestValidationError) -> InvalidInput:
    fields: dict[str, str] = {}
    for problem in error.errors():
        where = [str(part) for part in problem["loc"]]
        name = ".".join(where[1:] if len(where) > 1 and where[0] in _PLACES else where)
        fields.setdefault(name or "body", str(problem["msg"]).removeprefix("Value error, "))
    first, reason = next(iter(fields.items()))
    return InvalidInput(f"{first}: {reason}", fields)


_PLACES: Final = frozenset({"body", "query", "path", "header", "cookie"})


def _of_http(error: HTTPException) -> StudioError:
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return ResourceNotFound("There is nothing here")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return MethodNotAllowed("This address does not take that method", headers=error.headers)
        case HTTPStatus.FORBIDDEN:
            return PermissionDenied(error.detail)
    return InvalidInput(error.detail)


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
