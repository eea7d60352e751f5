"""No value of any setting ends a process with a traceback: each has one line that says what to correct."""

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outdial.auth import KeyRing
from outdial.cli.errors import explain
from outdial.host.deployments.logins import logins_of
from outdial.host.gateway.launch import missing_settings
from outdial.host.gateway.settings import GatewaySettings
from outdial.process import READY_FD, notify_ready
from outdial.settings import DialerProcessSettings, EmbeddedSettings, JobsSettings, SettingError, read_environment
from outdial.studio.web.settings import StudioProcessSettings

OPERATING = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
TABLE = OPERATING.partition("| setting | meaning | default |")[2].partition("\n\n")[0]
NAMES = sorted(
    set(re.findall(r"`([A-Z]+_[A-Z_]+[A-Z])`", "\n".join(row.split("|")[1] for row in TABLE.splitlines() if row)))
)
SECRET = re.compile("KEY|SECRET|PASSWORD|DB_URL|TOKEN")
READERS: Mapping[str, Callable[[Mapping[str, str]], object]] = {
    "dialer": DialerProcessSettings.from_env,
    "jobs": JobsSettings.from_env,
    "studio": lambda env: StudioProcessSettings.from_env(env, secure=False),
    "studio behind TLS": lambda env: StudioProcessSettings.from_env(env, secure=True),
    "gateway": lambda env: GatewaySettings.from_env(env, home=None),
    "embedded server": EmbeddedSettings.from_env,
    "logins": logins_of,
    "keys": KeyRing.from_env,
}
BASE = {
    "SUPABASE_DB_URL": "postgresql://postgres:x@127.0.0.1/postgres",
    "SUPABASE_URL": "http://127.0.0.1:54321",
    "SUPABASE_JWT_SECRET": "a" * 40,
    "SUPABASE_PUBLISHABLE_KEYS": '{"default": "sb_publishable_x"}',
    "SUPABASE_SECRET_KEYS": '{"default": "sb_secret_x"}',
    "OUTDIAL_STUDIO_SECRET": "b" * 40,
    "OUTDIAL_SECRETS_KEY": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "RETELL_API_KEY": "key_x",
}
# What an environment can hold: no NUL, and bytes that are not UTF-8 as lone surrogates.
TEXTS = st.text(
    st.one_of(
        st.sampled_from([*"0123456789.,:;/[]{}()@#?%&=\"'+-_ \n\t", "\udce9"]),
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
    )
)


def test_the_table_of_settings_is_read() -> None:
    assert {"OUTDIAL_JOBS_DB_URL", "OUTDIAL_SAFETY_INTERVAL", "SUPABASE_URL", "OUTDIAL_LOG_RETENTION_DAYS"} <= set(
        NAMES
    )


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=300)
@given(st.sampled_from(NAMES), TEXTS)
@example("OUTDIAL_POLL_INTERVAL", "nan")
@example("OUTDIAL_POLL_INTERVAL", "inf")
@example("OUTDIAL_POLL_INTERVAL", "1e300")
@example("OUTDIAL_POLL_INTERVAL", "1e-300")
@example("OUTDIAL_LOG_RETENTION_DAYS", "nan")
@example("OUTDIAL_LOG_RETENTION_DAYS", "1e300")
@example("OUTDIAL_LOG_RETENTION_DAYS", "99999999999999999999")
@example("OUTDIAL_LOG_RETENTION_DAYS", "\u00b2")
@example("SUPABASE_URL", "http://[")
@example("SUPABASE_URL", "http://\u2100")
@example("RETELL_BASE_URL", "http://[::1")
@example("OUTDIAL_STUDIO_AUTH_URL", "http://[")
@example("OUTDIAL_AUTH_UPSTREAM", "http://[")
@example("OUTDIAL_HOST_URL", "http://a:99999999")
@example("SUPABASE_SECRET_KEYS", "[[[[")
@example("SUPABASE_SECRET_KEYS", "[1]")
@example("SUPABASE_SECRET_KEYS", '{"default": 1}')
@example("SUPABASE_PUBLISHABLE_KEYS", "\udce9")
@example("SUPABASE_JWT_SECRET", "\udce9")
@example("OUTDIAL_STUDIO_SECRET", "\udce9" * 40)
@example("OUTDIAL_SECRETS_KEY", "=")
@example("OUTDIAL_SECRETS_KEY", "\udce9")
@example("OUTDIAL_SECRETS_KEY", "é")
def test_any_value_is_read_or_has_one_line(reader: str, name: str, value: str) -> None:
    told = error_of(lambda: READERS[reader]({**BASE, name: value}))

    assert "\n" not in told
    if SECRET.search(name) and len(value.strip()) > 3:
        assert value.strip() not in told


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted({*NAMES} - {"RETELL_WEBHOOK_SECRET"})), TEXTS)
def test_any_value_is_checked_before_the_host_starts(name: str, value: str) -> None:
    env = {**BASE, "RETELL_WEBHOOK_SECRET": "key_x", name: value}
    assert "\n" not in error_of(lambda: asyncio.run(missing_settings(env)))


def error_of(read: Callable[[], object]) -> str:
    """Return the line that the command line prints for the error of `read`, or an empty text."""
    try:
        read()
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        return told
    return ""


@pytest.mark.parametrize(
    "name", ["SUPABASE_URL", "RETELL_BASE_URL", "OUTDIAL_STUDIO_AUTH_URL", "OUTDIAL_HOST_URL", "OUTDIAL_AUTH_UPSTREAM"]
)
@pytest.mark.parametrize(
    "value", ["api.retellai.com", "http://", "ftp://host/", "https://host:port", "https://a b/", "http://["]
)
def test_a_url_that_is_none_stops_the_start(name: str, value: str) -> None:
    told = [error_of(partial(read, {**BASE, name: value})) for read in READERS.values()]
    assert f"{name} must be a URL such as https://host.example.com, not {value.rstrip('/')!r}" in told


@pytest.mark.parametrize("name", ["OUTDIAL_SECRETS_KEY", "SUPABASE_JWT_SECRET", "RETELL_API_KEY"])
def test_a_setting_that_is_not_text_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "caf\udce9")
    with pytest.raises(SettingError, match=f"^{name} is not UTF-8 text$"):
        read_environment()


@pytest.mark.parametrize("number", ["x", "-1", "12345"])
def test_readiness_that_cannot_be_reported_does_not_end_the_process(
    monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    monkeypatch.setenv(READY_FD, number)
    notify_ready()
    assert READY_FD not in os.environ
