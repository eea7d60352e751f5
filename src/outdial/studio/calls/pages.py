"""Pages for calls."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from markupsafe import escape

from outdial.campaigns.operations.hang_up import find_unreachable
from outdial.campaigns.operations.organization_bulk_request import SelectedCalls
from outdial.db.queries.dialing import organization_bulk_jobs
from outdial.db.session import Connection
from outdial.domain.call import CallStatus
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.domain.policies.bulk_action import BulkAction
from outdial.studio.bulk_jobs.organization_words import job_in_one_line
from outdial.studio.bulk_jobs.service import latest_change
from outdial.studio.callbacks.actions import read_actions
from outdial.studio.calls.hanging_up import hang_up_call
from outdial.studio.calls.live_transcript import spoken_so_far
from outdial.studio.calls.navigation import day_links, filter_query, read_filters, typed_filters
from outdial.studio.calls.reviews import mark_reviewed, remove_mark
from outdial.studio.calls.service import (
    CallDetail,
    CallEvent,
    CallFilters,
    CallListItem,
    checked_selection,
    find_place,
    list_call_events,
    list_selected,
    show_call,
)
from outdial.studio.calls.transcript import SPEAKERS, first_turns
from outdial.studio.campaign_contacts.panel import OUTCOMES, Options
from outdial.studio.campaigns.counts import Counter
from outdial.studio.campaigns.service import campaign_choices
from outdial.studio.campaigns.tabs import CampaignFrame, campaign_frame
from outdial.studio.listening.service import DASHBOARD_URL, has_player
from outdial.studio.saved_views.service import UNFIT, ViewList, opened_query, read_bar
from outdial.studio.view.badges import humanize
from outdial.studio.view.format import NOTHING
from outdial.studio.web.appearance import LIST_COLUMNS, shown_columns
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, ResourceNotFound
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.forms import Form, redirect, short_text, text
from outdial.studio.web.middleware.security import let_hear_calls
from outdial.studio.web.paging import MOST_COUNTED, Page, PageRequest, at_most, has_more_pages, page_links
from outdial.studio.web.rendering import page

router = APIRouter()

# More rows with their boxes, under all views and filters, come too close to 60 KB.
LIMIT: Final = 35
# Limits that keep the page small, in escaped characters.
_MAX_TRANSCRIPT_CHARS: Final = 24_000
_MAX_SPOKEN_CHARS: Final = 8_000
_MAX_EVENTS: Final = 12
_MAX_EVENT_CHARS: Final = 16_000
_MAX_BODY_CHARS: Final = 5_000
_MAX_ANALYSIS_FIELDS: Final = 60
_MAX_VALUE_CHARS: Final = 1_000
_MAX_NAME_CHARS: Final = 120
SUMMARY_LABEL: Final = humanize("call_summary")
_LIVE_PAGE: Final = re.compile(
    r"(campaigns/[0-9a-f-]{36}/)?live-calls(\?follow=[0-9a-f-]{36}(&follow=[0-9a-f-]{36})*)?"
)
STATUSES: Final[Options] = [("", "Any"), *((status.value, humanize(status)) for status in CallStatus)]


@router.get("/o/{organization_id}/calls")
async def list_calls_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the calls of an organization with filters."""
    return await _list(request, context)


@router.get("/o/{organization_id}/campaigns/{campaign_id}/calls")
async def list_calls_of_campaign(
    request: Request, context: CurrentOrganization, counter: Counter, campaign_id: UUID
) -> HTMLResponse:
    """Show the calls of a campaign with filters."""
    async with context.transaction() as connection:
        frame = await campaign_frame(connection, context, counter, campaign_id)
    return await _list(request, context, frame)


