"""What a deployment may ask of this host: ceilings for its limits, and the settings and logins that it may name.

Functions of the host's own source tree, which its operator writes, are not restricted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

from outdial.host.deployments.accepted_keys import SECRET_KEYS
from outdial.host.wire.config import LARGEST_BODY, FunctionConfig
from outdial.host.wire.errors import BadConfig
from outdial.settings import SettingError, secret_list

CEILINGS_SETTING: Final = "OUTDIAL_FUNCTION_CEILINGS"
NAMES_SETTING: Final = "OUTDIAL_FUNCTION_SETTINGS"

DEFAULT_CEILINGS: Final[Mapping[str, float]] = {
    "min_workers": 4,
    "max_workers": 16,
    "concurrency": 1_024,
    "queue": 4_096,
    "queue_timeout_s": 60,
    "idle_timeout_s": 3_600,
    "boot_timeout_s": 60,
    "wall_clock_s": 900,
    "cpu_ms": 60_000,
    "memory_mb": 1_024,
    "open_files": 4_096,
    "processes": 16,
    "rate_limit": 10_000,
    "burst": 20_000,
    "max_body": LARGEST_BODY,
    "max_requests": 1_000_000,
}


@dataclass(frozen=True, slots=True)
class DeploymentPolicy:
    """Ceilings by the name of the limit, and the names of host settings that every deployment may list in `secrets`.

    A name that ends with `*` stands for all names with that prefix.
    """

    ceilings: Mapping[str, float] = field(default_factory=lambda: DEFAULT_CEILINGS)
    settings: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read OUTDIAL_FUNCTION_CEILINGS (`memory_mb=2048,max_workers=32`) and OUTDIAL_FUNCTION_SETTINGS (names).

        Raises SettingError.
        """
        ceilings = dict(DEFAULT_CEILINGS)
        for part in secret_list(env.get(CEILINGS_SETTING, "")):
            name, _, value = (text.strip() for text in part.partition("="))
            if name not in ceilings:
                raise SettingError(f"{CEILINGS_SETTING}: {name!r} is not a limit; known limits: {', '.join(ceilings)}")
            try:
                ceilings[name] = float(value)
                # A function with exactly these limits has to be valid.
                FunctionConfig.from_table("ceilings", {"max_workers": 1_000_000, name: ceilings[name]})
            except (ValueError, BadConfig):
                raise SettingError(f"{CEILINGS_SETTING}: {name} cannot be {value!r}") from None
        return cls(ceilings, tuple(secret_list(env.get(NAMES_SETTING, ""))))

    def check(self, slug: str, config: FunctionConfig) -> None:
        """Raise BadConfig, naming every limit that is above its ceiling."""
        exceeded = [
            f"{name} is {value:g}, more than {ceiling:g}"
            for name, ceiling in self.ceilings.items()
            if (value := getattr(config, name)) > ceiling
        ]
        if exceeded:
            raise BadConfig(f"functions.{slug}: {'; '.join(exceeded)}: the ceiling of this host, {CEILINGS_SETTING}")

    def clamp(self, config: FunctionConfig) -> FunctionConfig:
        """Lower the limits of a stored version to the ceilings, which may have been lowered since its deployment."""
        lower = {
            name: type(value)(ceiling)
            for name, ceiling in self.ceilings.items()
            if (value := getattr(config, name)) > ceiling
        }
        clamped = replace(config, **lower)
        return replace(clamped, min_workers=min(clamped.min_workers, clamped.max_workers)) if lower else config

    def settings_for(self, own: FunctionConfig, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the host settings that a deployment may name in place of the source tree's function `own`."""
        return {name: value for name, value in settings.items() if self._allows(name, own.secrets)}

    def check_login(self, slug: str, role: str, own: FunctionConfig) -> None:
        """Raise BadConfig if a deployment may not log in as `role` in place of the source tree's function `own`."""
        setting = f"{role.upper()}_DB_URL"
        if role not in (FunctionConfig().database_role, own.database_role) and not self._allows(setting, ()):
            raise BadConfig(
                f"functions.{slug}.database_role: a deployment may not log in as {role}, unless the host lists "
                f"{setting} in {NAMES_SETTING}"
            )

    def _allows(self, name: str, own: Iterable[str]) -> bool:
        # Supabase gives the secret keys to every function (docs: Edge Functions, Environment variables).
        patterns = (*SECRET_KEYS, *self.settings, *own)
        return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in patterns)
