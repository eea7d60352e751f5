"""Gathers the evidence of a run: the simulator's ledger and calls over HTTP, and the rows of the database."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import aiohttp
import msgspec

from outdial.db.queries import evidence
from outdial.db.session import Database
from outdial.domain.call import canonical_json
from outdial.promises.checks import LedgerRequest, ProviderCall, RunEvidence
from outdial.promises.errors import LedgerIncomplete

MAX_CONNECTIONS = 16
_PAGE = 5_000
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_CREATE: Final = "create-phone-call"
# Faults after which the caller cannot read the response, although the call was made.
_UNREADABLE: Final = frozenset({"garble_reply", "fail_reply"})


class SimulatorClient:
    """HTTP client of a running simulator: its controls, and the API as any caller sees it."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._base_url = base_url
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT,
            headers={"authorization": f"Bearer {api_key}"},
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
        )

    async def __aenter__(self) -> "SimulatorClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def set_faults(self, faults: list[Mapping[str, Any]]) -> None:
        """Replace the active faults."""
        async with self._session.post(f"{self._base_url}/_sim/faults", json={"faults": faults}) as response:
            response.raise_for_status()

    async def mark_as_spam(self, numbers: Sequence[str]) -> None:
        """Replace the caller numbers whose calls networks mark as spam."""
        async with self._session.post(f"{self._base_url}/_sim/spam", json={"numbers": numbers}) as response:
            response.raise_for_status()

    async def state(self) -> dict[str, Any]:
        """Return the simulator's counts and peaks."""
        return await self._get("/_sim/state")

    async def requests(self) -> list[dict[str, Any]]:
        """Return every entry of the ledger; raises LedgerIncomplete when it has dropped some."""
        entries: list[dict[str, Any]] = []
        after = 0
        while True:
            page = await self._get(f"/_sim/ledger?after={after}&limit={_PAGE}")
            if page["forgotten"]:
                raise LedgerIncomplete(f"the ledger has dropped {page['forgotten']} requests")
            if not page["entries"]:
                return entries
            entries += page["entries"]
            after = page["next_after"]

    async def costs(self) -> list[dict[str, Any]]:
        """Return what each call costs, and when that was sent and accepted first."""
        return list((await self._get("/_sim/costs"))["costs"])

    async def call(self, call_id: str) -> dict[str, Any]:
        """Return a call in the form of get-call."""
        return await self._get(f"/v2/get-call/{call_id}")

    async def _get(self, path: str) -> dict[str, Any]:
        async with self._session.get(self._base_url + path) as response:
            response.raise_for_status()
            return dict(msgspec.json.decode(await response.read()))


async def gather_evidence(simulator: SimulatorClient, database: Database, credential: str = "default") -> RunEvidence:
    """Read the ledger, the provider's calls and the database, for the account of `credential`.

    The database is read in one transaction.
    """
    entries = [entry for entry in await simulator.requests() if entry["operation"] == _CREATE]
    created = {entry["call_id"]: entry["at_ms"] for entry in entries if entry["result"] == "accepted"}
    described = await asyncio.gather(*(simulator.call(call_id) for call_id in created))
    async with database.as_service() as connection:
        calls = [row for row in await evidence.all_calls(connection) if row.credential == credential]
        campaigns = [row for row in await evidence.all_campaigns(connection) if row.credential == credential]
        contacts = await evidence.all_campaign_contacts(connection)
        limits = await evidence.all_account_limits(connection)
        rests = await evidence.all_number_rests(connection)
        test_calls = [row for row in await evidence.all_test_calls(connection) if row.credential == credential]
    ours = {campaign.id for campaign in campaigns}
    requests = []
    for entry in entries:
        metadata = entry["metadata"] if isinstance(entry["metadata"], dict) else {}
        lost = entry["lost"] is not None or entry["reason"] in _UNREADABLE or entry["status"] >= 500
        requests.append(
            LedgerRequest(
                arrived_ms=entry["arrived_ms"],
                result=entry["result"],
                reason=entry["reason"],
                answered=not lost,
                call_id=entry["call_id"],
                to_number=entry["to_number"],
                idempotency_key=entry["idempotency_key"],
                metadata_call_id=metadata.get("call_id"),
                metadata_test_call_id=metadata.get("test_call_id"),
            )
        )
    return RunEvidence(
        requests=requests,
        provider_calls=[_provider_call(call, created[call["call_id"]]) for call in described],
        calls=[replace(call, analysis=call.analysis and canonical_json(call.analysis)) for call in calls],
        contacts=[contact for contact in contacts if contact.campaign_id in ours],
        campaigns=campaigns,
        limits=next(row for row in limits if row.credential == credential),
        rests=rests,
        test_calls=[replace(call, analysis=call.analysis and canonical_json(call.analysis)) for call in test_calls],
        speed=(await simulator.state())["speed"],
    )


def _provider_call(call: Mapping[str, Any], created_ms: int) -> ProviderCall:
    analysis, labels, variables = (
        call.get(name) for name in ("call_analysis", "metadata", "retell_llm_dynamic_variables")
    )
    return ProviderCall(
        call_id=call["call_id"],
        from_number=call["from_number"],
        to_number=call["to_number"],
        created_ms=created_ms,
        ended_ms=call.get("end_timestamp"),
        disconnection_reason=call.get("disconnection_reason"),
        transcript=call.get("transcript"),
        analysis=None if analysis is None else canonical_json(msgspec.json.encode(analysis).decode()),
        test_call_id=labels.get("test_call_id") if isinstance(labels, dict) else None,
        is_callback=isinstance(variables, dict) and variables.get("is_callback") == "true",
    )
