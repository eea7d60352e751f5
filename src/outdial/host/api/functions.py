"""Management API routes that deploy functions."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from outdial.db.queries.host.deployments import ActiveFunction
from outdial.host.api.management import ApiError, ApiRequest, ApiRoute, empty_response, json_response
from outdial.host.api.tokens import TokenScope
from outdial.host.deployments.deployer import Deployer
from outdial.host.deployments.multipart import FormPart, read_form, write_form
from outdial.host.deployments.policy import DeploymentPolicy
from outdial.host.deployments.store import DeploymentStore
from outdial.host.deployments.upload import read_upload
from outdial.host.wire.config import FunctionConfig
from outdial.http import HttpResponse
from outdial.log import log

_BASE = "/v1/projects/{ref}/functions"
_NO_ESZIP = (
    "This host deploys functions from their files, not from a bundle made with Docker: "
    "run supabase functions with --use-api"
)


class VersionChoice(msgspec.Struct):
    """One function of a bulk update and its version, None for the newest one."""

    slug: str
    version: int | None = None


class FunctionPatch(msgspec.Struct):
    """What a client can change without a deployment."""

    verify_jwt: bool


class RollbackRequest(msgspec.Struct):
    """The version to roll back to, None for the previous one."""

    version: int | None = None


@dataclass(frozen=True, slots=True)
class FunctionRoutes:
    """Routes that deploy, list, change, download, roll back and delete functions."""

    store: DeploymentStore
    deployer: Deployer
    policy: DeploymentPolicy = field(default_factory=DeploymentPolicy)

    @property
    def routes(self) -> list[ApiRoute]:
        one = _BASE + "/{slug}"
        deploy = TokenScope.DEPLOY
        return [
            ApiRoute("POST", f"{_BASE}/deploy", self.deploy, deploy),
            ApiRoute("GET", _BASE, self.list),
            ApiRoute("PUT", _BASE, self.activate, deploy),
            ApiRoute("POST", _BASE, self.refuse_eszip, deploy),
            ApiRoute("GET", one, self.show),
            ApiRoute("PATCH", one, self.change, deploy),
            ApiRoute("DELETE", one, self.delete, deploy),
            ApiRoute("GET", f"{one}/body", self.download, deploy),
            ApiRoute("GET", f"{one}/versions", self.versions),
            ApiRoute("POST", f"{one}/rollback", self.roll_back, deploy),
        ]

    async def deploy(self, call: ApiRequest) -> HttpResponse:
        """Store the uploaded function, and activate it unless `bundleOnly` is set.

        The response has `warnings` if the version drops limits or secrets of the live one, or has unknown keys.
        """
        upload = read_upload(call.query.get("slug", ""), read_form(call.header("content-type"), call.body))
        if upload.config is not None:
            self.policy.check(upload.slug, FunctionConfig.from_table(upload.slug, upload.config))
        warnings = await self.deployer.warnings(upload)
        for warning in warnings:
            log("deployments.warning", level="warning", function=upload.slug, reason=warning)
        added = {"warnings": warnings} if warnings else {}
        if call.query.get("bundleOnly") != "true":
            await self.deployer.deploy(upload, call.token.name)
            return json_response({**_view(await self.store.function(upload.slug)), **added}, 201)
        version = await self.store.add(upload, call.token.name)
        now = self.store.clock.now()
        stored = ActiveFunction(
            slug=upload.slug,
            name=upload.name,
            version=version.number,
            verify_jwt=version.verify_jwt,
            entrypoint_path=version.entrypoint_path,
            sha256=version.sha256,
            created_at=now,
            updated_at=now,
        )
        return json_response({**_view(stored), **added}, 201)

    async def activate(self, call: ApiRequest) -> HttpResponse:
        """Activate several stored versions, all or none.

        Version 0 is the source tree of the host. The response lists the deployed functions only, as `list` does.
        """
        versions = {
            choice.slug: (await self.store.versions(choice.slug))[0].version
            if choice.version is None
            else choice.version
            for choice in call.read(list[VersionChoice])
        }
        await self.deployer.activate(versions)
        return json_response(
            {"functions": [_view(await self.store.function(slug)) for slug, version in versions.items() if version]}
        )

    async def list(self, call: ApiRequest) -> HttpResponse:
        return json_response([_view(function) for function in await self.store.functions()])

    async def show(self, call: ApiRequest) -> HttpResponse:
        return json_response(_view(await self.store.function(call.names["slug"])))

    async def change(self, call: ApiRequest) -> HttpResponse:
        """Set `verify_jwt`."""
        slug = call.names["slug"]
        if "eszip" in call.header("content-type"):
            raise ApiError(400, "ESZIP_UNSUPPORTED", _NO_ESZIP)
        await self.deployer.set_verify_jwt(slug, call.read(FunctionPatch).verify_jwt)
        return await self.show(call)

    async def delete(self, call: ApiRequest) -> HttpResponse:
        """Take a function out of service."""
        await self.deployer.delete(call.names["slug"])
        return empty_response()

    async def refuse_eszip(self, call: ApiRequest) -> HttpResponse:
        """Reject bundles made with Docker, and name the option that avoids them."""
        raise ApiError(400, "ESZIP_UNSUPPORTED", _NO_ESZIP)

    async def download(self, call: ApiRequest) -> HttpResponse:
        """Return the files of the active version as a form."""
        if "multipart/form-data" not in call.header("accept"):
            raise ApiError(406, "ESZIP_UNSUPPORTED", _NO_ESZIP)
        function = await self.store.function(call.names["slug"])
        files = await self.store.files(function.slug, function.version)
        metadata = msgspec.json.encode({"deno2_entrypoint_path": function.entrypoint_path})
        parts = [FormPart(name="metadata", content=metadata, headers={"Content-Type": "application/json"})]
        for path, content in files.items():
            headers = {"Content-Type": "application/octet-stream", "Supabase-Path": path}
            parts.append(FormPart(name="file", content=content, filename=path, headers=headers))
        content_type, body = write_form(parts)
        return HttpResponse(200, [(b"content-type", content_type.encode())], body)

    async def versions(self, call: ApiRequest) -> HttpResponse:
        """List the stored versions of a function, newest first."""
        rows = await self.store.versions(call.names["slug"])
        return json_response(
            [{**asdict(row), "config": row.config and msgspec.json.decode(row.config)} for row in rows]
        )

    async def roll_back(self, call: ApiRequest) -> HttpResponse:
        """Activate an earlier version."""
        slug = call.names["slug"]
        target = call.read(RollbackRequest) if call.body else RollbackRequest()
        number = await self.deployer.roll_back(slug, target.version)
        return json_response({"slug": slug, "version": number})


def _view(function: ActiveFunction) -> dict[str, Any]:
    """Return a function in the format of Supabase's clients (supabase/cli, FunctionResponse). Times are in ms."""
    return {
        "id": function.slug,
        "slug": function.slug,
        "name": function.name,
        "status": "ACTIVE",
        "version": function.version,
        "created_at": _ms(function.created_at),
        "updated_at": _ms(function.updated_at),
        "verify_jwt": function.verify_jwt,
        "import_map": False,
        "entrypoint_path": function.entrypoint_path,
        "ezbr_sha256": function.sha256,
    }


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
