"""Consent: what a contact agreed to, and whether it covers the calls of a campaign."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from outdial.domain.purpose import Purpose, RequiredConsent


class Basis(StrEnum):
    """The kind of a consent. An existing business relationship is kept as evidence and replaces neither of the others.

    `none` records that the contact refused: it revokes what was given before.
    """

    WRITTEN = "written"
    EXPRESS = "express"
    EXISTING_BUSINESS = "existing_business"
    NONE = "none"


class Scope(StrEnum):
    """The purpose of the calls that a consent or an opt-out is about."""

    ANY = "any"
    SALES = "sales"
    INFORMATIONAL = "informational"
    SURVEY = "survey"
    COLLECTION = "collection"


LONGEST_SOURCE: Final = 200
LONGEST_CONSENT_TEXT: Final = 10_000
LONGEST_URL: Final = 2_000
LONGEST_REVOCATION: Final = 500

_ACCEPTED: Final[Mapping[RequiredConsent, tuple[str, ...]]] = {
    RequiredConsent.NONE: (),
    RequiredConsent.EXPRESS: (Basis.EXPRESS.value, Basis.WRITTEN.value),
    RequiredConsent.WRITTEN: (Basis.WRITTEN.value,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenConsent:
    """One consent of a contact as it was given; any but a refusal names a source, a text or a URL."""

    basis: Basis
    scope: Scope
    source: str | None
    text: str | None
    url: str | None
    given_at: datetime


@dataclass(frozen=True, slots=True)
class InvalidConsent:
    """A consent that cannot be recorded: the field and the reason."""

    field: str
    reason: str


def scopes_of(purpose: Purpose) -> list[str]:
    """Return the scopes of consents and opt-outs that are about calls for `purpose`."""
    return [Scope.ANY.value, purpose.value]


def accepted_bases(required: RequiredConsent) -> list[str]:
    """Return the bases that are enough for a campaign; none if it requires no consent."""
    return list(_ACCEPTED[required])


def covers(required: RequiredConsent, basis: str) -> bool:
    """Return whether the strongest consent of a contact, empty for none, is enough."""
    return required is RequiredConsent.NONE or basis in _ACCEPTED[required]


def no_consent(required: RequiredConsent, purpose: Purpose) -> str:
    """Return the status reason of a contact that is skipped for lack of consent.

    The triggers that reopen such contacts compare with this text.
    """
    return f"no {required} consent for {purpose} calls on record"


def check_consent(consent: GivenConsent, now: datetime) -> InvalidConsent | None:
    """Return why `consent` cannot be recorded at `now`."""
    if consent.given_at > now:
        return InvalidConsent("given_at", "is in the future: give the time at which the contact gave consent")
    if consent.basis is not Basis.NONE and not (consent.source or consent.text or consent.url):
        return InvalidConsent("source", "is missing: say where consent was given, or give its text or URL")
    if consent.url and not consent.url.startswith(("https://", "http://")):
        return InvalidConsent("url", "is not a URL that begins with https:// or http://")
    for field, value, longest in (
        ("source", consent.source, LONGEST_SOURCE),
        ("text", consent.text, LONGEST_CONSENT_TEXT),
        ("url", consent.url, LONGEST_URL),
    ):
        if value and len(value) > longest:
            return InvalidConsent(field, f"is longer than {longest:,} characters")
    return None
