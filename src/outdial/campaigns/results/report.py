"""What a campaign came to: the end report, added up from its contacts and calls."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final, TypeVar, assert_never
from uuid import UUID

import msgspec

from outdial.clock import Clock
from outdial.db.queries import jobs
from outdial.db.queries.results import report as queries
from outdial.db.queries.results.report import ReportCalls, ReportContacts, ReportValue
from outdial.db.session import Connection, Database, encode_json
from outdial.domain.campaign import CAMPAIGN, CampaignStatus
from outdial.domain.contact import ContactStatus
from outdial.domain.policies.number_pool import BY_PERSON
from outdial.domain.policies.uncalled import uncalled_group
from outdial.log import log

FORMAT: Final = 3
"""Raise it with each change of EndReport: stored reports of another format are added up again."""
COUNTED_AT_ONCE: Final = 5_000
"""A campaign with more contacts has a report only after its end, when the jobs process has added it up."""
FEWEST: Final = 3
"""A value of the analysis that fewer contacts have is not stored and not shared: it could be about one person."""
VALUES_SHOWN: Final = 5
EVERY: Final = timedelta(seconds=5)
_RETRY: Final = timedelta(minutes=10)
_MOST_FOUND: Final = 100
_LONGEST_VALUE: Final = 40
_LONGEST_FIELD: Final = 60
_MOST_VALUES: Final = 20
_MOST_ROWS: Final = 200
_MOST_NUMBERS: Final = 50
_REACHED: Final = sorted(BY_PERSON)
_Key = TypeVar("_Key", bound=Hashable)


class ReportPart(Enum):
    """What became of a contact. Each has one part, so the parts add up to all."""

    REACHED = auto()
    BY_MEMBER = auto()
    OPEN = auto()
    UNCALLED = auto()
    NOT_REACHED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFigures:
    """Calls of one attempt, one number or one hour. `finished` have an outcome; `reached` are conversations."""

    calls: int
    finished: int
    reached: int
    successful: int
    cost_cents: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFigures(CallFigures):
    """Calls of one attempt."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportNumber(CallFigures):
    """Calls from one caller number."""

    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HourFigures(CallFigures):
    """Calls of one attempt in one hour of the contact's day."""

    attempt: int
    hour: int


@dataclass(frozen=True, slots=True)
class OutcomeContacts:
    """Contacts that no one reached, by their last outcome; null if it is not known."""

    outcome: str | None
    contacts: int


@dataclass(frozen=True, slots=True)
class OutcomeCalls:
    """Calls by outcome."""

    outcome: str
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportUncalled:
    """Contacts that were skipped or cancelled before a person was reached, for one reason in words."""

    status: str
    reason: str
    contacts: int


@dataclass(frozen=True, slots=True)
class ValueCount:
    """How many conversations have a value."""

    value: str
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisField:
    """A field of the custom analysis with its most frequent values. `calls` are the conversations that have the field.

    A free text has no values.
    """

    field: str
    calls: int
    is_text: bool
    values: list[ValueCount]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedForecast:
    """The forecast from the campaign's start, beside which the report shows what happened."""

    made_at: datetime
    finish_p10: datetime | None
    finish_p50: datetime | None
    finish_p90: datetime | None
    calls_p10: int
    calls_p50: int
    calls_p90: int
    cost_cents_p10: float
    cost_cents_p50: float
    cost_cents_p90: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndReport:
    """What a campaign came to.

    Of its `contacts`, a person was reached at `reached` in a call; members have decided that `completed_by_members` are
    done without that; `not_reached` were called in vain, `uncalled` were skipped or cancelled, and `open` are not
    finished. These parts add up to `contacts`. `failed` counts all contacts with that status.
    `conversations` are calls in which a person was reached; the analysis calls some `successful` or `unsuccessful`.
    """

    campaign_id: UUID
    name: str
    status: str
    started_at: datetime | None
    finished_at: datetime | None
    computed_at: datetime
    contacts: int
    reached: int
    completed_by_members: int
    open: int
    failed: int
    calls: int
    conversations: int
    successful: int
    unsuccessful: int
    talk_ms: int
    cost_cents: float
    cost_per_conversation_cents: float | None
    cost_per_success_cents: float | None
    not_reached: list[OutcomeContacts]
    outcomes: list[OutcomeCalls]
    attempts: list[AttemptFigures]
    hours: list[HourFigures]
    numbers: list[ReportNumber]
    uncalled: list[ReportUncalled]
    fields: list[AnalysisField]
    forecast: ReportedForecast | None

    @property
    def is_final(self) -> bool:
        """Whether the campaign has ended."""
        return CampaignStatus(self.status) in CAMPAIGN.final

    @property
    def success_share(self) -> float | None:
        """The share of successful conversations among those that the analysis judges."""
        judged = self.successful + self.unsuccessful
        return self.successful / judged if judged else None


