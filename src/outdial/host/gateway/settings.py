"""Settings of the gateway, read from the environment once at start."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

from outdial.auth import KeyRing
from outdial.host.deployments.policy import DeploymentPolicy
from outdial.host.deployments.secrets import SETTING as SECRETS_KEY
from outdial.host.deployments.secrets import SecretKeys
from outdial.host.gateway.upstream import SETTING as AUTH_UPSTREAM
from outdial.host.log.retention import retention_of
from outdial.settings import DatabaseUrls, flag, secret_list, web_url


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Settings of the gateway.

    `secret_keys` decrypt deployed secrets, `hop_key` signs requests between hosts, and `auth_upstream` is the URL that
    /auth/v1 is forwarded to, or empty. `policy` limits what deployments may ask for. `allow_weak_fences` serves
    functions on a machine that cannot isolate them.
    """

    database: DatabaseUrls
    keyring: KeyRing
    secret_keys: SecretKeys = field(repr=False)
    hop_key: bytes = field(repr=False)
    log_retention: timedelta
    auth_upstream: str
    policy: DeploymentPolicy
    allow_weak_fences: bool

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, home: Path | None) -> Self:
        """Read the settings; raises SettingError, which names the missing or invalid one.

        A local stack passes its `home`, where a key for secrets is generated when OUTDIAL_SECRETS_KEY is not set.
        """
        keys = secret_list(env.get(SECRETS_KEY, ""))
        return cls(
            database=DatabaseUrls.from_env(env),
            keyring=KeyRing.from_env(env),
            secret_keys=SecretKeys.from_env(env, home=home),
            hop_key=hmac.digest(keys[0].encode(), b"outdial hop", "sha256") if keys else b"",
            log_retention=retention_of(env),
            auth_upstream=web_url(env, AUTH_UPSTREAM),
            policy=DeploymentPolicy.from_env(env),
            allow_weak_fences=flag(env, "OUTDIAL_ALLOW_WEAK_FENCES", default=False),
        )