async def _list(request: Request, context: OrganizationContext, frame: CampaignFrame | None = None) -> HTMLResponse:
    query, url = request.query_params, request.url.path
    page_request = PageRequest(query.get("cursor") or None, LIMIT)
    listed = ViewList.CALLS if frame is None else ViewList.CAMPAIGN_CALLS
    async with context.transaction() as connection:
        form = typed_filters(await opened_query(connection, context, listed, query))
        if frame is not None:
            form["campaign"] = ""
        selecting = form if frame is None else form | {"campaign": str(frame.campaign.id)}
        bar = await read_bar(connection, context, listed, url=url, form=form, opened=query.get("view", ""))
        found, matching, problem = await _find(connection, context, request, page_request, selecting)
        is_unfit = problem is not None and query.get("view") is not None and bar.is_as_saved
        if is_unfit:
            form = dict.fromkeys(form, "")
            selecting = form if frame is None else form | {"campaign": str(frame.campaign.id)}
            found, matching, problem = await _find(connection, context, request, page_request, selecting)
        # A tab of a campaign has no filter by campaign.
        campaigns = await campaign_choices(connection, context.organization_id) if frame is None else []
        change = await latest_change(connection, context, BulkAction.MARK_REVIEWED) if frame is None else None
    return page(
        request,
        "calls/list.html",
        context,
        status=400 if problem else 200,
        frame=frame,
        tab="Calls",
        url=url,
        views=bar,
        unfit=UNFIT if is_unfit else None,
        form=form,
        is_narrowed=any(form.values()),
        campaigns=campaigns,
        outcomes=OUTCOMES,
        statuses=STATUSES,
        calls=found.items,
        columns=[column for column in LIST_COLUMNS["calls"] if frame is None or column.name != "campaign"],
        shown=shown_columns(request, "calls"),
        selecting=selecting,
        matching=matching,
        filter_query=filter_query(selecting),
        day_links=day_links(url, form, str(bar.current.id) if bar.current else ""),
        problem=problem,
        change=change,
        change_text=job_in_one_line(change) if change else None,
        **page_links(url, form, page_request, found.next),
    )


async def _find(
    connection: Connection,
    context: OrganizationContext,
    request: Request,
    page_request: PageRequest,
    form: Mapping[str, str],
) -> tuple[Page[CallListItem], str | None, str | None]:
    """Return a page of the calls that filters select and how many match, or what is wrong with the filters."""
    try:
        filters = read_filters(form, viewer_zone(request), context.studio.clock.now())
        selected = await checked_selection(connection, context.organization_id, filters)
        found = await list_selected(connection, context.organization_id, page_request, selected)
    except InvalidInput as error:
        return Page(items=[]), None, error.summary
    except ResourceNotFound as error:
        return Page(items=[]), None, error.message
    return found, await _matching(connection, context, page_request, selected, found), None


async def _matching(
    connection: Connection,
    context: OrganizationContext,
    page_request: PageRequest,
    selected: SelectedCalls,
    found: Page[CallListItem],
) -> str | None:
    """Return how many calls match, for a member who may act on them all; None when the page has all of them."""
    if not context.may("operator") or not has_more_pages(found, page_request):
        return None
    counts = await organization_bulk_jobs.count_selected_calls(
        connection, organization_id=context.organization_id, limit=MOST_COUNTED + 1, **selected
    )
    return at_most(counts.calls, MOST_COUNTED)


@router.get("/o/{organization_id}/calls/{call_id}")
async def show_call_page(request: Request, call_id: UUID, context: CurrentOrganization) -> HTMLResponse:
    """Show a call: analysis, recording, transcript, decision and events, and the calls beside it in the list."""
    form = typed_filters(request.query_params)
    async with context.transaction() as connection:
        call = await show_call(
            connection, context.organization_id, call_id, recordings=context.studio.settings.recordings
        )
        events = await list_call_events(connection, context.organization_id, call_id)
        actions = await read_actions(connection, context, call.campaign_contact_id)
        unreachable = await _why_out_of_reach(connection, context, call)
        try:
            filters = read_filters(form, viewer_zone(request), context.studio.clock.now())
            place = await find_place(connection, context.organization_id, call, filters)
        except InvalidInput:
            # The address was changed by hand, or the search matches too many contacts by now.
            form = typed_filters({})
            place = await find_place(connection, context.organization_id, call, CallFilters())
    turns = first_turns(call.turns, _MAX_TRANSCRIPT_CHARS)
    fields = analysis_fields(call.analysis or {})
    summary = next((value for label, value in fields if label == SUMMARY_LABEL and value != NOTHING), None)
    response = page(
        request,
        "calls/show.html",
        context,
        call=call,
        actions=actions,
        unreachable=unreachable,
        place=place,
        filter_query=filter_query(form),
        turns=turns,
        spoken=spoken_so_far(call.live_transcript, call.started_at, context.studio.clock.now(), most=_MAX_SPOKEN_CHARS),
        is_transcript_cut=turns != call.turns,
        speakers=SPEAKERS,
        summary=summary,
        analysis=[field for field in fields if field[0] != SUMMARY_LABEL],
        events=shown_events(events),
        events_left=len(events[_MAX_EVENTS:]),
        dashboard_url=None if context.studio.settings.recordings else DASHBOARD_URL,
        has_player=has_player(),
    )
    if call.is_live and has_player() and context.may("operator"):
        let_hear_calls(response, context.studio.settings.recordings)
    return response


