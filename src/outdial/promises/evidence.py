"""Gathers what both sides say of a run: the simulator's ledger and calls over HTTP, and the rows of the database."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import aiohttp
import msgspec

from outdial.cli.errors import NoSuchThing
from outdial.db import evidence as db
from outdial.db.session import Database
from outdial.domain.call import canonical_json
from outdial.promises.checks import Evidence, ProviderCall, Request

AT_ONCE = 16
_PAGE = 5_000
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_CREATE: Final = "create-phone-call"
# After these the caller holds an answer of which it can make nothing, though the call was made.
_UNREADABLE: Final = frozenset({"garble_reply", "fail_reply"})


class Witness:
    """A running simulator, asked over HTTP: its controls, and its API as any caller sees it."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._base_url = base_url
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT,
            headers={"authorization": f"Bearer {api_key}"},
            connector=aiohttp.TCPConnector(limit=AT_ONCE),
        )

    async def __aenter__(self) -> "Witness":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def set_faults(self, faults: list[Mapping[str, Any]]) -> None:
        """Put faults in force in place of all others."""
        async with self._session.post(f"{self._base_url}/_sim/faults", json={"faults": faults}) as response:
            response.raise_for_status()

    async def state(self) -> dict[str, Any]:
        """Return the simulator's counts and peaks."""
        return await self._get("/_sim/state")

    async def requests(self) -> list[dict[str, Any]]:
        """Return every entry of the ledger; raises NoSuchThing when it has forgotten some."""
        entries: list[dict[str, Any]] = []
        after = 0
        while True:
            page = await self._get(f"/_sim/ledger?after={after}&limit={_PAGE}")
            if page["forgotten"]:
                raise NoSuchThing(f"the ledger has forgotten {page['forgotten']} requests")
            if not page["entries"]:
                return entries
            entries += page["entries"]
            after = page["next_after"]

    async def call(self, call_id: str) -> dict[str, Any]:
        """Return a call as get-call tells it."""
        return await self._get(f"/v2/get-call/{call_id}")

    async def _get(self, path: str) -> dict[str, Any]:
        async with self._session.get(self._base_url + path) as response:
            response.raise_for_status()
            return dict(msgspec.json.decode(await response.read()))


async def gather_evidence(witness: Witness, database: Database, credential: str = "default") -> Evidence:
    """Read both sides as they are now, for the account of `credential`; the database in one transaction."""
    entries = [entry for entry in await witness.requests() if entry["operation"] == _CREATE]
    created = {entry["call_id"]: entry["at_ms"] for entry in entries if entry["result"] == "accepted"}
    described = await asyncio.gather(*(witness.call(call_id) for call_id in created))
    async with database.as_service() as connection:
        calls = [row for row in await db.EVIDENCE_CALLS.all(connection) if row.credential == credential]
        campaigns = [row for row in await db.EVIDENCE_CAMPAIGNS.all(connection) if row.credential == credential]
        contacts = await db.EVIDENCE_CONTACTS.all(connection)
        limits = await db.EVIDENCE_LIMITS.all(connection)
    ours = {campaign.id for campaign in campaigns}
    return Evidence(
        requests=[_request(entry) for entry in entries],
        provider_calls=[_provider_call(call, created[call["call_id"]]) for call in described],
        calls=[_with_canonical_analysis(call) for call in calls],
        contacts=[contact for contact in contacts if contact.campaign_id in ours],
        campaigns=campaigns,
        limits=next(row for row in limits if row.credential == credential),
    )


def _request(entry: Mapping[str, Any]) -> Request:
    metadata = entry["metadata"] if isinstance(entry["metadata"], dict) else {}
    lost = entry["lost"] is not None or entry["reason"] in _UNREADABLE or entry["status"] >= 500
    return Request(
        arrived_ms=entry["arrived_ms"],
        result=entry["result"],
        reason=entry["reason"],
        answered=not lost,
        call_id=entry["call_id"],
        to_number=entry["to_number"],
        idempotency_key=entry["idempotency_key"],
        metadata_call_id=metadata.get("call_id"),
    )


def _provider_call(call: Mapping[str, Any], created_ms: int) -> ProviderCall:
    return ProviderCall(
        call_id=call["call_id"],
        to_number=call["to_number"],
        created_ms=created_ms,
        ended_ms=call.get("end_timestamp"),
        disconnection_reason=call.get("disconnection_reason"),
        transcript=call.get("transcript"),
        analysis=_canonical(call.get("call_analysis")),
    )


def _with_canonical_analysis(row: db.CallRow) -> db.CallRow:
    return row if row.analysis is None else replace(row, analysis=canonical_json(row.analysis))


def _canonical(analysis: object) -> str | None:
    return None if analysis is None else canonical_json(msgspec.json.encode(analysis).decode())
