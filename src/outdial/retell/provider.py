"""Retell as a voice provider."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, assert_never
from uuid import UUID

from outdial.provider import (
    AccountConcurrency,
    AgentFound,
    AssetMissing,
    BeforeSending,
    CallDeleted,
    CallEnded,
    CallFound,
    CallMissing,
    CallPlaced,
    CallRefused,
    CallRequest,
    CallsFound,
    CallUncertain,
    CardDataSpoken,
    KeyAccepted,
    KeyRefused,
    ListedAgent,
    ListedNumber,
    ListedPage,
    OptOutsListed,
    OptOutStored,
    ProviderUnavailable,
    RefusalKind,
    RequestKeys,
    SoundInDashboardOnly,
    SoundOffered,
    TakenOver,
    WorkspaceNumber,
)
from outdial.retell import call_sound, workspace_assets
from outdial.retell.client import (
    ContactMissing,
    ContactRetrieved,
    RetellClient,
    create_call_body,
    id_label,
    read_call_body,
)

_FINISHED: Final = frozenset({"ended", "not_connected", "error"})


class RetellProvider:
    """Implements the interfaces of `provider.py` for calls, their sound, workspaces, opt-outs and numbers."""

    def __init__(self, clients: Mapping[str, RetellClient]) -> None:
        self._clients = clients

    def has_account(self, credential: str) -> bool:
        """Whether there is a client, and so an API key, for this credential."""
        return credential in self._clients

    def encode_request(self, request: CallRequest) -> bytes:
        """Return the body of create-phone-call."""
        return create_call_body(
            call_id=request.call_id,
            campaign_id=request.campaign_id,
            to_number=request.to_number,
            from_number=request.from_number,
            agent_id=request.agent_id,
            dynamic_variables=request.dynamic_variables,
            on_voicemail=request.on_voicemail,
            is_test=request.is_test,
        )

    def fills_variable(self, name: str) -> bool:
        """Whether Retell fills a variable of this name."""
        return workspace_assets.fills_variable(name)

    def read_request(self, body: bytes) -> RequestKeys | None:
        """Read the idempotency key and the number in a body of create-phone-call."""
        return read_call_body(body)

    async def create_call(
        self, credential: str, body: bytes, *, before_sending: BeforeSending | None = None
    ) -> CallPlaced | CallRefused | CallUncertain:
        """POST /v2/create-phone-call. Without an API key, the account is refused and nothing is sent."""
        client = self._clients.get(credential)
        if client is None:
            return CallRefused(RefusalKind.account, None, _no_key(credential))
        response = await client.create_phone_call(body, before_sending=before_sending)
        if isinstance(response, CallRefused) and response.status == 400 and response.kind is RefusalKind.contact:
            return await _with_opt_out(client, body, response)
        return response

    async def get_call(self, credential: str, provider_call_id: str) -> CallFound | CallMissing | ProviderUnavailable:
        """GET /v2/get-call, and name the webhook event that the call's state amounts to."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        response = await client.get_call(provider_call_id)
        if isinstance(response, CallMissing | ProviderUnavailable):
            return response
        is_analyzed = response.call.call_analysis is not None
        event: str | None = None
        if response.call.call_status in _FINISHED:
            event = "call_analyzed" if is_analyzed else "call_ended"
        elif response.call.call_status == "ongoing":
            event = "call_started"
        return CallFound(
            call_status=response.call.call_status,
            is_analyzed=is_analyzed,
            event=event,
            body=None if event is None else b'{"event":"%s","call":%s}' % (event.encode(), response.raw),
        )

    async def find_calls(
        self, credential: str, call_id: UUID, *, is_test: bool = False
    ) -> CallsFound | ProviderUnavailable:
        """POST /v3/list-calls for the calls with our id in their metadata."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        response = await client.list_calls(metadata_key=id_label(is_test=is_test), metadata_value=str(call_id))
        if isinstance(response, ProviderUnavailable):
            return response
        return CallsFound(tuple(call.call_id or "" for call in response.calls))

    async def end_call(self, credential: str, provider_call_id: str) -> CallEnded | CallMissing | ProviderUnavailable:
        """POST /v2/stop-call."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        return await client.stop_call(provider_call_id)

    async def listen(
        self, credential: str, provider_call_id: str
    ) -> SoundOffered | SoundInDashboardOnly | CallMissing | ProviderUnavailable:
        """POST /v2/listen-live-call."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        return await call_sound.listen(client, provider_call_id)

    async def take_over(
        self, credential: str, provider_call_id: str, participant_id: str
    ) -> TakenOver | CardDataSpoken | CallMissing | ProviderUnavailable:
        """POST /v2/take-over-live-call."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        return await call_sound.take_over(client, provider_call_id, participant_id)

    async def delete_call(
        self, credential: str, provider_call_id: str
    ) -> CallDeleted | CallMissing | ProviderUnavailable:
        """DELETE /v2/delete-call."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        return await client.delete_call(provider_call_id)

    async def get_concurrency(self, credential: str) -> AccountConcurrency | ProviderUnavailable:
        """GET /get-concurrency."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        return await client.get_concurrency()

    async def check_key(self, credential: str) -> KeyAccepted | KeyRefused | ProviderUnavailable:
        """GET /get-api-key-info."""
        client = self._clients.get(credential)
        return KeyRefused(_no_key(credential)) if client is None else await workspace_assets.check_key(client)

    async def find_agent(self, credential: str, agent_id: str) -> AgentFound | AssetMissing | ProviderUnavailable:
        """GET /get-agent, and its prompt."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        return await workspace_assets.find_agent(client, agent_id)

    async def find_number(self, credential: str, phone: str) -> WorkspaceNumber | AssetMissing | ProviderUnavailable:
        """GET /get-phone-number."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        return await workspace_assets.find_number(client, phone)

    async def set_opt_out(
        self, credential: str, phone: str, *, do_not_call: bool
    ) -> OptOutStored | ProviderUnavailable:
        """Set the do-not-call flag of the workspace's contact; create the contact if there is none."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        found = await client.get_contact_by_phone(phone)
        if isinstance(found, ContactRetrieved) and bool(found.contact.do_not_call) is do_not_call:
            return OptOutStored(is_new=False)
        match found:
            case ContactRetrieved(contact):
                changed = await client.update_contact(contact, do_not_call=do_not_call)
            case ContactMissing() if do_not_call:
                changed = await client.create_contact(phone, do_not_call=True)
            case ContactMissing():
                return OptOutStored(is_new=False)
            case ProviderUnavailable():
                return found
            case never:
                assert_never(never)
        return _opt_out_after(changed, do_not_call=do_not_call)

    async def list_opt_outs(self, credential: str, page: str | None) -> OptOutsListed | ProviderUnavailable:
        """POST /list-contacts for contacts that are marked do-not-call."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        listed = await client.list_contacts(do_not_call=True, pagination_key=page)
        if isinstance(listed, ProviderUnavailable):
            return listed
        return OptOutsListed(tuple(contact.phone_number for contact in listed.contacts), listed.next_key)

    async def list_numbers(self, credential: str, page: str | None) -> ListedPage[ListedNumber] | ProviderUnavailable:
        """GET /v2/list-phone-numbers."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        listed = await client.list_phone_numbers(pagination_key=page)
        if isinstance(listed, ProviderUnavailable):
            return listed
        numbers = (ListedNumber(each.phone_number, each.nickname, each.agent_id) for each in listed.numbers)
        return ListedPage(tuple(numbers), listed.next_key)

    async def list_agents(self, credential: str, page: str | None) -> ListedPage[ListedAgent] | ProviderUnavailable:
        """POST /v2/list-agents."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        listed = await client.list_agents(pagination_key=page)
        if isinstance(listed, ProviderUnavailable):
            return listed
        agents = (
            ListedAgent(each.agent_id, each.agent_name or each.agent_id, bool(each.is_suspended))
            for each in listed.agents
        )
        return ListedPage(tuple(agents), listed.next_key)


