"""Campaigns: list, create, edit, and progress."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from outdial.campaigns import create as feature
from outdial.campaigns import errors
from outdial.campaigns.edit import edit_campaign
from outdial.campaigns.lifecycle import Conflict as NotAllowed
from outdial.campaigns.selection import name_patterns
from outdial.db.queries import batches, campaigns, reports
from outdial.db.queries.dialing.campaign_board import BoardCampaign
from outdial.db.session import Connection
from outdial.dialer.budgets.limits import read_budgets
from outdial.dialer.doctor import Diagnosis, examine
from outdial.domain import limits
from outdial.domain.campaign import CampaignStatus
from outdial.domain.errors import DomainError, InvalidCallbackPolicy, InvalidCallingHours, InvalidVoicemailPolicy
from outdial.domain.policies.budget import ClaimBudget
from outdial.domain.policies.day_parts import DayPart
from outdial.domain.purpose import ListKind, Purpose, RequiredConsent
from outdial.domain.rules import RuleBook
from outdial.studio.budgets.service import BudgetState, budget_states
from outdial.studio.campaigns.counts import CampaignCounter
from outdial.studio.campaigns.shapes import CallbackField, HoursField, PolicyField, ReentryField, VoicemailField
from outdial.studio.view.format import iso, sentence_case
from outdial.studio.view.payloads import decode_object, decode_texts
from outdial.studio.web.audit import record_audit
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, ResourceNotFound
from outdial.studio.web.paging import PageRequest, paginate
from outdial.studio.web.preconditions import check_if_match, etag_of

RATE_WINDOW: Final = timedelta(minutes=5)
"""Calls per minute are averaged over this time, or over the time since the start of a younger campaign."""
_CAMPAIGNS_OFFERED: Final = 50

_EXAMPLE_HOURS: Final = {"weekdays": [["09:00", "20:00"]], "excluded_dates": ["2026-12-25"]}
_EXAMPLE_POLICY: Final = {"no_answer": {"delays": ["30m", "2h"], "max_attempts": 3}}


CampaignName = Annotated[str, Field(min_length=1, max_length=limits.LONGEST_NAME)]
CallerNumber = Annotated[str, Field(max_length=limits.LONGEST_PHONE_INPUT)]
BatchSize = Annotated[int, Field(ge=limits.BATCH_SIZE.range.least, le=limits.BATCH_SIZE.range.most)]
MaxConcurrency = Annotated[
    int | None, Field(ge=limits.MAX_CONCURRENCY.range.least, le=limits.MAX_CONCURRENCY.range.most)
]
MaxAttempts = Annotated[int, Field(ge=limits.MAX_ATTEMPTS.range.least, le=limits.MAX_ATTEMPTS.range.most)]
RequiredLists = Annotated[
    list[ListKind],
    Field(max_length=len(ListKind), description="Screening lists that must be current", examples=[["national"]]),
]
MoreNumbers = Annotated[
    list[CallerNumber],
    Field(max_length=limits.MORE_NUMBERS, description="Caller numbers of the pool besides `from_number`"),
]
DayParts = Annotated[
    list[DayPart],
    Field(max_length=limits.MAX_ATTEMPTS.range.most, description="Part of the day for attempt 1, 2 and so on"),
]
BudgetCents = Annotated[
    int | None,
    Field(ge=limits.BUDGET_CENTS.least, le=limits.BUDGET_CENTS.most, description="What all calls may cost together"),
]
Priority = Annotated[int, Field(ge=limits.PRIORITY.range.least, le=limits.PRIORITY.range.most)]
Share = Annotated[int, Field(ge=limits.SHARE.range.least, le=limits.SHARE.range.most)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CampaignDraft(_Settings):
    """A draft to create; omitted fields get their defaults."""

    name: CampaignName
    retell_agent_id: Annotated[CampaignName, Field(examples=["agent_0123"])]
    from_number: Annotated[CallerNumber, Field(description="E.164", examples=["+14155550100"])]
    provider_account_id: UUID | None = None
    batch_size: BatchSize = limits.BATCH_SIZE.default
    max_concurrency: MaxConcurrency = limits.MAX_CONCURRENCY.default
    max_attempts: MaxAttempts = limits.MAX_ATTEMPTS.default
    calling_hours: Annotated[HoursField, Field(examples=[_EXAMPLE_HOURS])] = {}
    retry_policy: Annotated[PolicyField, Field(examples=[_EXAMPLE_POLICY])] = {}
    dynamic_variables: Annotated[dict[str, str], Field(examples=[{"offer": "spring"}])] = {}
    scheduled_at: AwareDatetime | None = None
    purpose: Purpose = Purpose.SALES
    consent_required: RequiredConsent = RequiredConsent.NONE
    lists_required: RequiredLists = []
    more_numbers: MoreNumbers = []
    callback_policy: CallbackField = {}
    voicemail_policy: VoicemailField = {}
    day_parts: DayParts = []
    keep_open: Annotated[bool, Field(description="Wait for more contacts instead of completing")] = False
    reentry_after: ReentryField = None
    budget_cents: BudgetCents = None
    priority: Priority = limits.PRIORITY.default
    share: Share = limits.SHARE.default


class CampaignChanges(_Settings):
    """Settings to change; omitted fields keep their value. Its fields are the list of editable settings."""

    # default_factory keeps defaults out of the OpenAPI document: omitted fields keep their value.
    name: Annotated[CampaignName, Field(default_factory=str)]
    retell_agent_id: Annotated[CampaignName, Field(default_factory=str)]
    from_number: Annotated[CallerNumber, Field(default_factory=str)]
    batch_size: Annotated[BatchSize, Field(default_factory=int)]
    max_concurrency: Annotated[MaxConcurrency, Field(default_factory=int)]
    max_attempts: Annotated[MaxAttempts, Field(default_factory=int)]
    calling_hours: Annotated[HoursField, Field(default_factory=dict)]
    retry_policy: Annotated[PolicyField, Field(default_factory=dict)]
    dynamic_variables: Annotated[dict[str, str], Field(default_factory=dict)]
    scheduled_at: Annotated[AwareDatetime | None, Field(default_factory=lambda: None)]
    purpose: Annotated[Purpose, Field(default_factory=lambda: Purpose.SALES)]
    consent_required: Annotated[RequiredConsent, Field(default_factory=lambda: RequiredConsent.NONE)]
    lists_required: Annotated[RequiredLists, Field(default_factory=list)]
    more_numbers: Annotated[MoreNumbers, Field(default_factory=list)]
    callback_policy: Annotated[CallbackField, Field(default_factory=dict)]
    voicemail_policy: Annotated[VoicemailField, Field(default_factory=dict)]
    day_parts: Annotated[DayParts, Field(default_factory=list)]
    keep_open: Annotated[bool, Field(default_factory=bool)]
    reentry_after: Annotated[ReentryField, Field(default_factory=lambda: None)]
    budget_cents: Annotated[BudgetCents, Field(default_factory=lambda: None)]
    priority: Annotated[Priority, Field(default_factory=int)]
    share: Annotated[Share, Field(default_factory=int)]

    def changes(self) -> dict[str, Any]:
        """Return the fields in the request."""
        return self.model_dump(exclude_unset=True)


class Campaign(BaseModel):
    """A campaign with its settings. Progress is a separate resource."""

    id: UUID
    organization_id: UUID
    provider_account_id: UUID
    name: str
    status: CampaignStatus
    retell_agent_id: str
    from_number: str
    batch_size: int
    max_concurrency: int | None
    max_attempts: int
    calling_hours: HoursField
    retry_policy: PolicyField
    dynamic_variables: dict[str, str]
    scheduled_at: datetime | None
    purpose: Purpose
    consent_required: RequiredConsent
    lists_required: list[ListKind]
    more_numbers: list[str]
    callback_policy: CallbackField
    voicemail_policy: VoicemailField
    day_parts: list[DayPart]
    keep_open: bool
    reentry_after: ReentryField
    budget_cents: int | None
    priority: int
    share: int
    paused_reason: str | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    archived_at: datetime | None

    @property
    def etag(self) -> str:
        return etag_of(self.model_dump_json())

    @property
    def caller_numbers(self) -> list[str]:
        """The numbers that the campaign calls from."""
        return [self.from_number, *self.more_numbers]


class WaitingReason(BaseModel):
    """Why a campaign is not dialing: a code for programs, a sentence for people, and the time in that sentence.

    `zone` is the time zone of the contacts whose calling hours open at `at`, null when there is none.
    """

    code: str
    sentence: str
    at: datetime | None = None
    zone: str | None = None


class CampaignProgress(BaseModel):
    """Progress of a campaign. `calls_per_minute` is null unless it is active; `waiting` is null while it dials."""

    total: int
    finished: int
    live_calls: int
    ended_calls: int
    reached: Annotated[int, Field(description="Ended calls that reached a person")]
    contacts: dict[str, int]
    outcomes: dict[str, int]
    cost_cents: float
    talk_ms: int
    calls_per_minute: float | None
    waiting: WaitingReason | None
    budgets: Annotated[list[BudgetState], Field(description="The budgets that limit its calls")]


class CampaignSummary(BaseModel):
    """A campaign in a list."""

    id: UUID
    name: str
    status: CampaignStatus
    retell_agent_id: str
    from_number: str
    scheduled_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    archived_at: datetime | None
    created_at: datetime
    progress: CampaignProgress


async def list_campaigns(
    connection: Connection,
    organization_id: UUID,
    page: PageRequest,
    *,
    status: CampaignStatus | None = None,
    name: str | None = None,
    is_archived: bool | None = None,
) -> tuple[Sequence[campaigns.CampaignRow], str | None]:
    """Return a page of campaigns, newest first, and the cursor of the next page.

    With `name`, those whose name has each of its words, in any order, as in the search for contacts. With
    `is_archived`, only those in the archive, or only the others.
    """
    key = page.key(tuple[datetime, UUID])
    rows = await campaigns.list_campaigns(
        connection,
        organization_id=organization_id,
        status=status,
        words=name_patterns(name),
        is_archived=is_archived,
        before_at=None if key is None else key[0],
        before_id=None if key is None else key[1],
        limit=page.limit + 1,
    )
    return paginate(rows, page.limit, lambda row: [row.created_at, row.id])


async def campaign_choices(connection: Connection, organization_id: UUID) -> list[tuple[str, str]]:
    """Return the choices of a filter by campaign: all of them, or one of the newest."""
    rows, _ = await list_campaigns(connection, organization_id, PageRequest(None, _CAMPAIGNS_OFFERED))
    return [("", "All"), *((str(row.id), row.name) for row in rows)]


async def create_campaign(connection: Connection, context: OrganizationContext, new: CampaignDraft) -> Campaign:
    """Create a draft; raises InvalidInput naming the field, or ResourceConflict without a provider account."""
    now = context.studio.clock.now()
    try:
        campaign_id = await feature.create_campaign(
            connection, feature.CampaignSettings(organization_id=context.organization_id, **dict(new)), now
        )
    except (errors.CampaignsError, DomainError) as error:
        raise as_studio_error(error) from error
    await record_audit(
        connection,
        context=context,
        action="create_campaign",
        subject_type="campaign",
        subject_id=campaign_id,
        details={"name": new.name.strip()},
    )
    await batches.notify_campaigns(connection, ids=[campaign_id])
    return await find_campaign(connection, context.organization_id, campaign_id)


async def find_campaign(connection: Connection, organization_id: UUID, campaign_id: UUID) -> Campaign:
    """Return a campaign of the organization; raises ResourceNotFound."""
    row = await campaigns.show_campaign(connection, campaign_id=campaign_id, organization_id=organization_id)
    if row is None:
        raise ResourceNotFound("Campaign not found")
    decoded = {
        "calling_hours": decode_object(row.calling_hours),
        "retry_policy": decode_object(row.retry_policy),
        "dynamic_variables": decode_texts(row.dynamic_variables),
        "callback_policy": decode_object(row.callback_policy),
        "voicemail_policy": decode_object(row.voicemail_policy),
    }
    return Campaign(**asdict(row) | decoded)


async def change_campaign(
    connection: Connection,
    context: OrganizationContext,
    campaign_id: UUID,
    changes: Mapping[str, Any],
    if_match: str | None,
) -> Campaign:
    """Change the settings of a campaign.

    Raises ResourceNotFound, PreconditionFailed when `if_match` is outdated, ResourceConflict when the status does not
    allow it, and InvalidInput naming the field.
    """
    organization_id = context.organization_id
    await campaigns.lock_campaign_settings(connection, campaign_id=campaign_id, organization_id=organization_id)
    campaign = await find_campaign(connection, organization_id, campaign_id)
    check_if_match(if_match, campaign.etag)
    before = {name: getattr(campaign, name) for name in CampaignChanges.model_fields}
    new = feature.CampaignSettings(organization_id=organization_id, **before | dict(changes))
    try:
        result = await edit_campaign(
            connection,
            campaign_id=campaign_id,
            new=new,
            actor=context.actor,
            now=context.studio.clock.now(),
        )
    except (errors.CampaignsError, DomainError) as error:
        raise as_studio_error(error) from error
    if isinstance(result, NotAllowed):
        raise ResourceConflict(sentence_case(result.reason), status=result.status)
    return await find_campaign(connection, organization_id, campaign_id)


async def campaign_progress(
    connection: Connection, counter: CampaignCounter, campaign: Campaign, *, rules: RuleBook, now: datetime
) -> CampaignProgress:
    """Return the progress of a campaign, and why it is not dialing. `rules` are the shipped ones."""
    budgets = await read_budgets(connection, [campaign.id], now)
    return (await progress_of(connection, counter, [campaign], budgets=budgets, rules=rules, now=now))[campaign.id]


def as_studio_error(error: Exception) -> InvalidInput | ResourceConflict:
    """Convert a rejection by `campaigns` into the studio's error."""
    match error:
        case errors.InvalidCampaign(field=field, reason=reason):
            return InvalidInput(f"Invalid {field.replace('_', ' ')}: {reason}", {field: sentence_case(reason)})
        case errors.AmbiguousAccount():
            return InvalidInput(sentence_case(str(error)), {"provider_account_id": sentence_case(str(error))})
        case errors.CampaignsError():
            return ResourceConflict(sentence_case(str(error)))
        case InvalidCallingHours():
            return InvalidInput(f"Invalid calling hours: {error}", {"calling_hours": sentence_case(str(error))})
        case InvalidCallbackPolicy():
            return InvalidInput(f"Invalid callback policy: {error}", {"callback_policy": sentence_case(str(error))})
        case InvalidVoicemailPolicy():
            return InvalidInput(f"Invalid voicemail policy: {error}", {"voicemail_policy": sentence_case(str(error))})
        case _:
            return InvalidInput(f"Invalid retry policy: {error}", {"retry_policy": sentence_case(str(error))})


