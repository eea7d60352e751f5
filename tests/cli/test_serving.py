"""`outdial serve` and `outdial functions serve` report in one line why they do not start."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from tests.cli.conftest import Outdial


def test_a_listener_open_to_the_network_is_refused(outdial: Outdial) -> None:
    for command in (["serve"], ["functions", "serve"]):
        assert "is open to the network without TLS" in outdial.error(*command, "--host=0.0.0.0", "--port=0")


def test_a_certificate_needs_its_key(outdial: Outdial, tmp_path: Path) -> None:
    assert "pass both --cert and --key" in outdial.error("serve", f"--cert={tmp_path / 'chain.pem'}")


def test_a_missing_certificate_is_named(outdial: Outdial, tmp_path: Path) -> None:
    options = [f"--cert={tmp_path / 'chain.pem'}", f"--key={tmp_path / 'key.pem'}"]
    assert "chain.pem" in outdial.error("serve", "--port=0", *options)


def missing(outdial: Outdial, **env: str) -> list[str]:
    """Start a host in production and return the names of the settings that it reports as missing."""
    result = outdial.run("serve", "--port=0", env=env)
    assert result.exit_code == 1
    words = [line.split() for line in result.stderr.splitlines()]
    assert [(line[0], " ".join(line[2:5])) for line in words] == [("Error:", "is not set:")] * len(words)
    return [line[1] for line in words]


def test_production_names_every_missing_setting_at_once(outdial: Outdial) -> None:
    logins = ["OUTDIAL_API_DB_URL", "OUTDIAL_WEBHOOK_DB_URL"]
    needed = ["SUPABASE_DB_URL", "SUPABASE_URL", "SUPABASE_SECRET_KEYS", "RETELL_WEBHOOK_SECRET", *logins]

    assert missing(outdial, SUPABASE_DB_URL="") == needed
    assert missing(outdial) == needed[1:]
    assert missing(outdial, RETELL_WEBHOOK_SECRET=" ", SUPABASE_ANON_KEY="anon") == needed[1:]
    assert missing(outdial, SUPABASE_SERVICE_ROLE_KEY="key", SUPABASE_URL="http://127.0.0.1:1") == needed[3:]
    assert missing(outdial, RETELL_WEBHOOK_SECRET_ACME="key") == [*needed[1:3], *logins]


async def test_a_deployed_webhook_secret_is_not_missing(outdial: Outdial, connection: asyncpg.Connection) -> None:
    await connection.execute(
        "insert into host.secrets (name, nonce, ciphertext, updated_at)"
        " values ('RETELL_WEBHOOK_SECRET', $1, $2, now())",
        bytes(12),
        bytes(32),
    )
    assert "RETELL_WEBHOOK_SECRET" not in await asyncio.to_thread(missing, outdial)


def test_each_function_needs_its_own_login(outdial: Outdial) -> None:
    error = outdial.error("functions", "serve", "--port=0")
    assert error.startswith("OUTDIAL_API_DB_URL is not set: campaign-trigger logs in as outdial_api")


def test_an_unknown_standalone_function_is_reported_with_the_known_ones(outdial: Outdial) -> None:
    error = outdial.error("functions", "serve", "--alone=moon")
    assert error.endswith("known functions are campaign-trigger, retell-webhook")


def test_production_without_the_webhook_starts_only_if_it_is_disabled_by_name(
    outdial: Outdial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "supabase" / "config.toml"
    config.parent.mkdir()
    config.write_text('[functions.retell-webhook]\nentrypoint = "./functions/moved/index.py"\n')

    result = outdial.run("serve", "--port=0")
    assert result.exit_code == 1
    assert "retell-webhook would not be served: its entrypoint in supabase/config.toml" in result.stderr

    config.write_text("[functions.retell-webhook]\nenabled = false\n")
    assert "RETELL_WEBHOOK_SECRET" not in missing(outdial)
    assert "retell-webhook" not in outdial.run("serve", "--port=0").stderr
