"""The retry section of the campaign form, converted from and to the domain's retry policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import FormData

from outdial.domain.limits import MAX_ATTEMPTS, RETRY_ATTEMPTS
from outdial.domain.outcomes import Outcome
from outdial.domain.retry import DEFAULT_POLICY, parse_retry_policy
from outdial.studio.web.forms import text

_MIN_DELAYS: Final = 3
_MAX_DELAYS: Final = 20
_UNITS: Final = (("d", "day", 86_400), ("h", "hour", 3600), ("m", "minute", 60), ("s", "second", 1))
_DELAYS: Final = ("5m", "10m", "15m", "30m", "1h", "2h", "4h", "8h", "1d", "2d", "3d", "7d")
_MAX_ATTEMPTS: Final = 10


@dataclass(frozen=True, slots=True)
class RetryRuleForm:
    """Form values of one outcome: delays such as 30m (empty repeats the last), and attempts (empty: no limit)."""

    delays: Sequence[str]
    attempts: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPreset:
    """Retries with a name. `text` says what a contact who is not reached gets."""

    key: str
    label: str
    text: str
    attempts: int
    policy: Mapping[str, Any]

    @property
    def rules(self) -> dict[str, RetryRuleForm]:
        """The form values of the policy."""
        return rules_from_policy(self.policy)

    @property
    def fields(self) -> dict[str, Sequence[str]]:
        """The fields of the form that show the preset, by name."""
        fields: dict[str, Sequence[str]] = {MAX_ATTEMPTS.name: [str(self.attempts)]}
        for outcome, rule in self.rules.items():
            fields |= {f"retry_{outcome}_delay": rule.delays, f"retry_{outcome}_attempts": [rule.attempts]}
        return fields


@dataclass(frozen=True, slots=True)
class ChosenPreset:
    """The values that a chosen preset gives to the form; empty when the details of the form apply."""

    rules: Mapping[str, RetryRuleForm]
    limits: Mapping[str, str]


CUSTOM: Final = "custom"
PRESETS: Final = (
    RetryPreset(
        key="gentle",
        label="Gentle",
        text="Up to 2 attempts: the second on the next day.",
        attempts=2,
        policy={
            "no_answer": {"delays": ["1d"]},
            "busy": {"delays": ["2h"]},
            "voicemail": {"delays": ["1d"]},
            "ivr": {"delays": ["1d"], "max_attempts": 1},
            "declined": {"delays": ["1d"], "max_attempts": 1},
        },
    ),
    RetryPreset(
        key="standard",
        label="Standard",
        text="Up to 3 attempts: after half an hour, then after two hours. After voicemail, four hours later.",
        attempts=MAX_ATTEMPTS.default,
        policy={},
    ),
    RetryPreset(
        key="persistent",
        label="Persistent",
        text="Up to 6 attempts: the first three on one day, then one a day.",
        attempts=6,
        policy={"busy": {"delays": ["30m", "2h", "1d"]}, "voicemail": {"delays": ["2h", "4h", "1d"]}},
    ),
)


def preset_of(rules: Mapping[str, RetryRuleForm], attempts: str) -> str:
    """Return the key of the preset with these form values; CUSTOM for others."""
    return next((each.key for each in PRESETS if str(each.attempts) == attempts and each.rules == rules), CUSTOM)


def preset_from_request(form: FormData) -> ChosenPreset:
    """Return the values of a newly chosen preset.

    The form names the preset it showed: if that one is still chosen, its details apply, which may have been edited.
    """
    chosen = text(form, "retry_preset")
    for preset in PRESETS:
        if preset.key == chosen != text(form, "retry_preset_shown"):
            return ChosenPreset(preset.rules, {MAX_ATTEMPTS.name: str(preset.attempts)})
    return ChosenPreset({}, {})


def rules_from_policy(policy: Mapping[str, Any]) -> dict[str, RetryRuleForm]:
    """Return the form values of a stored policy."""
    forms = {}
    for outcome, rule in parse_retry_policy(policy).rules.items():
        is_limited = rule.max_attempts is not None and rule.max_attempts < RETRY_ATTEMPTS.most
        delays = []
        for delay in rule.delays:
            seconds = int(delay.total_seconds())
            suffix, size = next((suffix, size) for suffix, _, size in _UNITS if seconds % size == 0)
            delays.append(f"{seconds // size}{suffix}")
        forms[str(outcome)] = RetryRuleForm(_padded(delays), str(rule.max_attempts) if is_limited else "")
    return forms


def rules_from_form(form: FormData) -> dict[str, RetryRuleForm]:
    """Return the submitted form values; outcomes missing from the form keep their defaults."""
    rules = rules_from_policy({})
    for outcome in rules:
        delays = [str(value).strip() for value in form.getlist(f"retry_{outcome}_delay")][:_MAX_DELAYS]
        if any(delays):
            rules[outcome] = RetryRuleForm(_padded(delays), str(form.get(f"retry_{outcome}_attempts") or "").strip())
    return rules


def policy_from_rules(rules: Mapping[str, RetryRuleForm], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Convert form values to the domain's JSON form; entries of `stored` that are not rules are kept.

    Default rules are omitted. Unparseable values pass through, for the domain to reject.
    """
    policy = {key: value for key, value in stored.items() if key not in rules}
    defaults = rules_from_policy({})
    for outcome, rule in rules.items():
        if rule == defaults.get(outcome):
            continue
        selected: dict[str, Any] = {"delays": _filled(rule.delays)}
        if rule.attempts:
            selected["max_attempts"] = int(rule.attempts) if rule.attempts.isdecimal() else rule.attempts
        elif DEFAULT_POLICY.rules[Outcome(outcome)].max_attempts is not None:
            # Omitting it would restore the default's cap; this exceeds every campaign's own limit.
            selected["max_attempts"] = RETRY_ATTEMPTS.most
        policy[outcome] = selected
    return policy


def delay_options(selected: Sequence[str], place: int) -> list[tuple[str, str]]:
    """Return the options of the select at position `place`, including its current value when it is not a usual one."""
    delays = [*_DELAYS]
    if selected[place] and selected[place] not in delays:
        delays.append(selected[place])
    options = [(delay, delay_text(delay)) for delay in delays]
    return options if place == 0 else [("", "same delay"), *options]


def attempt_options(selected: str) -> list[tuple[str, str]]:
    """Return the options for the maximum number of attempts."""
    numbers = [str(number) for number in range(2, _MAX_ATTEMPTS + 1)]
    if selected and selected not in ("1", *numbers):
        numbers.append(selected)
    return [("", "no limit"), ("1", "1 attempt")] + [(number, f"{number} attempts") for number in numbers]


def delay_text(delay: str) -> str:
    """Return `30m` as 30 minutes."""
    for suffix, unit, _ in _UNITS:
        if delay.endswith(suffix):
            number = delay[: -len(suffix)]
            return f"{number} {unit}" if number == "1" else f"{number} {unit}s"
    return delay


def _filled(delays: Sequence[str]) -> list[str]:
    """Fill in repeated delays, then drop trailing repeats: the last delay repeats automatically."""
    filled: list[str] = []
    for delay in delays:
        filled.append(delay or (filled[-1] if filled else ""))
    while len(filled) > 1 and filled[-1] == filled[-2]:
        filled.pop()
    return filled


def _padded(delays: Sequence[str]) -> list[str]:
    return [*delays, *[""] * (_MIN_DELAYS - len(delays))]
