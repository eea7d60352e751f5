"""Requests an action on all contacts of a campaign that match a filter. A job carries it out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from outdial.campaigns.drafts import Duplicated, duplicate_campaign
from outdial.campaigns.entries.items import LONGEST_WAIT, TOO_LATE
from outdial.campaigns.errors import InvalidBulkAction
from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound, find_campaign_to_run, record_campaign_action
from outdial.campaigns.selection import ContactSelection
from outdial.campaigns.undoing.acts import act_of_job, record_act
from outdial.db.queries import audit, campaign_status, jobs
from outdial.db.queries.dialing import bulk_jobs
from outdial.db.session import Connection, encode_json
from outdial.domain.campaign import OPEN_TO_IMPORT
from outdial.domain.contact import ContactStatus, ReviewDecision
from outdial.domain.ids import new_id
from outdial.domain.limits import LONGEST_DECISION_NOTE, IntRange
from outdial.domain.policies.bulk_action import APPLIES_TO, IN_WORDS, BulkAction, CampaignJobAction

BULK_CONTACTS: Final = IntRange(1, 1_000_000)
"""Contacts that one job takes: its request stores their ids within its timeout."""
PORTION_SIZE: Final = 1_000
"""Contacts that are changed in one transaction, which locks them and their campaign."""

_A = CampaignJobAction


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRequest:
    """An action on the selected contacts. `call_at` is the earliest time of their next call, None for now.

    `decision` goes with `decide`, `campaign_name` with `new_campaign`: the default name is "Copy of ...".
    """

    action: CampaignJobAction
    selection: ContactSelection
    reason: str
    decision: ReviewDecision | None = None
    call_at: datetime | None = None
    campaign_name: str | None = None

    @property
    def job_action(self) -> BulkAction:
        """What the job does."""
        return BulkAction(self.action)

    @property
    def calls_here(self) -> bool:
        """Whether the contacts are called again in this campaign."""
        return self.action is _A.RETRY or self.decision is ReviewDecision.CALL_AGAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRequested:
    """The job is queued. `other_status` counts matching contacts to which the action does not apply."""

    job_id: UUID
    selected: int
    other_status: int
    copy_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class BulkRefused:
    """Nothing was stored; `reason` says why and what to do."""

    reason: str


BulkRequestResult = BulkRequested | BulkRefused | NotFound | Forbidden


async def request_bulk_job(
    connection: Connection,
    *,
    campaign_id: UUID,
    request: BulkRequest,
    by: str,
    actor: Actor,
    now: datetime,
) -> BulkRequestResult:
    """Store which contacts match now, and queue the job that acts on them. `by` names the actor to other members.

    Raises InvalidBulkAction, and with `new_campaign` the errors of create_campaign.
    """
    reason = _check(request, now)
    campaign = await find_campaign_to_run(connection, campaign_id, actor)
    if not isinstance(campaign, campaign_status.CampaignState):
        return campaign
    if request.calls_here and campaign.status not in OPEN_TO_IMPORT:
        return BulkRefused(
            f"the campaign is {campaign.status} and places no more calls: call the contacts again in a new campaign"
        )
    counts = await count_by_status(connection, campaign.organization_id, campaign_id, request.selection)
    if (refusal := _refusal(request.job_action, counts)) is not None:
        return refusal
    copy: Duplicated | None = None
    if request.action is _A.NEW_CAMPAIGN:
        result = await duplicate_campaign(
            connection, campaign_id, actor, now, name=request.campaign_name, reason=reason
        )
        if not isinstance(result, Duplicated):
            return result
        copy = result
    return await _store(connection, campaign, request, reason, copy, by, actor, now)


async def cancel_bulk_job(
    connection: Connection, *, organization_id: UUID, bulk_job_id: UUID, actor: Actor, now: datetime
) -> bool:
    """Cancel a job, with an entry in the audit log; what it has done stays. Returns whether it was unfinished."""
    cancelled = await bulk_jobs.cancel_bulk_job(
        connection, bulk_job_id=bulk_job_id, organization_id=organization_id, now=now
    )
    if cancelled is None:
        return False
    await record_bulk_job(
        connection,
        organization_id=organization_id,
        campaign_id=cancelled.campaign_id,
        job_id=bulk_job_id,
        actor=actor,
        action="cancel_bulk_job",
        details={"done": cancelled.done, "left_out": cancelled.left_out, "selected": cancelled.selected},
    )
    await jobs.notify_jobs(connection, organization_id=organization_id)
    return True


async def record_bulk_job(
    connection: Connection,
    *,
    organization_id: UUID,
    campaign_id: UUID | None,
    job_id: UUID,
    actor: Actor,
    action: str,
    details: Mapping[str, object],
) -> None:
    """Write an entry about a bulk job to the audit log: at its campaign, or at the job if it has none."""
    if campaign_id is not None:
        await record_campaign_action(
            connection,
            organization_id=organization_id,
            campaign_id=campaign_id,
            actor=actor,
            action=action,
            details={"job": job_id, **details},
        )
        return
    await audit.record_audit(
        connection,
        organization_id=organization_id,
        actor=actor.name,
        action=action,
        subject_type="bulk_job",
        subject_id=str(job_id),
        details=encode_json(details),
    )


async def queue_bulk_job(connection: Connection, organization_id: UUID, job_id: UUID) -> None:
    """Queue a job that is stored in this transaction."""
    # Importing PgQueuer takes half a second. Only this step of `outdial campaign` needs it.
    from outdial.db.queue import enqueue

    await enqueue(connection, "bulk", job_id)
    await jobs.notify_jobs(connection, organization_id=organization_id)


async def count_by_status(
    connection: Connection,
    organization_id: UUID,
    campaign_id: UUID,
    selection: ContactSelection,
    *,
    limit: int = BULK_CONTACTS.most + 1,
) -> Mapping[str, int]:
    """Return how many selected contacts of a campaign have each status; counting stops at `limit` contacts.

    Without a limit that matters, all contacts and the pending ones, mostly nearly all, come from an index alone. A text
    is looked for with the index of texts, which row level security keeps from other queries.
    """
    parameters = selection.parameters()
    narrowed = ContactSelection(status=selection.status, outcome=selection.outcome, search=selection.search)
    most = (ContactSelection(), ContactSelection(status=ContactStatus.PENDING))
    if selection in most and limit > BULK_CONTACTS.most:
        rows = await bulk_jobs.count_all_by_status(connection, organization_id=organization_id, campaign_id=campaign_id)
        rows = [row for row in rows if selection.status in (None, row.status)]
    elif selection == narrowed and (words := parameters["words"]) is not None:
        rows = await bulk_jobs.count_found_by_status(
            connection,
            organization_id=organization_id,
            campaign_id=campaign_id,
            status=selection.status,
            last_outcome=selection.outcome,
            words=words,
            digits=parameters["digits"],
            limit=limit,
        )
    else:
        rows = await bulk_jobs.count_selected_by_status(
            connection, organization_id=organization_id, campaign_id=campaign_id, limit=limit, **parameters
        )
    return {row.status: row.contacts for row in rows}


def applicable(action: BulkAction, counts: Mapping[str, int]) -> int:
    """Return how many of the counted contacts have a status that an action applies to."""
    return sum(counts.get(status, 0) for status in APPLIES_TO[action])


def stored_filters(selection: ContactSelection) -> dict[str, object]:
    """Return a selection as jobs and the audit log keep it: of a search only the field.

    Its term may name a contact, and an erasure would not find the name there.
    """
    given: dict[str, object] = msgspec.to_builtins(selection)
    if ticked := given.pop("ids", None):
        return {"ticked": len(ticked)} if isinstance(ticked, (list, tuple)) else {}
    kept = {name: given[name] for name in ("status", "outcome", "reached") if name in given}
    searched = sorted(given.keys() - kept.keys())
    return kept | ({"searched": searched} if searched else {})


async def _store(
    connection: Connection,
    campaign: campaign_status.CampaignState,
    request: BulkRequest,
    reason: str,
    copy: Duplicated | None,
    by: str,
    actor: Actor,
    now: datetime,
) -> BulkRequested:
    job_id = new_id(now)
    copy_id = None if copy is None else copy.campaign_id
    filters = stored_filters(request.selection)
    stored = await bulk_jobs.create_bulk_job(
        connection,
        id=job_id,
        organization_id=campaign.organization_id,
        campaign_id=campaign.id,
        action=request.action,
        decision=request.decision,
        reason=reason,
        call_at=request.call_at,
        filters=encode_json(filters),
        copy_id=copy_id,
        statuses=list(APPLIES_TO[request.job_action]),
        portion_size=PORTION_SIZE,
        created_by=actor.user_id,
        requested_by=by,
        now=now,
        **request.selection.parameters(),
    )
    await _record_act(connection, campaign, request, job_id, stored.selected, now)
    await record_bulk_job(
        connection,
        organization_id=campaign.organization_id,
        campaign_id=campaign.id,
        job_id=job_id,
        actor=actor,
        action=f"bulk_{request.action}",
        details={
            "decision": request.decision,
            "reason": reason,
            "filters": filters,
            "selected": stored.selected,
            "call_at": request.call_at,
            "new_campaign": copy_id,
        },
    )
    await queue_bulk_job(connection, campaign.organization_id, job_id)
    return BulkRequested(job_id=job_id, selected=stored.selected, other_status=stored.other_status, copy_id=copy_id)


async def _record_act(
    connection: Connection,
    campaign: campaign_status.CampaignState,
    request: BulkRequest,
    job_id: UUID,
    selected: int,
    now: datetime,
) -> None:
    """Store that the job is an act, if it can be undone."""
    if (kind := act_of_job(request.job_action, request.decision, selected)) is not None:
        await record_act(
            connection,
            organization_id=campaign.organization_id,
            kind=kind,
            now=now,
            act_id=job_id,
            campaign_id=campaign.id,
            is_bulk=True,
        )


def _check(request: BulkRequest, now: datetime) -> str:
    """Return the reason without spaces around it; raises InvalidBulkAction."""
    if (request.decision is None) is (request.action is _A.DECIDE):
        problem = "name one" if request.action is _A.DECIDE else "only `decide` takes one"
        raise InvalidBulkAction("decision", problem)
    if request.campaign_name is not None and request.action is not _A.NEW_CAMPAIGN:
        raise InvalidBulkAction("campaign_name", "only `new_campaign` makes a new campaign")
    if request.call_at is not None and not request.calls_here:
        raise InvalidBulkAction("call_at", "only `retry` and the decision `call_again` take it")
    if request.call_at is not None and request.call_at > now + LONGEST_WAIT:
        raise InvalidBulkAction("call_at", TOO_LATE)
    return check_reason(request.reason)


def check_reason(given: str) -> str:
    """Return the reason of a job without spaces around it; raises InvalidBulkAction."""
    reason = given.strip()
    if not reason or len(reason) > LONGEST_DECISION_NOTE:
        raise InvalidBulkAction("reason", f"1 to {LONGEST_DECISION_NOTE:,} characters that say why, for the audit log")
    return reason


def _refusal(action: BulkAction, counts: Mapping[str, int]) -> BulkRefused | None:
    selected = applicable(action, counts)
    others = sum(counts.values()) - selected
    if selected + others > BULK_CONTACTS.most:
        return BulkRefused(f"more than {BULK_CONTACTS.most:,} contacts match: narrow the filter")
    if selected:
        return None
    if not others:
        return BulkRefused("no contact matches: change the filter")
    statuses = ", ".join(APPLIES_TO[action])
    match = "1 contact matches" if others == 1 else f"{others:,} contacts match"
    return BulkRefused(f"{match}, but only contacts that are {statuses} can be {IN_WORDS[action]}: change the filter")
