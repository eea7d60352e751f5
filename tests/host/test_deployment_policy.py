"""What a deployment may ask of its host: ceilings, settings and logins."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from outdial.host.deployments.plan import HostEnvironment
from outdial.host.deployments.policy import DEFAULT_CEILINGS, DeploymentPolicy
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BadConfig
from outdial.settings import SettingError

POLICY = DeploymentPolicy()


def test_every_limit_has_a_ceiling_above_its_default() -> None:
    numbers = {field.name for field in fields(FunctionConfig) if type(field.default) in (int, float)}

    assert numbers == DEFAULT_CEILINGS.keys()
    POLICY.check("hello", FunctionConfig())


@pytest.mark.parametrize("name", DEFAULT_CEILINGS)
def test_a_limit_above_its_ceiling_is_refused_by_name(name: str) -> None:
    ceiling = DEFAULT_CEILINGS[name]
    most = FunctionConfig(**{"max_workers": 16, name: type(getattr(FunctionConfig(), name))(ceiling)})
    above = FunctionConfig(**{"max_workers": 16, name: type(getattr(FunctionConfig(), name))(ceiling + 1)})

    POLICY.check("hello", most)
    with pytest.raises(BadConfig, match=rf"functions\.hello: {name} is .*, more than .*OUTDIAL_FUNCTION_CEILINGS"):
        POLICY.check("hello", above)
    assert POLICY.clamp(above) == most


def test_clamping_keeps_the_numbers_of_workers_in_order() -> None:
    policy = DeploymentPolicy.from_env({"OUTDIAL_FUNCTION_CEILINGS": "max_workers=1"})

    clamped = policy.clamp(FunctionConfig(min_workers=2, max_workers=8, memory_mb=512))

    assert (clamped.min_workers, clamped.max_workers, clamped.memory_mb) == (1, 1, 512)


def test_the_host_sets_ceilings_and_names() -> None:
    policy = DeploymentPolicy.from_env(
        {"OUTDIAL_FUNCTION_CEILINGS": "memory_mb = 2048, processes=0", "OUTDIAL_FUNCTION_SETTINGS": "STRIPE_*,REGION"}
    )

    assert (policy.ceilings["memory_mb"], policy.ceilings["processes"]) == (2048, 0)
    assert policy.ceilings["cpu_ms"] == DEFAULT_CEILINGS["cpu_ms"]
    settings = {"STRIPE_KEY": "1", "REGION": "2", "REGION_TWO": "3", "SUPABASE_SECRET_KEYS": "4", "OTHER": "5"}
    assert policy.settings_for(FunctionConfig(secrets=("OTHER",)), settings).keys() == settings.keys() - {"REGION_TWO"}


@pytest.mark.parametrize("text", ["memory=1", "memory_mb", "memory_mb=much", "max_workers=0", "cpu_ms=nan", "burst=-1"])
def test_an_invalid_ceiling_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(SettingError, match=rf"OUTDIAL_FUNCTION_CEILINGS: '?{text.partition('=')[0]}"):
        DeploymentPolicy.from_env({"OUTDIAL_FUNCTION_CEILINGS": text})


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_no_deployment_points_its_workers_to_files_of_the_host(name: str) -> None:
    """Workers may read the certificates that the host trusts."""
    urls = {"outdial_api": "postgresql://outdial_api@db.example.com/postgres"}
    config, secrets = FunctionConfig(secrets=(name, "SSL_*")), {name: "/etc/shadow", "OTHER": "1"}
    for settings in ({}, {name: "/etc/ssl/certs/ours.pem"}):
        environment = HostEnvironment(settings, urls, "local")
        for env in (
            environment.env("hello", config, secrets),
            environment.deployed_env("hello", config, secrets, FunctionConfig()),
        ):
            assert env.get(name) == settings.get(name)


def test_a_deployment_logs_in_as_the_role_of_its_own_place() -> None:
    own = FunctionConfig(database_role="outdial_webhook")

    POLICY.check_login("hook", "outdial_webhook", own)
    POLICY.check_login("hello", "outdial_api", FunctionConfig())
    with pytest.raises(
        BadConfig, match="may not log in as outdial_dialer, unless the host lists OUTDIAL_DIALER_DB_URL"
    ):
        POLICY.check_login("hook", "outdial_dialer", own)
    DeploymentPolicy(settings=("OUTDIAL_DIALER_DB_URL",)).check_login("hook", "outdial_dialer", own)


def test_the_documented_ceilings_are_the_defaults() -> None:
    text = (Path(__file__).parents[2] / "docs" / "functions.md").read_text()
    [documented] = re.findall(r"some of them\. The defaults: (.*?)\.\n\n", text, re.DOTALL)

    assert {name: float(value) for name, value in re.findall(r"`(\w+)` (\d+)", documented)} == DEFAULT_CEILINGS
