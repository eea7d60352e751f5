"""The settings of the studio, read once from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from outdial.auth import KeyRing
from outdial.net import is_loopback_url
from outdial.settings import MissingSetting, SettingError, credentials, require, secret_list

# Guards nothing but a local stack, whose sign-in has a public signing key as well.
LOCAL_SECRET: Final = "outdial-local-studio-secret-of-a-stack-that-only-this-machine-reaches"
_SHORTEST_SECRET: Final = 32
_ORIGIN: Final = re.compile(r"http://[\w.:\[\]-]+")
LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class StudioSettings:
    """What the studio is told.

    `supabase_url` is where functions and Auth are reached; the webhook URL to paste into Retell is made from it.
    `secrets` encrypt the session cookie: the first one seals, all of them open, so that one can be replaced by another.
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
    has_webhook_secret: bool = False
    recordings: str = ""
    """Where recordings come from besides https: the simulator of a local stack."""

    @property
    def is_local(self) -> bool:
        """Whether everything is on this machine."""
        return is_loopback_url(self.supabase_url) and not self.secure

    @property
    def webhook_url(self) -> str:
        """The address that Retell is to send its events to."""
        return f"{self.supabase_url}/functions/v1/retell-webhook"

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, secure: bool) -> Self:
        """Read the settings; raises SettingError naming the one that is missing or cannot be used.

        SUPABASE_URL, SUPABASE_PUBLISHABLE_KEYS or SUPABASE_ANON_KEY, OUTDIAL_STUDIO_SECRET (not needed while
        everything is on this machine), and OUTDIAL_STUDIO_HOSTS, the host names under which browsers come here. For the
        functions' page: OUTDIAL_STUDIO_OPERATORS (e-mail addresses or ids of users), OUTDIAL_HOST_URL (SUPABASE_URL
        without it), OUTDIAL_ACCESS_TOKEN and OUTDIAL_PROJECT_REF.
        """
        url = require(env, "SUPABASE_URL", "the address of the project, https://<project>.supabase.co").rstrip("/")
        return cls(
            supabase_url=url,
            publishable_key=_publishable_key(env),
            secrets=_secrets(env, is_here=is_loopback_url(url) and not secure),
            auth_url=env.get("OUTDIAL_STUDIO_AUTH_URL", "").strip().rstrip("/") or f"{url}/auth/v1",
            hosts=(*LOOPBACK_HOSTS, *secret_list(env.get("OUTDIAL_STUDIO_HOSTS", "").lower())),
            secure=secure,
            operators=secret_list(env.get("OUTDIAL_STUDIO_OPERATORS", "").lower()),
            host_url=env.get("OUTDIAL_HOST_URL", "").strip().rstrip("/") or url,
            access_token=env.get("OUTDIAL_ACCESS_TOKEN", "").strip(),
            project_ref=env.get("OUTDIAL_PROJECT_REF", "").strip() or "outdiallocalprojects",
            has_webhook_secret=bool(credentials(env, "RETELL_WEBHOOK_SECRET")),
            recordings=_simulator(env),
        )


def _simulator(env: Mapping[str, str]) -> str:
    url = env.get("RETELL_BASE_URL", "").strip().rstrip("/")
    return url if is_loopback_url(url) and _ORIGIN.fullmatch(url) else ""


def _secrets(env: Mapping[str, str], *, is_here: bool) -> tuple[str, ...]:
    secrets = secret_list(env.get("OUTDIAL_STUDIO_SECRET", ""))
    if not secrets and is_here:
        return (LOCAL_SECRET,)
    if not secrets:
        raise MissingSetting("OUTDIAL_STUDIO_SECRET", "it encrypts the cookies of people who sign in; 32 random bytes")
    if any(len(secret) < _SHORTEST_SECRET for secret in secrets):
        raise SettingError(f"OUTDIAL_STUDIO_SECRET needs at least {_SHORTEST_SECRET} characters: openssl rand -hex 32")
    return secrets


def _publishable_key(env: Mapping[str, str]) -> str:
    keys = [key.value for key in KeyRing.from_env(env).keys if key.kind == "publishable"]
    if not keys:
        raise MissingSetting("SUPABASE_PUBLISHABLE_KEYS", "signing in through Auth takes a publishable key")
    return keys[0]
