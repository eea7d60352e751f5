"""Turns exceptions into error responses: JSON below /api, a page everywhere else."""

from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit

import asyncpg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from outdial.campaigns.errors import CampaignClosed, CampaignNotFound, CampaignsError
from outdial.domain.errors import DomainError
from outdial.studio.view.format import sentence_case
from outdial.studio.web.errors import (
    InternalError,
    InvalidInput,
    MethodNotAllowed,
    NotSignedIn,
    PermissionDenied,
    ResourceConflict,
    ResourceNotFound,
    SecondFactorMissing,
    ServiceUnavailable,
    StudioError,
)
from outdial.studio.web.forms import FormExpired, KeptForm, host_of, is_same_origin
from outdial.studio.web.rendering import page

API_PREFIX: Final = "/api/"
_TITLES: Final = {
    400: "Invalid request",
    403: "Not allowed",
    404: "Page not found",
    409: "Not possible right now",
    412: "Changed by someone else",
    413: "Request too large",
    429: "Too many requests",
    500: "Something went wrong",
    503: "Temporarily unavailable",
}
_DATABASE_UNAVAILABLE: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
)


def add_handlers(app: FastAPI) -> None:
    """Register handlers for every expected exception; SecurityMiddleware catches the unexpected ones."""

    async def handle(request: Request, error: Exception) -> Response:
        is_page = not request.url.path.startswith(API_PREFIX)
        if is_page and isinstance(error, NotSignedIn):
            return sign_in_redirect(request, lacks_factor=isinstance(error, SecondFactorMissing))
        if is_page and isinstance(error, RequestValidationError) and error.errors()[0]["loc"][0] == "path":
            return error_response(request, ResourceNotFound("This page does not exist"))
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
    """Return the error response for an exception; raises the exception again when it is unexpected."""
    match error:
        case StudioError():
            return error
        case RequestValidationError():
            return _from_validation(error)
        case HTTPException():
            return _from_http(error)
        case CampaignNotFound():
            return ResourceNotFound("Campaign not found, or your role does not allow changing it")
        case CampaignClosed():
            return ResourceConflict(sentence_case(str(error)), status=error.status)
        case CampaignsError() | DomainError():
            field = getattr(error, "field", None)
            return InvalidInput(
                sentence_case(str(error)), {field: str(error).removeprefix(f"{field}: ")} if field else None
            )
        case asyncpg.PostgresError() | asyncpg.InterfaceError() | OSError():
            return _from_database(error)
    raise error


def _from_database(error: Exception) -> StudioError:
    match error:
        case asyncpg.InsufficientPrivilegeError():
            return PermissionDenied("Your role does not allow this")
        case asyncpg.UniqueViolationError():
            return ResourceConflict("It already exists")
        case asyncpg.ForeignKeyViolationError():
            return ResourceConflict("It refers to something that does not exist, or it is still in use")
        case asyncpg.CheckViolationError() | asyncpg.DataError() | ValueError():
            return InvalidInput("A value is out of range or contains characters that cannot be stored")
        case asyncpg.DeadlockDetectedError() | asyncpg.SerializationError():
            return ServiceUnavailable("Someone else is changing this right now: try again")
        case _ if isinstance(error, _DATABASE_UNAVAILABLE):
            return ServiceUnavailable("The database is unavailable: try again in a moment")
    raise error


def sign_in_redirect(request: Request, *, lacks_factor: bool = False) -> Response:
    """Redirect a page request without a session to /sign-in, which leads back to the page.

    A session that lacks its second factor goes to /sign-in/code, which asks for it.

    The browser sends a form again to /sign-in/form, which keeps it. This is limited to forms of our own pages: another
    site could otherwise make a user who signs in send a form of that site.
    """
    path, sign_in = request.url.path, "/sign-in/code" if lacks_factor else "/sign-in"
    if request.method in ("GET", "HEAD"):
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{sign_in}?next={quote(f'{path}{query}', safe='/')}", 303)
    back = _page_of_form(request)
    target = f"{sign_in}?next={quote(back, safe='/')}"
    is_plain = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if is_plain and is_same_origin(request.headers):
        target = f"/sign-in/form?action={quote(path, safe='/')}&next={quote(back, safe='/')}"
        return RedirectResponse(target, 307)
    return RedirectResponse(target, 303)


