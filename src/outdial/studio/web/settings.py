"""Settings of the studio, read once from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from outdial.auth import KeyRing
from outdial.campaigns.erasure_keys import ErasureKeys
from outdial.net import is_loopback_url
from outdial.settings import (
    DatabaseUrls,
    MissingSetting,
    SettingError,
    encryption_secrets,
    erasure_secrets,
    flag,
    ignores_calling_rules,
    require,
    retry_speed,
    secret_list,
    trusted_proxies,
    web_url,
)

# For local stacks only, whose JWT signing key is public as well.
LOCAL_SECRET: Final = "outdial-local-studio-secret-of-a-stack-that-only-this-machine-reaches"
_MIN_SECRET_LENGTH: Final = 32
_ORIGIN: Final = re.compile(r"http://[\w.:\[\]-]+")
_API_ORIGIN: Final = re.compile(r"https?://[\w.\[\]:-]+")
LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioSettings:
    """Settings of the studio.

    `supabase_url` is the base URL of functions and Auth, and of the webhook URL to paste into Retell.
    `secrets` encrypt the session cookie: the first seals, every one opens, so that secrets can be rotated.
    """

    supabase_url: str
    publishable_key: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    auth_url: str = ""
    hosts: tuple[str, ...] = LOOPBACK_HOSTS
    secure: bool = False
    operators: tuple[str, ...] = ()
    host_url: str = ""
    access_token: str = field(default="", repr=False)
    project_ref: str = "outdiallocalprojects"
    api_origins: tuple[str, ...] = ()
    """Origins whose pages may call the JSON API, or `*` for all."""
    recordings: str = ""
    """Origin of recordings besides https: the simulator of a local stack."""
    ignore_rules: bool = False
    """Whether the dialers of a local stack ignore calling rules; pages then do not name them as a reason to wait."""
    retry_speed: float = 1.0
    """By how much the dialers of a local stack divide the delays of retries; forecasts do the same."""
    hook_private: bool = False
    """Whether pre-dial hooks on private networks and on this machine are allowed."""
    erasure_secrets: tuple[str, ...] = field(default=(), repr=False)
    """The secrets of `erasure_keys`, the newest first."""
    encryption_secrets: tuple[str, ...] = field(default=(), repr=False)
    """They encrypt the API keys that members enter, the newest first."""
    retell_url: str = ""
    """Where entered keys are tested, empty for Retell itself."""
    anyone_creates: bool = False
    """Whether each user without an organization may create one, and not only the first user of an installation."""

    @property
    def is_local(self) -> bool:
        """Whether this is a local stack."""
        return is_loopback_url(self.supabase_url) and not self.secure

    @property
    def erasure_keys(self) -> ErasureKeys | None:
        """The keys that hash the phones of erased contacts; without any, nothing can be erased."""
        return ErasureKeys.of(self.erasure_secrets)

    @property
    def webhook_url(self) -> str:
        """The webhook URL to configure at Retell."""
        return f"{self.supabase_url}/functions/v1/retell-webhook"

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, secure: bool) -> Self:
        """Read the settings; raises SettingError naming a missing or invalid one.

        SUPABASE_URL, SUPABASE_PUBLISHABLE_KEYS or SUPABASE_ANON_KEY, OUTDIAL_STUDIO_SECRET (optional on a local stack)
        and OUTDIAL_STUDIO_HOSTS (host names browsers use). OUTDIAL_API_ORIGINS lists origins whose pages may call the
        JSON API. OUTDIAL_ERASURE_KEY hashes erased phones, RETELL_ENCRYPTION_KEY encrypts entered API keys. With
        OUTDIAL_CREATE_ORGANIZATIONS, users without an organization may create one. For the Functions page:
        OUTDIAL_STUDIO_OPERATORS (email addresses or user ids), OUTDIAL_HOST_URL (default: SUPABASE_URL),
        OUTDIAL_ACCESS_TOKEN and OUTDIAL_PROJECT_REF.
        """
        require(env, "SUPABASE_URL", "the URL of the project, https://<project>.supabase.co")
        url = web_url(env, "SUPABASE_URL")
        publishable_keys = [key.value for key in KeyRing.from_env(env).keys if key.kind == "publishable"]
        if not publishable_keys:
            raise MissingSetting("SUPABASE_PUBLISHABLE_KEYS", "sign-in through Auth needs a publishable key")
        secrets = secret_list(env.get("OUTDIAL_STUDIO_SECRET", ""))
        if not secrets and is_loopback_url(url) and not secure:
            secrets = (LOCAL_SECRET,)
        if not secrets:
            raise MissingSetting("OUTDIAL_STUDIO_SECRET", "it encrypts session cookies; use 32 random bytes")
        if any(len(secret) < _MIN_SECRET_LENGTH for secret in secrets):
            raise SettingError(
                f"OUTDIAL_STUDIO_SECRET needs at least {_MIN_SECRET_LENGTH} characters: openssl rand -hex 32"
            )
        simulator = web_url(env, "RETELL_BASE_URL")
        is_simulated = is_loopback_url(simulator) and _ORIGIN.fullmatch(simulator)
        return cls(
            supabase_url=url,
            publishable_key=publishable_keys[0],
            secrets=secrets,
            auth_url=web_url(env, "OUTDIAL_STUDIO_AUTH_URL") or f"{url}/auth/v1",
            hosts=(*LOOPBACK_HOSTS, *secret_list(env.get("OUTDIAL_STUDIO_HOSTS", "").lower())),
            secure=secure,
            operators=secret_list(env.get("OUTDIAL_STUDIO_OPERATORS", "").lower()),
            host_url=web_url(env, "OUTDIAL_HOST_URL") or url,
            access_token=env.get("OUTDIAL_ACCESS_TOKEN", "").strip(),
            project_ref=env.get("OUTDIAL_PROJECT_REF", "").strip() or "outdiallocalprojects",
            api_origins=_origins(env),
            recordings=simulator if is_simulated else "",
            ignore_rules=ignores_calling_rules(env),
            retry_speed=retry_speed(env),
            hook_private=flag(env, "OUTDIAL_HOOK_PRIVATE_NETWORKS", default=False),
            erasure_secrets=erasure_secrets(env),
            encryption_secrets=encryption_secrets(env),
            retell_url=simulator,
            anyone_creates=flag(env, "OUTDIAL_CREATE_ORGANIZATIONS", default=False),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioProcessSettings:
    """All settings of `outdial studio`; `allow_sign_up` is for the Auth that it serves on plain Postgres.

    `proxies` is the number of proxies in front.
    """

    studio: StudioSettings
    database: DatabaseUrls
    keyring: KeyRing
    allow_sign_up: bool = False
    proxies: int = 0

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, secure: bool, behind_proxy: bool = False) -> Self:
        """Read the settings; raises SettingError, which names the missing or invalid one."""
        return cls(
            studio=StudioSettings.from_env(env, secure=secure),
            database=DatabaseUrls.from_env(env),
            keyring=KeyRing.from_env(env),
            allow_sign_up=flag(env, "OUTDIAL_ALLOW_SIGN_UP", default=False),
            proxies=trusted_proxies(env, behind_proxy=behind_proxy),
        )


def _origins(env: Mapping[str, str]) -> tuple[str, ...]:
    origins = secret_list(env.get("OUTDIAL_API_ORIGINS", "").lower())
    for origin in origins:
        if origin != "*" and not _API_ORIGIN.fullmatch(origin):
            raise SettingError(
                f"OUTDIAL_API_ORIGINS: {origin!r} is not an origin: write https://app.example.com without a path, or *"
            )
    return origins
