import pytest

from outdial.host.deployments.environment import worker_env
from outdial.host.deployments.plan import HostEnvironment
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BadConfig

OWNER = "postgresql://postgres:owner-password@db.example/postgres"
URLS = {
    "outdial_api": "postgresql://outdial_api:a@db.example/postgres",
    "outdial_webhook": "postgresql://outdial_webhook:w@db.example/postgres",
}
SETTINGS = {
    "PATH": "/opt/bin:/usr/bin",
    "HOME": "/var/lib/host",
    "SUPABASE_URL": "https://project.example",
    "SUPABASE_DB_URL": OWNER,
    "SUPABASE_ANON_KEY": "anon",
    "SUPABASE_SERVICE_ROLE_KEY": "service",
    "SUPABASE_SECRET_KEYS": '{"default": "sb_secret_x"}',
    "OUTDIAL_DIALER_DB_URL": "postgresql://outdial_dialer:d@db.example/postgres",
    "OUTDIAL_SECRETS_KEY": "of the host",
    "OUTDIAL_RECONCILE_AFTER": "60",
    "RETELL_API_KEY": "key",
    "RETELL_WEBHOOK_SECRET": "one",
    "RETELL_WEBHOOK_SECRET_ACME": "two",
    "PGPASSWORD": "owner-password",
    "LD_PRELOAD": "evil.so",
}


def env_of(*secrets: str, role: str = "outdial_api", urls: dict[str, str] = URLS) -> dict[str, str]:
    return worker_env(
        "hello", FunctionConfig(secrets=secrets, database_role=role), SETTINGS, urls, region="eu-central-1"
    )


def test_a_function_that_names_no_secret_sees_none() -> None:
    assert env_of() == {
        "PATH": "/opt/bin:/usr/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "SUPABASE_URL": "https://project.example",
        "SUPABASE_ANON_KEY": "anon",
        "SUPABASE_DB_URL": URLS["outdial_api"],
        "SUPABASE_FUNCTION_SLUG": "hello",
        "SB_REGION": "eu-central-1",
    }


def test_no_function_gets_the_login_of_auth() -> None:
    with pytest.raises(BadConfig, match="outdial_auth cannot be given to a function"):
        env_of(role="outdial_auth", urls={**URLS, "outdial_auth": "postgresql://outdial_auth:x@db.example/postgres"})


def test_passes_named_secrets_and_omits_unset_ones() -> None:
    env = env_of("RETELL_API_KEY", "SUPABASE_SERVICE_ROLE_KEY", "OUTDIAL_RECONCILE_AFTER", "NOT_SET")

    added = env.keys() - env_of().keys()
    assert added == {"RETELL_API_KEY", "SUPABASE_SERVICE_ROLE_KEY", "OUTDIAL_RECONCILE_AFTER"}


def test_certificates_are_those_of_the_host_and_of_no_secret() -> None:
    settings = {**SETTINGS, "SSL_CERT_FILE": "/etc/ssl/corporate.pem", "SSL_CERT_DIR": "/opt/certs"}
    deployed = {"SSL_CERT_FILE": "/srv/keys/id_ed25519"}
    config = FunctionConfig(secrets=("SSL_CERT_FILE", "SSL_*"))

    given = HostEnvironment(settings, URLS, "local").env("hello", config, deployed)
    assert (given["SSL_CERT_FILE"], given["SSL_CERT_DIR"]) == ("/etc/ssl/corporate.pem", "/opt/certs")

    given = HostEnvironment(SETTINGS, URLS, "local").env("hello", config, deployed)
    assert given == env_of() | {"SB_REGION": "local"}


def test_a_wildcard_matches_by_prefix() -> None:
    env = env_of("RETELL_WEBHOOK_SECRET*")

    assert env.keys() - env_of().keys() == {"RETELL_WEBHOOK_SECRET", "RETELL_WEBHOOK_SECRET_ACME"}


@pytest.mark.parametrize("pattern", ["S*", "O*", "P*", "L*", "H*"])
def test_a_wildcard_matches_no_reserved_or_process_variables(pattern: str) -> None:
    assert env_of(pattern) == env_of()


@pytest.mark.parametrize("pattern", ["SUPABASE_*", "OUTDIAL_*", "SUPABASE_SECRET*"])
def test_reserved_names_need_to_be_given_in_full(pattern: str) -> None:
    with pytest.raises(BadConfig, match="prefix in full"):
        env_of(pattern)


@pytest.mark.parametrize(
    "name",
    [
        *("SUPABASE_DB_URL", "OUTDIAL_DIALER_DB_URL", "OUTDIAL_DB_URL", "OUTDIAL_SECRETS_KEY"),
        *("OUTDIAL_PRODUCTION_ACCESS_TOKEN", "LD_PRELOAD", "PYTHONPATH", "PGPASSWORD", "HOME"),
    ],
)
def test_some_variables_are_never_passed(name: str) -> None:
    with pytest.raises(BadConfig, match=f"{name} cannot be given"):
        env_of(name)


def test_a_function_logs_into_the_database_as_its_own_role() -> None:
    assert env_of(role="outdial_webhook")["SUPABASE_DB_URL"] == URLS["outdial_webhook"]


def test_rejects_a_role_without_a_database_url() -> None:
    with pytest.raises(BadConfig, match=r"'outdial_dialer'; known roles: outdial_api, outdial_webhook"):
        env_of(role="outdial_dialer")


@pytest.mark.parametrize(
    "dsn",
    [
        OWNER,
        f"{OWNER}?application_name=hello",
        "postgresql://db.example/postgres?user=postgres",
        "postgresql://%70ostgres@other/x",
    ],
)
def test_a_function_never_logs_in_as_the_owner(dsn: str) -> None:
    with pytest.raises(BadConfig, match="as the database's owner") as error:
        env_of(urls={"outdial_api": dsn})

    assert "owner-password" not in str(error.value)