async def progress_of(
    connection: Connection,
    counter: CampaignCounter,
    rows: Sequence[campaigns.CampaignRow | BoardCampaign | Campaign],
    *,
    budgets: Mapping[UUID, ClaimBudget],
    rules: RuleBook,
    now: datetime,
    diagnoses: Mapping[UUID, Diagnosis | None] | None = None,
) -> dict[UUID, CampaignProgress]:
    """Return the progress of campaigns by id, in a fixed number of statements.

    `budgets` come from `read_budgets`; `rules` are the shipped ones. `diagnoses` come from `examine`, and are made here
    without it; campaigns that they leave out wait for nothing.
    """
    ids = [row.id for row in rows]
    if not ids:
        return {}
    counts = await counter.count(connection, {row.id: row.status for row in rows})
    live = await reports.count_live_calls(connection, campaign_ids=ids)
    recent = await reports.count_recent_calls(connection, campaign_ids=ids, since=now - RATE_WINDOW)
    if diagnoses is None:
        diagnoses = await examine(connection, ids, now, rules, budgets)
    live_of = {row.campaign_id: row.calls for row in live}
    recent_of = {row.campaign_id: row.calls for row in recent}
    progress = {}
    for row in rows:
        counted = counts[row.id]
        since = max(row.started_at or now - RATE_WINDOW, now - RATE_WINDOW)
        minutes = max(1.0, (now - since) / timedelta(minutes=1))
        diagnosis = diagnoses.get(row.id)
        progress[row.id] = CampaignProgress(
            total=counted.total,
            finished=counted.finished,
            live_calls=live_of.get(row.id, 0),
            ended_calls=counted.ended_calls,
            reached=counted.reached,
            contacts=dict(counted.contacts),
            outcomes=dict(counted.outcomes),
            cost_cents=float(counted.cost_cents),
            talk_ms=counted.talk_ms,
            calls_per_minute=recent_of.get(row.id, 0) / minutes if row.status == CampaignStatus.ACTIVE else None,
            waiting=None
            if diagnosis is None
            else WaitingReason(
                code=diagnosis.reason, sentence=diagnosis.sentence(iso), at=diagnosis.at, zone=diagnosis.zone
            ),
            budgets=budget_states(budgets.get(row.id)),
        )
    return progress
