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
from outdial.studio.web.hours import Windows, padded, parse_windows, windows_from_request

DAYS: Final[Mapping[str, str]] = {"weekdays": "Monday to Friday", "saturday": "Saturday", "sunday": "Sunday"}
PERIODS: Final = [("8h", "8 hours"), ("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days")]
_TEXTS: Final = ("id", "disclosure", "note", "source", "in_force_from", "in_force_to", "confidence", "consent")
_NAMES: Final = (
    "id", "jurisdiction", "holidays", "cap_count", "cap_period", "consent", "disclosure", "note", "source",
    "in_force_from", "in_force_to", "confidence",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleForm:
    """All fields as text; `hours` maps DAYS to pairs of start and end, where "00:00" as an end is midnight."""

    values: Mapping[str, str]
    purposes: Sequence[str] = tuple(Purpose)
    hours: Mapping[str, Windows] = field(default_factory=dict)
    has_hours: bool = True
    prohibited: bool = False

    @property
    def calendars(self) -> Sequence[str]:
        """Return the places whose public holidays are closed, at least two for input."""
        return [*self.values["holidays"].split(), "", ""]

    def windows_of(self, days: str) -> Windows:
        """Return the windows of some days, padded with empty ones for input."""
        return padded(self.hours.get(days, ()))


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
    return RuleForm(
        values={name: text(form, name) for name in _NAMES} | {"holidays": " ".join(_texts(form, "holidays"))},
        purposes=[str(value) for value in form.getlist("purpose")],
        hours=windows_from_request(form, DAYS),
        has_hours=text(form, "has_hours") == "true",
        prohibited=text(form, "prohibited") == "true",
    )


def _texts(form: FormData, name: str) -> list[str]:
    return [typed for value in form.getlist(name) if (typed := str(value).strip())]


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
        document["hours"] = parse_windows(form.hours, DAYS, problems, "hours")
        if not document["hours"]:
            problems.setdefault("hours", "Enter hours for at least one day, or clear the check box")
    if form.values["holidays"]:
        document["holidays"] = list(dict.fromkeys(form.values["holidays"].upper().split()))
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
