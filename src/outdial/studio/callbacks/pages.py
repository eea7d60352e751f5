"""The queue of callbacks, and the forms that set one, end one, or end all calls to a contact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import FormData

from outdial.campaigns.callbacks import NOW, CallbackEnd
from outdial.db.queries.dialing.callbacks import OpenCallback
from outdial.db.session import Connection
from outdial.dialer.callbacks.outlook import CallbackGroup, days_of, opens_at
from outdial.dialer.doctor import read_rules
from outdial.domain.campaign import CampaignStatus
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.studio.callbacks import service as callbacks
from outdial.studio.callbacks.actions import actions_of, time_presets
from outdial.studio.callbacks.chosen import read_chosen
from outdial.studio.callbacks.service import (
    Callback,
    CallbackCount,
    CallbackQueue,
    NewCallback,
    QueueGroup,
    UndecidedCallback,
)
from outdial.studio.calls.navigation import filter_query
from outdial.studio.calls.transcript import SPEAKERS
from outdial.studio.campaigns.counts import Counter
from outdial.studio.campaigns.service import campaign_choices
from outdial.studio.campaigns.tabs import CampaignFrame, campaign_frame
from outdial.studio.undo.service import undo_url
from outdial.studio.view.format import in_zone, iso, moment, place_name, show_times_in
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict
from outdial.studio.web.filters import CursorTime, query_values, viewer_zone
from outdial.studio.web.forms import Form, back_of, own_path, redirect, short_text, text
from outdial.studio.web.paging import Page, PageRequest, page_links, paginate
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}")
SHOWN: Final = 12
"""Entries on a page, which stays below 60 KB: they fill it in the order of the groups."""
TITLES: Final[Mapping[QueueGroup, str]] = {
    QueueGroup.ATTENTION: "Overdue or at risk",
    QueueGroup.UNREADABLE: "Time unclear",
    QueueGroup.TODAY: "Today",
    QueueGroup.TOMORROW: "Tomorrow",
    QueueGroup.LATER: "Later",
}
_ENDED: Final[Mapping[CallbackEnd, str]] = {
    CallbackEnd.RETRY: "no callback, but called in the usual turn.",
    CallbackEnd.DONE: "done, not called again in this campaign.",
    CallbackEnd.NEVER_CALL: "the number is on the do-not-call list now.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownGroup:
    """A group of the queue on the page. `url` leads to all of it where `items` are not all."""

    name: QueueGroup
    title: str
    count: CallbackCount
    items: Sequence[Callback | UndecidedCallback]
    url: str | None


@router.get("/callbacks")
async def queue_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show who is called back, when in their time and the reader's, and what stands in the way.

    Beside the list is the callback that `at` names, or the first one.
    """
    return await _queue(request, context)


@router.get("/campaigns/{campaign_id}/callbacks")
async def queue_of_campaign(
    request: Request, context: CurrentOrganization, counter: Counter, campaign_id: UUID
) -> HTMLResponse:
    """Show which contacts a campaign calls back, and when."""
    async with context.transaction() as connection:
        frame = await campaign_frame(connection, context, counter, campaign_id)
    return await _queue(request, context, frame)


@router.get("/callbacks/{campaign_contact_id}/time")
async def choose_time_page(request: Request, campaign_contact_id: UUID, context: CurrentOrganization) -> HTMLResponse:
    """Offer times for the callback of a contact, in its time zone."""
    context.require("operator")
    return await _choose_time(request, context, campaign_contact_id, back=request.query_params.get("back", ""))


@router.get("/callbacks/{campaign_contact_id}/never-call")
async def confirm_never_call_page(
    request: Request, campaign_contact_id: UUID, context: CurrentOrganization
) -> HTMLResponse:
    """Ask for the reason before the number of a contact goes on the do-not-call list."""
    context.require("operator")
    async with context.transaction() as connection:
        contact = await callbacks.find_contact(connection, context, campaign_contact_id)
    back = own_path(request.query_params.get("back") or _url(context))
    return page(request, "callbacks/never_call.html", context, contact=contact, back=back)


@router.post("/callbacks/{campaign_contact_id}")
async def act(request: Request, campaign_contact_id: UUID, context: CurrentOrganization, form: Form) -> Response:
    """Set the callback of a contact to the time of the form, or end it. `to` in the address takes a change back."""
    context.require("operator")
    place = query_values(request.query_params, ("place",), max_length=100)["place"]
    back = _at(back_of(form, _url(context)), place)
    try:
        if end := text(form, "end"):
            return await _end(context, campaign_contact_id, form, end, back)
        return await _set_time(request, context, campaign_contact_id, form, back)
    except ResourceConflict as conflict:
        return redirect(back, f"{conflict.message}.", "warn")


