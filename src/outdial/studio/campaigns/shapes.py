"""The shapes of JSON settings and records, as the OpenAPI document shows them. The domain checks the values."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from outdial.domain.limits import LONGEST_DELAY_DAYS, RETRY_ATTEMPTS
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
DecisionField = Annotated[dict[str, Any], DescribedBy(CallDecision)]
AnalysisField = Annotated[dict[str, Any], DescribedBy(CallAnalysis)]
