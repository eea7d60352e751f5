"""The routes of the Management API that deploy functions."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec

from outdial.db.queries.host.deployments import ActiveFunction
from outdial.host.api.management import ApiError, ApiRequest, ApiRoute, empty_response, json_response
from outdial.host.deployments.deployer import Deployer
from outdial.host.deployments.multipart import FormPart, read_form, write_form
from outdial.host.deployments.store import DeploymentStore
from outdial.host.deployments.upload import read_upload
from outdial.http import HttpResponse

_BASE = "/v1/projects/{ref}/functions"
_NO_ESZIP = (
    "Functions are deployed here from their files, and not from a bundle that Docker has made of them: "
    "run supabase functions with --use-api"
)


class VersionChoice(msgspec.Struct):
    """One function of a bulk update: the version that was kept before, the newest without a number."""

    slug: str
    version: int | None = None


class FunctionPatch(msgspec.Struct):
    """What may be changed of a function without a deployment."""

    verify_jwt: bool


class RollbackRequest(msgspec.Struct):
    """Where a rollback goes, to the version before without a number."""

    version: int | None = None


@dataclass(frozen=True, slots=True)
class FunctionRoutes:
    """Deploys, lists, changes, downloads, rolls back and deletes functions."""

    store: DeploymentStore
    deployer: Deployer

    @property
    def routes(self) -> list[ApiRoute]:
        """What is answered, and by what."""
        one = _BASE + "/{slug}"
        return [
            ApiRoute("POST", f"{_BASE}/deploy", self.deploy),
            ApiRoute("GET", _BASE, self.list),
            ApiRoute("PUT", _BASE, self.activate),
            ApiRoute("POST", _BASE, self.refuse_eszip),
            ApiRoute("GET", one, self.show),
            ApiRoute("PATCH", one, self.change),
            ApiRoute("DELETE", one, self.delete),
            ApiRoute("GET", f"{one}/body", self.download),
            ApiRoute("GET", f"{one}/versions", self.versions),
            ApiRoute("POST", f"{one}/rollback", self.roll_back),
        ]

    async def deploy(self, call: ApiRequest) -> HttpResponse:
        """Keep what the form holds, and unless `bundleOnly` put it into service."""
        upload = read_upload(call.query.get("slug", ""), read_form(call.header("content-type"), call.body))
        if call.query.get("bundleOnly") != "true":
            await self.deployer.deploy(upload, call.token.name)
            return json_response(_shown(await self.store.function(upload.slug)), 201)
        version, now = await self.store.add(upload, call.token.name), self.store.clock.now()
        kept = ActiveFunction(
            slug=upload.slug,
            name=upload.name,
            version=version.number,
            verify_jwt=version.verify_jwt,
            entrypoint_path=version.entrypoint_path,
            sha256=version.sha256,
            created_at=now,
            updated_at=now,
        )
        return json_response(_shown(kept), 201)

    async def activate(self, call: ApiRequest) -> HttpResponse:
        """Put several versions that were kept into service, all or none."""
        wanted = call.read(list[VersionChoice])
        versions = {one.slug: one.version or await self._newest(one.slug) for one in wanted}
        await self.deployer.activate(versions)
        return json_response({"functions": [_shown(await self.store.function(slug)) for slug in versions]})

    async def list(self, call: ApiRequest) -> HttpResponse:
        """Tell of every function that is deployed."""
        return json_response([_shown(function) for function in await self.store.functions()])

    async def show(self, call: ApiRequest) -> HttpResponse:
        """Tell of one function."""
        return json_response(_shown(await self.store.function(call.names["slug"])))

    async def change(self, call: ApiRequest) -> HttpResponse:
        """Change `verify_jwt`."""
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
        """Say how to deploy instead of with Docker."""
        raise ApiError(400, "ESZIP_UNSUPPORTED", _NO_ESZIP)

    async def download(self, call: ApiRequest) -> HttpResponse:
        """Send the files of the version that is served, as a form."""
        if "multipart/form-data" not in call.header("accept"):
            raise ApiError(406, "ESZIP_UNSUPPORTED", _NO_ESZIP)
        function = await self.store.function(call.names["slug"])
        files = await self.store.files(function.slug, function.version)
        content_type, body = write_form(_parts(function, files))
        return HttpResponse(200, f"content-type: {content_type}\r\n".encode(), body)

    async def versions(self, call: ApiRequest) -> HttpResponse:
        """Tell of every version of a function that is kept, the newest first."""
        rows = await self.store.versions(call.names["slug"])
        return json_response(
            [{**asdict(row), "config": row.config and msgspec.json.decode(row.config)} for row in rows]
        )

    async def roll_back(self, call: ApiRequest) -> HttpResponse:
        """Put an earlier version into service."""
        slug, target = call.names["slug"], call.read(RollbackRequest) if call.body else RollbackRequest()
        number = await self.deployer.roll_back(slug, target.version)
        return json_response({"slug": slug, "version": number})

    async def _newest(self, slug: str) -> int:
        return (await self.store.versions(slug))[0].version


def _shown(function: ActiveFunction) -> dict[str, Any]:
    """Return a function as Supabase's clients read it (supabase/cli, FunctionResponse); times in ms."""
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


def _parts(function: ActiveFunction, files: Mapping[str, bytes]) -> list[FormPart]:
    metadata = msgspec.json.encode({"deno2_entrypoint_path": function.entrypoint_path})
    binary = {"Content-Type": "application/octet-stream"}
    return [
        FormPart(name="metadata", content=metadata, headers={"Content-Type": "application/json"}),
        *(
            FormPart(name="file", content=content, filename=path, headers={**binary, "Supabase-Path": path})
            for path, content in files.items()
        ),
    ]
