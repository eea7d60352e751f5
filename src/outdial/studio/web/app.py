"""The FastAPI application: routers, error handlers and middleware."""

from importlib import import_module
from importlib.metadata import version
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute

from outdial.studio.web import assets, live
from outdial.studio.web.context import StudioState, studio_state
from outdial.studio.web.error_responses import add_handlers
from outdial.studio.web.middleware.cookies import HostCookieMiddleware
from outdial.studio.web.middleware.cors import ApiCorsMiddleware
from outdial.studio.web.middleware.security import SecurityMiddleware
from outdial.studio.web.middleware.session import SessionMiddleware
from outdial.studio.web.openapi import complete_openapi

API: Final = (
    "campaigns.api", "bulk_jobs.api", "bulk_jobs.organization_api", "campaign_contacts.api", "calls.api",
    "reports.api", "contacts.api",
    "imports.api", "exports.api", "do_not_call.api", "rules.api", "screening.api", "members.api", "invitations.api",
    "inbox.api", "functions.api", "audit.api", "organizations.api", "pre_dial_hook.api", "privacy.api", "evidence.api",
    "forecasts.api", "stop.api", "launch_checks.api", "test_calls.api", "numbers.api", "budgets.api", "callbacks.api",
    "profile.api", "review.api", "live_calls.api", "end_reports.api", "retell_keys.api", "selection.api", "undo.api",
    "saved_views.api", "listening.api", "web.api_docs",
)  # fmt: skip
PAGES: Final = (
    # What open pages fetch most.
    "live_calls.pages",
    "sign_in.pages", "campaign_setup.pages",
    "campaign_board.pages", "campaign_board.selected_pages", "campaigns.pages", "campaigns.tab_pages",
    "campaign_contacts.pages", "campaign_contacts.change_pages", "calls.pages",
    "bulk_jobs.pages", "bulk_jobs.organization_pages", "callbacks.pages", "review.pages", "reports.pages",
    "contacts.pages", "imports.pages", "exports.pages", "do_not_call.pages", "rules.pages", "screening.pages",
    "members.pages", "invitations.pages", "inbox.pages", "functions.pages", "audit.pages", "organizations.pages",
    "pre_dial_hook.pages", "privacy.pages", "evidence.pages", "forecasts.pages", "launch_checks.pages", "stop.pages",
    "test_calls.pages", "numbers.pages", "budgets.pages", "web.appearance", "web.design", "search.pages",
    "sign_in.returning", "sign_in.passwords", "invitations.join", "profile.pages", "profile.two_factor",
    "end_reports.pages", "end_reports.shared", "retell_keys.pages", "selection.pages",
    "undo.pages", "saved_views.pages",
)  # fmt: skip


def create_app(studio: StudioState) -> FastAPI:
    """Create the application around the state its requests share."""
    app = FastAPI(
        title="Outdial",
        version=version("outdial"),
        description="Campaigns, contacts and calls of the organizations that the caller is a member of.",
        servers=[{"url": "/", "description": "The studio that serves this document"}],
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.studio = studio
    pages = [assets.router, live.router, *map(_router, PAGES)]
    for route in (route for router in pages for route in router.routes):
        assert isinstance(route, APIRoute)
        route.include_in_schema = False
    app.add_api_route("/health", health, include_in_schema=False)
    # Routes are matched one by one, in this order: a page comes before the 150 routes of the API. They are added as
    # they are: `include_router` would build each once more, in the first request, which took a second.
    for router in (*pages, *map(_router, API)):
        app.router.routes.extend(router.routes)
    add_handlers(app)
    complete_openapi(app)
    settings = studio.settings
    # The middleware added last is the outermost.
    app.add_middleware(SessionMiddleware)
    app.add_middleware(SecurityMiddleware, hosts=settings.hosts, secure=settings.secure, media=settings.recordings)
    if settings.secure:
        app.add_middleware(HostCookieMiddleware)
    if settings.api_origins:
        app.add_middleware(ApiCorsMiddleware, origins=settings.api_origins)
    return app


async def health(request: Request) -> dict[str, str]:
    """Report that this process is running, and why users' tokens cannot be verified, if so."""
    problem = studio_state(request).verifier.problem()
    return {"message": "ok"} if problem is None else {"message": "degraded", "jwks": problem}


def _router(name: str) -> APIRouter:
    router = import_module(f"outdial.studio.{name}").router
    assert isinstance(router, APIRouter)
    return router
