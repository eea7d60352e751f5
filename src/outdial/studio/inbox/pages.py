"""Pages for webhook events."""

from typing import Annotated, Any, Final, cast, get_args

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from outdial.inbox.replay import without_body_notice
from outdial.studio.inbox import service as inbox
from outdial.studio.inbox.service import EventFilters, EventSource, EventStatus, LedgerEvent, ReplayRequest
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.filters import parse_day, parse_last_day, text_values, viewer_zone
from outdial.studio.web.forms import Form
from outdial.studio.web.paging import Page, PageRequest, page_links
from outdial.studio.web.rendering import page

router = APIRouter()
LIMIT: Final = 50
# Keeps the page small.
_MAX_BODY_CHARS: Final = 20_000
STATUSES: Final = [
    ("", "Any"), ("pending", "Pending"), ("applied", "Applied"), ("unmatched", "Unmatched"),
    ("quarantined", "Quarantined"),
]  # fmt: skip
EVENTS: Final = [("", "Any"), *((name, name) for name in ("call_started", "call_ended", "call_analyzed"))]
SOURCES: Final = [("", "Any"), ("webhook", "Webhook"), ("reconciler", "Polling")]
EventId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("/o/{organization_id}/inbox")
async def list_events_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the ledger and the events that need review."""
    query, url = request.query_params, request.url.path
    form = text_values(query, ("status", "event", "retell_call_id", "source", "from", "to"))
    page_request = PageRequest(query.get("cursor") or None, LIMIT)
    found, problem = Page[LedgerEvent](items=[]), None
    zone = viewer_zone(request)
    async with context.transaction() as connection:
        to_review = await inbox.count_events_to_review(connection, context.organization_id)
        try:
            filters = EventFilters(
                status=cast("EventStatus", form["status"]) if form["status"] in get_args(EventStatus) else None,
                event=form["event"] or None,
                retell_call_id=form["retell_call_id"] or None,
                source=cast("EventSource", form["source"]) if form["source"] in get_args(EventSource) else None,
                since=parse_day("from", form["from"], zone),
                until=parse_last_day("to", form["to"], zone),
            )
            found = await inbox.list_events(connection, context.organization_id, page_request, filters)
        except InvalidInput as error:
            problem = error.summary
    return page(
        request,
        "inbox/list.html",
        context,
        status=400 if problem else 200,
        url=url,
        form=form,
        is_narrowed=any(form.values()),
        statuses=STATUSES,
        kinds=EVENTS,
        sources=SOURCES,
        events=found.items,
        to_review=to_review,
        problem=problem,
        **page_links(url, form, page_request, found.next),
    )


@router.get("/o/{organization_id}/inbox/{event_id}")
async def show_event_page(request: Request, context: CurrentOrganization, event_id: EventId) -> HTMLResponse:
    """Show an event with its status and body."""
    async with context.transaction() as connection:
        event = await inbox.show_event(connection, context.organization_id, event_id)
    is_cut = event.is_cut or len(event.body) > _MAX_BODY_CHARS
    return page(request, "inbox/show.html", context, event=event, body=event.body[:_MAX_BODY_CHARS], is_cut=is_cut)


@router.post("/o/{organization_id}/inbox/replay")
async def replay_page(context: CurrentOrganization, form: Form) -> Response:
    """Replay one event, the selected ones, or all with a status."""
    context.require("operator")
    if "selected" in form and "ids" not in form:
        return forms.redirect(f"/o/{context.organization_id}/inbox", "No events selected.", "warn")
    given: dict[str, Any] = {name: value for name in ReplayRequest.model_fields if (value := forms.text(form, name))}
    if "ids" in given:
        given["ids"] = [value for value in form.getlist("ids") if isinstance(value, str)]
    try:
        replay = ReplayRequest.model_validate(given)
    except ValidationError:
        raise InvalidInput("Invalid selection: reload the page and try again") from None
    async with context.transaction() as connection:
        result = await inbox.replay_events(connection, context, replay)
    message = f"Replaying {result.replayed:,} {'event' if result.replayed == 1 else 'events'}."
    if notice := without_body_notice(result.without_body):
        message = f"{message} {notice}"
    base = f"/o/{context.organization_id}/inbox"
    return forms.redirect(f"{base}/{replay.first_id}" if replay.first_id == replay.last_id else base, message)
