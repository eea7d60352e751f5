"""The errors of campaigns: one tree, whose messages say what to do.

CampaignsError
├── InvalidField
│   ├── InvalidCampaign
│   ├── InvalidBudget
│   ├── InvalidScreeningList
│   ├── InvalidSwitch
│   └── InvalidBulkAction
├── CredentialTaken
├── NoProviderAccount
├── AmbiguousAccount
├── CampaignNotFound
├── CampaignClosed
├── InvalidItem
├── UnusableFile
├── UnknownRegion
├── RuleIdTaken
├── ErasureKeyMissing
├── TooManyColumns
├── InvalidSelection
└── InvalidRetention
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from outdial.campaigns.importing.refusals import Refusal


class CampaignsError(Exception):
    """The base of all errors of campaigns."""


class InvalidField(CampaignsError):
    """A field cannot be used as given; `reason` says why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class InvalidCampaign(InvalidField):
    """A setting of a campaign is not valid."""


class InvalidBudget(InvalidField):
    """A budget of an organization is not valid."""


class InvalidSelection(CampaignsError):
    """Filters of contacts cannot be used as given; `reasons` says why, by filter."""

    def __init__(self, summary: str, reasons: Mapping[str, str]) -> None:
        super().__init__(f"{summary}: {', '.join(f'{name}: {reason}' for name, reason in reasons.items())}")
        self.summary = summary
        self.reasons = reasons


class CredentialTaken(CampaignsError):
    """A Retell workspace has one set of limits, so its credential belongs to one organization."""

    def __init__(self, credential: str) -> None:
        super().__init__(
            f"the credential {credential!r} already belongs to another organization; choose another one, and set "
            f"RETELL_API_KEY_<NAME> and RETELL_WEBHOOK_SECRET_<NAME> for it"
        )


class NoProviderAccount(CampaignsError):
    """The organization has no Retell workspace to call through, or it does not exist."""

    def __init__(self, organization_id: UUID) -> None:
        super().__init__(f"organization {organization_id} has no provider account, or does not exist")


class AmbiguousAccount(CampaignsError):
    """The organization has several Retell workspaces, and the campaign names none."""

    def __init__(self, credentials: Sequence[str]) -> None:
        super().__init__(f"choose a provider account: the organization has {', '.join(credentials)}")


class CampaignNotFound(CampaignsError):
    """The campaign does not exist, or the caller may not change it."""

    def __init__(self, campaign_id: UUID) -> None:
        super().__init__(f"campaign {campaign_id} does not exist, or you may not change it")


class CampaignClosed(CampaignsError):
    """The campaign's `status` takes no contacts; `added` contacts of this import were stored before, and are kept."""

    def __init__(self, status: str, added: int) -> None:
        before = f"; {added:,} were added before and are kept" if added else ""
        super().__init__(f"the campaign is {status} and accepts no more contacts{before}")
        self.status = status
        self.added = added


class InvalidItem(CampaignsError):
    """A value of a contact in a request cannot be used; `kind` is the kind of the refusal of its item."""

    def __init__(self, kind: Refusal, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.kind = kind
        self.field = field or None


class InvalidScreeningList(InvalidField):
    """A screening list cannot be uploaded as described."""


class UnusableFile(CampaignsError):
    """The file as a whole cannot be imported; none of its rows was stored."""


class UnknownRegion(CampaignsError):
    """libphonenumber does not know the default region (ISO 3166)."""


class RuleIdTaken(CampaignsError):
    """The organization has a calling rule with this id. Rules never change: a new one needs another id."""

    def __init__(self, rule_id: str) -> None:
        super().__init__(f"{rule_id} exists already; give the new rule another id, and switch the old one off")


class InvalidSwitch(InvalidField):
    """A calling rule cannot be switched off or on like this."""


class ErasureKeyMissing(CampaignsError):
    """Erased phones cannot be recognized, so no contact may be added: it could be one of them."""

    def __init__(self, *, is_set: bool) -> None:
        problem = "has none of the keys" if is_set else "is not set, which is the key"
        super().__init__(
            f"OUTDIAL_ERASURE_KEY {problem} that phones of this organization were erased with: set it to that key in "
            "every process, and list an old key after the new one"
        )


class TooManyColumns(CampaignsError):
    """The results of a campaign do not fit into the columns of a file."""


class InvalidRetention(CampaignsError):
    """How long data is kept is not valid; `problems` says what is wrong by field."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems.items()))
        self.problems = problems


class InvalidBulkAction(InvalidField):
    """An action on many contacts cannot be requested like this."""
