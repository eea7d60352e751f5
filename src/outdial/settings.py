"""Settings of the processes, read from the environment once at start. Their `repr` hides secrets.

Each process has one class of settings, read by one call of its `from_env`: DialerProcessSettings and JobsSettings here,
StudioProcessSettings in `outdial.studio.web.settings`, GatewaySettings in `outdial.host.gateway.settings`.
EmbeddedSettings is about the embedded server, which several processes share. The settings of a function are its
`ctx.env`.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qs, urlsplit, urlunsplit

import platformdirs

from outdial.database_url import BadDatabaseUrl, check_database_url, without_login
from outdial.net import is_loopback_url

# A shorter key could be found by trying, and with it every erased number, or every stored API key.
_SHORTEST_SECRET: Final = 32
# Points in time this far away still exist in Python and in Postgres.
_LONGEST = timedelta(days=3650)


class SettingError(ValueError):
    """A setting is missing or invalid."""


class MissingSetting(SettingError):
    """A required setting is not set."""

    def __init__(self, name: str, purpose: str) -> None:
        super().__init__(f"{name} is not set: {purpose}")
        self.name = name


def read_environment() -> Mapping[str, str]:
    """Return a copy of this process's environment. Settings are read from nowhere else.

    Raises SettingError for a setting of ours that is not UTF-8, which no server or hash accepts.
    """
    env = dict(os.environ)
    for name, value in env.items():
        if name.startswith(("OUTDIAL_", "RETELL_", "SUPABASE_")):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise SettingError(f"{name} is not UTF-8 text") from None
    return env


def require(env: Mapping[str, str], name: str, purpose: str) -> str:
    """Return the value of `name`, or raise MissingSetting, whose message states the `purpose` of the setting."""
    value = env.get(name, "").strip()
    if not value:
        raise MissingSetting(name, purpose)
    return value


def web_url(env: Mapping[str, str], name: str) -> str:
    """Return the HTTP URL in the setting `name` without a slash at its end, empty if it is not set.

    Raises SettingError for text that is not a URL with a host.
    """
    url = env.get(name, "").strip().rstrip("/")
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if url and (not is_url or any(character.isspace() for character in url)):
        raise SettingError(f"{name} must be a URL such as https://host.example.com, not {url!r}")
    return url


def flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Return a boolean setting; raises SettingError for anything but true/false, yes/no, on/off and 1/0."""
    raw = env.get(name, "").strip().lower()
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    if raw:
        raise SettingError(f"{name} must be true or false, not {raw!r}")
    return default


def trusted_proxies(env: Mapping[str, str], *, behind_proxy: bool) -> int:
    """Return how many proxies are in front of a process: OUTDIAL_TRUSTED_PROXIES, 1 by default; 0 without a proxy."""
    raw = env.get("OUTDIAL_TRUSTED_PROXIES", "").strip()
    if not behind_proxy:
        return 0
    if raw and not (raw.isascii() and raw.isdecimal() and 1 <= int(raw) <= 10):
        raise SettingError(
            f"OUTDIAL_TRUSTED_PROXIES must be the number of proxies in front of this process, 1 to 10, not {raw!r}"
        )
    return int(raw or 1)


def unquoted(value: str) -> str:
    """Return `value` without the quotes around it, which env files of Docker and systemd units pass on.

    Quotes around each part of a list stay: `"a","b"` is not one quoted value.
    """
    value = value.strip()
    while len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" and value[0] not in value[1:-1]:
        value = value[1:-1].strip()
    return value


def secret_list(raw: str) -> tuple[str, ...]:
    """Return the comma-separated secrets in `raw`, unquoted. Several are valid at once while one is rotated."""
    parts = (unquoted(part) for part in unquoted(raw).split(","))
    return tuple(part for part in parts if part)


def signing_secret(raw: str, name: str) -> str:
    """Return the first secret of the list `raw`, which signs. Raises SettingError, which names the setting."""
    secrets = secret_list(raw)
    if not secrets:
        raise SettingError(f"{name} contains no secret: set it to one, or to several separated by commas")
    return secrets[0]


