"""Management API routes of the project: its metadata, API keys, secrets and logs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from outdial.auth.keys import LEGACY_NAME, KeyRing
from outdial.clock import Clock
from outdial.host.api.management import ApiRequest, ApiRoute, empty_response, json_response
from outdial.host.api.tokens import TokenScope
from outdial.host.deployments.secrets import SecretStore
from outdial.http import HttpResponse

_PROJECT = "/v1/projects/{ref}"
_SECRETS = f"{_PROJECT}/secrets"
_VISIBLE_PREFIX = 14
_LEGACY_NAMES = {"publishable": "anon", "secret": "service_role"}


class SecretValue(msgspec.Struct):
    """A secret to set."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"Secret({self.name})"


class LogEndpoints(Protocol):
    """Serves the log endpoints (LogReader)."""

    async def endpoint(self, name: str, query: Mapping[str, str]) -> HttpResponse:
        """Respond to `analytics/endpoints/<name>`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRoutes:
    """Routes of the one project that a host serves."""

    ref: str
    region: str
    keyring: KeyRing = field(repr=False)
    secrets: SecretStore
    logs: LogEndpoints
    clock: Clock

    @property
    def routes(self) -> list[ApiRoute]:
        return [
            ApiRoute("GET", "/v1/projects", self.list),
            ApiRoute("GET", _PROJECT, self.show),
            ApiRoute("GET", f"{_PROJECT}/api-keys", self.api_keys),
            ApiRoute("GET", _SECRETS, self.list_secrets, TokenScope.SECRETS),
            ApiRoute("POST", _SECRETS, self.set_secrets, TokenScope.SECRETS),
            ApiRoute("DELETE", _SECRETS, self.unset_secrets, TokenScope.SECRETS),
            ApiRoute("POST", f"{_SECRETS}/reseal", self.reseal, TokenScope.SECRETS),
            ApiRoute("GET", f"{_PROJECT}/analytics/endpoints/{{name}}", self.read_log, TokenScope.LOGS),
        ]

    async def list(self, call: ApiRequest) -> HttpResponse:
        """List the projects: this one."""
        return json_response([await self._project()])

    async def show(self, call: ApiRequest) -> HttpResponse:
        return json_response(await self._project())

    async def api_keys(self, call: ApiRequest) -> HttpResponse:
        """List the API keys. Secret keys are masked."""
        views = []
        for key in self.keyring.keys:
            is_legacy = key.name == LEGACY_NAME
            value: str | None = key.value
            if key.kind == "secret":
                value = None if is_legacy else key.value[:_VISIBLE_PREFIX] + "···"
            views.append(
                {
                    "id": f"{key.kind}:{key.name}",
                    "name": _LEGACY_NAMES[key.kind] if is_legacy else key.name,
                    "type": "legacy" if is_legacy else key.kind,
                    "api_key": value,
                }
            )
        return json_response(views)

    async def list_secrets(self, call: ApiRequest) -> HttpResponse:
        """List the secrets with their digests."""
        secrets = await self.secrets.digests()
        return json_response(
            [{"name": secret.name, "value": secret.digest, "updated_at": secret.updated_at} for secret in secrets]
        )

    async def set_secrets(self, call: ApiRequest) -> HttpResponse:
        """Set secrets. Functions that use them restart, without a deployment."""
        await self.secrets.put({secret.name: secret.value for secret in call.read(list[SecretValue])}, self.clock.now())
        return empty_response(201)

    async def unset_secrets(self, call: ApiRequest) -> HttpResponse:
        """Delete secrets by name."""
        await self.secrets.unset(call.read(list[str]))
        return empty_response()

    async def reseal(self, call: ApiRequest) -> HttpResponse:
        """Re-encrypt all secrets with the first key, so that the other keys can be removed."""
        return json_response({"resealed": await self.secrets.reseal()})

    async def read_log(self, call: ApiRequest) -> HttpResponse:
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
            # Supabase's CLI cannot link a project without these. Clients do not get the database's address.
            "database": {"host": "", "version": version, "postgres_engine": version, "release_channel": "ga"},
        }
