"""Loads clients/cases.json for both suites: creates the rows, replaces placeholders with ids, and compares results."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from outdial.auth import mint_jwt
from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.domain.ids import new_id
from tests.support.factories import (
    NOW,
    Campaign,
    create_calling,
    create_campaign,
    create_campaign_contact,
    create_member,
    create_tenant,
)

TABLE = json.loads((Path(__file__).parents[2] / "clients" / "cases.json").read_text())
CASES: list[dict[str, Any]] = TABLE["cases"]
FAULTS: list[dict[str, Any]] = TABLE["faults"]
TIMEOUT_MS = 20_000

# Number of contacts, and the columns of the campaign.
STATES: dict[str, tuple[int, dict[str, object]]] = {
    "draft": (2, {"status": "draft", "next_batch_at": None}),
    "active, kept open": (0, {"keep_open": True}),
    "draft, empty": (0, {"status": "draft", "next_batch_at": None}),
    "draft, for later": (1, {"status": "draft", "next_batch_at": None, "scheduled_at": NOW + timedelta(minutes=30)}),
    "scheduled, due": (1, {"status": "scheduled", "next_batch_at": None, "scheduled_at": NOW}),
    "active": (1, {}),
    "active, with a call": (0, {}),
    "paused": (1, {"status": "paused"}),
    "completed": (0, {"status": "completed"}),
}


@dataclass(frozen=True)
class Caller:
    """Credentials of a request."""

    apikey: str = LOCAL_PUBLISHABLE_KEY
    token: str | None = None


@dataclass(frozen=True)
class Attempt:
    """One method call, made by a new client."""

    url: str
    apikey: str
    token: str | None
    method: str
    arguments: Mapping[str, Any]
    timeout_ms: int = TIMEOUT_MS

    def as_json(self) -> dict[str, Any]:
        """Return the attempt as JSON for runners in other languages."""
        return asdict(self)


Observed = Mapping[str, Any]


@dataclass(frozen=True)
class PreparedCase:
    """A case with its rows in the database: the attempts in order, and the expected result of each."""

    name: str
    attempts: list[Attempt]
    expected: list[Mapping[str, Any]]


async def prepare_cases(connection: asyncpg.Connection, url: str) -> list[PreparedCase]:
    """Create the rows of every case, each in its own organizations."""
    return [await _prepare(connection, url, number, case) for number, case in enumerate(CASES)]


def prepare_faults(url_of: Mapping[str, str]) -> list[PreparedCase]:
    """Return the faults as cases, each against the broken server of its name."""
    start = {"campaign_id": "0190163d-8694-739b-aea5-966c26f8ad91"}
    return [
        PreparedCase(
            fault["name"],
            [
                Attempt(
                    url_of[fault["server"]],
                    LOCAL_PUBLISHABLE_KEY,
                    None,
                    "start_campaign",
                    start,
                    fault.get("timeout_ms", TIMEOUT_MS),
                )
            ],
            [{"error": fault["error"]}],
        )
        for fault in FAULTS
    ]


def differences(cases: list[PreparedCase], observed: list[list[Observed]]) -> dict[str, list[str]]:
    """Return the differences per case; cases without differences are left out."""
    found: dict[str, list[str]] = {}
    for case, results in zip(cases, observed, strict=True):
        triples = zip(case.attempts, case.expected, results, strict=True)
        wrong = [f"{attempt.method}: {text}" for attempt, wanted, result in triples for text in _wrong(wanted, result)]
        if wrong:
            found[case.name] = wrong
    return found


def _wrong(expected: Mapping[str, Any], found: Observed) -> Iterator[str]:
    if ("result" in expected) != ("result" in found):
        yield f"{found} instead of {dict(expected)}"
    elif "result" in expected:
        yield from _unlike(expected["result"], found["result"])
    else:
        error = dict(expected["error"])
        says = error.pop("says", "")
        details = error.pop("details", {})
        yield from _unlike(error, found["error"])
        yield from _unlike(details, found["error"]["details"])
        if says not in found["error"]["message"]:
            yield f"message {found['error']['message']!r} does not contain {says!r}"


def _unlike(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for name, value in wanted.items():
        if name == "progress":
            yield from _unlike(value, found[name])
        elif name not in found or found[name] != value:
            yield f"{name} is {found.get(name)!r}, not {value!r}"


async def _prepare(connection: asyncpg.Connection, url: str, number: int, case: dict[str, Any]) -> PreparedCase:
    tenant = await create_tenant(connection, credential=f"case_{number}")
    other = await create_tenant(connection, credential=f"beside_{number}")
    campaign = await _campaign(connection, case["campaign"], tenant)
    home = other if case["caller"] == "outsider" else tenant
    caller = await _caller(connection, case["caller"], home.organization_id)
    words = {
        "the campaign": str(campaign.id),
        "no campaign": str(new_id(NOW)),
        "the organization": str(tenant.organization_id),
        "the other organization": str(other.organization_id),
    }
    attempts, expected = [], []
    for call in case["calls"]:
        about = {} if call["method"] == "check_scheduled_campaigns" else {"campaign_id": "the campaign"}
        arguments = _in_ids(about | call.get("arguments", {}), words)
        attempts.append(Attempt(url, caller.apikey, caller.token, call["method"], arguments))
        expected.append(_in_ids({kind: call[kind] for kind in ("result", "error") if kind in call}, words))
    return PreparedCase(case["name"], attempts, expected)


async def _campaign(connection: asyncpg.Connection, state: str, tenant: Any) -> Campaign:
    contacts, columns = STATES[state]
    campaign = await create_campaign(connection, tenant, **columns)
    for _ in range(contacts):
        await create_campaign_contact(connection, campaign)
    if state == "active, with a call":
        await create_calling(connection, campaign)
    return campaign


async def _caller(connection: asyncpg.Connection, name: str, organization_id: UUID) -> Caller:
    match name:
        case "secret key":
            return Caller(apikey=LOCAL_SECRET_KEY)
        case "anonymous":
            return Caller()
        case "bad token":
            return Caller(token="not.a.token")
    user_id = await create_member(connection, organization_id, _ROLES.get(name, name))
    expires = NOW + timedelta(hours=-1 if name == "expired token" else 1)
    secret = "x" * 40 if name == "forged token" else LOCAL_JWT_SECRET
    return Caller(token=token_of(user_id, expires, secret))


_ROLES = {"outsider": "owner", "expired token": "owner", "forged token": "owner"}


def token_of(user_id: UUID, expires: datetime = NOW + timedelta(hours=1), secret: str = LOCAL_JWT_SECRET) -> str:
    """Return an access token of the user."""
    claims = {"sub": str(user_id), "role": "authenticated", "aud": "authenticated", "exp": int(expires.timestamp())}
    return mint_jwt(secret, claims)


def _in_ids(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _in_ids(each, words) for name, each in value.items()}
    if isinstance(value, list):
        return [_in_ids(each, words) for each in value]
    return words.get(value, value) if isinstance(value, str) else value
