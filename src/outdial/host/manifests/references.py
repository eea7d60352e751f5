"""Where a container's settings come from: names of Secrets and their keys, never values."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from outdial.host.wire.config import FunctionConfig

# Secrets by setting name: kubectl create secret generic outdial --from-env-file=FILE
SECRET = "outdial"
# Settings that are not secret: SUPABASE_URL, publishable keys, timeouts of the dialer.
SETTINGS = "outdial"

CHECKS_TOKENS = ("SUPABASE_JWT_SECRET", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEYS")


@dataclass(frozen=True, slots=True)
class SettingReferences:
    """What one container reads in addition to SETTINGS.

    `role` is the database role whose login becomes SUPABASE_DB_URL. `roles` are further ones, whose variables have the
    names that `outdial db credentials` prints. `secrets` are names of optional settings. A name that ends with `*` gets
    a separate Secret, because Kubernetes cannot select keys by pattern.
    """

    role: str
    roles: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()

    def env(self) -> dict[str, Any]:
        """Return the fields `env` and `envFrom` of a container."""
        single = [(name, name, True) for name in self._single()]
        logins = [(login_of(role), login_of(role), False) for role in self.roles]
        keys = sorted([*single, *logins, ("SUPABASE_DB_URL", login_of(self.role), False)])
        return {
            "env": [
                {
                    "name": name,
                    "valueFrom": {
                        "secretKeyRef": {"name": SECRET, "key": key, **({"optional": True} if optional else {})}
                    },
                }
                for name, key, optional in keys
            ],
            "envFrom": [
                {"configMapRef": {"name": SETTINGS}},
                *({"secretRef": {"name": secret_of(pattern), "optional": True}} for pattern in self._patterns()),
            ],
        }

    def describe(self) -> list[str]:
        """Return comment lines that list the required Secrets and their keys."""
        needed = [login_of(role) for role in sorted({self.role, *self.roles})]
        lines = [f"ConfigMap {SETTINGS}: SUPABASE_URL and other settings", f"Secret {SECRET}: {', '.join(needed)}"]
        lines += [f"Secret {SECRET}, where set: {', '.join(names)}" for names in [self._single()] if names]
        return lines + [f"Secret {secret_of(pattern)}, where set: {pattern}" for pattern in self._patterns()]

    def _single(self) -> list[str]:
        return sorted({name for name in self.secrets if not name.endswith("*")})

    def _patterns(self) -> list[str]:
        return sorted({name for name in self.secrets if name.endswith("*")})


def checks_of(functions: Iterable[FunctionConfig]) -> tuple[str, ...]:
    """Return the secrets that `verify_jwt` needs, none if no function uses it."""
    return CHECKS_TOKENS if any(config.verify_jwt for config in functions) else ()


def login_of(role: str) -> str:
    """Return the name of the setting with a role's database URL."""
    return f"{role.upper()}_DB_URL"


def secret_of(pattern: str) -> str:
    """Return the name of the Secret for a pattern, such as outdial-retell-api-key for RETELL_API_KEY*."""
    return "-".join([SECRET, *re.findall(r"[a-z0-9]+", pattern.lower())])