async def find_report(connection: Connection, campaign_id: UUID, now: datetime) -> EndReport | None:
    """Return the report of a campaign; None while it is not there.

    That of a small campaign is added up at once, that of a large one by the jobs process after its end.
    """
    if await queries.has_more_contacts(connection, campaign_id=campaign_id, most=COUNTED_AT_ONCE):
        stored = await queries.stored_report(connection, campaign_id=campaign_id, format=FORMAT)
        return None if stored is None else decode_report(stored)
    return await compute_report(connection, campaign_id, now, fewest=1)


async def count_unreached(connection: Connection, organization_id: UUID, report: EndReport) -> int:
    """Return how many contacts the filter for those not reached selects: those of the report without erased ones."""
    erased = await queries.erased_not_reached(
        connection, organization_id=organization_id, campaign_id=report.campaign_id, reached=_REACHED
    )
    return sum(row.contacts for row in report.not_reached) - erased


def decode_report(stored: str) -> EndReport:
    """Return a stored report."""
    return msgspec.json.decode(stored, type=EndReport)


async def compute_report(connection: Connection, campaign_id: UUID, now: datetime, *, fewest: int) -> EndReport | None:
    """Add up the report of a campaign; None if it does not exist. It reads each of its contacts and calls.

    Values of the analysis that fewer than `fewest` contacts have are left out.
    """
    campaign = await queries.report_campaign(connection, campaign_id=campaign_id)
    if campaign is None:
        return None
    contacts = await queries.report_contacts(connection, campaign_id=campaign_id, reached=_REACHED)
    calls = await queries.report_calls(connection, campaign_id=campaign_id)
    fields = await _analysis_fields(connection, campaign_id, fewest)
    forecast = await queries.report_forecast(connection, campaign_id=campaign_id)
    parts = split_contacts(contacts)
    total = _figures(calls)
    unsuccessful = sum(row.calls for row in calls if _is_conversation(row) and row.success == "false")
    talk_ms = sum(row.talk_ms for row in calls)
    numbers = sorted(_grouped(calls, lambda row: row.from_number), key=lambda item: (-item[1].calls, item[0]))
    return EndReport(
        campaign_id=campaign.id,
        name=campaign.name,
        status=campaign.status,
        started_at=campaign.started_at,
        finished_at=campaign.finished_at,
        computed_at=now,
        contacts=_count(contacts),
        reached=_count(parts[ReportPart.REACHED]),
        completed_by_members=_count(parts[ReportPart.BY_MEMBER]),
        open=_count(parts[ReportPart.OPEN]),
        failed=sum(row.contacts for row in contacts if row.status == ContactStatus.FAILED),
        calls=total.calls,
        conversations=total.reached,
        successful=total.successful,
        unsuccessful=unsuccessful,
        talk_ms=talk_ms,
        cost_cents=total.cost_cents,
        cost_per_conversation_cents=total.cost_cents / total.reached if total.reached else None,
        cost_per_success_cents=total.cost_cents / total.successful if total.successful else None,
        not_reached=_not_reached(parts[ReportPart.NOT_REACHED]),
        outcomes=_outcomes(calls),
        attempts=[
            AttemptFigures(attempt=attempt, **asdict(figures))
            for attempt, figures in sorted(_grouped(calls, lambda row: row.attempt))
        ],
        hours=[
            HourFigures(attempt=attempt, hour=hour, **asdict(figures))
            for (attempt, hour), figures in sorted(
                _grouped([row for row in calls if row.hour is not None], lambda row: (row.attempt, row.hour or 0))
            )
        ],
        numbers=[ReportNumber(number=number, **asdict(figures)) for number, figures in numbers[:_MOST_NUMBERS]],
        uncalled=_uncalled(parts[ReportPart.UNCALLED]),
        fields=fields,
        forecast=None if forecast is None else ReportedForecast(**asdict(forecast)),
    )


def _part_of(row: ReportContacts) -> ReportPart:
    """Return the one part of the report that counts these contacts."""
    if row.is_reached:
        return ReportPart.REACHED
    match ContactStatus(row.status):
        case ContactStatus.PENDING | ContactStatus.CALLING | ContactStatus.REVIEW:
            return ReportPart.OPEN
        case ContactStatus.SKIPPED | ContactStatus.CANCELLED:
            return ReportPart.UNCALLED
        case ContactStatus.COMPLETED if row.by_member:
            return ReportPart.BY_MEMBER
        case ContactStatus.COMPLETED | ContactStatus.FAILED:
            return ReportPart.NOT_REACHED
        case never:
            assert_never(never)


