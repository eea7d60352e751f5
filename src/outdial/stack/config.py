"""The parts of `supabase/config.toml` that the command line and the local stack read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from outdial.net import is_loopback_url
from outdial.settings import require
from outdial.stack.errors import InvalidConfig, UnknownEnvironment

_ENV_REFERENCE = re.compile(r"env\(([A-Za-z_][A-Za-z0-9_]*)\)")
API_PORT, DATABASE_PORT, STUDIO_PORT, SIMULATOR_PORT = 54321, 54322, 54323, 54330


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPorts:
    """The TCP ports of a local stack."""

    api: int = API_PORT
    database: int = DATABASE_PORT
    simulator: int = SIMULATOR_PORT
    studio: int = STUDIO_PORT


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """A running stack for `outdial functions test`: its URL, a secret key, and a webhook secret."""

    url: str
    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ManagementTarget:
    """A function host, and an access token for its management API."""

    url: str
    access_token: str = field(repr=False)


def ports_of(config: Mapping[str, Any]) -> StackPorts:
    """Return the ports of `[api]`, `[db]` and `[studio]`; Supabase's local ports are the default."""
    return StackPorts(
        api=int(config.get("api", {}).get("port", API_PORT)),
        database=int(config.get("db", {}).get("port", DATABASE_PORT)),
        studio=int(config.get("studio", {}).get("port", STUDIO_PORT)),
    )


def probe_target(config: Mapping[str, Any], name: str, env: Mapping[str, str]) -> ProbeTarget:
    """Return the stack that `[environments.<name>]` describes; by default from OUTDIAL_<NAME>_URL and so on.

    Raises UnknownEnvironment for a name that the file does not define, MissingSetting for a variable that is not set,
    and InvalidConfig for a secret in the file itself.
    """
    read = _reader(config, name, env)
    return ProbeTarget(
        url=read("url", f"the URL of {name}, such as https://<project>.supabase.co"),
        secret_key=read("secret_key", f"a secret or service-role key of {name}"),
        webhook_secret=read("webhook_secret", f"the webhook secret of {name}"),
    )


def management_target(config: Mapping[str, Any], name: str, env: Mapping[str, str]) -> ManagementTarget:
    """Return the host that `[environments.<name>]` describes; by default from OUTDIAL_<NAME>_URL and _ACCESS_TOKEN.

    Raises what `probe_target` raises, and InvalidConfig when the token would travel unencrypted.
    """
    read = _reader(config, name, env)
    url = read("url", f"the URL of {name}, such as https://functions.example.com")
    if not url.startswith("https://") and not is_loopback_url(url):
        raise InvalidConfig(f"{url} is not an https URL: the access token of {name} would travel unencrypted")
    return ManagementTarget(url, read("access_token", f"an access token of {name}: outdial tokens create prints one"))


def _reader(config: Mapping[str, Any], name: str, env: Mapping[str, str]) -> Callable[[str, str], str]:
    environments = config.get("environments", {})
    if name not in environments:
        known = ", ".join(["local", *environments])
        raise UnknownEnvironment(f"unknown environment {name!r}: supabase/config.toml defines {known}")

    def read(key: str, purpose: str) -> str:
        variable = f"OUTDIAL_{name.upper().replace('-', '_')}_{key.upper()}"
        value = str(environments[name].get(key, f"env({variable})"))
        reference = _ENV_REFERENCE.fullmatch(value)
        if reference is not None:
            return require(env, reference[1], purpose)
        if key != "url":
            raise InvalidConfig(f"environments.{name}.{key} contains a secret: write env({variable}) instead")
        return env.get(variable, "").strip() or value

    return read
