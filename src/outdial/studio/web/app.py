"""The application: its routers, and how it answers what goes wrong."""

from importlib import import_module
from typing import Any, Final

from fastapi import APIRouter, FastAPI

from outdial.studio.web import assets, live
from outdial.studio.web.context import StudioState
from outdial.studio.web.error_responses import add_handlers
from outdial.studio.web.errors import ERROR_RESPONSES
from outdial.studio.web.security_middleware import SecurityMiddleware
from outdial.studio.web.session_middleware import SessionMiddleware

API: Final = (
    "campaigns.api", "campaign_contacts.api", "calls.api", "reports.api", "contacts.api", "imports.api", "exports.api",
    "do_not_call.api", "members.api", "inbox.api", "functions.api", "audit.api", "organizations.api", "web.api_docs",
)  # fmt: skip
PAGES: Final = (
    "sign_in.pages", "organizations.home", "campaigns.pages", "campaign_contacts.pages", "calls.pages", "reports.pages",
    "contacts.pages", "imports.pages", "exports.pages", "do_not_call.pages", "members.pages", "inbox.pages",
    "functions.pages", "audit.pages", "organizations.pages",
)  # fmt: skip


def create_app(studio: StudioState) -> FastAPI:
    """Create the application; `studio` is what all requests share."""
    app = FastAPI(title="Outdial", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    app.state.studio = studio
    for router in (assets.router, live.router):
        app.include_router(router, include_in_schema=False)
    for name in API:
        app.include_router(_router(name), prefix="/api/v1", responses=ERROR_RESPONSES)
    for name in PAGES:
        app.include_router(_router(name), include_in_schema=False)
    add_handlers(app)
    _describe(app)
    settings = studio.settings
    # The last one added is the outermost.
    app.add_middleware(SessionMiddleware)
    app.add_middleware(
        SecurityMiddleware, clock=studio.clock, hosts=settings.hosts, secure=settings.secure, media=settings.recordings
    )
    return app


def _router(name: str) -> APIRouter:
    router = import_module(f"outdial.studio.{name}").router
    assert isinstance(router, APIRouter)
    return router


def _describe(app: FastAPI) -> None:
    """Let the OpenAPI document say what we do: a request that cannot be used is answered with 400, never 422."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            document.get("components", {}).get("schemas", {}).pop(name, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