def split_contacts(rows: Iterable[ReportContacts]) -> Mapping[ReportPart, Sequence[ReportContacts]]:
    """Return the contacts of each part of a report; every row is in one of them."""
    parts: dict[ReportPart, list[ReportContacts]] = {part: [] for part in ReportPart}
    for row in rows:
        parts[_part_of(row)].append(row)
    return parts


def _count(rows: Iterable[ReportContacts]) -> int:
    return sum(row.contacts for row in rows)


def _is_conversation(row: ReportCalls) -> bool:
    return row.outcome in BY_PERSON


def _figures(rows: Sequence[ReportCalls]) -> CallFigures:
    return CallFigures(
        calls=sum(row.calls for row in rows),
        finished=sum(row.calls for row in rows if row.outcome is not None),
        reached=sum(row.calls for row in rows if _is_conversation(row)),
        successful=sum(row.calls for row in rows if _is_conversation(row) and row.success == "true"),
        cost_cents=sum(row.cost_cents for row in rows),
    )


def _grouped(rows: Iterable[ReportCalls], key: Callable[[ReportCalls], _Key]) -> list[tuple[_Key, CallFigures]]:
    groups: dict[_Key, list[ReportCalls]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return [(name, _figures(group)) for name, group in groups.items()]


def _not_reached(rows: Sequence[ReportContacts]) -> list[OutcomeContacts]:
    counts: dict[str | None, int] = defaultdict(int)
    for row in rows:
        counts[row.last_outcome] += row.contacts
    return [OutcomeContacts(*item) for item in sorted(counts.items(), key=lambda item: (-item[1], item[0] or ""))]


def _outcomes(rows: Sequence[ReportCalls]) -> list[OutcomeCalls]:
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        if row.outcome is not None or row.is_refused:
            counts[row.outcome or "refused"] += row.calls
    return [OutcomeCalls(*item) for item in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _uncalled(rows: Sequence[ReportContacts]) -> list[ReportUncalled]:
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        counts[row.status, uncalled_group(row.reason)] += row.contacts
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [ReportUncalled(status=status, reason=reason, contacts=count) for (status, reason), count in ordered]


async def _analysis_fields(connection: Connection, campaign_id: UUID, fewest: int) -> list[AnalysisField]:
    rows = await queries.report_values(
        connection,
        campaign_id=campaign_id,
        reached=_REACHED,
        longest_name=_LONGEST_FIELD,
        longest=_LONGEST_VALUE,
        most_values=_MOST_VALUES,
        most=VALUES_SHOWN,
        fewest=fewest,
        limit=_MOST_ROWS,
    )
    by_field: dict[str, list[ReportValue]] = defaultdict(list)
    for row in rows:
        by_field[row.name].append(row)
    return [
        AnalysisField(
            field=field,
            calls=group[0].field_calls,
            is_text=group[0].is_text,
            values=[ValueCount(row.value, row.calls) for row in group if row.value is not None],
        )
        for field, group in by_field.items()
    ]


class ReportWriter:
    """A background task: adds up the reports of campaigns that have ended, one in each run. Several may run at once."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._failed: dict[UUID, datetime] = {}

    async def run_once(self) -> int:
        """Add up one report that is missing or lacks late results; return how many that were.

        One that cannot be added up is logged, waits for ten minutes, and does not stop the others.
        """
        now = self._clock.now()
        self._failed = {id: at for id, at in self._failed.items() if now < at + _RETRY}
        async with self._database.transaction() as connection:
            found = await queries.reports_to_compute(connection, now=now, format=FORMAT, limit=_MOST_FOUND)
        for each in found:
            if each.campaign_id in self._failed:
                continue
            try:
                await self._write(each.organization_id, each.campaign_id, now)
            except Exception as error:  # its message may quote an analysis: log the type only
                self._failed[each.campaign_id] = now
                log("jobs.report_failed", level="error", campaign_id=each.campaign_id, reason=type(error).__name__)
            else:
                return 1
        return 0

    async def _write(self, organization_id: UUID, campaign_id: UUID, now: datetime) -> None:
        async with self._database.for_organization(organization_id) as connection:
            report = await compute_report(connection, campaign_id, now, fewest=FEWEST)
            if report is not None:
                await queries.store_report(
                    connection,
                    campaign_id=campaign_id,
                    organization_id=organization_id,
                    format=FORMAT,
                    computed_at=now,
                    report=encode_json(report),
                )
                await jobs.notify_jobs(connection, organization_id=organization_id)