async def _end(
    context: OrganizationContext, campaign_contact_id: UUID, form: FormData, end: str, back: str
) -> Response:
    if end not in set(CallbackEnd):
        raise InvalidInput("Choose an action from the queue")
    then, reason = CallbackEnd(end), short_text(form, "reason", LONGEST_DECISION_NOTE)
    async with context.transaction() as connection:
        ended = await callbacks.end_callback(connection, context, campaign_contact_id, then, reason)
        contact = await callbacks.find_contact(connection, context, campaign_contact_id)
    return redirect(back, f"{contact.name or contact.phone}: {_ENDED[then]}", undo=undo_url(context, ended.act_id))


async def _set_time(
    request: Request, context: OrganizationContext, campaign_contact_id: UUID, form: FormData, back: str
) -> Response:
    taken_back, left = query_values(request.query_params, ("to", "left"), max_length=100).values()
    typed = taken_back or short_text(form, "time", 100) or short_text(form, "at", 100)
    try:
        if not typed:
            raise InvalidInput("The callback was not set", {"at": "Choose a time"})
        new = NewCallback(time=typed, reason=short_text(form, "reason", LONGEST_DECISION_NOTE) or None)
        async with context.transaction() as connection:
            done = await callbacks.call_back(
                connection, context, campaign_contact_id, new, left=left if taken_back else None
            )
            contact = await callbacks.find_contact(connection, context, campaign_contact_id)
            rules = await read_rules(connection, context.organization_id, context.studio.rules)
    except InvalidInput as invalid:
        error = InvalidInput(invalid.message, {"at": next(iter(invalid.fields.values()))})
        return await _choose_time(request, context, campaign_contact_id, back=back, form=form, error=error)
    show_times_in(viewer_zone(request))
    opening = opens_at(contact, rules, done.at)
    sentence = set_sentence(contact, done.at, opening, is_now=typed == NOW)
    undo = None if taken_back else _undo(context, contact, done.former)
    return redirect(back, f"{contact.name or contact.phone}: {sentence}", undo=undo)


def set_sentence(contact: OpenCallback, at: datetime, opening: datetime | None, *, is_now: bool) -> str:
    """Return when a contact is called back, in the reader's time and its own, and what it still waits for."""
    zone = contact.zone_key.split("|")[0]
    when = at if opening is None else opening
    said = f"{moment(when)} ({in_zone(when, zone)})"
    if contact.campaign_status != CampaignStatus.ACTIVE:
        return f"callback {said}, but the campaign is {contact.campaign_status} and calls only when it runs."
    if opening is not None and opening > at:
        return f"callback {said}, the first time that hours and rules allow."
    return "called as soon as a line is free." if is_now else f"callback {said}."


def _undo(context: OrganizationContext, contact: OpenCallback, former: datetime | None) -> str | None:
    """Return where a form sends a callback back to its former time; None without one, or when it has passed."""
    if former is None or former <= context.studio.clock.now():
        return None
    sent = {"to": iso(former), "left": callbacks.state_of(contact)}
    return f"{_url(context)}/{contact.id}?{urlencode(sent)}"


def _at(queue: str, place: str) -> str:
    """Return the address of a queue at an entry; without one, that of the queue."""
    if not place:
        return queue
    address = queue.partition("#")[0]
    return f"{address}{'&' if '?' in address else '?'}{urlencode({'at': place})}#{quote(place)}"


def _url(context: OrganizationContext) -> str:
    return f"/o/{context.organization_id}/callbacks"


async def _choose_time(
    request: Request,
    context: OrganizationContext,
    campaign_contact_id: UUID,
    *,
    back: str,
    form: FormData | None = None,
    error: InvalidInput | None = None,
) -> HTMLResponse:
    async with context.transaction() as connection:
        contact = await callbacks.find_contact(connection, context, campaign_contact_id)
        rules = await read_rules(connection, context.organization_id, context.studio.rules)
    now = context.studio.clock.now()
    zone = contact.zone_key.split("|")[0]
    return page(
        request,
        "callbacks/choose_time.html",
        context,
        status=200 if error is None else error.status,
        contact=contact,
        actions=actions_of(contact, rules, now),
        presets=time_presets(contact, rules, now),
        contact_zone=zone,
        place=place_name(zone),
        now=now,
        back=own_path(back) if back else _url(context),
        typed={name: "" if form is None else text(form, name) for name in ("at", "reason")},
        problem=None if error is None else error.message,
        errors={} if error is None else error.fields,
    )


