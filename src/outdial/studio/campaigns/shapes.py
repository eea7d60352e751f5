"""The shapes of JSON settings and records, as the OpenAPI document shows them. The domain checks the values."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from typing_extensions import TypedDict

from outdial.domain.limits import LONGEST_DELAY_DAYS, LONGEST_REENTRY_DAYS, MAX_ATTEMPTS, RETRY_ATTEMPTS
from outdial.domain.policies.day_parts import DayPart
from outdial.domain.policies.durations import duration_text, read_duration
from outdial.domain.policies.voicemail import LONGEST_MESSAGE, AfterMessage, VoicemailAction
from outdial.studio.web.openapi import DescribedBy

ClockTime = Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", examples=["09:00"])]
DayWindows = Annotated[
    list[Annotated[list[ClockTime], Field(min_length=2, max_length=2, description="Start and end of a window")]],
    Field(examples=[[["09:00", "12:00"], ["13:00", "20:00"]]]),
]
LocalDate = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", examples=["2026-12-25"])]
RetryDelay = (
    Annotated[str, Field(pattern=r"^[0-9]{1,9}[smhd]$", description="Such as 90s, 30m, 2h or 1d", examples=["30m"])]
    | Annotated[int, Field(ge=1, le=LONGEST_DELAY_DAYS * 86_400, description="Seconds")]
)
RetryCount = Annotated[int, Field(ge=RETRY_ATTEMPTS.least, le=RETRY_ATTEMPTS.most)]


class WeeklyHours(TypedDict, total=False):
    """When contacts may be called, in their own local time. A narrower key wins; a day without a key is closed.

    Default, without any key for days: Monday to Friday from 09:00 to 20:00.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    every_day: DayWindows
    weekdays: DayWindows
    weekend: DayWindows
    monday: DayWindows
    tuesday: DayWindows
    wednesday: DayWindows
    thursday: DayWindows
    friday: DayWindows
    saturday: DayWindows
    sunday: DayWindows
    excluded_dates: list[LocalDate]


class OutcomeRetries(TypedDict, total=False):
    """How often and how soon to call again after an outcome. `delays[k - 1]` follows attempt k; the last repeats."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    delays: list[RetryDelay]
    max_attempts: RetryCount


class RetrySettings(TypedDict, total=False):
    """How to call again, by outcome of the last call. Omitted keys have their default."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    no_answer: OutcomeRetries
    busy: OutcomeRetries
    voicemail: OutcomeRetries
    ivr: OutcomeRetries
    declined: OutcomeRetries
    jitter: Annotated[float, Field(ge=0, le=1)]
    fault_delay: RetryDelay
    fault_delay_max: RetryDelay
    max_faults: RetryCount


class CallbackSettings(TypedDict, total=False):
    """Calling back contacts who ask for it: on or off, and the analysis fields that say when, and whether at all."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    enabled: bool
    time_field: Annotated[str, Field(max_length=100)]
    request_field: Annotated[str, Field(max_length=100)]


class VoicemailSettings(TypedDict, total=False):
    """What the agent does on voicemail. A message is left at most once per contact, on the attempt `on_attempt`."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    action: VoicemailAction
    message: Annotated[str, Field(max_length=LONGEST_MESSAGE)]
    on_attempt: Annotated[int, Field(ge=MAX_ATTEMPTS.range.least, le=MAX_ATTEMPTS.range.most)] | Literal["last"]
    then: AfterMessage


class CallDecision(TypedDict, total=False):
    """Why a call was allowed: the contact's time zones and their local times, and the checks of lists and limits."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    zone_key: str
    zone_source: str
    local_times: dict[str, str]
    calling_hours: str
    do_not_call: str
    attempts: int
    max_attempts: int
    calls_in_24_hours: int
    daily_call_cap: int
    live_calls: int
    concurrency_limit: int
    reserved_inbound: int
    number_choice: str
    day_part: DayPart | None
    budget: dict[str, Any]


class CallAnalysis(TypedDict, total=False):
    """Retell's analysis of a call, as it arrived; the agent defines the keys of `custom_analysis_data`."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    call_summary: str | None
    in_voicemail: bool | None
    user_sentiment: str | None
    call_successful: bool | None
    custom_analysis_data: dict[str, Any]


HoursField = Annotated[dict[str, Any], DescribedBy(WeeklyHours)]
PolicyField = Annotated[dict[str, Any], DescribedBy(RetrySettings)]
CallbackField = Annotated[dict[str, Any], DescribedBy(CallbackSettings)]
VoicemailField = Annotated[dict[str, Any], DescribedBy(VoicemailSettings)]
DecisionField = Annotated[dict[str, Any], DescribedBy(CallDecision)]
AnalysisField = Annotated[dict[str, Any], DescribedBy(CallAnalysis)]


def _read_reentry(value: object) -> object:
    if value is None or isinstance(value, timedelta):
        return value
    duration = read_duration(value) if isinstance(value, str) else None
    if duration is None:
        raise ValueError(f"must be a duration such as 12h or 30d, at most {LONGEST_REENTRY_DAYS}d")
    return duration


ReentryField = Annotated[
    timedelta | None,
    BeforeValidator(_read_reentry),
    PlainSerializer(lambda duration: None if duration is None else duration_text(duration)),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": "^[0-9]{1,9}[smhd]$"}, {"type": "null"}],
            "description": "When a finished contact may be added again, such as 30d",
        }
    ),
]
