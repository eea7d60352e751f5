"""Calls: list, and each call with its transcript, decision and webhook events."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel

from outdial.campaigns.operations.organization_bulk_request import SelectedCalls
from outdial.campaigns.selection import phone_range, search_patterns
from outdial.db.queries import calls, contacts, inbox
from outdial.db.queries.dialing import listening
from outdial.db.session import Connection
from outdial.domain.call import LIVE, CallStatus
from outdial.domain.outcomes import Outcome
from outdial.studio.calls.live_transcript import read_live_transcripts
from outdial.studio.calls.reviews import CallReview, find_review
from outdial.studio.calls.transcript import TranscriptTurn, parse_transcript, with_times
from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.campaigns.shapes import AnalysisField, DecisionField
from outdial.studio.view.decisions import explain_decision, explain_reason
from outdial.studio.view.payloads import decode_object, readable_body
from outdial.studio.web.errors import InvalidInput, ResourceNotFound
from outdial.studio.web.filters import (
    CursorTime,
    PhoneQuery,
    SearchQuery,
    SinceQuery,
    UntilQuery,
    phone_digits,
    search_text,
)
from outdial.studio.web.paging import Page, PageRequest, paginate

MAX_EVENTS: Final = 100
MAX_MATCHES: Final = 10_000
MAX_BODY_BYTES: Final = 100_000
MOST_COUNTED: Final = 1_000
"""Calls that are counted on each side of one, to say which it is in its list."""
_MAX_TURNS: Final = 2_000
# An event of an hour's call has about 1 MB, because each word has its times.
_MAX_TIMED_BYTES: Final = 3_000_000


class CallListItem(BaseModel):
    """A call in a list."""

    id: UUID
    campaign_id: UUID
    campaign_name: str
    campaign_contact_id: UUID
    phone: str
    name: str | None
    attempt_number: int
    status: str
    outcome: str | None
    disconnection_reason: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    cost_cents: float | None
    has_transcript: bool
    has_recording: bool
    is_reviewed: bool

    @property
    def is_live(self) -> bool:
        """Whether the call may be under way, so that it can be hung up."""
        return self.status in LIVE


class CallDetail(BaseModel):
    """A call in full. `recording_url` and `public_log_url` are null unless a browser may open them.

    `voicemail_left`: the call left the message of the campaign's voicemail policy. `live_transcript` is the end of what
    has been said so far in a live call, null unless its agent sends `transcript_updated`.
    """

    id: UUID
    campaign_id: UUID
    campaign_name: str
    campaign_contact_id: UUID
    contact_id: UUID
    name: str | None
    phone: str
    from_number: str
    zone_key: str
    attempt_number: int
    status: str
    outcome: str | None
    disconnection_reason: str | None
    reason_in_words: list[str]
    error: str | None
    retell_call_id: str | None
    requests: int
    requested_at: datetime
    placed_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: int | None
    cost_cents: float | None
    voicemail_left: bool
    transcript: str | None
    live_transcript: str | None
    turns: list[TranscriptTurn]
    recording_url: str | None
    public_log_url: str | None
    analysis: AnalysisField | None
    decision: DecisionField
    decision_in_words: list[str]
    review: CallReview | None
    created_at: datetime
    updated_at: datetime

    @property
    def is_live(self) -> bool:
        """Whether the call may be under way, so that it can be hung up."""
        return self.status in LIVE

    @property
    def length_ms(self) -> int:
        """The length of the recording, as far as it is known."""
        return max([self.duration_ms or 0, *(turn.end_ms or 0 for turn in self.turns)])


class CallEvent(BaseModel):
    """A webhook event of a call. `body` is text, JSON is indented, and long bodies are truncated (`is_cut`)."""

    id: int
    source: str
    event: str
    status: str
    received_at: datetime
    applied_at: datetime | None
    error: str | None
    tries: int
    repeats: int
    size: int
    body: str
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilters:
    """Filters and query parameters of the call list. Times are those of the claim; `until` is exclusive."""

    campaign_id: UUID | None = None
    status: CallStatus | None = None
    outcome: Outcome | None = None
    is_reviewed: Annotated[
        bool | None, Query(description="Only calls that a member has marked as reviewed, or only the others")
    ] = None
    since: SinceQuery = None
    until: UntilQuery = None
    phone: PhoneQuery = None
    search: SearchQuery = None


CallQuery = Annotated[CallFilters, Depends()]


async def list_calls(
    connection: Connection, organization_id: UUID, page: PageRequest, filters: CallFilters
) -> Page[CallListItem]:
    """Return a page of calls, newest first; raises ResourceNotFound for an unknown campaign, and InvalidInput."""
    return await list_selected(
        connection, organization_id, page, await checked_selection(connection, organization_id, filters)
    )


async def list_selected(
    connection: Connection, organization_id: UUID, page: PageRequest, selected: SelectedCalls
) -> Page[CallListItem]:
    """Return a page of the calls of `checked_selection`, newest first; raises InvalidInput."""
    before = page.key(tuple[CursorTime, UUID]) or (None, None)
    rows = await calls.list_calls(
        connection,
        organization_id=organization_id,
        **selected,
        before_at=before[0],
        before_id=before[1],
        limit=page.limit + 1,
    )
    shown, following = paginate(rows, page.limit, lambda row: (row.created_at, row.id))
    return Page(items=[CallListItem.model_validate(row, from_attributes=True) for row in shown], next=following)


async def checked_selection(connection: Connection, organization_id: UUID, filters: CallFilters) -> SelectedCalls:
    """Return what `selected_calls` returns; raises InvalidInput, and ResourceNotFound for an unknown campaign."""
    if filters.campaign_id is not None:
        await find_campaign(connection, organization_id, filters.campaign_id)
    return await selected_calls(connection, organization_id, filters)


async def selected_calls(connection: Connection, organization_id: UUID, filters: CallFilters) -> SelectedCalls:
    """Return filters as the parameters of queries; raises InvalidInput when a search matches too many contacts."""
    digits = phone_digits("phone", filters.phone)
    phones = None if digits is None else phone_range(digits)
    term, contact_ids = search_text("search", filters.search), None
    if term is not None:
        contact_ids = await contacts.matching_contacts(
            connection, organization_id=organization_id, limit=MAX_MATCHES, **search_patterns(term)
        )
        if len(contact_ids) == MAX_MATCHES:
            raise InvalidInput("Too many contacts match", {"search": "enter more of the name or number"})
    return SelectedCalls(
        campaign_id=filters.campaign_id,
        status=filters.status,
        outcome=filters.outcome,
        is_reviewed=filters.is_reviewed,
        since=filters.since,
        until=filters.until,
        first_phone=None if phones is None else phones["first"],
        last_phone=None if phones is None else phones["last"],
        contact_ids=contact_ids,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceInList:
    """Where a call is in a list: the calls beside it, its position from 1, and how many there are.

    `position` and `total` are None beyond MOST_COUNTED, and for a call that the filters do not select.
    """

    previous_id: UUID | None
    next_id: UUID | None
    position: int | None
    total: int | None


async def find_place(
    connection: Connection, organization_id: UUID, call: CallDetail, filters: CallFilters
) -> PlaceInList:
    """Return where a call is in the list of `filters`, newest first; raises InvalidInput."""
    found = await listening.calls_beside(
        connection,
        organization_id=organization_id,
        created_at=call.created_at,
        call_id=call.id,
        **await selected_calls(connection, organization_id, filters),
        limit=MOST_COUNTED,
    )
    is_counted = found.is_listed and max(found.newer_count, found.older_count) < MOST_COUNTED
    return PlaceInList(
        previous_id=found.newer_id,
        next_id=found.older_id,
        position=found.newer_count + 1 if is_counted else None,
        total=found.newer_count + 1 + found.older_count if is_counted else None,
    )


async def show_call(
    connection: Connection, organization_id: UUID, call_id: UUID, *, recordings: str = ""
) -> CallDetail:
    """Return a call of the organization; raises ResourceNotFound. URLs of the origin `recordings` need no https."""
    row = await calls.show_call(connection, call_id=call_id, organization_id=organization_id)
    if row is None:
        raise ResourceNotFound("Call not found")
    decision = decode_object(row.decision)
    turns = parse_transcript(row.transcript or "")[:_MAX_TURNS]
    if turns:
        event = await inbox.transcript_event(
            connection, call_id=call_id, organization_id=organization_id, most_bytes=_MAX_TIMED_BYTES
        )
        turns = turns if event is None else with_times(turns, event.body)
    is_live = row.status in LIVE
    spoken = await read_live_transcripts(connection, organization_id, [call_id]) if is_live else {}
    return CallDetail(
        id=row.id,
        campaign_id=row.campaign_id,
        campaign_name=row.campaign_name,
        campaign_contact_id=row.campaign_contact_id,
        contact_id=row.contact_id,
        name=row.name,
        phone=row.phone,
        from_number=row.from_number,
        zone_key=row.zone_key,
        attempt_number=row.attempt_number,
        status=row.status,
        outcome=row.outcome,
        disconnection_reason=row.disconnection_reason,
        reason_in_words=explain_reason(row.disconnection_reason) if row.status == CallStatus.ENDED else [],
        error=row.error,
        retell_call_id=row.retell_call_id,
        requests=row.requests,
        requested_at=row.requested_at,
        placed_at=row.placed_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        duration_ms=row.duration_ms,
        cost_cents=None if row.cost_cents is None else float(row.cost_cents),
        voicemail_left=row.voicemail_left,
        transcript=row.transcript,
        live_transcript=spoken.get(call_id),
        turns=turns,
        recording_url=safe_url(row.recording_url, recordings),
        public_log_url=safe_url(row.public_log_url, recordings),
        analysis=None if row.analysis is None else decode_object(row.analysis),
        decision=decision,
        decision_in_words=explain_decision(decision),
        review=await find_review(connection, organization_id, call_id),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def safe_url(url: str | None, origin: str = "") -> str | None:
    """Return an https URL, or one of `origin`, that a browser may open; else None. URLs in webhooks are untrusted."""
    if url is None or any(character.isspace() or not character.isprintable() for character in url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if origin and f"{parts.scheme}://{parts.netloc}" == origin:
        return url
    return url if parts.scheme == "https" and parts.hostname and "@" not in parts.netloc else None


async def list_call_events(connection: Connection, organization_id: UUID, call_id: UUID) -> list[CallEvent]:
    """Return the events of a call, oldest first, at most MAX_EVENTS; raises ResourceNotFound."""
    rows = await inbox.call_events(
        connection,
        call_id=call_id,
        organization_id=organization_id,
        most_bytes=MAX_BODY_BYTES,
        limit=MAX_EVENTS,
    )
    # A call with events exists.
    if not rows and await calls.show_call(connection, call_id=call_id, organization_id=organization_id) is None:
        raise ResourceNotFound("Call not found")
    return [
        CallEvent(
            id=row.id,
            source=row.source,
            event=row.event,
            status=row.status,
            received_at=row.received_at,
            applied_at=row.applied_at,
            error=row.error,
            tries=row.tries,
            repeats=row.repeats,
            size=row.size,
            body=readable_body(row.body),
            is_cut=row.size > len(row.body),
        )
        for row in rows
    ]