def erasure_secrets(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys in OUTDIAL_ERASURE_KEY, none if it is not set; raises SettingError for one that is too short."""
    return _long_secrets(env, "OUTDIAL_ERASURE_KEY")


def encryption_secrets(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys in RETELL_ENCRYPTION_KEY, none if it is not set; raises SettingError for one that is too short.

    They encrypt the API keys that members enter: the first encrypts, all of them decrypt.
    """
    return _long_secrets(env, "RETELL_ENCRYPTION_KEY")


def _long_secrets(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    secrets = secret_list(env.get(name, ""))
    if any(len(secret) < _SHORTEST_SECRET for secret in secrets):
        raise SettingError(f"{name} needs at least {_SHORTEST_SECRET} characters: openssl rand -hex 32")
    return secrets


def credentials(env: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the secrets under `prefix`, unquoted, by credential name: PREFIX is 'default', PREFIX_ACME is 'acme'."""
    found = {}
    for name, raw in env.items():
        if name == prefix and (value := unquoted(raw)):
            found["default"] = value
        elif name.startswith(prefix + "_") and (value := unquoted(raw)):
            found[name[len(prefix) + 1 :].lower()] = value
    return found


def with_user(dsn: str, role: str) -> str:
    """Return `dsn` with `role` as its user and no password, for a server that trusts its Unix socket."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}@{host}", query=without_login(parts.query)))


def database_url(env: Mapping[str, str], name: str, *, required: bool = False) -> str:
    """Return the checked database URL in the setting `name`, empty if it is not set.

    Raises SettingError, whose message says how to correct the URL and quotes no part of it.
    """
    raw = unquoted(env.get(name, ""))
    if not raw and required:
        raise MissingSetting(name, "the database URL, postgresql://user:password@host/name")
    try:
        return check_database_url(raw) if raw else ""
    except BadDatabaseUrl as error:
        raise SettingError(f"{name} {error}") from None


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """The database URL of each kind of process. Its connections have the role of the kind, whatever their login."""

    owner: str = field(repr=False)
    api: str = field(repr=False)
    webhook: str = field(repr=False)
    dialer: str = field(repr=False)
    host: str = field(repr=False)
    jobs: str = field(repr=False)
    auth: str = field(repr=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read SUPABASE_DB_URL, and OUTDIAL_<KIND>_DB_URL for api, webhook, dialer, host, jobs and auth.

        The default of the latter depends on the server. Where it trusts its Unix socket, processes log in as their
        role; elsewhere they log in as the owner and assume the role.
        """
        owner = database_url(env, "SUPABASE_DB_URL", required=True)
        parts = urlsplit(owner)
        hosts = parse_qs(parts.query).get("host", [""])
        is_socket = not parts.hostname and not parts.password and all(host.startswith(("/", "@")) for host in hosts)
        kinds = {}
        for kind in ("api", "webhook", "dialer", "host", "jobs", "auth"):
            default = with_user(owner, f"outdial_{kind}") if is_socket else owner
            kinds[kind] = database_url(env, f"OUTDIAL_{kind.upper()}_DB_URL") or default
        return cls(owner, **kinds)

    def role(self, kind: str) -> str:
        """Return the role that connections of `kind` have, whatever their login."""
        return f"outdial_{kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedSettings:
    """Settings of the embedded Postgres: its home directory, other binaries, and the user it runs as under root."""

    home: Path
    binaries: Path | None = None
    user: str | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read OUTDIAL_HOME, OUTDIAL_PG_BIN and OUTDIAL_PG_USER.

        The default home is the user's data directory, and /var/lib/outdial for root.
        """
        home = env.get("OUTDIAL_HOME")
        binaries = env.get("OUTDIAL_PG_BIN")
        default = Path("/var/lib/outdial") if os.geteuid() == 0 else platformdirs.user_data_path("outdial")
        return cls(
            home=Path(home) if home else default,
            binaries=Path(binaries) if binaries else None,
            user=env.get("OUTDIAL_PG_USER") or None,
        )


@dataclass(frozen=True, slots=True)
class DialerSettings:
    """Time limits and intervals of the dialer. Set each as OUTDIAL_<NAME>, in seconds; the defaults suit Retell."""

    request_timeout: timedelta = timedelta(seconds=20)
    poll_interval: timedelta = timedelta(seconds=1)
    # A claim reserves call starts at most this far ahead, so pausing a campaign never waits longer.
    claim_horizon: timedelta = timedelta(seconds=1)
    safety_interval: timedelta = timedelta(seconds=60)
    # Look up an unknown call after this time: Retell's list needs it to catch up.
    rescue_after: timedelta = timedelta(seconds=10)
    # Retell keeps an idempotency key for an hour (API reference: create-phone-call, idempotency_key).
    resend_until: timedelta = timedelta(minutes=50)
    release_after: timedelta = timedelta(minutes=65)
    review_after: timedelta = timedelta(hours=24)
    # Look up a call that sent no event for this long; later look-ups are spaced further apart.
    reconcile_after: timedelta = timedelta(seconds=60)
    reconcile_most: timedelta = timedelta(minutes=10)
    capacity_hold: timedelta = timedelta(seconds=30)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read the settings; raises SettingError, which names the invalid one."""
        given: dict[str, timedelta] = {}
        for each in fields(cls):
            name = f"OUTDIAL_{each.name.upper()}"
            if not (raw := env.get(name, "").strip()):
                continue
            try:
                value = timedelta(seconds=float(raw))
            except (ValueError, OverflowError):
                raise SettingError(f"{name} must be a number of seconds, not {raw!r}") from None
            if not timedelta(0) < value <= _LONGEST:
                raise SettingError(f"{name} must be more than 0 seconds and at most 10 years, not {raw!r}")
            given[each.name] = value
        return cls(**given)


def retry_speed(env: Mapping[str, str]) -> float:
    """Return by how much the delays of retries are divided, 1 for real calls; raises SettingError."""
    raw = env.get("OUTDIAL_RETRY_SPEED", "").strip()
    try:
        speed = float(raw or 1)
    except ValueError:
        speed = 0
    if not 0 < speed < math.inf:
        raise SettingError(f"OUTDIAL_RETRY_SPEED must be a number above 0, not {raw!r}")
    if speed != 1:
        _require_local_simulator(env, "OUTDIAL_RETRY_SPEED")
    return speed


def ignores_calling_rules(env: Mapping[str, str]) -> bool:
    """Return whether OUTDIAL_CALLING_RULES is `ignore`; raises SettingError unless calls go to a local simulator."""
    raw = env.get("OUTDIAL_CALLING_RULES", "").strip().lower()
    if raw not in ("", "enforce", "ignore"):
        raise SettingError(f"OUTDIAL_CALLING_RULES must be enforce or ignore, not {raw!r}")
    if raw == "ignore":
        _require_local_simulator(env, "OUTDIAL_CALLING_RULES=ignore")
    return raw == "ignore"


def rules_ahead(env: Mapping[str, str]) -> timedelta:
    """Return the shift of the time at which hours and rules are evaluated, zero for real calls; raises SettingError."""
    name = "OUTDIAL_CALLING_RULES_AHEAD"
    raw = env.get(name, "").strip()
    try:
        ahead = timedelta(seconds=float(raw or 0))
    except (ValueError, OverflowError):
        raise SettingError(f"{name} must be a number of seconds, not {raw!r}") from None
    if abs(ahead) > _LONGEST:
        raise SettingError(f"{name} must be at most 10 years, not {raw!r}")
    if ahead and ignores_calling_rules(env):
        raise SettingError(f"{name} needs the calling rules: unset it, or unset OUTDIAL_CALLING_RULES")
    if ahead:
        _require_local_simulator(env, name)
    return ahead


def _require_local_simulator(env: Mapping[str, str], setting: str) -> None:
    if not is_loopback_url(env.get("RETELL_BASE_URL", "").strip()):
        raise SettingError(
            f"{setting} is for simulated calls only: unset it, or set RETELL_BASE_URL to a simulator on this machine"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DialerProcessSettings:
    """Settings of `outdial dialer`: `api_keys` of Retell by credential name, `retell_url` None for Retell itself.

    `encryption_secrets` decrypt the API keys that members have entered.

    For simulated calls only: `retry_speed` divides the delays of retries, `ignore_rules` lets calls start whatever the
    law says, and `rules_ahead` is how much later hours and rules are evaluated.
    """

    database: DatabaseUrls
    timing: DialerSettings
    api_keys: Mapping[str, str] = field(repr=False)
    encryption_secrets: tuple[str, ...] = field(default=(), repr=False)
    retell_url: str | None = None
    retry_speed: float = 1.0
    ignore_rules: bool = False
    # Whether pre-dial hooks on private networks and on this machine are allowed.
    hook_private: bool = False
    rules_ahead: timedelta = timedelta()

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read the settings; raises SettingError, which names the missing or invalid one."""
        database = DatabaseUrls.from_env(env)
        timing = DialerSettings.from_env(env)
        api_keys = credentials(env, "RETELL_API_KEY")
        secrets = encryption_secrets(env)
        if not api_keys and not secrets:
            raise MissingSetting(
                "RETELL_API_KEY",
                "the API key of the Retell workspace that places the calls; or set RETELL_ENCRYPTION_KEY, and enter"
                " the key in the studio",
            )
        retell_url = web_url(env, "RETELL_BASE_URL") or None
        return cls(
            database=database,
            timing=timing,
            api_keys=api_keys,
            encryption_secrets=secrets,
            retell_url=retell_url,
            retry_speed=retry_speed(env),
            ignore_rules=ignores_calling_rules(env),
            hook_private=flag(env, "OUTDIAL_HOOK_PRIVATE_NETWORKS", default=False),
            rules_ahead=rules_ahead(env),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsSettings:
    """Settings of `outdial jobs`; `erasure_secrets` recognize erased phones in imports.

    `retry_speed` and `ignore_rules` are those of the dialers whose campaigns are forecast.
    """

    database: DatabaseUrls
    erasure_secrets: tuple[str, ...] = field(default=(), repr=False)
    retry_speed: float = 1.0
    ignore_rules: bool = False

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read the settings; raises SettingError, which names the missing or invalid one."""
        return cls(
            database=DatabaseUrls.from_env(env),
            erasure_secrets=erasure_secrets(env),
            retry_speed=retry_speed(env),
            ignore_rules=ignores_calling_rules(env),
        )
