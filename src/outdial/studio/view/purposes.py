"""How pages name purposes of campaigns, the consent they require, and screening lists."""

from collections.abc import Mapping
from typing import Final

from outdial.domain.purpose import ListKind, Purpose, RequiredConsent

PURPOSES: Final[Mapping[str, str]] = {
    Purpose.SALES: "Sales or marketing",
    Purpose.INFORMATIONAL: "Information, such as reminders",
    Purpose.SURVEY: "Survey or research",
    Purpose.COLLECTION: "Debt collection",
}
CONSENTS: Final[Mapping[str, str]] = {
    RequiredConsent.NONE: "None",
    RequiredConsent.EXPRESS: "Express consent",
    RequiredConsent.WRITTEN: "Written consent",
}
LISTS: Final[Mapping[str, str]] = {
    ListKind.NATIONAL: "National do-not-call list",
    ListKind.STATE: "State do-not-call lists",
    ListKind.LITIGATOR: "Litigators",
    ListKind.REASSIGNED: "Reassigned numbers",
}
