"""The errors of the domain: input that breaks a rule, with a message that says what to do, and broken invariants."""

import inspect


class DomainError(ValueError):
    """A rule of the domain is broken; change the input."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(type(self)))


class InvalidCallingHours(DomainError):
    """Calling hours are not valid; give days with windows, such as {"monday": [["09:00", "20:00"]]}."""


class InvalidRetryPolicy(DomainError):
    """The retry policy is not valid; give rules by outcome, such as {"no_answer": {"delays": ["30m"]}}."""


class InvalidCallbackPolicy(DomainError):
    """The callback policy is not valid; give an object such as {"time_field": "callback_at"}."""


class InvalidVoicemailPolicy(DomainError):
    """The voicemail policy is not valid; give an object such as {"action": "hang_up"}."""


class InvalidRule(DomainError):
    """A calling rule is not valid; `field` names the field to change, empty if it is the rule as a whole."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class UnknownZone(DomainError):
    """The time zone is not known; use an IANA name such as America/New_York."""


class InvalidId(DomainError):
    """The id carries no time; use a version 7 UUID."""


class InvariantBroken(Exception):
    """Something that must always hold does not: a bug in Outdial, never a mistake in the input."""
