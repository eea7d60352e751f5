"""Secrets are encrypted before they leave the host, and only their digests are shown."""

import asyncio
import base64
import hashlib
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from outdial.db.queries.host.secrets import SecretRow
from outdial.db.session import Database
from outdial.host.deployments.secrets import (
    LONGEST_VALUE,
    InvalidSecret,
    SecretKeys,
    SecretStore,
    SecretsUnreadable,
    check_secret,
    new_key,
    read_or_create,
)
from outdial.settings import MissingSetting, SettingError
from tests.support.factories import NOW
from tests.support.postgres import Scratch

OLD, NEW = new_key(), new_key()


def sealed(keys: SecretKeys, name: str, value: str) -> SecretRow:
    row = keys.seal(name, value)
    return SecretRow(name=row.name, nonce=row.nonce, ciphertext=row.ciphertext, updated_at=NOW)


def test_decrypts_what_it_encrypts_with_a_fresh_nonce() -> None:
    keys = SecretKeys.from_text(NEW)
    first, second = sealed(keys, "A", "välue"), sealed(keys, "A", "välue")

    assert keys.open(first) == keys.open(second) == "välue"
    assert first.ciphertext != second.ciphertext
    assert "välue".encode() not in first.ciphertext


def test_a_secret_cannot_be_moved_to_another_name() -> None:
    keys = SecretKeys.from_text(NEW)
    row = sealed(keys, "RETELL_API_KEY", "key")
    with pytest.raises(SecretsUnreadable, match="HARMLESS"):
        keys.open(SecretRow(name="HARMLESS", nonce=row.nonce, ciphertext=row.ciphertext, updated_at=NOW))


def test_detects_a_changed_bit() -> None:
    keys = SecretKeys.from_text(NEW)
    row = sealed(keys, "A", "value")
    changed = bytes([row.ciphertext[0] ^ 1]) + row.ciphertext[1:]
    with pytest.raises(SecretsUnreadable):
        keys.open(SecretRow(name="A", nonce=row.nonce, ciphertext=changed, updated_at=NOW))


def test_the_first_key_encrypts_and_all_keys_decrypt() -> None:
    before, during = SecretKeys.from_text(OLD), SecretKeys.from_text(f"{NEW}, {OLD}")

    assert during.open(sealed(before, "A", "value")) == "value"
    assert SecretKeys.from_text(NEW).open(sealed(during, "A", "value")) == "value"
    with pytest.raises(SecretsUnreadable, match="OUTDIAL_SECRETS_KEY"):
        before.open(sealed(during, "A", "value"))


@pytest.mark.parametrize(
    "text",
    ["short", base64.b64encode(bytes(31)).decode(), "*" * 44, "", f"{NEW},secret"],
    ids=["short", "of 31 bytes", "no base64", "empty", "one of two"],
)
def test_rejects_an_invalid_key_without_quoting_it(text: str) -> None:
    with pytest.raises(SettingError, match="OUTDIAL_SECRETS_KEY") as caught:
        SecretKeys.from_text(text)
    assert "secret" not in str(caught.value)
    assert NEW not in str(caught.value)


def test_without_a_key_the_error_names_the_setting() -> None:
    keys = SecretKeys.from_env({})
    with pytest.raises(MissingSetting, match="OUTDIAL_SECRETS_KEY is not set"):
        keys.seal("A", "value")


def test_a_local_stack_generates_its_key_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    row = sealed(SecretKeys.from_env({}, home=home), "A", "value")

    assert SecretKeys.from_env({}, home=home).open(row) == "value"
    assert (home / "secrets.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.iterdir()] == ["secrets.key"]


async def test_concurrent_processes_agree_on_one_file(tmp_path: Path) -> None:
    path = tmp_path / "home" / "file"
    made = await asyncio.gather(*(asyncio.to_thread(read_or_create, path, str(number)) for number in range(20)))

    assert len(set(made)) == 1
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUPABASE_URL", "x"), ("1A", "x"), ("A-B", "x"), ("", "x"), ("A" * 257, "x"), ("A\n", "x"), ("PATH", "x"),
        ("A", "v" * (LONGEST_VALUE + 1)), ("A", "v\0"),
    ],
)  # fmt: skip
def test_rejects_invalid_secrets_without_quoting_the_value(name: str, value: str) -> None:
    with pytest.raises(InvalidSecret) as caught:
        check_secret(name, value)
    assert value == "x" or value not in str(caught.value)


def test_accepts_the_longest_name_and_value() -> None:
    check_secret("A" * 256, "v" * LONGEST_VALUE)


@pytest.fixture
def pool(database: Scratch) -> str:
    return database.dsn_for("outdial_host")


async def test_the_database_sees_neither_value_nor_digest(pool: str, connection: asyncpg.Connection) -> None:
    async with await Database.connect(pool, application_name="test") as host:
        secrets = SecretStore(host, SecretKeys.from_text(NEW))
        await secrets.put({"A": "a value", "B": "b value"}, NOW)
        await secrets.put({"A": "another"}, NOW + timedelta(seconds=1))

        digests = await secrets.digests()
        values = await secrets.values()
    dump = str([tuple(row) for row in await connection.fetch("select * from host.secrets")])

    assert values == {"A": "another", "B": "b value"}
    assert [(one.name, one.digest) for one in digests] == [
        (name, hashlib.sha256(value.encode()).hexdigest()) for name, value in values.items()
    ]
    assert "value" not in dump
    assert digests[0].digest not in dump
    assert NEW not in repr(secrets)


async def test_one_invalid_secret_sets_none(pool: str) -> None:
    async with await Database.connect(pool, application_name="test") as host:
        secrets = SecretStore(host, SecretKeys.from_text(NEW))
        with pytest.raises(InvalidSecret):
            await secrets.put({"GOOD": "1", "SUPABASE_BAD": "2"}, NOW)
        assert await secrets.values() == {}


async def test_deletes_secrets_and_ignores_unknown_names(pool: str) -> None:
    async with await Database.connect(pool, application_name="test") as host:
        secrets = SecretStore(host, SecretKeys.from_text(NEW))
        await secrets.put({"A": "1", "B": "2"}, NOW)
        await secrets.unset(["A", "NEVER_SET"])
        assert await secrets.values() == {"B": "2"}


async def test_after_resealing_the_old_key_is_unnecessary(pool: str) -> None:
    async with await Database.connect(pool, application_name="test") as host:
        await SecretStore(host, SecretKeys.from_text(OLD)).put({"A": "1", "B": "2"}, NOW)
        both = SecretStore(host, SecretKeys.from_text(f"{NEW},{OLD}"))
        await both.put({"C": "3"}, NOW)

        assert await both.reseal() == 2
        assert await both.reseal() == 0
        assert await SecretStore(host, SecretKeys.from_text(NEW)).values() == {"A": "1", "B": "2", "C": "3"}
