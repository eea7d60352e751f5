"""The interface between Outdial and a voice provider. `outdial.retell` implements it.

Dialer and inbox depend on these protocols only; each process passes in the provider it was composed with.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeAlias, TypeVar
from uuid import UUID

from outdial.domain.call import CallReport, DisconnectionReason
from outdial.domain.policies.voicemail import VoicemailOrder

Listed = TypeVar("Listed")


class RefusalKind(StrEnum):
    """The cause of a refusal. With every kind, the provider created no call."""

    contact = "contact"  # this number cannot be called
    do_not_call = "do_not_call"  # the provider's own list forbids calls to this number
    configuration = "configuration"  # the agent, the caller number or the request is wrong
    account = "account"  # the key or the payment: the provider accepts no calls
    capacity = "capacity"  # too many calls, or too fast
    unreachable = "unreachable"  # the request was never sent


@dataclass(frozen=True, slots=True)
class CallPlaced:
    """The provider has the call."""

    provider_call_id: str
    call_status: str | None = None


@dataclass(frozen=True, slots=True)
class CallRefused:
    """The provider has no call. `status` is the HTTP status, None if no request was sent."""

    kind: RefusalKind
    status: int | None
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class CallUncertain:
    """The provider may have the call. Look it up, or repeat the same request with the same key."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFound:
    """A call as the provider has it now.

    `event` and `body` are the webhook event that the call's state amounts to; both are None while it only rings.
    """

    call_status: str | None
    is_analyzed: bool
    event: str | None
    body: bytes | None


@dataclass(frozen=True, slots=True)
class CallMissing:
    """The provider knows no such call under this account."""


@dataclass(frozen=True, slots=True)
class CallsFound:
    """Ids of the calls that carry our call id, newest first."""

    provider_call_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The provider accepted the request to end the call."""


@dataclass(frozen=True, slots=True)
class CallDeleted:
    """The provider has deleted the call with its transcript, recording and analysis."""


@dataclass(frozen=True, slots=True)
class OptOutStored:
    """The provider's own list is as requested. `is_new` is false if it was before the request."""

    is_new: bool


@dataclass(frozen=True, slots=True)
class OptOutsListed:
    """A page of the phones on the provider's own list, and what selects the next page; None after the last one."""

    phones: tuple[str, ...]
    next_page: str | None


@dataclass(frozen=True, slots=True)
class ListedNumber:
    """A number that the provider account may call from, with its nickname and its agent for outbound calls."""

    phone: str
    nickname: str | None
    agent_id: str | None


@dataclass(frozen=True, slots=True)
class ListedAgent:
    """A voice agent of the account, with the name that the workspace knows it by."""

    agent_id: str
    name: str
    is_suspended: bool


@dataclass(frozen=True, slots=True)
class ListedPage(Generic[Listed]):
    """A page of numbers or agents of an account, and what selects the next page; None after the last one."""

    items: tuple[Listed, ...]
    next_page: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConcurrency:
    """Live calls of a provider account, and its limits."""

    current: int
    limit: int
    reserved_inbound: int
    burst_limit: int  # 0 while burst is off


@dataclass(frozen=True, slots=True)
class KeyAccepted:
    """The API key of the account is valid, for the workspace of this name and id; both may be unknown."""

    workspace: str
    workspace_id: str | None = None


@dataclass(frozen=True, slots=True)
class KeyRefused:
    """The provider refuses the API key of the account."""

    reason: str


@dataclass(frozen=True, slots=True)
class AgentFound:
    """An agent, with the variables that its prompt names and that have no default; None if its prompt is unreadable."""

    name: str
    variables: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class WorkspaceNumber:
    """A caller number of the workspace, and the countries that it may call; None for no restriction."""

    phone: str
    countries: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class AssetMissing:
    """The workspace has no such agent or number."""


@dataclass(frozen=True, slots=True)
class SoundOffered:
    """Where a browser hears a live call (a LiveKit server), with the token that lets it, as this participant.

    The token cannot speak until the participant takes the call over.
    """

    url: str
    token: str = field(repr=False)
    participant_id: str


