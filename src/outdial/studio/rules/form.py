"""The form of an organization's own rule: from a request to the fields of a rule.

Form values stay text, so that an invalid form is shown again exactly as it was sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from starlette.datastructures import FormData

from outdial.domain.purpose import Purpose
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.forms import text

DAYS: Final[Mapping[str, str]] = {"weekdays": "Monday to Friday", "saturday": "Saturday", "sunday": "Sunday"}
PERIODS: Final = [("8h", "8 hours"), ("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days")]
_TEXTS: Final = ("id", "disclosure", "note", "source", "in_force_from", "in_force_to", "confidence", "consent")
_NAMES: Final = (
    "id", "jurisdiction", "holidays", "cap_count", "cap_period", "consent", "disclosure", "note", "source",
    "in_force_from", "in_force_to", "confidence",
)  # fmt: skip
_WINDOWS: Final = 2

Times = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleForm:
    """All fields as text; `hours` maps DAYS to pairs of start and end, where "00:00" as an end is midnight."""

    values: Mapping[str, str]
    purposes: Sequence[str] = tuple(Purpose)
    hours: Mapping[str, Times] = field(default_factory=dict)
    has_hours: bool = True
    prohibited: bool = False

    def windows_of(self, days: str) -> Times:
        """Return the windows of some days, padded with empty ones for input."""
        windows = list(self.hours.get(days, ()))
        return windows + [("", "")] * (_WINDOWS - len(windows))


def empty_rule_form(jurisdiction: str, today: date) -> RuleForm:
    """Return the form of a new rule of a place."""
    values = dict.fromkeys(_NAMES, "") | {
        "jurisdiction": jurisdiction,
        "cap_period": "24h",
        "consent": "none",
        "in_force_from": today.isoformat(),
        "confidence": "s",
    }
    return RuleForm(values=values, hours={"weekdays": [("09:00", "20:00")]})


def rule_form_from_request(form: FormData) -> RuleForm:
    """Return the submitted form."""
    hours = {}
    for days in DAYS:
        starts, ends = ([str(value).strip() for value in form.getlist(f"{days}_{edge}")] for edge in ("from", "to"))
        hours[days] = [(start, end) for start, end in zip(starts, ends, strict=False) if start or end]
    return RuleForm(
        values={name: text(form, name) for name in _NAMES},
        purposes=[str(value) for value in form.getlist("purpose")],
        hours=hours,
        has_hours=text(form, "has_hours") == "true",
        prohibited=text(form, "prohibited") == "true",
    )


def rule_from_form(form: RuleForm) -> dict[str, Any]:
    """Return the rule as its fields are written; raises InvalidInput with what cannot be parsed.

    `campaigns` checks the values themselves.
    """
    problems: dict[str, str] = {}
    document: dict[str, Any] = {name: form.values[name] for name in _TEXTS if form.values[name]}
    document["jurisdiction"] = form.values["jurisdiction"].upper()
    document["purpose"] = "any" if set(form.purposes) == set(Purpose) else list(form.purposes)
    if not form.purposes:
        problems["purpose"] = "Select at least one purpose"
    if form.has_hours:
        document["hours"] = _hours(form, problems)
    if form.values["holidays"]:
        document["holidays"] = form.values["holidays"].upper().replace(",", " ").split()
    if form.prohibited:
        document["prohibited"] = True
    count = form.values["cap_count"]
    if count:
        if not (count.isdecimal() and count.isascii() and len(count) <= 4):
            problems["cap"] = "Enter a whole number of calls"
        else:
            document["cap"] = {"count": int(count), "period": form.values["cap_period"]}
    if problems:
        raise InvalidInput("Please fix the fields below", problems)
    return document


def _hours(form: RuleForm, problems: dict[str, str]) -> dict[str, list[list[str]]]:
    hours: dict[str, list[list[str]]] = {}
    for days, label in DAYS.items():
        windows = form.hours.get(days, ())
        if any(not begin or not end for begin, end in windows):
            problems["hours"] = f"{label}: enter both a start and an end time"
        elif windows:
            hours[days] = [[begin, "24:00" if end == "00:00" else end] for begin, end in windows]
    if not hours:
        problems.setdefault("hours", "Enter hours for at least one day, or clear the check box")
    return hours
