"""What a claim wrote down about a call, and what a call came to, in words for people."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from outdial.domain.outcomes import Outcome, RetryClass
from outdial.retell.dispositions import DISPOSITIONS, outcome_of

_ZONE_SOURCES: Final = {
    "contact": "the contact's own entry says so",
    "number": "the phone number lies there",
}

_OUTCOMES: Final[Mapping[Outcome, str]] = {
    Outcome.ANSWERED: "A person answered.",
    Outcome.TRANSFERRED: "The call was handed over to a person.",
    Outcome.VOICEMAIL: "A mailbox answered.",
    Outcome.IVR: "A telephone menu answered.",
    Outcome.NO_ANSWER: "Nobody answered.",
    Outcome.BUSY: "The line was busy.",
    Outcome.DECLINED: "The call was declined.",
    Outcome.INVALID_NUMBER: "The number cannot be called.",
    Outcome.DO_NOT_CALL: "The person asked not to be called again.",
    Outcome.CALLBACK_REQUESTED: "The person asked to be called back.",
    Outcome.STOPPED: "Somebody stopped the call by hand.",
    Outcome.BLOCKED: "The caller number was marked as spam, or the network refused it.",
    Outcome.PROVIDER_FAULT: "The call failed at Retell or in the network.",
    Outcome.NO_CAPACITY: "There was no free line at Retell.",
    Outcome.ACCOUNT_FAULT: "The Retell account needs its owner.",
    Outcome.UNKNOWN: "What the contact heard is not known.",
}
_FOLLOWS: Final[Mapping[RetryClass, str]] = {
    RetryClass.DONE: "The contact is completed.",
    RetryClass.RETRY: "It counts as an attempt, and the campaign's retry policy decides whether to call again.",
    RetryClass.FAULT: "It uses up no attempt; the call is made again a few times before a person has to look.",
    RetryClass.FINAL: "The contact has failed and is not called again.",
    RetryClass.DO_NOT_CALL: "The contact is not called again, and the number goes on the do-not-call list.",
    RetryClass.ACCOUNT: "It uses up no attempt; the campaigns of the account pause until the account works again.",
    RetryClass.HOLD: "A person has to look at the contact.",
}

REACHED: Final = sorted(
    outcome.value for outcome in Outcome if outcome.retry_class in (RetryClass.DONE, RetryClass.DO_NOT_CALL)
)
"""The outcomes of calls in which somebody was spoken to: what a report counts as answered."""


def explain_reason(reason: str | None) -> list[str]:
    """Return what a `disconnection_reason` of Retell means, and what follows from it for the contact."""
    if reason is None:
        return ["Retell has not said yet why the call ended."]
    outcome = outcome_of(reason)
    known = [] if reason in DISPOSITIONS else ["Retell has begun to use this reason after this version was made."]
    return [*known, _OUTCOMES[outcome], _FOLLOWS[outcome.retry_class]]


def explain_decision(decision: Mapping[str, Any]) -> list[str]:
    """Return why a call was allowed, a sentence for each check; what the decision does not hold is left out."""
    return [*_zone_lines(decision), *_limit_lines(decision)]


def _zone_lines(decision: Mapping[str, Any]) -> Iterator[str]:
    zones = str(decision.get("zone_key", "")).split("|")
    source = _ZONE_SOURCES.get(str(decision.get("zone_source")))
    if zones != [""]:
        places = " or ".join(zone.replace("_", " ") for zone in zones)
        yield f"The contact is in {places}" + (f": {source}." if source else ".")
    times = decision.get("local_times")
    if isinstance(times, Mapping) and times:
        clocks = ", ".join(f"{_clock(value)} in {str(zone).replace('_', ' ')}" for zone, value in times.items())
        yield (
            f"It was {clocks}, "
            + ("within" if decision.get("calling_hours") == "open" else "against")
            + (" the campaign's calling hours.")
        )


def _limit_lines(decision: Mapping[str, Any]) -> Iterator[str]:
    if (listed := decision.get("do_not_call")) is not None:
        yield f"The number was {listed} on the do-not-call list.".replace("not listed on", "not on")
    if {"attempts", "max_attempts"} <= decision.keys():
        made = decision["attempts"]
        yield f"{made} of at most {decision['max_attempts']} attempts had been made."
    if {"calls_in_24_hours", "daily_call_cap"} <= decision.keys():
        had = decision["calls_in_24_hours"]
        calls = "1 call" if had == 1 else f"{had} calls"
        yield f"The number had had {calls} in 24 hours; the organization allows {decision['daily_call_cap']}."
    if {"live_calls", "concurrency_limit"} <= decision.keys():
        reserved = decision.get("reserved_inbound")
        kept = f", {reserved} of them kept for inbound calls" if reserved else ""
        yield f"The account had {decision['live_calls']} of {decision['concurrency_limit']} calls under way{kept}."


def _clock(value: object) -> str:
    try:
        return f"{datetime.fromisoformat(str(value)):%A %H:%M}"
    except ValueError:
        return str(value)
