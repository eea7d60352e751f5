"""`outdial functions list` and `test`."""

import pytest

from outdial.settings import MissingSetting
from outdial.stack.config import probe_target
from outdial.stack.errors import InvalidConfig, UnknownEnvironment
from tests.cli.conftest import Outdial
from tests.support.ports import reserved_port

STAGING = {
    "OUTDIAL_STAGING_URL": "https://staging.example.com",
    "OUTDIAL_STAGING_SECRET_KEY": "sb_secret_staging",
    "OUTDIAL_STAGING_WEBHOOK_SECRET": "key_staging",
}


def test_functions_are_listed_with_their_configuration(outdial: Outdial) -> None:
    rows = {row["slug"]: row for row in outdial.json("functions", "list")}

    assert rows.keys() == {"campaign-trigger", "retell-webhook"}
    assert not any(row["verify_jwt"] for row in rows.values())
    assert "campaign-trigger" in outdial("functions", "list")


def test_an_unreachable_stack_fails_every_request_of_the_probe(outdial: Outdial) -> None:
    with reserved_port() as port:
        env = {**STAGING, "OUTDIAL_STAGING_URL": f"http://127.0.0.1:{port}"}
        result = outdial.run("functions", "test", "--env=staging", env=env)

    assert result.exit_code == 1
    assert result.stdout.count("FAILED") == 16
    assert "sb_secret_staging" not in result.output


def test_an_environment_without_its_settings_names_the_missing_one(outdial: Outdial) -> None:
    assert outdial.error("functions", "test", "--env=staging").startswith("OUTDIAL_STAGING_URL is not set")
    some = {"OUTDIAL_STAGING_URL": "https://staging.example.com"}
    assert outdial.error("functions", "test", "--env=staging", env=some).startswith("OUTDIAL_STAGING_SECRET_KEY is")


def test_an_unknown_environment_is_reported_with_the_known_ones(outdial: Outdial) -> None:
    error = outdial.error("functions", "test", "--env=moon")
    assert error.endswith("defines local, staging, production")


def test_an_environment_may_name_other_variables() -> None:
    config = {"environments": {"eu-west": {"url": "https://eu.example.com", "secret_key": "env(EU_KEY)"}}}
    env = {"EU_KEY": "sb_secret_eu", "OUTDIAL_EU_WEST_WEBHOOK_SECRET": "key_eu"}

    target = probe_target(config, "eu-west", env)

    assert (target.url, target.secret_key, target.webhook_secret) == (
        "https://eu.example.com", "sb_secret_eu", "key_eu"
    )  # fmt: skip
    assert "sb_secret_eu" not in repr(target)


def test_a_secret_in_the_file_itself_is_refused() -> None:
    config = {"environments": {"staging": {"secret_key": "sb_secret_open"}}}
    with pytest.raises(InvalidConfig, match=r"write env\(OUTDIAL_STAGING_SECRET_KEY\)") as caught:
        probe_target(config, "staging", STAGING)
    assert "sb_secret_open" not in str(caught.value)


def test_missing_configuration_is_reported() -> None:
    with pytest.raises(UnknownEnvironment, match="defines local"):
        probe_target({}, "staging", STAGING)
    with pytest.raises(MissingSetting, match="OUTDIAL_STAGING_URL"):
        probe_target({"environments": {"staging": {}}}, "staging", {})
