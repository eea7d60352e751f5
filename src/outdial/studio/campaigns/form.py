"""The campaign form: from a request to settings, and from stored settings to a form.

Form values stay text, so that an invalid form is shown again exactly as it was sent.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from starlette.datastructures import FormData

from outdial.domain.calling_hours import (
    DEFAULT_HOURS,
    WEEKDAYS,
    CallingHours,
    clock_text,
    is_zone_name,
    parse_calling_hours,
)
from outdial.domain.campaign import CampaignStatus
from outdial.domain.errors import (
    InvalidCallbackPolicy,
    InvalidCallingHours,
    InvalidRetryPolicy,
    InvalidVoicemailPolicy,
)
from outdial.domain.limits import CAMPAIGN_LIMITS, MAX_ATTEMPTS, CampaignLimit
from outdial.domain.policies.budget import amount_text, read_amount
from outdial.domain.policies.durations import duration_text, read_duration
from outdial.domain.purpose import Purpose, RequiredConsent
from outdial.domain.retry import parse_retry_policy
from outdial.studio.campaigns.callback_form import CallbackForm, callbacks_from_policy, callbacks_from_request
from outdial.studio.campaigns.retry_form import (
    RetryRuleForm,
    policy_from_rules,
    preset_from_request,
    preset_of,
    rules_from_form,
    rules_from_policy,
)
from outdial.studio.campaigns.service import Campaign
from outdial.studio.campaigns.voicemail_form import VoicemailForm, voicemail_from_policy, voicemail_from_request
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.forms import text
from outdial.studio.web.hours import Windows, padded, parse_windows, windows_from_request

_LOCAL_FORMAT: Final = "%Y-%m-%dT%H:%M"
_AS_TYPED: Final = ("purpose", "consent_required", "lists_required", "day_parts", "keep_open")
# Within a value, as a variable takes one line of the form.
_LINE_BREAK: Final = "\u21b5"
_LONGEST_VALUE: Final = 20
_OPTIONAL: Final = {"reentry_after": "a duration such as 12h or 30d", "budget": "an amount such as 250 or 99.50"}
_DAYS: Final = {day: day.capitalize() for day in WEEKDAYS}
_UTC: Final = ZoneInfo("UTC")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignForm:
    """All fields as text. `limits` has the CAMPAIGN_LIMITS by name.

    `hours` maps weekdays to pairs of start and end, where "00:00" as an end is midnight.
    """

    name: str = ""
    retell_agent_id: str = ""
    from_number: str = ""
    more_numbers: str = ""
    provider_account_id: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)
    is_scheduled: bool = False
    scheduled_local: str = ""
    zone: str = "UTC"
    hours: Mapping[str, Windows] = field(default_factory=dict)
    excluded_dates: str = ""
    rules: Mapping[str, RetryRuleForm] = field(default_factory=dict)
    variables: str = ""
    purpose: str = Purpose.SALES
    consent_required: str = RequiredConsent.NONE
    lists_required: Sequence[str] = ()
    day_parts: Sequence[str] = ()
    voicemail: VoicemailForm = field(default_factory=VoicemailForm)
    callbacks: CallbackForm = field(default_factory=CallbackForm)
    keep_open: bool = False
    reentry_after: str = ""
    budget: str = ""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Why stored settings cannot be read, by name; the form shows the defaults instead."""

    def windows_of(self, day: str) -> Windows:
        """Return the windows of a day, padded with empty ones for input."""
        return padded(self.hours.get(day, ()))

    @property
    def numbers(self) -> Sequence[str]:
        """The caller numbers besides the first."""
        return [number for part in self.more_numbers.split(",") if (number := part.strip())]

    @property
    def holidays(self) -> Sequence[str]:
        """The days without calls, as typed."""
        return self.excluded_dates.replace(",", " ").split()

    @property
    def preset(self) -> str:
        """The key of the preset with these retries; "custom" for others."""
        return preset_of(self.rules, self.limits.get(MAX_ATTEMPTS.name, ""))

    @property
    def part_choices(self) -> Sequence[str]:
        """The parts of the day, padded with empty ones for input."""
        return [*self.day_parts, *[""] * max(1, 3 - len(self.day_parts))]

    @property
    def scheduled_at(self) -> datetime | None:
        """The scheduled start in UTC; None when it is unset, malformed, or skipped by a daylight saving change."""
        if not self.is_scheduled or not is_zone_name(self.zone):
            return None
        try:
            local = datetime.fromisoformat(self.scheduled_local)
            time = local.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC)
            return time if time.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None) == local else None
        except (ValueError, OverflowError):
            return None


