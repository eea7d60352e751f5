"""The form of a campaign: what is typed into it, the settings that this means, and the form of stored settings.

What somebody typed is kept as text, so that a form with a mistake is shown again as it was sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from starlette.datastructures import FormData

from outdial.domain.calling_hours import WEEKDAYS, CallingHours, is_zone_name, parse_calling_hours
from outdial.studio.campaigns.retry_form import RetryRuleForm, policy_of, rules_of_form, rules_of_policy
from outdial.studio.campaigns.service import Campaign
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.forms import text

_LOCAL: Final = "%Y-%m-%dT%H:%M"
_PAIRS: Final = 2
_NUMBERS: Final = (("batch_size", "calls"), ("max_attempts", "attempts"), ("max_concurrency", "calls"))

Windows = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class CampaignForm:
    """Everything as text: windows are pairs of times by weekday, and "00:00" as an end is midnight."""

    name: str = ""
    retell_agent_id: str = ""
    from_number: str = ""
    provider_account_id: str = ""
    batch_size: str = "10"
    max_attempts: str = "3"
    max_concurrency: str = ""
    is_scheduled: bool = False
    scheduled_local: str = ""
    zone: str = "UTC"
    hours: Mapping[str, Windows] = field(default_factory=dict)
    excluded_dates: str = ""
    rules: Mapping[str, RetryRuleForm] = field(default_factory=dict)
    variables: str = ""

    def padded(self, day: str) -> Windows:
        """Return the windows of a day, with empty ones to type into."""
        windows = list(self.hours.get(day, ()))
        return windows + [("", "")] * (_PAIRS - len(windows))

    @property
    def scheduled_at(self) -> datetime | None:
        """The moment that the schedule means, where it can be read."""
        return _moment(self.scheduled_local, self.zone) if self.is_scheduled else None


def empty_form(retell_agent_id: str = "", from_number: str = "") -> CampaignForm:
    """Return the form of a new campaign with its defaults."""
    hours = _windows_of(parse_calling_hours({}))
    return CampaignForm(
        retell_agent_id=retell_agent_id, from_number=from_number, hours=hours, rules=rules_of_policy({})
    )


def form_from_campaign(campaign: Campaign) -> CampaignForm:
    """Return the form of a campaign as it is stored; its schedule in UTC, which the page's script turns local."""
    hours = parse_calling_hours(campaign.calling_hours)
    at = campaign.scheduled_at
    return CampaignForm(
        name=campaign.name,
        retell_agent_id=campaign.retell_agent_id,
        from_number=campaign.from_number,
        provider_account_id=str(campaign.provider_account_id),
        batch_size=str(campaign.batch_size),
        max_attempts=str(campaign.max_attempts),
        max_concurrency="" if campaign.max_concurrency is None else str(campaign.max_concurrency),
        is_scheduled=at is not None,
        scheduled_local="" if at is None else at.astimezone(UTC).strftime(_LOCAL),
        hours=_windows_of(hours),
        excluded_dates=", ".join(sorted(day.isoformat() for day in hours.excluded_dates)),
        rules=rules_of_policy(campaign.retry_policy),
        variables="\n".join(f"{name} = {value}" for name, value in campaign.dynamic_variables.items()),
    )


def read_form(form: FormData) -> CampaignForm:
    """Return what was typed."""
    return CampaignForm(
        name=text(form, "name"),
        retell_agent_id=text(form, "retell_agent_id"),
        from_number=text(form, "from_number"),
        provider_account_id=text(form, "provider_account_id"),
        batch_size=text(form, "batch_size"),
        max_attempts=text(form, "max_attempts"),
        max_concurrency=text(form, "max_concurrency"),
        is_scheduled=text(form, "schedule") == "at",
        scheduled_local=text(form, "scheduled_local"),
        zone=text(form, "zone", "UTC"),
        hours={day: _typed_windows(form, day) for day in WEEKDAYS},
        excluded_dates=text(form, "excluded_dates"),
        rules=rules_of_form(form),
        variables=text(form, "variables"),
    )


