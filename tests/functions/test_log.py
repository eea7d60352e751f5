"""No secret of the environment, and no whole phone number, reaches the log of a function."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import pytest

from outdial.functions import Context, Env, Request, Response, with_supabase
from outdial.functions.log import Logger, Redactor

Serve = Callable[..., AbstractAsyncContextManager[aiohttp.ClientSession]]

PLANTED = {
    "SUPABASE_SERVICE_ROLE_KEY": "planted-service-key",
    "SUPABASE_SECRET_KEYS": '{"default": "sb_secret_planted", "cron": "sb_secret_planted_cron"}',
    "SUPABASE_JWT_SECRET": "planted-jwt-secret-with-more-than-32-characters",
    "RETELL_WEBHOOK_SECRET": "planted-old, planted-new",
    "RETELL_API_KEY_ACME": "key_planted",
    "RETELL_API_KEY_QUOTED": "'planted-quoted, planted-too'",
    "SUPABASE_DB_URL": "postgresql://postgres:planted%40pass@db.example.com/postgres",
}
SECRETS = [
    "planted-service-key",
    "sb_secret_planted",
    "sb_secret_planted_cron",
    "planted-jwt-secret-with-more-than-32-characters",
    "planted-old",
    "planted-new",
    "key_planted",
    "planted-quoted",
    "planted-too",
    "planted%40pass",
    "planted@pass",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_redacted_everywhere(secret: str, lines: Any) -> None:
    log = Logger(Redactor(PLANTED)).bind(bound=f"<{secret}>")
    log.info(f"said {secret}", text=secret, nested={secret: [secret, {"deep": (secret,)}]}, error=ValueError(secret))
    try:
        raise RuntimeError(f"with {secret}")
    except RuntimeError as error:
        log.exception("failed", error)

    assert len(lines.lines) == 2
    assert secret not in json.dumps(lines.lines)
    assert "planted" not in json.dumps(lines.lines)


def test_other_values_are_not_redacted(lines: Any) -> None:
    Logger(Redactor({**PLANTED, "SUPABASE_URL": "https://abc.supabase.co", "A_KEY": "abc"})).info(
        "told", url="https://abc.supabase.co", count=3, rate=0.5, ok=True, nothing=None
    )

    assert lines.lines == [
        {
            "event": "told",
            "level": "info",
            "url": "https://abc.supabase.co",
            "count": 3,
            "rate": 0.5,
            "ok": True,
            "nothing": None,
        }
    ]


def test_phone_numbers_are_masked(lines: Any) -> None:
    Logger(Redactor({})).warning("call to +14155550123 failed", phone="+4915112345678")

    assert lines.lines[0]["event"] == "call to +14***23 failed"
    assert lines.lines[0]["phone"] == "+49***78"


@pytest.mark.parametrize(
    "written",
    [
        "+49 151 12345678",
        "+1 (212) 555-0123",
        "+1-212-555-0123",
        "+44 (0)20 7946 0958",
        "0049 151 12345678",
        "004915112345678",
        "00 49 151/12345678",
        "%2B4915112345678",
        "%2b49%20151%2012345678",
        "+49\xa0151\xa012345678",
    ],
)
def test_a_phone_number_is_masked_however_it_is_written(written: str) -> None:
    redact = Redactor({})
    for text in (written, f"/contacts/{written}", f"phone={written}", f'"{written}"', f"call to {written}, failed"):
        masked = redact(text)
        digits = "".join(character for character in masked.replace("%2B", "").replace("%2b", "") if character.isdigit())
        assert "***" in masked, text
        assert len(digits) <= 5, masked


@pytest.mark.parametrize(
    "text",
    [
        "018f3e2a-0012-7345-8abc-001234567890",
        "2026-03-10T17:00:00.001234567+00:00",
        "2026-03-10 17:00:00+0000",
        "id 1700000000000",
        "10.001234567",
        "127.0.0.1:54321",
        "0012345678ab",
        "3 + 4 = 7",
    ],
)
def test_ids_and_times_are_not_taken_for_phone_numbers(text: str) -> None:
    assert Redactor({})(text) == text


def test_a_field_may_have_the_name_of_a_part_of_the_line(lines: Any) -> None:
    Logger(Redactor({})).bind(level="field").error("told", event="call_started", error="none")

    assert lines.lines == [
        {"event": "told", "level": "error", "level_": "field", "event_": "call_started", "error_": "none"}
    ]


def test_the_repr_of_the_environment_shows_no_value() -> None:
    env = Env(PLANTED)

    assert "planted" not in f"{env!r} {env}"
    assert env["RETELL_API_KEY_ACME"] == "key_planted"
    with pytest.raises(TypeError):
        env["X"] = "y"  # type: ignore[index]


async def test_a_traceback_does_not_leak_a_secret(serve: Serve, lines: Any) -> None:
    @with_supabase(auth="none")
    async def fail(request: Request, ctx: Context) -> Response:
        ctx.log.info("about to fail", settings=ctx.env, key=ctx.env["RETELL_API_KEY_ACME"])
        raise RuntimeError(f"cannot use {ctx.env['RETELL_API_KEY_ACME']}")

    async with serve(fail=fail, env=PLANTED) as client, client.get("fail") as response:
        text = await response.text()

    assert lines.events() == ["about to fail", "functions.failed"]
    assert "planted" not in json.dumps(lines.lines) + text
    assert all(line["function"] == "fail" for line in lines.lines)