def empty_form(retell_agent_id: str = "", from_number: str = "", zone: ZoneInfo = _UTC) -> CampaignForm:
    """Return the form of a new campaign with default values; `zone` is the viewer's."""
    hours = _windows_by_day(parse_calling_hours({}))
    return CampaignForm(
        retell_agent_id=retell_agent_id,
        from_number=from_number,
        limits={limit.name: _limit_text(limit.default) for limit in CAMPAIGN_LIMITS},
        zone=zone.key,
        hours=hours,
        rules=rules_from_policy({}),
    )


def form_from_campaign(campaign: Campaign, zone: ZoneInfo = _UTC) -> CampaignForm:
    """Return the form of a stored campaign, with its start time in `zone`, the viewer's."""
    unreadable: dict[str, str] = {}
    try:
        hours = parse_calling_hours(campaign.calling_hours)
    except InvalidCallingHours as error:
        # Members can write settings directly to the database, without the checks of the studio.
        hours = parse_calling_hours({})
        unreadable["calling_hours"] = f"calling hours: {error}"
    try:
        rules = rules_from_policy(campaign.retry_policy)
    except InvalidRetryPolicy as error:
        rules = rules_from_policy({})
        unreadable["retry_policy"] = f"retries: {error}"
    try:
        voicemail = voicemail_from_policy(campaign.voicemail_policy)
    except InvalidVoicemailPolicy as error:
        voicemail = VoicemailForm()
        unreadable["voicemail_policy"] = f"voicemail: {error}"
    try:
        callbacks = callbacks_from_policy(campaign.callback_policy)
    except InvalidCallbackPolicy as error:
        callbacks = CallbackForm()
        unreadable["callback_policy"] = f"callbacks: {error}"
    return CampaignForm(
        unreadable=unreadable,
        name=campaign.name,
        retell_agent_id=campaign.retell_agent_id,
        from_number=campaign.from_number,
        more_numbers=", ".join(campaign.more_numbers),
        provider_account_id=str(campaign.provider_account_id),
        limits={limit.name: _limit_text(getattr(campaign, limit.name)) for limit in CAMPAIGN_LIMITS},
        is_scheduled=campaign.scheduled_at is not None,
        scheduled_local="" if campaign.scheduled_at is None else _local_text(campaign.scheduled_at, zone),
        zone=zone.key,
        hours=_windows_by_day(hours),
        excluded_dates=", ".join(sorted(day.isoformat() for day in hours.excluded_dates)),
        rules=rules,
        variables=_variables_text(campaign.dynamic_variables),
        purpose=campaign.purpose,
        consent_required=campaign.consent_required,
        lists_required=campaign.lists_required,
        day_parts=campaign.day_parts,
        voicemail=voicemail,
        callbacks=callbacks,
        keep_open=campaign.keep_open,
        reentry_after="" if campaign.reentry_after is None else duration_text(campaign.reentry_after),
        budget=amount_text(campaign.budget_cents),
    )


def shown_hours(campaign: Campaign) -> CallingHours:
    """Return the hours of a stored campaign; the default ones where they cannot be read."""
    try:
        return parse_calling_hours(campaign.calling_hours)
    except InvalidCallingHours:
        return DEFAULT_HOURS


