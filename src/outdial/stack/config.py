"""`supabase/config.toml`, as far as the command line reads it."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outdial.cli.errors import BadInput, NoSuchThing
from outdial.settings import is_local, require

_FROM_ENVIRONMENT = re.compile(r"env\(([A-Za-z_][A-Za-z0-9_]*)\)")
API_PORT, DATABASE_PORT, STUDIO_PORT, SIMULATOR_PORT = 54321, 54322, 54323, 54330


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the parts of a local stack listen."""

    api: int = API_PORT
    database: int = DATABASE_PORT
    simulator: int = SIMULATOR_PORT
    studio: int = STUDIO_PORT


@dataclass(frozen=True, slots=True)
class Target:
    """A running stack to ask: its address, a secret key, and a webhook secret."""

    url: str
    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Host:
    """A host of functions, and the access token that opens its management API."""

    url: str
    access_token: str = field(repr=False)


def read_config(directory: Path) -> Mapping[str, Any]:
    """Return the file's content, empty when there is none; raises BadInput when it is not TOML."""
    try:
        return tomllib.loads((directory / "config.toml").read_text())
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{directory / 'config.toml'}: {error}") from error


def ports_of(config: Mapping[str, Any]) -> Ports:
    """Return the ports that `[api]`, `[db]` and `[studio]` name, else Supabase's."""
    return Ports(
        api=int(config.get("api", {}).get("port", API_PORT)),
        database=int(config.get("db", {}).get("port", DATABASE_PORT)),
        studio=int(config.get("studio", {}).get("port", STUDIO_PORT)),
    )


def target_of(config: Mapping[str, Any], name: str, env: Mapping[str, str]) -> Target:
    """Return where `[environments.<name>]` leads, OUTDIAL_<NAME>_URL and so on being read by default.

    Raises NoSuchThing for a name that the file does not have, MissingSetting for a variable that is not set, and
    BadInput for a secret that stands in the file itself.
    """
    read = _reader(config, name, env)
    return Target(
        url=read("url", f"the address of {name}, such as https://<project>.supabase.co"),
        secret_key=read("secret_key", f"a secret or service-role key of {name}"),
        webhook_secret=read("webhook_secret", f"the webhook secret of {name}"),
    )


def host_of(config: Mapping[str, Any], name: str, env: Mapping[str, str]) -> Host:
    """Return the host that `[environments.<name>]` names, by default in OUTDIAL_<NAME>_URL and _ACCESS_TOKEN.

    Raises as `target_of` does, and BadInput when the token would be readable on its way.
    """
    read = _reader(config, name, env)
    url = read("url", f"the address of {name}, such as https://functions.example.com")
    if not url.startswith("https://") and not is_local(url):
        raise BadInput(f"{url} is no https address: the access token of {name} could be read on its way")
    return Host(url, read("access_token", f"an access token of {name}, made there with outdial tokens create"))


def _reader(config: Mapping[str, Any], name: str, env: Mapping[str, str]) -> Callable[[str, str], str]:
    environments = config.get("environments", {})
    if name not in environments:
        known = ", ".join(["local", *environments])
        raise NoSuchThing(f"there is no environment {name!r} in supabase/config.toml; there are {known}")

    def read(key: str, why: str) -> str:
        variable = f"OUTDIAL_{name.upper().replace('-', '_')}_{key.upper()}"
        value = str(environments[name].get(key, f"env({variable})"))
        named = _FROM_ENVIRONMENT.fullmatch(value)
        if named is not None:
            return require(env, named[1], why)
        if key != "url":
            raise BadInput(f"environments.{name}.{key} holds a secret itself; write env({variable}) and set that")
        return env.get(variable, "").strip() or value

    return read
