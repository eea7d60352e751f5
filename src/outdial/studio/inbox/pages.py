"""Pages about the inbox."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, cast, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from outdial.studio.inbox import service as inbox
from outdial.studio.inbox.service import EventFilters, EventSource, EventStatus, LedgerEvent, ReplayRequest
from outdial.studio.web import forms
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.dates import day_of
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.forms import Form
from outdial.studio.web.paging import Page, PageRequest
from outdial.studio.web.rendering import page

router = APIRouter()
LIMIT: Final = 50
# What a page shows of a body, so that it stays small.
_SHOWN: Final = 20_000
STATUSES: Final = [
    ("", "Any"), ("pending", "Pending"), ("applied", "Applied"), ("unmatched", "Unmatched"),
    ("quarantined", "Quarantined"),
]  # fmt: skip
EVENTS: Final = [("", "Any"), *((name, name) for name in ("call_started", "call_ended", "call_analyzed"))]
SOURCES: Final = [("", "Any"), ("webhook", "Webhook"), ("reconciler", "By asking Retell")]
EventId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("/o/{organization_id}/inbox")
async def list_events_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the ledger, and what in it waits for a person."""
    query, url = request.query_params, request.url.path
    names = ("status", "event", "retell_call_id", "source", "from", "to")
    form = {name: query.get(name, "").replace("\x00", "").strip()[:200] for name in names}
    kept = {name: value for name, value in form.items() if value}
    found, problem = Page[LedgerEvent](items=[]), None
    async with context.transaction() as connection:
        odd = await inbox.count_events_to_review(connection, context.organization_id)
        try:
            asked = PageRequest(query.get("cursor") or None, LIMIT)
            found = await inbox.list_events(connection, context.organization_id, asked, _filters(form))
        except InvalidInput as error:
            problem = f"{error.message}: {'; '.join(error.fields.values())}"
    return page(
        request,
        "inbox/list.html",
        context,
        status=400 if problem else 200,
        url=url,
        form=form,
        is_narrowed=bool(kept),
        statuses=STATUSES,
        kinds=EVENTS,
        sources=SOURCES,
        events=found.items,
        odd=odd,
        problem=problem,
        next_url=f"{url}?{urlencode({**kept, 'cursor': found.next})}" if found.next else None,
        first_url=f"{url}?{urlencode(kept)}" if "cursor" in query else None,
    )


def _filters(form: Mapping[str, str]) -> EventFilters:
    until = day_of("to", form["to"])
    return EventFilters(
        cast("EventStatus", form["status"]) if form["status"] in get_args(EventStatus) else None,
        form["event"] or None,
        form["retell_call_id"] or None,
        cast("EventSource", form["source"]) if form["source"] in get_args(EventSource) else None,
        since=day_of("from", form["from"]),
        until=None if until is None else until + timedelta(days=1),
    )


@router.get("/o/{organization_id}/inbox/{event_id}")
async def show_event_page(request: Request, context: CurrentOrganization, event_id: EventId) -> HTMLResponse:
    """Show one event: what became of it, and its body."""
    async with context.transaction() as connection:
        event = await inbox.show_event(connection, context.organization_id, event_id)
    is_cut = event.is_cut or len(event.body) > _SHOWN
    return page(request, "inbox/show.html", context, event=event, body=event.body[:_SHOWN], is_cut=is_cut)


@router.post("/o/{organization_id}/inbox/replay")
async def replay_page(context: CurrentOrganization, form: Form) -> Response:
    """Send one event, some, or all that stand so, through apply once more."""
    context.require("operator")
    if "selected" in form and "ids" not in form:
        return forms.redirect(f"/o/{context.organization_id}/inbox", "No event was selected: tick some first", "warn")
    given: dict[str, Any] = {name: value for name in ReplayRequest.model_fields if (value := forms.text(form, name))}
    if "ids" in given:
        given["ids"] = [value for value in form.getlist("ids") if isinstance(value, str)]
    try:
        asked = ReplayRequest.model_validate(given)
    except ValidationError:
        raise InvalidInput("This form does not say which events to replay: load the page again") from None
    async with context.transaction() as connection:
        done = await inbox.replay(connection, context, asked)
    message = f"{done.replayed:,} {'event goes' if done.replayed == 1 else 'events go'} through apply once more"
    base = f"/o/{context.organization_id}/inbox"
    return forms.redirect(f"{base}/{asked.first_id}" if asked.first_id == asked.last_id else base, message)
