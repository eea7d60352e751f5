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
