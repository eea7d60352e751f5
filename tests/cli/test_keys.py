"""`outdial keys create`: what plain Postgres needs, in the form of settings."""

import base64

from outdial.auth.keys import KeyRing
from tests.cli.conftest import Outdial


def settings_in(printed: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in printed.splitlines())


def test_the_keys_are_settings_that_the_processes_read(outdial: Outdial) -> None:
    settings = settings_in(outdial("keys", "create"))

    keys = {key.kind: key.value for key in KeyRing.from_env(settings).keys}
    assert keys == {
        "publishable": settings["SUPABASE_ANON_KEY"],
        "secret": settings["SUPABASE_SERVICE_ROLE_KEY"],
    }
    assert keys["publishable"].startswith("sb_publishable_")
    assert keys["secret"].startswith("sb_secret_")
    assert len(base64.b64decode(settings["OUTDIAL_SECRETS_KEY"])) == 32
    assert len(settings["OUTDIAL_STUDIO_SECRET"]) == 64


def test_keys_are_new_every_time(outdial: Outdial) -> None:
    first, second = outdial.json("keys", "create"), outdial.json("keys", "create")

    assert first.keys() == second.keys()
    assert not set(first.values()) & set(second.values())


def test_a_supabase_project_has_its_own_api_keys(outdial: Outdial) -> None:
    assert settings_in(outdial("keys", "create", "--supabase")).keys() == {
        "OUTDIAL_SECRETS_KEY",
        "OUTDIAL_STUDIO_SECRET",
    }