def _opt_out_after(
    changed: ContactRetrieved | ContactMissing | ProviderUnavailable, *, do_not_call: bool
) -> OptOutStored | ProviderUnavailable:
    """Return whether the response to a change of a contact confirms its do-not-call flag."""
    match changed:
        case ContactRetrieved(contact) if bool(contact.do_not_call) is do_not_call:
            return OptOutStored(is_new=True)
        case ContactRetrieved():
            return ProviderUnavailable("Retell has not changed the contact's do_not_call flag")
        case ContactMissing():
            return ProviderUnavailable("the contact was deleted at Retell meanwhile")
        case ProviderUnavailable():
            return changed
        case never:
            assert_never(never)


def _no_key(credential: str) -> str:
    name = "RETELL_API_KEY" if credential == "default" else f"RETELL_API_KEY_{credential.upper()}"
    return f"no API key for the account {credential!r}: enter one in the settings, or set {name}"


async def _with_opt_out(client: RetellClient, body: bytes, refused: CallRefused) -> CallRefused:
    """Return the refusal as one of Retell's do-not-call list, if the contact of the number is on it.

    Retell has no code for it, and does not document the message.
    """
    keys = read_call_body(body)
    found = None if keys is None else await client.get_contact_by_phone(keys.to_number)
    if isinstance(found, ContactRetrieved) and found.contact.do_not_call:
        return replace(refused, kind=RefusalKind.do_not_call)
    return refused