def form_from_request(form: FormData) -> CampaignForm:
    """Return the submitted form."""
    preset = preset_from_request(form)
    return CampaignForm(
        name=text(form, "name"),
        retell_agent_id=text(form, "retell_agent_id"),
        from_number=text(form, "from_number"),
        more_numbers=_joined(form, "more_numbers"),
        provider_account_id=text(form, "provider_account_id"),
        limits={**{limit.name: text(form, limit.name) for limit in CAMPAIGN_LIMITS}, **preset.limits},
        is_scheduled=text(form, "schedule") == "at",
        scheduled_local=text(form, "scheduled_local"),
        zone=text(form, "zone", "UTC"),
        hours=windows_from_request(form, WEEKDAYS),
        excluded_dates=_joined(form, "excluded_dates"),
        rules=preset.rules or rules_from_form(form),
        variables=text(form, "variables"),
        purpose=text(form, "purpose", Purpose.SALES),
        consent_required=text(form, "consent_required", RequiredConsent.NONE),
        lists_required=[str(value) for value in form.getlist("lists_required")],
        day_parts=[str(value) for value in form.getlist("day_parts") if value],
        voicemail=voicemail_from_request(form),
        callbacks=callbacks_from_request(form),
        keep_open=text(form, "keep_open") == "yes",
        reentry_after=text(form, "reentry_after"),
        budget=text(form, "budget"),
    )


def parse_settings(
    form: CampaignForm, stored: Campaign | None = None, names: Iterable[str] | None = None
) -> dict[str, Any]:
    """Parse the form into campaign settings, only the named ones if `names` are given.

    What the form cannot show comes from the `stored` campaign. Raises InvalidInput with every field that cannot be
    parsed. `campaigns` checks the values themselves.
    """
    fields: dict[str, str] = {}
    parsers = _parsers(form, stored, fields)
    settings = {name: parsers[name]() for name in (parsers if names is None else names)}
    if fields:
        raise InvalidInput("Please fix the fields below", fields)
    return settings


def _parsers(form: CampaignForm, stored: Campaign | None, fields: dict[str, str]) -> dict[str, Callable[[], Any]]:
    """Return what parses each setting, and puts into `fields` what cannot be parsed."""
    required = {
        "name": "Enter a name",
        "retell_agent_id": "Enter a Retell agent ID, such as agent_0123",
        "from_number": "Enter a caller number, such as +14155550100",
    }
    return {
        **{name: partial(_parse_required, fields, name, getattr(form, name), required[name]) for name in required},
        **{name: partial(getattr, form, name) for name in _AS_TYPED},
        **{limit.name: partial(_parse_limit, fields, limit, form) for limit in CAMPAIGN_LIMITS},
        "more_numbers": lambda: form.numbers,
        "reentry_after": lambda: _parse_optional(fields, "reentry_after", form.reentry_after, read_duration),
        "budget_cents": lambda: _parse_optional(fields, "budget", form.budget, read_amount),
        "scheduled_at": lambda: _parse_schedule(fields, form, stored),
        "calling_hours": lambda: parse_hours(fields, form),
        "retry_policy": lambda: policy_from_rules(form.rules, _readable_policy(stored)),
        "voicemail_policy": form.voicemail.policy,
        "callback_policy": form.callbacks.policy,
        "dynamic_variables": lambda: _parse_variables(fields, form.variables, stored),
    }


def _parse_required(fields: dict[str, str], name: str, typed: str, problem: str) -> str:
    if not typed:
        fields[name] = problem
    return typed


def _parse_limit(fields: dict[str, str], limit: CampaignLimit[Any], form: CampaignForm) -> int | None:
    typed = form.limits.get(limit.name, "")
    # More than 9 digits exceed every limit and Postgres's integer.
    if typed.isdecimal() and typed.isascii() and len(typed) <= 9:
        return int(typed)
    if typed or limit.is_required:
        fields[limit.name] = f"Enter a whole number of {limit.unit}"
    return None


def _readable_policy(stored: Campaign | None) -> Mapping[str, Any]:
    """Return the stored retry policy, which may have settings that the form does not show."""
    try:
        parse_retry_policy({} if stored is None else stored.retry_policy)
    except InvalidRetryPolicy:
        return {}
    return {} if stored is None else stored.retry_policy


