"""Pages about calls."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from markupsafe import escape

from outdial.db.queries import campaigns as campaign_queries
from outdial.db.session import Connection
from outdial.domain.call import CallStatus
from outdial.domain.outcomes import Outcome
from outdial.studio.calls.service import (
    CallDetail,
    CallEvent,
    CallFilters,
    CallSummary,
    TranscriptTurn,
    list_call_events,
    list_calls,
    show_call,
)
from outdial.studio.campaign_contacts.panel import OUTCOMES, Options
from outdial.studio.campaign_contacts.service import digits_of
from outdial.studio.view.badges import humanize
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.dates import day_of
from outdial.studio.web.errors import InvalidInput, ResourceNotFound
from outdial.studio.web.paging import PageRequest
from outdial.studio.web.rendering import page

router = APIRouter()

LIMIT: Final = 50
_CAMPAIGNS: Final = 100
# What a page shows of them, so that it stays small: characters as they are sent, turns with what surrounds each.
_TALK, _TURN, _EVENTS, _BODIES, _BODY, _FIELDS, _VALUE = 24_000, 70, 12, 16_000, 5_000, 60, 1_000
SPEAKERS: Final = {"agent": "Agent", "user": "Contact", "other": "Somebody else"}
STATUSES: Final[Options] = [("", "Any"), *((status.value, humanize(status)) for status in CallStatus)]


@dataclass(frozen=True, slots=True)
class CallList:
    """What the list shows besides its form."""

    calls: list[CallSummary] = field(default_factory=list)
    next_url: str | None = None
    first_url: str | None = None
    problem: str | None = None


@router.get("/o/{organization_id}/calls")
async def list_calls_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the calls of an organization with filters."""
    query = request.query_params
    names = ("campaign", "outcome", "status", "phone", "from", "to")
    form = {name: query.get(name, "").strip()[:100] for name in names}
    async with context.transaction() as connection:
        listed = await _listed(connection, context, form, query.get("cursor") or None, request.url.path)
        campaigns = await campaign_queries.list_campaigns(
            connection,
            organization_id=context.organization_id,
            status=None,
            name=None,
            before_at=None,
            before_id=None,
            limit=_CAMPAIGNS,
        )
    return page(
        request,
        "calls/list.html",
        context,
        status=400 if listed.problem else 200,
        url=request.url.path,
        form=form,
        is_narrowed=any(form.values()),
        campaigns=[("", "All"), *((str(campaign.id), campaign.name) for campaign in campaigns)],
        outcomes=OUTCOMES,
        statuses=STATUSES,
        calls=listed.calls,
        next_url=listed.next_url,
        first_url=listed.first_url,
        problem=listed.problem,
    )


async def _listed(
    connection: Connection, context: OrganizationContext, form: Mapping[str, str], cursor: str | None, url: str
) -> CallList:
    try:
        found = await list_calls(connection, context.organization_id, PageRequest(cursor, LIMIT), _filters(form))
    except InvalidInput as error:
        details = "; ".join(error.fields.values())
        return CallList(problem=f"{error.message}: {details}." if details else error.message)
    except ResourceNotFound as error:
        return CallList(problem=error.message)
    kept = {name: value for name, value in form.items() if value}
    return CallList(
        found.items,
        f"{url}?{urlencode({**kept, 'cursor': found.next})}" if found.next else None,
        f"{url}?{urlencode(kept)}" if cursor else None,
    )


def _filters(form: Mapping[str, str]) -> CallFilters:
    try:
        filters = CallFilters(
            campaign_id=UUID(form["campaign"]) if form["campaign"] else None,
            status=CallStatus(form["status"]) if form["status"] else None,
            outcome=Outcome(form["outcome"]) if form["outcome"] else None,
        )
    except ValueError:
        raise InvalidInput("These filters cannot be used", {"status": "choose from the lists"}) from None
    until = day_of("to", form["to"])
    return replace(
        filters,
        phone=digits_of("phone", form["phone"]),
        since=day_of("from", form["from"]),
        until=None if until is None else until + timedelta(days=1),
    )


@router.get("/o/{organization_id}/calls/{call_id}")
async def show_call_page(request: Request, call_id: UUID, context: CurrentOrganization) -> HTMLResponse:
    """Show a call: the conversation, the recording, the analysis, the decision and the events."""
    async with context.transaction() as connection:
        call = await show_call(connection, context.organization_id, call_id)
        events = await list_call_events(connection, context.organization_id, call_id)
    turns = list(_shown_turns(call))
    return page(
        request,
        "calls/show.html",
        context,
        call=call,
        turns=turns,
        is_transcript_cut=turns != call.turns,
        speakers=SPEAKERS,
        analysis=analysis_fields(call.analysis or {}),
        events=list(_shown_events(events)),
        events_left=len(events[_EVENTS:]),
    )


def _shown_turns(call: CallDetail) -> Iterator[TranscriptTurn]:
    room = _TALK
    for turn in call.turns:
        if room <= 0:
            return
        text = turn.text[:room]
        yield turn.model_copy(update={"text": text})
        room -= len(escape(text)) + _TURN


def _shown_events(events: Sequence[CallEvent]) -> Iterator[CallEvent]:
    room = _BODIES
    for event in events[:_EVENTS]:
        body = event.body[: min(_BODY, room // 2)]
        yield event.model_copy(update={"body": body, "is_cut": event.is_cut or len(body) < len(event.body)})
        room = max(0, room - len(escape(body)))


def analysis_fields(analysis: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the fields of an analysis as pairs of a label and text, those of objects inside it one by one."""
    return list(_flat(analysis))[:_FIELDS]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        label = f"{prefix}{humanize(name)}"
        if isinstance(value, Mapping) and not prefix:
            yield from _flat(value, "" if name == "custom_analysis_data" else f"{label}: ")
        else:
            yield label, _value_text(value)[:_VALUE]


def _value_text(value: Any) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "Yes" if value else "No"
        case str():
            return value
        case _:
            return json.dumps(value, ensure_ascii=False)
