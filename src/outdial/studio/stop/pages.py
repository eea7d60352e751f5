"""The page that stops all calls of an organization and resumes them."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.studio.stop import service as stops
from outdial.studio.stop.service import ReasonGiven
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.forms import Form
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/stop")


@router.get("")
async def stop_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show whether all calls are stopped, and the button that stops or resumes them."""
    async with context.transaction() as connection:
        stop = await stops.show_stop(connection, context)
    return page(request, "stop/show.html", context, stop=stop, url=request.url.path)


@router.post("")
async def stop_all_calls_page(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Stop all calls."""
    context.require("operator")
    async with context.transaction() as connection:
        stop = await stops.stop(connection, context, _reason(form))
    message = "All calls are stopped." if stop.status == "stopped" else "Stopping all calls."
    return forms.redirect(request.url.path, message)


@router.post("/resume")
async def resume_all_calls_page(context: CurrentOrganization, form: Form) -> Response:
    """Allow calls again."""
    context.require("operator")
    async with context.transaction() as connection:
        await stops.resume(connection, context, _reason(form))
    return forms.redirect(f"/o/{context.organization_id}/stop", "Calls are allowed again.")


def _reason(form: Form) -> ReasonGiven:
    return ReasonGiven(reason=forms.short_text(form, "reason", LONGEST_DECISION_NOTE))