@dataclass(frozen=True, slots=True)
class SoundInDashboardOnly:
    """The sound of this call comes by a transport that only the provider's own software plays."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """The agent has stopped, and the participant may speak."""


@dataclass(frozen=True, slots=True)
class CardDataSpoken:
    """The caller gives card data in a protected session, in which no one may take the call over."""


@dataclass(frozen=True, slots=True)
class ProviderUnavailable:
    """The request failed. `status` is the HTTP status, None without a response."""

    reason: str
    status: int | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """The call to create: our ids, the numbers in E.164, and the variables for the agent.

    The provider's events name a call with `is_test` as a test call: `call_id` is the id of one.
    """

    call_id: UUID
    campaign_id: UUID
    to_number: str
    from_number: str
    agent_id: str | None
    dynamic_variables: Mapping[str, str]
    on_voicemail: VoicemailOrder | None = None
    is_test: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKeys:
    """What identifies the call in an encoded create-call request."""

    idempotency_key: str
    to_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """A webhook event after parsing.

    `call_id` is our own call id if the event carries one, `test_call_id` that of a test call. `report` is None if the
    event does not change a call. `transcript_so_far` is what has been said in a live call, None for other events.
    `malformed` says why the body could not be parsed; `name` and `provider_call_id` may then be empty.
    """

    name: str
    provider_call_id: str
    call_id: UUID | None
    report: CallReport | None
    test_call_id: UUID | None = None
    transcript_so_far: str | None = None
    malformed: str | None = None


@dataclass(frozen=True, slots=True)
class AuthenticatedEvent:
    """An event whose signature is valid, and the credential whose key signed it."""

    credential: str
    event: ProviderEvent


BeforeSending: TypeAlias = Callable[[], Awaitable[None]]


class EventReader(Protocol):
    """Parses what the provider sends. Does no I/O."""

    def read_event(self, body: bytes) -> ProviderEvent:
        """Parse the body of a stored event. Never raises."""
        ...

    def read_reason(self, code: str | None) -> DisconnectionReason | None:
        """Return a stored disconnection reason with its outcome; None for None."""
        ...


class WebhookAuthenticator(Protocol):
    """Verifies and parses incoming webhooks."""

    def authenticate(self, body: bytes, signature: str | None, now: datetime) -> AuthenticatedEvent | None:
        """Return the event, or None if no key of ours made `signature`. Never raises."""
        ...


class VoiceProvider(Protocol):
    """Places and inspects calls. `credential` names the provider account.

    No method retries: the dialer decides what is repeated, and when. No method raises for a failed request.
    """

    def has_account(self, credential: str) -> bool:
        """Whether an API key is configured for this account."""
        ...

    def encode_request(self, request: CallRequest) -> bytes:
        """Return the request body of `create_call`. The same request always gives the same bytes."""
        ...

    def fills_variable(self, name: str) -> bool:
        """Whether the provider gives a variable of this name a value during the call."""
        ...

    def read_request(self, body: bytes) -> RequestKeys | None:
        """Return what identifies the call in a body of `encode_request`, or None when it cannot be read."""
        ...

    async def create_call(
        self, credential: str, body: bytes, *, before_sending: BeforeSending | None = None
    ) -> CallPlaced | CallRefused | CallUncertain:
        """Send one request to create a call.

        `before_sending` runs when the connection is ready, and the request leaves when it returns. It may run again if
        the connection closes meanwhile. What it raises is raised here, and nothing is sent.
        """
        ...

    async def get_call(self, credential: str, provider_call_id: str) -> CallFound | CallMissing | ProviderUnavailable:
        """Return the current state of one call."""
        ...

    async def find_calls(
        self, credential: str, call_id: UUID, *, is_test: bool = False
    ) -> CallsFound | ProviderUnavailable:
        """Return the calls created for our `call_id`. An empty result is certain: there is no such call."""
        ...

    async def end_call(self, credential: str, provider_call_id: str) -> CallEnded | CallMissing | ProviderUnavailable:
        """End a live call."""
        ...

    async def delete_call(
        self, credential: str, provider_call_id: str
    ) -> CallDeleted | CallMissing | ProviderUnavailable:
        """Delete what the provider stores about a call. It does not end a live call.

        CallMissing confirms the deletion, too: an earlier request may have deleted the call before its response was
        lost. After ProviderUnavailable, repeat the request.
        """
        ...

    async def get_concurrency(self, credential: str) -> AccountConcurrency | ProviderUnavailable:
        """Return the live calls and the limits of the account."""
        ...


class KeyTester(Protocol):
    """Tests API keys that are not stored yet."""

    async def test_key(self, api_key: str) -> KeyAccepted | KeyRefused | ProviderUnavailable:
        """Ask the provider about a key. Never raises, and no result contains the key."""
        ...


class WebhookKeySource(Protocol):
    """The stored keys that verify webhooks, as a process knows them."""

    def webhook_keys(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Return pairs of credential and key: the keys in use, then former ones that are still accepted."""
        ...

    @property
    def is_up_to_date(self) -> bool:
        """Whether the stored keys are read. If not, one of them may have made an unknown signature."""
        ...

    async def keep_fresh(self) -> None:
        """Read the stored keys again if that was some seconds ago. Never raises."""
        ...

    async def reload_for_unknown(self) -> bool:
        """Read the stored keys again, at most once a second; return whether it was done. Never raises."""
        ...