def check_start(scheduled_at: datetime | None, status: CampaignStatus, now: datetime) -> None:
    """Raise InvalidInput if a campaign that has not started is planned for a time that has passed."""
    if scheduled_at is not None and scheduled_at <= now and status in (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED):
        reason = "This time has passed. Choose a later time, or choose to start when you press Start"
        raise InvalidInput("Please fix the fields below", {"scheduled_local": reason})


def parse_account(form: CampaignForm) -> UUID | None:
    """Return the selected provider account, None without one; raises InvalidInput."""
    try:
        return UUID(form.provider_account_id) if form.provider_account_id else None
    except ValueError:
        reason = "Select an account from the list"
        raise InvalidInput(reason, {"provider_account_id": reason}) from None


def parse_hours(fields: dict[str, str], form: CampaignForm) -> dict[str, Any]:
    """Return the hours of the form as settings, with what cannot be parsed in `fields`."""
    hours: dict[str, Any] = {**parse_windows(form.hours, _DAYS, fields, "calling_hours")}
    if not hours:
        fields.setdefault("calling_hours", "Open at least half an hour on one day")
    return hours | {"excluded_dates": form.holidays} if form.holidays else hours


def _windows_by_day(hours: CallingHours) -> dict[str, Windows]:
    return {
        day: [(clock_text(window.start_minute), clock_text(window.end_minute % 1440)) for window in windows]
        for day, windows in zip(WEEKDAYS, hours.week, strict=True)
    }


def _joined(form: FormData, name: str) -> str:
    """Return a field that can come several times, and have several values each time."""
    return ", ".join(part for value in form.getlist(name) if (part := str(value).strip(" ,")))


def _limit_text(value: int | None) -> str:
    return "" if value is None else str(value)


def _local_text(time: datetime, zone: ZoneInfo) -> str:
    return time.astimezone(zone).strftime(_LOCAL_FORMAT)


def _parse_schedule(fields: dict[str, str], form: CampaignForm, stored: Campaign | None) -> datetime | None:
    planned = None if stored is None else stored.scheduled_at
    is_shown = form.is_scheduled and is_zone_name(form.zone) and planned is not None
    if planned is not None and is_shown and form.scheduled_local == _local_text(planned, ZoneInfo(form.zone)):
        # The form shows neither seconds nor which of two hours a time is in when clocks go back.
        return planned
    if form.is_scheduled and not is_zone_name(form.zone):
        fields["zone"] = "Select a time zone from the list"
    elif form.is_scheduled and form.scheduled_at is None:
        fields["scheduled_local"] = "Enter a date and time that exists in this time zone"
    return form.scheduled_at


def _parse_optional(fields: dict[str, str], name: str, typed: str, read: Callable[[str], Value | None]) -> Value | None:
    """Return a field that may be empty; `read` returns None for what is not a value."""
    value = read(typed) if typed and len(typed) <= _LONGEST_VALUE else None
    if typed and value is None:
        fields[name] = f"Enter {_OPTIONAL[name]}, or leave it empty"
    return value


def _variables_text(variables: Mapping[str, str]) -> str:
    lines = (f"{name} = {value}" for name, value in variables.items())
    return "\n".join(re.sub(r"\r\n?|\n", _LINE_BREAK, line) for line in lines)


def _parse_variables(fields: dict[str, str], typed: str, stored: Campaign | None) -> dict[str, str]:
    # Browsers send CRLF. A value may have other characters that splitlines() takes for line breaks.
    typed = typed.replace("\r\n", "\n")
    if stored is not None and typed.strip() == _variables_text(stored.dynamic_variables).strip():
        # As the form showed them, which may not say where a name ends: names and values of the API are any text.
        return dict(stored.dynamic_variables)
    variables: dict[str, str] = {}
    for line in filter(None, map(str.strip, typed.split("\n"))):
        name, equals, value = (part.strip() for part in line.replace(_LINE_BREAK, "\n").partition("="))
        if not equals or not name:
            fields["variables"] = f"Enter one variable per line as name = value. Invalid line: “{line[:40]}”"
        elif name in variables:
            fields["variables"] = f"“{name[:40]}” appears twice"
        else:
            variables[name] = value
    return variables
