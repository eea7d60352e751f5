"""What can go wrong with campaigns: one tree, in which the message says what to do.

CampaignsError
├── InvalidCampaign
├── CredentialTaken
├── NoProviderAccount
├── AmbiguousAccount
├── CampaignNotFound
├── CampaignClosed
├── UnusableFile
└── UnknownRegion
"""

from collections.abc import Sequence
from uuid import UUID


class CampaignsError(Exception):
    """Something about a campaign is not as it must be."""


class InvalidCampaign(CampaignsError):
    """A field of a new campaign cannot be used."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class CredentialTaken(CampaignsError):
    """A Retell workspace has one set of limits, so its credential belongs to one organization."""

    def __init__(self, credential: str) -> None:
        super().__init__(
            f"the credential {credential!r} belongs to another organization already; name another one, and set "
            f"RETELL_API_KEY_<NAME> and RETELL_WEBHOOK_SECRET_<NAME> for it"
        )


class NoProviderAccount(CampaignsError):
    """The organization has no Retell workspace to call through, or it does not exist."""

    def __init__(self, organization_id: UUID) -> None:
        super().__init__(f"organization {organization_id} has no provider account, or does not exist")


class AmbiguousAccount(CampaignsError):
    """The organization has several Retell workspaces, and the campaign names none."""

    def __init__(self, credentials: Sequence[str]) -> None:
        super().__init__(f"name the provider account: the organization has {', '.join(credentials)}")


class CampaignNotFound(CampaignsError):
    """There is no such campaign, or it is not the caller's to change."""

    def __init__(self, campaign_id: UUID) -> None:
        super().__init__(f"there is no campaign {campaign_id}, or you may not change it")


class CampaignClosed(CampaignsError):
    """The campaign is in a `status` that takes no contacts; `added` of this import had gone in before, and stay."""

    def __init__(self, status: str, added: int) -> None:
        before = f"; {added:,} had gone in before, and stay" if added else ""
        super().__init__(f"the campaign is {status} and takes no more contacts{before}")
        self.status = status
        self.added = added


class UnusableFile(CampaignsError):
    """The file as a whole cannot be imported; nothing of it has gone in."""


class UnknownRegion(CampaignsError):
    """The default region is no ISO 3166 country that libphonenumber knows."""
