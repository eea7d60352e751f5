"""Keys are read from Supabase's settings, found by value, and never shown."""

import json

import pytest

from outdial.auth.keys import (
    LOCAL_JWT_SECRET,
    LOCAL_PUBLISHABLE_KEY,
    LOCAL_SECRET_KEY,
    KeyRing,
    local_anon_jwt,
    local_service_role_jwt,
)
from outdial.settings import SettingError

ENV = {
    "SUPABASE_URL": "https://abc.supabase.co/",
    "SUPABASE_PUBLISHABLE_KEYS": json.dumps({"default": "sb_publishable_one", "web": "sb_publishable_web"}),
    "SUPABASE_SECRET_KEYS": json.dumps({"default": "sb_secret_one", "cron": "sb_secret_cron"}),
    "SUPABASE_ANON_KEY": "legacy-anon-key-value",
    "SUPABASE_SERVICE_ROLE_KEY": "legacy-service-key-value",
    "SUPABASE_JWT_SECRET": "planted-jwt-secret-of-forty-characters--",
}


def test_the_local_legacy_keys_are_those_that_supabase_prints() -> None:
    assert local_anon_jwt().endswith(".CRXP1A7WOeoJeXxjNni43kdQwgnWNReilDMblYTn_I0")
    assert local_service_role_jwt().endswith(".EGIM96RAZx35lJzdJsyH-qQwv8Hdp7fsn3W0YpN81IU")


def test_every_setting_becomes_a_key_with_its_kind_and_name() -> None:
    ring = KeyRing.from_env(ENV)

    assert [(key.kind, key.name) for key in ring.keys] == [
        ("publishable", "default"),
        ("publishable", "web"),
        ("publishable", "legacy"),
        ("secret", "default"),
        ("secret", "cron"),
        ("secret", "legacy"),
    ]
    assert ring.jwks_url == "https://abc.supabase.co/auth/v1/.well-known/jwks.json"


def test_quotes_around_a_setting_are_dropped() -> None:
    quoted = {name: f"'{value}'" for name, value in ENV.items() if name != "SUPABASE_URL"}
    ring, plain = KeyRing.from_env(quoted), KeyRing.from_env(ENV)

    assert ring.keys == plain.keys
    assert ring.jwt_secret == plain.jwt_secret


def test_a_key_is_found_by_its_whole_value_only() -> None:
    ring = KeyRing.from_env(ENV)

    assert [key.name for key in ring.matching("sb_secret_cron")] == ["cron"]
    assert ring.matching("sb_secret_cro") == ()
    assert ring.matching("") == ()
    assert ring.matching("sb_sécret_cron") == ()


def test_one_value_under_two_names_is_found_under_both() -> None:
    ring = KeyRing.from_env({**ENV, "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_one"})

    assert [key.name for key in ring.matching("sb_secret_one")] == ["default", "legacy"]


def test_repr_shows_no_secret() -> None:
    shown = repr(KeyRing.from_env({**ENV, "SUPABASE_JWKS": '{"keys": ["planted-jwk"]}'}))

    for secret in ("sb_secret", "sb_publishable", "legacy-service-key", "planted-jwt-secret", "planted-jwk"):
        assert secret not in shown


@pytest.mark.parametrize("value", ["sb_secret_planted", '["sb_secret_planted"]', '{"a": ["sb_secret_planted"]}'])
def test_a_setting_that_cannot_be_read_is_named_but_not_quoted(value: str) -> None:
    with pytest.raises(SettingError, match="SUPABASE_SECRET_KEYS") as caught:
        KeyRing.from_env({"SUPABASE_SECRET_KEYS": value})

    assert "planted" not in str(caught.value)


def test_an_empty_environment_can_check_no_caller() -> None:
    ring = KeyRing.from_env({})

    assert not any(ring.can_check(kind) for kind in ("user", "publishable", "secret"))


def test_the_local_constants_have_the_published_form() -> None:
    assert len(LOCAL_JWT_SECRET) >= 32
    assert LOCAL_PUBLISHABLE_KEY.startswith("sb_publishable_")
    assert LOCAL_SECRET_KEY.startswith("sb_secret_")
