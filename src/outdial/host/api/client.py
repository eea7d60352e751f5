"""Speaks to the management API of an environment, as Supabase's command line does."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Self, TypeVar

import aiohttp
import msgspec

from outdial.host.deployments.local_function import LocalFunction
from outdial.host.deployments.multipart import read_form, write_form
from outdial.host.deployments.upload import check_path
from outdial.host.wire.errors import HostError

# A deployment is answered when its functions have started.
_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=10)


Decoded = TypeVar("Decoded")


class RequestRefused(HostError):
    """The environment refused a request; the text is its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class EnvironmentUnreachable(HostError):
    """The environment's management API does not answer."""


class DeployedFunction(msgspec.Struct):
    """A function as it is listed; the times are Unix times in ms."""

    slug: str
    version: int
    status: str
    verify_jwt: bool
    entrypoint_path: str
    updated_at: int


class StoredVersion(msgspec.Struct):
    """A version of a function that the environment keeps; `error` tells why it was refused."""

    version: int
    status: str
    verify_jwt: bool
    created_at: datetime
    created_by: str
    error: str | None = None


class ListedSecret(msgspec.Struct):
    """A secret; `value` is the SHA-256 of its value."""

    name: str
    value: str
    updated_at: datetime | None = None


class _Project(msgspec.Struct):
    ref: str


class _RolledBack(msgspec.Struct):
    version: int


class _Resealed(msgspec.Struct):
    resealed: int


class ManagementClient:
    """Deploys functions to the one project of an environment, and sets its secrets. Methods raise RequestRefused."""

    def __init__(self, session: aiohttp.ClientSession, url: str, ref: str) -> None:
        self._session, self._url, self.ref = session, url, ref

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, access_token: str) -> AsyncIterator[Self]:
        """Open a client for the environment at `url`, and ask it for the name of its project."""
        headers = {"authorization": f"Bearer {access_token}"}
        async with aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as session:
            base = f"{url.rstrip('/')}/v1/projects"
            projects = _read(list[_Project], await _ask(session, "GET", base))
            if not projects:
                raise RequestRefused(404, f"{url} has no project")
            yield cls(session, f"{base}/{projects[0].ref}", projects[0].ref)

    async def deploy(self, function: LocalFunction, *, bundle_only: bool = False) -> DeployedFunction:
        """Send a function, and put it into service unless `bundle_only`; return it as it is listed."""
        content_type, body = write_form(function.parts())
        query = {"slug": function.slug} | ({"bundleOnly": "true"} if bundle_only else {})
        answer = await self._ask("POST", "/functions/deploy", params=query, data=body, headers=_typed(content_type))
        return _read(DeployedFunction, answer)

    async def activate(self, kept: Iterable[DeployedFunction]) -> None:
        """Put functions that were sent with `bundle_only` into service, all or none."""
        await self._send("PUT", "/functions", list(kept))

    async def functions(self) -> list[DeployedFunction]:
        """Return every function that is deployed."""
        return _read(list[DeployedFunction], await self._ask("GET", "/functions"))

    async def versions(self, slug: str) -> list[StoredVersion]:
        """Return the versions of a function, the newest first."""
        return _read(list[StoredVersion], await self._ask("GET", f"/functions/{slug}/versions"))

    async def download(self, slug: str) -> dict[str, bytes]:
        """Return the files of the version that is served, by path; raise BadUpload for a path that leads elsewhere."""
        accept = {"accept": "multipart/form-data"}
        async with _answer(self._session, "GET", f"{self._url}/functions/{slug}/body", headers=accept) as response:
            parts = read_form(response.headers.get("content-type", ""), await response.read())
        return {check_path(part.filename): part.content for part in parts if part.filename is not None}

    async def delete(self, slug: str) -> None:
        """Take a function out of service."""
        await self._ask("DELETE", f"/functions/{slug}")

    async def roll_back(self, slug: str, to: int | None) -> int:
        """Put an earlier version into service, the one before without a number; return which."""
        return _read(_RolledBack, await self._send("POST", f"/functions/{slug}/rollback", {"version": to})).version

    async def secrets(self) -> list[ListedSecret]:
        """Return the secrets with their digests."""
        return _read(list[ListedSecret], await self._ask("GET", "/secrets"))

    async def set_secrets(self, secrets: Mapping[str, str]) -> None:
        """Set secrets, all or none."""
        await self._send("POST", "/secrets", [{"name": name, "value": value} for name, value in secrets.items()])

    async def unset_secrets(self, names: Iterable[str]) -> None:
        """Drop secrets."""
        await self._send("DELETE", "/secrets", list(names))

    async def reseal_secrets(self) -> int:
        """Encrypt every secret with the first key; return how many were encrypted with another one."""
        return _read(_Resealed, await self._ask("POST", "/secrets/reseal")).resealed

    async def _send(self, method: str, path: str, value: object) -> bytes:
        return await self._ask(method, path, data=msgspec.json.encode(value), headers=_typed("application/json"))

    async def _ask(self, method: str, path: str, **options: Any) -> bytes:
        return await _ask(self._session, method, self._url + path, **options)


def _typed(content_type: str) -> dict[str, str]:
    return {"content-type": content_type}


async def _ask(session: aiohttp.ClientSession, method: str, url: str, **options: Any) -> bytes:
    async with _answer(session, method, url, **options) as response:
        return await response.read()


@asynccontextmanager
async def _answer(
    session: aiohttp.ClientSession, method: str, url: str, **options: Any
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Give a good answer; a redirect is none, for the token is meant for this address only."""
    try:
        async with session.request(method, url, allow_redirects=False, **options) as response:
            if response.status >= 300:
                raise RequestRefused(response.status, _message(response.status, await response.read()))
            yield response
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise EnvironmentUnreachable(f"no answer from {url}: {str(error) or type(error).__name__}") from error


def _read(kind: type[Decoded], body: bytes) -> Decoded:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EnvironmentUnreachable(f"what answers there is no management API of Outdial: {error}") from error


def _message(status: int, body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body, type=dict[str, Any])["message"])
    except (msgspec.MsgspecError, KeyError):
        return f"status {status}: {body[:300].decode('utf-8', 'replace') or 'an empty body'}"
