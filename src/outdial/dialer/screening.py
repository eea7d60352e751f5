"""What a campaign must know about a contact before it calls: consent, and lists that may not have its number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from outdial.db.queries import screening as queries
from outdial.db.session import Connection
from outdial.domain.permission.consent import Basis, covers
from outdial.domain.permission.screening import LIFTED_BY_CONSENT, ScreeningList, applied_kinds
from outdial.domain.purpose import ListKind, Purpose, RequiredConsent


class ScreenedContact(Protocol):
    """A contact with the strongest consent of its phone, empty for none, and the lists that have its number."""

    @property
    def consent(self) -> str: ...
    @property
    def listed_on(self) -> Sequence[UUID]: ...


class ScreeningCampaign(Protocol):
    """What a campaign requires, as its row has it."""

    @property
    def purpose(self) -> str: ...
    @property
    def consent_required(self) -> str: ...
    @property
    def lists_required(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """The consent that a campaign requires, and the complete lists that apply to it."""

    purpose: Purpose
    consent_required: RequiredConsent
    lists: Mapping[UUID, ScreeningList]

    def has_consent(self, contact: ScreenedContact) -> bool:
        """Return whether the contact has given the consent that the campaign requires."""
        return covers(self.consent_required, contact.consent)

    def list_with(self, contact: ScreenedContact) -> ScreeningList | None:
        """Return the first list with the number of the contact, unless the contact's written consent lifts it."""
        lifted = self.lifted_lists(contact)
        return next((each for each in self._lists_with(contact) if each not in lifted), None)

    def lifted_lists(self, contact: ScreenedContact) -> list[ScreeningList]:
        """Return the lists with the number of the contact that its written consent lifts."""
        if contact.consent != Basis.WRITTEN:
            return []
        return [each for each in self._lists_with(contact) if each.kind in LIFTED_BY_CONSENT]

    def _lists_with(self, contact: ScreenedContact) -> list[ScreeningList]:
        return [each for list_id, each in self.lists.items() if list_id in contact.listed_on]


async def screening_lists(connection: Connection, organization_id: UUID) -> dict[UUID, ScreeningList]:
    """Return the complete lists of an organization by id."""
    rows = await queries.current_screening_lists(connection, organization_id=organization_id)
    return {
        row.id: ScreeningList(kind=ListKind(row.kind), jurisdiction=row.jurisdiction, registry_date=row.registry_date)
        for row in rows
    }


def screening_of(campaign: ScreeningCampaign, lists: Mapping[UUID, ScreeningList]) -> Screening:
    """Return what a campaign checks of each contact. Lists that no consent lifts come first."""
    purpose = Purpose(campaign.purpose)
    kinds = applied_kinds(purpose, [ListKind(kind) for kind in campaign.lists_required])
    applied = [(list_id, each) for list_id, each in lists.items() if each.kind in kinds]
    return Screening(
        purpose=purpose,
        consent_required=RequiredConsent(campaign.consent_required),
        lists=dict(sorted(applied, key=lambda item: item[1].kind in LIFTED_BY_CONSENT)),
    )