def parse_settings(form: CampaignForm, stored_policy: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the settings that the form means; `stored_policy` keeps what of it the form does not show.

    Raises InvalidInput with each field that cannot be read; what the values may be is the feature's to check.
    """
    fields: dict[str, str] = {}
    settings: dict[str, Any] = {name: getattr(form, name) for name in ("name", "retell_agent_id", "from_number")}
    if not form.name:
        fields["name"] = "Give the campaign a name"
    if not form.retell_agent_id:
        fields["retell_agent_id"] = "Give the id of a Retell agent, such as agent_0123"
    if not form.from_number:
        fields["from_number"] = "Give the number to call from, such as +14155550100"
    for name, what in _NUMBERS:
        settings[name] = _number(fields, name, what, getattr(form, name), required=name != "max_concurrency")
    settings["scheduled_at"] = _schedule(fields, form)
    settings["calling_hours"] = _hours(fields, form)
    settings["retry_policy"] = policy_of(form.rules, stored_policy or {})
    settings["dynamic_variables"] = _variables(fields, form.variables)
    if fields:
        raise InvalidInput("Some fields need another look", fields)
    return settings


def parse_account(form: CampaignForm) -> UUID | None:
    """Return the account that was chosen; raises InvalidInput."""
    try:
        return UUID(form.provider_account_id) if form.provider_account_id else None
    except ValueError:
        raise InvalidInput(
            "Choose an account from the list", {"provider_account_id": "Choose an account from the list"}
        ) from None


@cache
def zone_names() -> Sequence[str]:
    """Return the zones to choose from, by name."""
    return sorted(name for name in available_timezones() if is_zone_name(name) and name != "Etc/UTC")


def _windows_of(hours: CallingHours) -> dict[str, Windows]:
    return {
        day: [(_clock(window.start_minute), _clock(window.end_minute % 1440)) for window in windows]
        for day, windows in zip(WEEKDAYS, hours.week, strict=True)
    }


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _typed_windows(form: FormData, day: str) -> Windows:
    begins, ends = ([str(value).strip() for value in form.getlist(f"{day}_{edge}")] for edge in ("from", "to"))
    return [(begin, end) for begin, end in zip(begins, ends, strict=False) if begin or end]


def _number(fields: dict[str, str], name: str, what: str, typed: str, *, required: bool) -> int | None:
    if not typed and not required:
        return None
    # Longer ones are no number that could be meant.
    if not typed.isdecimal() or not typed.isascii() or len(typed) > 9:
        fields[name] = f"Give a whole number of {what}"
        return 0
    return int(typed)


def _schedule(fields: dict[str, str], form: CampaignForm) -> datetime | None:
    if not form.is_scheduled:
        return None
    if not is_zone_name(form.zone):
        fields["zone"] = "Choose a time zone from the list"
        return None
    at = form.scheduled_at
    if at is None:
        fields["scheduled_local"] = "Give a day and a time that the clocks of the zone show"
    return at


def _moment(local: str, zone: str) -> datetime | None:
    """Return the moment at which a zone's clocks show `local`; None for no time, or one that they leap over."""
    if not is_zone_name(zone):
        return None
    try:
        shown = datetime.fromisoformat(local)
        moment = shown.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        return moment if moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == shown else None
    except (ValueError, OverflowError):
        return None


def _hours(fields: dict[str, str], form: CampaignForm) -> dict[str, Any]:
    hours: dict[str, Any] = {}
    for day in WEEKDAYS:
        windows = form.hours.get(day, ())
        if any(not begin or not end for begin, end in windows):
            fields["calling_hours"] = f"{day.capitalize()}: give both the beginning and the end"
        elif windows:
            hours[day] = [[begin, "24:00" if end == "00:00" else end] for begin, end in windows]
    if not hours:
        fields.setdefault("calling_hours", "Open at least half an hour on one day")
    dates = form.excluded_dates.replace(",", " ").split()
    return hours | {"excluded_dates": dates} if dates else hours


def _variables(fields: dict[str, str], typed: str) -> dict[str, str]:
    variables = {}
    for line in filter(None, map(str.strip, typed.splitlines())):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            fields["variables"] = f"Write each variable on a line of its own as name = value, unlike “{line[:40]}”"
        elif name in variables:
            fields["variables"] = f"“{name[:40]}” is there twice"
        else:
            variables[name] = value
    return variables
