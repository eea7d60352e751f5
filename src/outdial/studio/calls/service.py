"""Calls: found by what they came to, and each one with its conversation, its decision and its ledger."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AwareDatetime, BaseModel

from outdial.db.queries import calls, inbox
from outdial.db.session import Connection
from outdial.domain.call import CallStatus
from outdial.domain.outcomes import Outcome
from outdial.studio.calls.transcript import Turn, turns_of
from outdial.studio.campaign_contacts.service import Moment, digits_of, find_campaign, object_of
from outdial.studio.view.decisions import explain_decision, explain_reason
from outdial.studio.view.payloads import readable_body
from outdial.studio.web.dates import moment_of
from outdial.studio.web.errors import ResourceNotFound
from outdial.studio.web.paging import Page, PageRequest, paginate

MOST_EVENTS: Final = 100
MOST_BODY_BYTES: Final = 100_000
_MOST_TURNS: Final = 2_000


class CallSummary(BaseModel):
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


class TranscriptTurn(BaseModel):
    """What the agent, the user or somebody else said without a break."""

    speaker: str
    text: str


class CallDetail(BaseModel):
    """A call with all that is known of it; `recording_url` is null unless it is an https address."""

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
    transcript: str | None
    turns: list[TranscriptTurn]
    recording_url: str | None
    public_log_url: str | None
    analysis: dict[str, Any] | None
    decision: dict[str, Any]
    decision_in_words: list[str]
    created_at: datetime
    updated_at: datetime


class CallEvent(BaseModel):
    """One event of a call as it came: `body` is text, indented when it is JSON, and cut when it is long."""

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


@dataclass(frozen=True, slots=True)
class CallFilters:
    """What narrows a list of calls; the times are those of the claim, `until` is excluded."""

    campaign_id: UUID | None = None
    status: CallStatus | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None
    phone: str | None = None


def call_filters(
    campaign_id: UUID | None = None,
    status: CallStatus | None = None,
    outcome: Outcome | None = None,
    since: Annotated[AwareDatetime | None, Query(description="Calls from this moment on")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Calls before this moment")] = None,
    phone: Annotated[str | None, Query(max_length=40, description="How the number begins, as +1212")] = None,
) -> CallFilters:
    """Read what narrows a list of calls; raises InvalidInput."""
    return CallFilters(
        campaign_id, status, outcome, moment_of("since", since), moment_of("until", until), digits_of("phone", phone)
    )


CallQuery = Annotated[CallFilters, Depends(call_filters)]


async def list_calls(
    connection: Connection, organization_id: UUID, page: PageRequest, filters: CallFilters
) -> Page[CallSummary]:
    """Return a page of calls, the newest first; raises NotFound for a campaign of others, and InvalidInput."""
    if filters.campaign_id is not None:
        await find_campaign(connection, organization_id, filters.campaign_id)
    before = page.key(tuple[Moment, UUID]) or (None, None)
    first = None if filters.phone is None else f"+{filters.phone}"
    rows = await calls.list_calls(
        connection,
        organization_id=organization_id,
        campaign_id=filters.campaign_id,
        status=filters.status,
        outcome=filters.outcome,
        since=filters.since,
        until=filters.until,
        first_phone=first,
        last_phone=None if first is None else first.ljust(17, "9"),
        before_at=before[0],
        before_id=before[1],
        limit=page.limit + 1,
    )
    shown, following = paginate(rows, page.limit, lambda row: (row.created_at, row.id))
    return Page(items=[_summary(row) for row in shown], next=following)


def _summary(row: calls.CallRow) -> CallSummary:
    return CallSummary(
        id=row.id,
        campaign_id=row.campaign_id,
        campaign_name=row.campaign_name,
        campaign_contact_id=row.campaign_contact_id,
        phone=row.phone,
        name=row.name,
        attempt_number=row.attempt_number,
        status=row.status,
        outcome=row.outcome,
        disconnection_reason=row.disconnection_reason,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        duration_ms=row.duration_ms,
        cost_cents=None if row.cost_cents is None else float(row.cost_cents),
        has_transcript=row.has_transcript,
        has_recording=row.has_recording,
    )


async def show_call(connection: Connection, organization_id: UUID, call_id: UUID) -> CallDetail:
    """Return one call of the organization; raises NotFound."""
    row = await calls.show_call(connection, call_id=call_id, organization_id=organization_id)
    if row is None:
        raise ResourceNotFound("There is no such call in this organization")
    return _detail(row)


def _detail(row: calls.CallDetailRow) -> CallDetail:
    decision = object_of(row.decision)
    turns = turns_of(row.transcript or "")[:_MOST_TURNS]
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
        transcript=row.transcript,
        turns=[_turn(turn) for turn in turns],
        recording_url=https_only(row.recording_url),
        public_log_url=https_only(row.public_log_url),
        analysis=None if row.analysis is None else object_of(row.analysis),
        decision=decision,
        decision_in_words=explain_decision(decision),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _turn(turn: Turn) -> TranscriptTurn:
    return TranscriptTurn(speaker=turn.speaker, text=turn.text)


def https_only(url: str | None) -> str | None:
    """Return an address that a browser may open, and None for any other: what an event holds is not to be trusted."""
    if url is None or any(character.isspace() or not character.isprintable() for character in url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme == "https" and parts.hostname and "@" not in parts.netloc else None


async def list_call_events(connection: Connection, organization_id: UUID, call_id: UUID) -> list[CallEvent]:
    """Return the events of a call in the order of their arrival, at most MOST_EVENTS; raises NotFound."""
    if await calls.show_call(connection, call_id=call_id, organization_id=organization_id) is None:
        raise ResourceNotFound("There is no such call in this organization")
    rows = await inbox.call_events(
        connection,
        call_id=call_id,
        organization_id=organization_id,
        most_bytes=MOST_BODY_BYTES,
        limit=MOST_EVENTS,
    )
    return [_event(row) for row in rows]


def _event(row: inbox.CallEventRow) -> CallEvent:
    return CallEvent(
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
