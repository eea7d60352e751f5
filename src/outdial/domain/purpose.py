"""The purpose of a campaign's calls, and the consent and screening lists that a campaign may require."""

from enum import StrEnum


class Purpose(StrEnum):
    """Why a campaign calls. Calling rules apply to some purposes only."""

    SALES = "sales"
    INFORMATIONAL = "informational"
    SURVEY = "survey"
    COLLECTION = "collection"


class RequiredConsent(StrEnum):
    """The consent that contacts of a campaign must have given. Written consent includes express consent."""

    NONE = "none"
    EXPRESS = "express"
    WRITTEN = "written"


def is_stronger(consent: RequiredConsent, other: RequiredConsent) -> bool:
    """Return whether a consent is more than another one: written is more than express."""
    order = list(RequiredConsent)
    return order.index(consent) > order.index(other)


class ListKind(StrEnum):
    """A kind of screening list: numbers from outside the organization that must not be called."""

    NATIONAL = "national"
    STATE = "state"
    LITIGATOR = "litigator"
    REASSIGNED = "reassigned"
