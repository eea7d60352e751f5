"""Settings of every process, read once from the environment, printable without their secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Self
from urllib.parse import parse_qs, urlsplit, urlunsplit

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class SettingError(ValueError):
    """A setting is missing or cannot be read."""


class MissingSetting(SettingError):
    """A setting that the process cannot do without is not set."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} is not set: {why}")
        self.name = name


def require(env: Mapping[str, str], name: str, why: str) -> str:
    """Return the value of `name`, or raise MissingSetting with one line that names it and says what it is for."""
    value = env.get(name, "").strip()
    if not value:
        raise MissingSetting(name, why)
    return value


def _seconds(env: Mapping[str, str], name: str, default: float) -> timedelta:
    raw = env.get(name)
    try:
        value = float(raw) if raw else default
    except ValueError:
        raise SettingError(f"{name} must be a number of seconds, not {raw!r}") from None
    if value <= 0:
        raise SettingError(f"{name} must be more than 0 seconds, not {raw!r}")
    return timedelta(seconds=value)


def flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Return a yes-or-no setting; anything but true/false, yes/no, on/off, 1/0 is an error."""
    raw = env.get(name, "").strip().lower()
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    if raw:
        raise SettingError(f"{name} must be true or false, not {raw!r}")
    return default


def secret_list(raw: str) -> tuple[str, ...]:
    """Return the comma-separated secrets in `raw`: several are live at once while one is being rotated."""
    return tuple(part.strip() for part in raw.split(",") if part.strip())


def credentials(env: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the secrets under `prefix` by credential: PREFIX is 'default', PREFIX_ACME is 'acme'."""
    found = {}
    for name, value in env.items():
        if name == prefix and value.strip():
            found["default"] = value.strip()
        elif name.startswith(prefix + "_") and value.strip():
            found[name[len(prefix) + 1 :].lower()] = value.strip()
    return found


def with_user(dsn: str, role: str) -> str:
    """Return `dsn` with its login replaced by `role`, without a password: for a server that trusts its socket."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}@{host}"))


def _is_socket(dsn: str) -> bool:
    parts = urlsplit(dsn)
    hosts = parse_qs(parts.query).get("host", [""])
    return not parts.hostname and not parts.password and all(host.startswith(("/", "@")) for host in hosts)


def is_local(url: str) -> bool:
    """Tell whether a web address names this machine."""
    return (urlsplit(url).hostname or "") in _LOOPBACK


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """Where each kind of process connects, and the role that it assumes there when its login is the owner's."""

    owner: str = field(repr=False)
    api: str = field(repr=False)
    webhook: str = field(repr=False)
    dialer: str = field(repr=False)
    host: str = field(repr=False)
    jobs: str = field(repr=False)
    auth: str = field(repr=False)
    assume_roles: bool = False

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read SUPABASE_DB_URL and, where set, OUTDIAL_<KIND>_DB_URL for api, webhook, dialer, host, jobs and auth.

        Without these, a local server that trusts its socket is logged into as each role; on any other server the
        owner logs in and assumes the role.
        """
        owner = require(env, "SUPABASE_DB_URL", "the address of the database, postgresql://user:password@host/name")
        trusted = _is_socket(owner)

        def url(kind: str) -> str:
            given = env.get(f"OUTDIAL_{kind.upper()}_DB_URL", "").strip()
            return given or (with_user(owner, f"outdial_{kind}") if trusted else owner)

        kinds = {kind: url(kind) for kind in ("api", "webhook", "dialer", "host", "jobs", "auth")}
        return cls(owner, **kinds, assume_roles=not trusted)

    def role(self, kind: str) -> str | None:
        """Return the role that a connection of `kind` (api, webhook, dialer, host, jobs, auth) must assume, if any."""
        if not self.assume_roles or getattr(self, kind) != self.owner:
            return None
        return f"outdial_{kind}"


@dataclass(frozen=True, slots=True)
class DialerSettings:
    """How patient the dialer is. Each can be set as OUTDIAL_<NAME> in seconds; the defaults suit Retell."""

    request_timeout: timedelta = timedelta(seconds=20)
    poll_interval: timedelta = timedelta(seconds=1)
    # A claim reserves the starts of this span at most, so a pause waits for no more.
    claim_horizon: timedelta = timedelta(seconds=1)
    safety_interval: timedelta = timedelta(seconds=60)
    # An unknown call is asked about after this time, so that Retell's list has caught up.
    rescue_after: timedelta = timedelta(seconds=10)
    # The same key may be sent again for an hour (reference: create-phone-call, idempotency_key).
    resend_until: timedelta = timedelta(minutes=50)
    release_after: timedelta = timedelta(minutes=65)
    review_after: timedelta = timedelta(hours=24)
    # A call that has been silent for this long is asked about, then less and less often.
    reconcile_after: timedelta = timedelta(seconds=60)
    reconcile_most: timedelta = timedelta(minutes=10)
    capacity_hold: timedelta = timedelta(seconds=30)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read the settings; raises SettingError naming the one that cannot be read."""
        return cls(
            **{
                f.name: _seconds(env, f"OUTDIAL_{f.name.upper()}", f.default.total_seconds())
                for f in fields(cls)
                if isinstance(f.default, timedelta)
            }
        )
