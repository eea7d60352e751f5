"""Access tokens are shown once and looked up by hash."""

import hashlib
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from outdial.clock import VirtualClock
from outdial.db.session import Database
from outdial.host.api.tokens import AccessTokens, new_token
from tests.support.factories import NOW
from tests.support.postgres import Scratch


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
async def tokens(database: Scratch, clock: VirtualClock) -> AsyncIterator[AccessTokens]:
    async with await Database.connect(database.dsn_for("outdial_host"), application_name="test") as pool:
        yield AccessTokens(pool, clock)


def test_a_token_has_the_format_of_the_stock_cli() -> None:
    made = {new_token() for _ in range(50)}

    assert len(made) == 50
    # supabase/cli, internal/utils/access_token.go
    assert all(re.fullmatch(r"sbp_(oauth_)?[a-f0-9]{40}", token) for token in made)


async def test_stores_only_the_hash_of_a_token(tokens: AccessTokens, connection: asyncpg.Connection) -> None:
    token = await tokens.create("ci")

    row = await connection.fetchrow("select * from host.access_tokens")
    assert row is not None
    assert row["token_sha256"] == hashlib.sha256(token.encode()).digest()
    assert token not in str(tuple(row))


async def test_a_token_is_found_until_it_is_revoked(tokens: AccessTokens) -> None:
    token, other = await tokens.create("ci"), await tokens.create("laptop")

    found = await tokens.find(token)
    assert found is not None
    assert found.name == "ci"
    assert [one.id for one in await tokens.revoke(str(found.id))] == [found.id]
    assert await tokens.find(token) is None
    assert await tokens.find(other) is not None
    assert await tokens.revoke("ci") == []


@pytest.mark.parametrize("token", ["", "sbp_", "sbp_" + "A" * 40, "sbp_" + "a" * 40, "sbp_" + "a" * 40 + "\n", "'"])
async def test_unknown_tokens_are_not_found(tokens: AccessTokens, token: str) -> None:
    await tokens.create("ci")

    assert await tokens.find(token) is None


async def test_records_the_last_use_to_the_minute(tokens: AccessTokens, clock: VirtualClock) -> None:
    token = await tokens.create("ci")
    uses = []
    for seconds in (0, 30, 61):
        clock.set(NOW + timedelta(seconds=seconds))
        await tokens.find(token)
        uses.append((await tokens.all())[0].last_used_at)

    assert uses == [NOW, NOW, NOW + timedelta(seconds=61)]


async def test_the_local_stack_has_one_token_that_new_databases_accept(
    tokens: AccessTokens, tmp_path: Path, connection: asyncpg.Connection
) -> None:
    token = await tokens.local(tmp_path)
    assert await tokens.local(tmp_path) == token
    await connection.execute("delete from host.access_tokens")

    assert await tokens.local(tmp_path) == token
    assert await tokens.find(token) is not None
    assert len(await tokens.all()) == 1
    assert (tmp_path / "access-token").stat().st_mode & 0o777 == 0o600
