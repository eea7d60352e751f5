"""The retry policy in words: for each outcome when to try again, and how often; the domain's form and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from starlette.datastructures import FormData

from outdial.domain.outcomes import Outcome
from outdial.domain.retry import DEFAULT_POLICY, RetryRule, parse_retry_policy

_LEAST_DELAYS: Final = 3
_MOST_DELAYS: Final = 20
_UNITS: Final = (("d", "day", 86_400), ("h", "hour", 3600), ("m", "minute", 60), ("s", "second", 1))
_DELAYS: Final = ("5m", "10m", "15m", "30m", "1h", "2h", "4h", "8h", "1d", "2d", "3d", "7d")
_MOST_ATTEMPTS: Final = 10


@dataclass(frozen=True, slots=True)
class RetryRuleForm:
    """What is chosen for one outcome: delays such as 30m, an empty one being the same as before; attempts, or all."""

    delays: Sequence[str]
    attempts: str = ""


def rules_of_policy(policy: Mapping[str, Any]) -> dict[str, RetryRuleForm]:
    """Return the rules of a stored policy as the form has them."""
    return {str(outcome): _text_of(rule) for outcome, rule in parse_retry_policy(policy).rules.items()}


def rules_of_form(form: FormData) -> dict[str, RetryRuleForm]:
    """Return what was chosen; an outcome that the form does not have keeps its default."""
    rules = rules_of_policy({})
    for outcome in rules:
        delays = [str(value).strip() for value in form.getlist(f"retry_{outcome}_delay")][:_MOST_DELAYS]
        if any(delays):
            rules[outcome] = RetryRuleForm(_padded(delays), str(form.get(f"retry_{outcome}_attempts") or "").strip())
    return rules


def policy_of(rules: Mapping[str, RetryRuleForm], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policy that the rules mean, in the domain's form; what of `stored` is no rule stays.

    Rules that are the default are left out. What cannot be read is left as it is, for the domain to refuse.
    """
    policy = {key: value for key, value in stored.items() if key not in rules}
    defaults = rules_of_policy({})
    for outcome, rule in rules.items():
        if rule == defaults.get(outcome):
            continue
        chosen: dict[str, Any] = {"delays": _filled(rule.delays)}
        if rule.attempts:
            chosen["max_attempts"] = int(rule.attempts) if rule.attempts.isdecimal() else rule.attempts
        elif DEFAULT_POLICY.rules[Outcome(outcome)].max_attempts is not None:
            # Left out, it would be the default's: the campaign's own cap is always smaller than this.
            chosen["max_attempts"] = 100
        policy[outcome] = chosen
    return policy


def delay_options(chosen: Sequence[str], place: int) -> list[tuple[str, str]]:
    """Return what the select at a place offers, with what is chosen there when it is something else."""
    delays = [*_DELAYS]
    if chosen[place] and chosen[place] not in delays:
        delays.append(chosen[place])
    options = [(delay, duration_words(delay)) for delay in delays]
    return options if place == 0 else [("", "the same"), *options]


def attempt_options(chosen: str) -> list[tuple[str, str]]:
    """Return how many attempts there may be in all."""
    numbers = [str(number) for number in range(2, _MOST_ATTEMPTS + 1)]
    if chosen and chosen not in ("1", *numbers):
        numbers.append(chosen)
    return [("", "all attempts"), ("1", "1 attempt")] + [(number, f"{number} attempts") for number in numbers]


def duration_words(delay: str) -> str:
    """Return `30m` as 30 minutes."""
    for suffix, unit, _ in _UNITS:
        if delay.endswith(suffix):
            number = delay[: -len(suffix)]
            return f"{number} {unit}" if number == "1" else f"{number} {unit}s"
    return delay


def _filled(delays: Sequence[str]) -> list[str]:
    """Write out what is the same again, but for the end: the last delay repeats by itself."""
    filled: list[str] = []
    for delay in delays:
        filled.append(delay or (filled[-1] if filled else ""))
    while len(filled) > 1 and filled[-1] == filled[-2]:
        filled.pop()
    return filled


def _text_of(rule: RetryRule) -> RetryRuleForm:
    attempts = "" if rule.max_attempts is None or rule.max_attempts >= 100 else str(rule.max_attempts)
    return RetryRuleForm(_padded([_short(delay) for delay in rule.delays]), attempts)


def _padded(delays: Sequence[str]) -> list[str]:
    return [*delays, *[""] * (_LEAST_DELAYS - len(delays))]


def _short(delay: timedelta) -> str:
    seconds = int(delay.total_seconds())
    suffix, size = next((suffix, size) for suffix, _, size in _UNITS if seconds % size == 0)
    return f"{seconds // size}{suffix}"
