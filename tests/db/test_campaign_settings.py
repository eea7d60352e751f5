"""The database checks calling hours and retry policies as the domain does, whoever writes them."""

import json
import random
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from outdial.domain.calling_hours import parse_calling_hours
from outdial.domain.errors import DomainError
from outdial.domain.retry import parse_retry_policy
from tests.support.factories import create_campaign, create_member, create_tenant
from tests.support.postgres import Scratch

ROUNDS = 4000
TIMES = ["00:00", "09:00", "12:30", "20:00", "24:00", "24:01", "9:00", "23:60", "09:00\n", "", "always", 9, None]
DATES = ["2026-12-25", "2028-02-29", "2027-02-29", "2026-13-01", "2026-04-31", "20261225", "0000-01-01", "Christmas", 7]
DURATIONS = [
    "90s",
    "30m",
    "2h",
    "1d",
    "30d",
    "31d",
    "0s",
    "-1s",
    "1.5h",
    "30 m",
    60,
    0,
    -1,
    1.0,
    2592000,
    2592001,
    "1w",
]
COUNTS = [0, 1, 3, 100, 101, -1, 2.0, "3", None, True]
JUNK: list[Any] = [None, True, 1, "x", [], {}, [[]], {"monday": []}]


def hours(chance: random.Random) -> Any:
    """Return calling hours, valid more often than not in each part."""

    def window() -> Any:
        if chance.random() < 0.8:
            return sorted(chance.sample(TIMES[:5], 2))
        return [chance.choice(TIMES) for _ in range(chance.choice((1, 2, 2, 2, 3)))]

    days = ["every_day", "weekdays", "weekend", "monday", "sunday", "saturday"]
    raw: dict[str, Any] = {
        day: [window() for _ in range(chance.choice((0, 1, 1, 2)))] for day in chance.sample(days, chance.randint(0, 3))
    }
    if chance.random() < 0.3:
        raw["excluded_dates"] = [chance.choice(DATES[: chance.choice((2, 9))]) for _ in range(2)]
    if chance.random() < 0.1:
        raw[chance.choice((*days, "excluded_dates", "funday"))] = chance.choice(JUNK)
    return raw


def policy(chance: random.Random) -> Any:
    """Return a retry policy, valid more often than not in each part."""

    def rule() -> Any:
        raw: dict[str, Any] = {}
        if chance.random() < 0.8:
            raw["delays"] = [
                chance.choice(DURATIONS[: chance.choice((5, 17))]) for _ in range(chance.choice((0, 1, 2)))
            ]
        if chance.random() < 0.3:
            raw["max_attempts"] = chance.choice(COUNTS)
        return raw

    outcomes = ["no_answer", "busy", "voicemail", "ivr", "declined"]
    raw: dict[str, Any] = {outcome: rule() for outcome in chance.sample(outcomes, chance.randint(0, 2))}
    for key, values in (
        ("jitter", [0, 1, 0.5, 1.01, -0.1, "0", True]),
        ("fault_delay", DURATIONS),
        ("fault_delay_max", DURATIONS),
        ("max_faults", COUNTS),
    ):
        if chance.random() < 0.25:
            raw[key] = chance.choice(values)
    if chance.random() < 0.1:
        raw[chance.choice((*outcomes, "jitter", "answered", "nonsense"))] = chance.choice(JUNK)
    return raw


@pytest.mark.parametrize(
    ("function", "parse", "make"),
    [
        ("calling_hours_problem", parse_calling_hours, hours),
        ("retry_policy_problem", parse_retry_policy, policy),
    ],
)
async def test_database_and_domain_agree_on_what_is_valid(
    connection: asyncpg.Connection, function: str, parse: Callable[[Any], object], make: Callable[[random.Random], Any]
) -> None:
    chance = random.Random(function)
    texts = [json.dumps(make(chance)) for _ in range(ROUNDS)]
    rows = await connection.fetch(
        f"select private.{function}(raw::jsonb) as problem from unnest($1::text[]) with ordinality as u (raw, n) order by n",  # noqa: S608, E501
        texts,
    )
    valid = 0
    for text, row in zip(texts, rows, strict=True):
        problem: str | None = None
        try:
            parse(json.loads(text))
        except DomainError as error:
            problem = str(error)
        valid += problem is None
        assert (row["problem"] is None) == (problem is None), f"{text}: {problem} or {row['problem']}"
    assert ROUNDS * 0.2 < valid < ROUNDS * 0.9


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("calling_hours", '{"funday": []}', "calling_hours: unknown key 'funday'"),
        ("calling_hours", '{"monday": [["20:00", "09:00"]]}', "monday: a window must end after it starts"),
        ("retry_policy", '{"no_answer": {"delays": []}}', "retry_policy: no_answer: delays must be a list"),
    ],
)
async def test_a_member_cannot_store_settings_that_the_dialer_cannot_read(
    database: Scratch, connection: asyncpg.Connection, column: str, value: str, message: str
) -> None:
    tenant = await create_tenant(connection)
    campaign = await create_campaign(connection, tenant)
    user_id = await create_member(connection, tenant.organization_id)
    async with connection.transaction():
        claims = json.dumps({"sub": str(user_id), "role": "authenticated"})
        await connection.execute("select set_config('request.jwt.claims', $1, true)", claims)
        await connection.execute("set local role authenticated")
        with pytest.raises(asyncpg.CheckViolationError, match=message):
            await connection.execute(f"update campaigns set {column} = $2 where id = $1", campaign.id, value)  # noqa: S608


async def test_a_campaign_that_is_invalid_already_can_be_cancelled(connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection))
    async with connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute("""update campaigns set calling_hours = '{"funday": []}'""")
    await connection.execute("update campaigns set status = 'cancelling' where id = $1", campaign.id)