async def _queue(request: Request, context: OrganizationContext, frame: CampaignFrame | None = None) -> HTMLResponse:
    url = _url(context) if frame is None else f"{frame.url}/callbacks"
    form = query_values(request.query_params, ("campaign", "group"), max_length=100)
    at = query_values(request.query_params, ("at",), max_length=100)["at"]
    of_page = {"group": form["group"]} if frame else form
    only = QueueGroup(form["group"]) if form["group"] in set(QueueGroup) else None
    page_request = PageRequest(request.query_params.get("cursor") or None if only else None, SHOWN)
    groups, next_cursor, chosen, problem = list[ShownGroup](), None, None, None
    zone = viewer_zone(request)
    show_times_in(zone)
    async with context.transaction() as connection:
        try:
            campaign_id = frame.campaign.id if frame else _campaign_id(form["campaign"])
            found = await _read(connection, context, campaign_id, only, page_request, zone)
            groups, next_cursor = _groups(found, only, url, of_page), found.next_cursor
            entry = next((each for each in _entries(groups) if at in ("", str(each.campaign_contact_id))), None)
            chosen = None if entry is None else await read_chosen(connection, context, entry)
        except InvalidInput as invalid:
            problem = invalid.message
        # A tab of a campaign has no filter by campaign.
        campaigns = await campaign_choices(connection, context.organization_id) if frame is None else []
    return page(
        request,
        "callbacks/queue.html",
        context,
        status=400 if problem else 200,
        frame=frame,
        tab="Callbacks",
        url=url,
        form=form,
        campaigns=campaigns,
        groups=groups,
        only=only,
        chosen=chosen,
        following=_following(groups),
        speakers=SPEAKERS,
        here=url + filter_query({**of_page, "cursor": page_request.cursor or ""}),
        problem=problem,
        now=context.studio.clock.now(),
        **page_links(url, of_page, page_request, next_cursor),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCallbacks:
    """What the page shows: the queue, its requests and later callbacks, and where the next page begins."""

    queue: CallbackQueue
    requests: Sequence[UndecidedCallback]
    soon: Sequence[Callback]
    later: Sequence[Callback]
    next_cursor: str | None


async def _read(
    connection: Connection,
    context: OrganizationContext,
    campaign_id: UUID | None,
    only: QueueGroup | None,
    page_request: PageRequest,
    zone: ZoneInfo,
) -> FoundCallbacks:
    """Read the groups of the page: all of them, or a page of the `only` one."""
    queue = await callbacks.read_queue(connection, context, campaign_id, zone=zone, format_moment=moment)
    requests, later = Page[UndecidedCallback](items=[]), Page[Callback](items=[])
    soon: Sequence[Callback] = queue.soon
    cursor = None
    counts = {each.group: each.count for each in queue.counts}
    if counts[QueueGroup.UNREADABLE] and only in (None, QueueGroup.UNREADABLE):
        requests = await callbacks.list_requests(connection, context.organization_id, page_request, campaign_id)
        cursor = requests.next
    if counts[QueueGroup.LATER] and only in (None, QueueGroup.LATER):
        later_at = days_of(context.studio.clock.now(), zone).later_at
        later = await callbacks.list_callbacks(
            connection, context, page_request, campaign_id, zone=zone, format_moment=moment, from_at=later_at
        )
        cursor = later.next
    if only not in (None, QueueGroup.UNREADABLE, QueueGroup.LATER):
        after = page_request.key(tuple[CursorTime, UUID])
        of_group = [
            each
            for each in queue.soon
            if each.group == CallbackGroup(only)
            and (after is None or (each.callback_at, each.campaign_contact_id) > (after[0], after[1]))
        ]
        soon, cursor = paginate(of_group, SHOWN, lambda each: (each.callback_at, each.campaign_contact_id))
    return FoundCallbacks(
        queue=queue,
        requests=requests.items,
        soon=soon,
        later=later.items,
        next_cursor=None if only is None else cursor,
    )


def _groups(found: FoundCallbacks, only: QueueGroup | None, url: str, form: Mapping[str, str]) -> list[ShownGroup]:
    """Return the groups with entries. They fill the page in their order; the others are only counted."""
    room, groups = SHOWN, []
    for count in found.queue.counts:
        group = count.group
        if not count.count or only not in (None, group):
            continue
        items: Sequence[Callback | UndecidedCallback] = (
            found.requests if group is QueueGroup.UNREADABLE else found.later
        )
        if group not in (QueueGroup.UNREADABLE, QueueGroup.LATER):
            items = [each for each in found.soon if each.group == CallbackGroup(group)]
        shown = items[:room]
        room -= len(shown)
        all_of_it = {name: value for name, value in {**form, "group": group.value}.items() if value}
        is_whole = only is not None or (len(shown) == count.count and not count.is_more)
        groups.append(
            ShownGroup(
                name=group,
                title=TITLES[group],
                count=count,
                items=shown,
                url=None if is_whole else f"{url}?{urlencode(all_of_it)}",
            )
        )
    return groups


def _entries(groups: Sequence[ShownGroup]) -> list[Callback | UndecidedCallback]:
    return [entry for group in groups for entry in group.items]


def _following(groups: Sequence[ShownGroup]) -> Mapping[UUID, str]:
    """Return the entry after each one, which may be in the next group; `end` after the last one."""
    ids = [entry.campaign_contact_id for entry in _entries(groups)]
    return dict(zip(ids, [*map(str, ids[1:]), "end"], strict=True)) if ids else {}


def _campaign_id(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise InvalidInput("Unknown campaign: choose one from the list") from None
