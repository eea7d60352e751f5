"""Plain-language explanations of call decisions and call outcomes."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from outdial.domain.geography.place_names import place_names
from outdial.domain.outcomes import Outcome, RetryClass
from outdial.domain.policies.budget import SCOPE_NAMES
from outdial.domain.policies.number_pool import BY_PERSON, NumberChoice
from outdial.retell.dispositions import DISPOSITIONS, outcome_of
from outdial.studio.view.format import clock, money, place_name

ZONE_SOURCES: Final[Mapping[str, str]] = {
    "contact": "from the contact's details",
    "number": "from the phone number",
    "region": "from the contact's state and the phone number",
    "postal_code": "from the contact's postal code and the phone number",
    "country": "from the contact's country",
    "conflict": "from the contact's details and the phone number, which disagree, so that all of them hold",
}
"""What decided the time zones of a contact, by its `zone_source`."""

_OUTCOMES: Final[Mapping[Outcome, str]] = {
    Outcome.ANSWERED: "A person answered.",
    Outcome.TRANSFERRED: "The call was transferred to a person.",
    Outcome.VOICEMAIL: "Voicemail answered.",
    Outcome.IVR: "A phone menu (IVR) answered.",
    Outcome.NO_ANSWER: "No one answered.",
    Outcome.BUSY: "The line was busy.",
    Outcome.DECLINED: "The call was declined.",
    Outcome.INVALID_NUMBER: "The number is invalid.",
    Outcome.DO_NOT_CALL: "The contact asked not to be called again.",
    Outcome.CALLBACK_REQUESTED: "The contact asked for a callback.",
    Outcome.STOPPED: "The call was stopped manually.",
    Outcome.BLOCKED: "The caller number was marked as spam or blocked by the network.",
    Outcome.PROVIDER_FAULT: "The call failed at Retell or in the network.",
    Outcome.NO_CAPACITY: "Retell had no capacity.",
    Outcome.ACCOUNT_FAULT: "The Retell account needs attention.",
    Outcome.UNKNOWN: "The outcome is unknown.",
}
_FOLLOWS: Final[Mapping[RetryClass, str]] = {
    RetryClass.DONE: "The contact is completed.",
    RetryClass.RETRY: "This counts as an attempt. The retry policy decides whether to call again.",
    RetryClass.FAULT: "This does not count as an attempt. After a few retries, the contact goes to review.",
    RetryClass.FINAL: "The contact has failed and will not be called again.",
    RetryClass.DO_NOT_CALL: "The contact will not be called again. The number is on the do-not-call list.",
    RetryClass.ACCOUNT: "This does not count as an attempt. The account's campaigns pause until it works again.",
    RetryClass.HOLD: "The contact needs review.",
}

_HOOK_RESULTS: Final = {
    "allowed": "The pre-dial hook allowed the call",
    "denied": "The pre-dial hook denied the call",
    "failed": "The pre-dial hook failed, so the call was not placed",
    "allowed too late": "The pre-dial hook allowed the call, but the campaign no longer did",
    "not asked": "The pre-dial hook was removed before it was asked, so the call was not placed",
    "not decided": "The dialer stopped before the pre-dial hook decided, so the call was not placed",
}

REACHED: Final = sorted(BY_PERSON)
"""Outcomes in which a person was reached; reports count them as answered, as the health of caller numbers does."""

NUMBER_CHOICES: Final[Mapping[str, str]] = MappingProxyType(
    {
        NumberChoice.ONLY: "The campaign has one caller number.",
        NumberChoice.LAST: "The contact was called from this caller number before.",
        NumberChoice.SAME_AREA_CODE: "The caller number has the contact's area code.",
        NumberChoice.SAME_STATE: "The caller number is from the contact's state.",
        NumberChoice.SAME_COUNTRY: "The caller number is from the contact's country.",
        NumberChoice.LEAST_USED: "The caller number had made the fewest calls in 24 hours.",
    }
)


def explain_reason(reason: str | None) -> list[str]:
    """Explain a `disconnection_reason` of Retell and its consequence for the contact."""
    if reason is None:
        return ["Retell has not reported why the call ended."]
    outcome = outcome_of(reason)
    unrecognized = [] if reason in DISPOSITIONS else ["This version of Outdial does not recognize the result."]
    follows = _FOLLOWS[outcome.retry_class]
    if outcome is Outcome.CALLBACK_REQUESTED:
        follows = "The contact is called back at that time, or needs review if no time is known."
    return [*unrecognized, _OUTCOMES[outcome], follows]


def explain_decision(decision: Mapping[str, Any]) -> list[str]:
    """Explain why a call was allowed, one sentence per recorded check."""
    lines: list[str] = []
    zones = str(decision.get("zone_key", "")).split("|")
    source = ZONE_SOURCES.get(str(decision.get("zone_source")))
    if zones != [""]:
        places = " or ".join(zone.replace("_", " ") for zone in zones)
        lines.append(f"Time zone: {places}" + (f" ({source})." if source else "."))
    times = decision.get("local_times")
    if isinstance(times, Mapping) and times:
        clocks = ", ".join(f"{_clock(value)} in {place_name(str(zone))}" for zone, value in times.items())
        side = "within" if decision.get("calling_hours") == "open" else "outside"
        lines.append(f"Local time: {clocks}, {side} calling hours.")
    lines += _explain_rules(decision)
    if (listed := decision.get("do_not_call")) is not None:
        lines.append(f"The number was {'not ' if listed == 'not listed' else ''}on the do-not-call list.")
    lines += _screening_lines(decision)
    if {"attempts", "max_attempts"} <= decision.keys():
        attempts = decision["attempts"]
        lines.append(f"{attempts} of {decision['max_attempts']} attempts had been made.")
    if {"calls_in_24_hours", "daily_call_cap"} <= decision.keys():
        received = decision["calls_in_24_hours"]
        calls = "1 call" if received == 1 else f"{received} calls"
        lines.append(f"The number had received {calls} in 24 hours; the limit is {decision['daily_call_cap']}.")
    if {"live_calls", "concurrency_limit"} <= decision.keys():
        reserved = decision.get("reserved_inbound")
        inbound = f" ({reserved} reserved for inbound calls)" if reserved else ""
        using = f"{decision['live_calls']} of {decision['concurrency_limit']} lines"
        lines.append(f"The account was using {using}{inbound}.")
    if (choice := NUMBER_CHOICES.get(str(decision.get("number_choice")))) is not None:
        lines.append(choice)
    if (part := decision.get("day_part")) is not None:
        lines.append(f"Part of the day for this attempt: {part}.")
    lines += _budget_lines(decision)
    hook = decision.get("pre_dial_hook")
    if isinstance(hook, Mapping) and (result := _HOOK_RESULTS.get(str(hook.get("result")))):
        reason = f": {hook['reason']}" if hook.get("reason") else ""
        lines.append(f"{result}{reason}.")
    return lines


def _explain_rules(decision: Mapping[str, Any]) -> list[str]:
    """Explain which calling rules allowed a call. Decisions of earlier versions name none."""
    key, rule_ids = decision.get("jurisdiction_key"), decision.get("rule_ids")
    if not isinstance(key, str) or not isinstance(rule_ids, list):
        return []
    if decision.get("pack_date") is None:
        return ["Calling rules were ignored, as for simulated calls."]
    rules = ", ".join(map(str, rule_ids)) or "none applies"
    return [f"Calling rules of {place_names(key)}: {rules} (rules of {decision['pack_date']})."]


def _budget_lines(decision: Mapping[str, Any]) -> list[str]:
    """Explain which budgets had room for a call."""
    recorded = decision.get("budget")
    if not isinstance(recorded, Mapping):
        return []
    amounts = {name: money(cents) for name, cents in recorded.items() if isinstance(cents, int | float)}
    lines = [
        f"The {name} of {amounts[f'{scope}_limit_cents']} had {amounts[f'{scope}_spent_cents']} spent and"
        f" {amounts[f'{scope}_reserved_cents']} reserved."
        for scope, name in SCOPE_NAMES.items()
        if {f"{scope}_limit_cents", f"{scope}_spent_cents", f"{scope}_reserved_cents"} <= amounts.keys()
    ]
    return (
        [*lines, f"{amounts['reserved_cents']} was reserved for this call."] if "reserved_cents" in amounts else lines
    )


def _screening_lines(decision: Mapping[str, Any]) -> list[str]:
    lines = []
    consent, required = decision.get("consent", "none"), decision.get("consent_required", "none")
    if consent != "none":
        needed = f"; the campaign requires {required} consent" if required != "none" else ""
        lines.append(f"The contact had given {consent} consent{needed}.")
    lists, lifted = decision.get("screening_lists"), decision.get("lists_lifted_by_consent") or []
    if isinstance(lists, Mapping) and lists:
        checked = ", ".join(f"{name} ({day})" for name, day in lists.items())
        found = f"; written consent lifts the {' and the '.join(map(str, lifted))}" if lifted else ", without a match"
        lines.append(f"The number was checked against the {checked}{found}.")
    return lines


def _clock(value: object) -> str:
    try:
        local = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return f"{local:%A} {clock(local)}"