def _page_of_form(request: Request) -> str:
    path, referer = request.url.path, request.headers.get("referer", "")
    if host_of(referer) == request.headers.get("host", "").lower() != "" and urlsplit(referer).path:
        return urlsplit(referer).path
    return f"/o/{quote(path.split('/')[2])}/campaigns" if path.startswith("/o/") else "/"


def error_response(request: Request, error: StudioError) -> Response:
    """Return the response for an error: JSON below /api, else a page with the menu of the caller's organization.

    A form of our own pages whose token is that of an earlier session is shown with the new token, to be sent again.
    """
    path = request.url.path
    if path.startswith(API_PREFIX):
        return JSONResponse(error.body(), error.status, headers=dict(error.headers))
    organization = getattr(request.state, "organization", None)
    token = request.scope.get("outdial_csrf")
    is_ours = bool(token) and path.startswith("/o/") and is_same_origin(request.headers)
    if is_ours and isinstance(error, FormExpired) and error.fields:
        return page(
            request,
            "web/kept_form.html",
            organization,
            status=error.status,
            kept=KeptForm(action=path, page=_page_of_form(request), fields=error.fields),
            form_token=token,
            reason="You have signed in again since you opened this form",
        )
    response = page(
        request,
        "web/error.html",
        organization,
        status=error.status,
        error=error,
        title=_TITLES.get(error.status, "Something went wrong"),
        home=home_url(request),
    )
    response.headers.update(error.headers)
    return response


def internal_error_response(request: Request, request_id: str) -> Response:
    """Return the 500 response; `request_id` identifies the log line with the cause."""
    return error_response(
        request, InternalError("Something went wrong on our side. The error has been logged", request_id=request_id)
    )


def home_url(request: Request) -> str:
    """Return the link of an error page: the campaigns of the caller's organization, else the start page."""
    organization = getattr(request.state, "organization", None)
    return "/" if organization is None else f"/o/{organization.organization_id}/campaigns"


def _from_validation(error: RequestValidationError) -> InvalidInput:
    first_problem = error.errors()[0]
    if first_problem["type"] == "json_invalid":
        return _unreadable(str(error.body), int(first_problem["loc"][-1]), str(first_problem["ctx"]["error"]))
    fields: dict[str, str] = {}
    for problem in error.errors():
        where = [str(part) for part in problem["loc"]]
        name = ".".join(where[1:] if len(where) > 1 and where[0] in _LOCATIONS else where)
        fields.setdefault(name or "body", str(problem["msg"]).removeprefix("Value error, "))
    first, reason = next(iter(fields.items()))
    return InvalidInput(f"{first}: {reason}", fields)


def _unreadable(body: str, position: int, reason: str) -> InvalidInput:
    """Return the error of a body that is not JSON, with the place at which reading it failed."""
    line, column = body.count("\n", 0, position) + 1, position - (body.rfind("\n", 0, position) + 1) + 1
    where = f"is not JSON at line {line}, column {column} (character {position + 1}): {reason}"
    return InvalidInput(f"The body {where}", {"body": where})


_LOCATIONS: Final = frozenset({"body", "query", "path", "header", "cookie"})


def _from_http(error: HTTPException) -> StudioError:
    match error.__cause__:  # FastAPI wraps exceptions raised while it reads the body.
        case StudioError() as cause:
            return cause
        case UnicodeDecodeError() as cause:
            where = f"is not UTF-8 text at byte {cause.start + 1}"
            return InvalidInput(f"The body {where}", {"body": where})
        case RecursionError():
            return InvalidInput("The body is nested too deeply", {"body": "is nested too deeply"})
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return ResourceNotFound("This page does not exist")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return MethodNotAllowed("This URL does not support that method", headers=error.headers)
        case HTTPStatus.FORBIDDEN:
            return PermissionDenied(error.detail)
    return InvalidInput(error.detail)