class WorkspaceDirectory(Protocol):
    """What a workspace has: its key, its agents and its caller numbers.

    No method retries, and none raises for a failed request. `credential` names the provider account.
    """

    def has_account(self, credential: str) -> bool:
        """Whether an API key is configured for this account."""
        ...

    def fills_variable(self, name: str) -> bool:
        """Whether the provider gives a variable of this name a value during the call."""
        ...

    async def check_key(self, credential: str) -> KeyAccepted | KeyRefused | ProviderUnavailable:
        """Ask whether the key of the account is valid."""
        ...

    async def find_agent(self, credential: str, agent_id: str) -> AgentFound | AssetMissing | ProviderUnavailable:
        """Return an agent with the variables of its prompt."""
        ...

    async def find_number(self, credential: str, phone: str) -> WorkspaceNumber | AssetMissing | ProviderUnavailable:
        """Return a caller number of the workspace."""
        ...


class CallSound(Protocol):
    """The sound of live calls: a member hears one, and takes it over.

    No method retries, and none raises for a failed request. `credential` names the provider account.
    """

    def has_account(self, credential: str) -> bool:
        """Whether an API key is configured for this account."""
        ...

    async def listen(
        self, credential: str, provider_call_id: str
    ) -> SoundOffered | SoundInDashboardOnly | CallMissing | ProviderUnavailable:
        """Let someone hear a call. CallMissing if no one is on the line."""
        ...

    async def take_over(
        self, credential: str, provider_call_id: str, participant_id: str
    ) -> TakenOver | CardDataSpoken | CallMissing | ProviderUnavailable:
        """Stop the agent for good, and let a participant of `listen` speak."""
        ...


class OptOutDirectory(Protocol):
    """The provider's own do-not-call list, which also applies to calls that Outdial did not place.

    No method retries, and none raises for a failed request. `credential` names the provider account.
    """

    def has_account(self, credential: str) -> bool:
        """Whether an API key is configured for this account."""
        ...

    async def set_opt_out(
        self, credential: str, phone: str, *, do_not_call: bool
    ) -> OptOutStored | ProviderUnavailable:
        """Put a phone on the list, or take it off. Repeating the request changes nothing."""
        ...

    async def list_opt_outs(self, credential: str, page: str | None) -> OptOutsListed | ProviderUnavailable:
        """Return a page of the list, the first one for None."""
        ...


class CallerNumberDirectory(Protocol):
    """The numbers that a provider account may call from, and its agents.

    No method retries, and none raises for a failed request. `credential` names the provider account.
    """

    def has_account(self, credential: str) -> bool:
        """Whether an API key is configured for this account."""
        ...

    async def list_numbers(self, credential: str, page: str | None) -> ListedPage[ListedNumber] | ProviderUnavailable:
        """Return a page of the account's numbers, the first one for None."""
        ...

    async def list_agents(self, credential: str, page: str | None) -> ListedPage[ListedAgent] | ProviderUnavailable:
        """Return a page of the account's voice agents, the first one for None."""
        ...
