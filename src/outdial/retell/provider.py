"""Retell as a voice provider."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from outdial.provider import (
    AccountConcurrency,
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
    ProviderUnavailable,
    RefusalKind,
    RequestKeys,
)
from outdial.retell.client import RetellClient, create_call_body, read_call_body

_FINISHED: Final = frozenset({"ended", "not_connected", "error"})


class RetellProvider:
    """Implements `VoiceProvider` with one client per credential."""

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
        )

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
        return await client.create_phone_call(body, before_sending=before_sending)

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

    async def find_calls(self, credential: str, call_id: UUID) -> CallsFound | ProviderUnavailable:
        """POST /v3/list-calls for the calls with our id in their metadata."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        response = await client.list_calls(metadata_key="call_id", metadata_value=str(call_id))
        if isinstance(response, ProviderUnavailable):
            return response
        return CallsFound(tuple(call.call_id or "" for call in response.calls))

    async def end_call(self, credential: str, provider_call_id: str) -> CallEnded | CallMissing | ProviderUnavailable:
        """POST /v2/stop-call."""
        client = self._clients.get(credential)
        if client is None:
            return ProviderUnavailable(_no_key(credential))
        return await client.stop_call(provider_call_id)

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


def _no_key(credential: str) -> str:
    name = "RETELL_API_KEY" if credential == "default" else f"RETELL_API_KEY_{credential.upper()}"
    return f"no API key for the account {credential!r}: set {name}"
