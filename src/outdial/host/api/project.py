"""The routes of the Management API about the project: itself, its keys, its secrets and its logs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from outdial.auth.keys import LEGACY_NAME, ApiKey, KeyRing
from outdial.clock import Clock
from outdial.host.api.management import ApiRequest, ApiRoute, empty_response, json_response
from outdial.host.deployments.secrets import SecretStore
from outdial.http import HttpResponse

_ONE = "/v1/projects/{ref}"
_SECRETS = f"{_ONE}/secrets"
_SHOWN_OF_A_SECRET_KEY = 14
_LEGACY_NAMES = {"publishable": "anon", "secret": "service_role"}


class SecretValue(msgspec.Struct):
    """A secret to set."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"Secret({self.name})"


class LogEndpoints(Protocol):
    """Answers questions about the log."""

    async def endpoint(self, name: str, query: Mapping[str, str]) -> HttpResponse:
        """Return the answer of `analytics/endpoints/<name>`."""
        ...


@dataclass(frozen=True, slots=True)
class ProjectRoutes:
    """Tells of the one project that a host serves, and keeps its secrets."""

    ref: str
    region: str
    keyring: KeyRing = field(repr=False)
    secrets: SecretStore
    logs: LogEndpoints
    clock: Clock

    @property
    def routes(self) -> list[ApiRoute]:
        """What is answered, and by what."""
        return [
            ApiRoute("GET", "/v1/projects", self.list),
            ApiRoute("GET", _ONE, self.show),
            ApiRoute("GET", f"{_ONE}/api-keys", self.api_keys),
            ApiRoute("GET", _SECRETS, self.list_secrets),
            ApiRoute("POST", _SECRETS, self.set_secrets),
            ApiRoute("DELETE", _SECRETS, self.unset_secrets),
            ApiRoute("POST", f"{_SECRETS}/reseal", self.reseal),
            ApiRoute("GET", f"{_ONE}/analytics/endpoints/{{name}}", self.read_log),
        ]

    async def list(self, call: ApiRequest) -> HttpResponse:
        """Tell of every project: of the one that is here."""
        return json_response([await self._project()])

    async def show(self, call: ApiRequest) -> HttpResponse:
        """Tell of the project."""
        return json_response(await self._project())

    async def api_keys(self, call: ApiRequest) -> HttpResponse:
        """Tell of the API keys. Those that open everything are never shown whole."""
        return json_response([_shown_key(key) for key in self.keyring.keys])

    async def list_secrets(self, call: ApiRequest) -> HttpResponse:
        """Tell of every secret by its digest."""
        found = await self.secrets.digests()
        return json_response([{"name": one.name, "value": one.digest, "updated_at": one.updated_at} for one in found])

    async def set_secrets(self, call: ApiRequest) -> HttpResponse:
        """Set secrets; functions that name them are started anew with them, without a deployment."""
        await self.secrets.put({one.name: one.value for one in call.read(list[SecretValue])}, self.clock.now())
        return empty_response(201)

    async def unset_secrets(self, call: ApiRequest) -> HttpResponse:
        """Drop secrets by name."""
        await self.secrets.unset(call.read(list[str]))
        return empty_response()

    async def reseal(self, call: ApiRequest) -> HttpResponse:
        """Encrypt every secret with the first key, so that the others can go."""
        return json_response({"resealed": await self.secrets.reseal()})

    async def read_log(self, call: ApiRequest) -> HttpResponse:
        """Ask the log."""
        return await self.logs.endpoint(call.names["name"], call.query)

    async def _project(self) -> dict[str, Any]:
        async with self.secrets.database.transaction() as connection:
            version = str(connection.get_server_version().major)
        return {
            "id": self.ref,
            "ref": self.ref,
            "name": "outdial",
            "organization_id": "outdial",
            "organization_slug": "outdial",
            "region": self.region,
            "status": "ACTIVE_HEALTHY",
            "created_at": "2026-01-01T00:00:00Z",
            # Supabase's command line links to nothing without; the database's address is not the clients' to know.
            "database": {"host": "", "version": version, "postgres_engine": version, "release_channel": "ga"},
        }


def _shown_key(key: ApiKey) -> dict[str, Any]:
    legacy = key.name == LEGACY_NAME
    hidden = key.kind == "secret"
    return {
        "id": f"{key.kind}:{key.name}",
        "name": _LEGACY_NAMES[key.kind] if legacy else key.name,
        "type": "legacy" if legacy else key.kind,
        "api_key": None if hidden and legacy else (key.value[:_SHOWN_OF_A_SECRET_KEY] + "···" if hidden else key.value),
    }