def shown_events(events: Sequence[CallEvent]) -> list[CallEvent]:
    """Return the events that fit on the page, with the beginnings of their bodies."""
    shown: list[CallEvent] = []
    room = _MAX_EVENT_CHARS
    for event in events[:_MAX_EVENTS]:
        body = event.body[: min(_MAX_BODY_CHARS, room // 2)]
        shown.append(event.model_copy(update={"body": body, "is_cut": event.is_cut or len(body) < len(event.body)}))
        room = max(0, room - len(escape(body)))
    return shown


@router.get("/o/{organization_id}/calls/{call_id}/hang-up")
async def confirm_hang_up_page(request: Request, call_id: UUID, context: CurrentOrganization) -> HTMLResponse:
    """Ask for the reason before a call from the list is hung up."""
    context.require("operator")
    async with context.transaction() as connection:
        call = await show_call(
            connection, context.organization_id, call_id, recordings=context.studio.settings.recordings
        )
        unreachable = await _why_out_of_reach(connection, context, call)
    return page(request, "calls/hang_up.html", context, call=call, unreachable=unreachable)


async def _why_out_of_reach(connection: Connection, context: OrganizationContext, call: CallDetail) -> str | None:
    if not call.is_live:
        return None
    now = context.studio.clock.now()
    found = await find_unreachable(connection, context.organization_id, [call.id], now)
    return found[call.id].sentence if call.id in found else None


@router.post("/o/{organization_id}/calls/{call_id}/hang-up")
async def hang_up_page(call_id: UUID, context: CurrentOrganization, form: Form) -> Response:
    """Hang up a live call."""
    context.require("operator")
    shown_on = text(form, "shown_on")
    home = f"/o/{context.organization_id}"
    is_live_page = _LIVE_PAGE.fullmatch(shown_on) is not None
    try:
        async with context.transaction() as connection:
            await hang_up_call(connection, context, call_id, short_text(form, "reason", LONGEST_DECISION_NOTE))
    except ResourceConflict as conflict:
        # On the live page, a call may end while the dialog is open.
        if not is_live_page:
            raise
        return redirect(f"{home}/{shown_on}", conflict.message, "warn")
    return redirect(f"{home}/{shown_on if is_live_page else f'calls/{call_id}'}", "Hanging up.")


@router.post("/o/{organization_id}/calls/{call_id}/review")
async def review_page(request: Request, call_id: UUID, context: CurrentOrganization, form: Form) -> Response:
    """Mark a call as reviewed with the note of the form, or remove the mark. The filters of the list stay."""
    context.require("operator")
    is_removed = text(form, "mark") == "remove"
    async with context.transaction() as connection:
        if is_removed:
            await remove_mark(connection, context, call_id)
        else:
            await mark_reviewed(connection, context, call_id, short_text(form, "note", LONGEST_DECISION_NOTE))
    back = f"/o/{context.organization_id}/calls/{call_id}{filter_query(typed_filters(request.query_params))}"
    return redirect(back, "Review mark removed." if is_removed else "Marked as reviewed.")


def analysis_fields(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return an analysis as pairs of label and text; nested objects are flattened."""
    fields: list[tuple[str, str]] = []
    for name, value in values.items():
        label = f"{prefix}{humanize(name)}"
        match value:
            case Mapping() if not prefix:
                fields += analysis_fields(value, "" if name == "custom_analysis_data" else f"{label}: ")
                continue
            case None:
                shown = NOTHING
            case bool():
                shown = "Yes" if value else "No"
            case str():
                shown = value
            case _:
                shown = json.dumps(value, ensure_ascii=False)
        if len(label) > _MAX_NAME_CHARS:
            label = f"{label[:_MAX_NAME_CHARS]}…"
        fields.append((label, shown[:_MAX_VALUE_CHARS]))
    return fields[:_MAX_ANALYSIS_FIELDS]
