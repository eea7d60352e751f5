"""Client of the management API, which sends what Supabase's CLI sends."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Generic, Self, TypeVar

import aiohttp
import msgspec

from outdial.clock import SystemClock
from outdial.db.queries.host.function_logs import FunctionStats, LogEntryRow
from outdial.host.api.log_query import MAX_BATCH, LogFilter, filter_to_query, follow_entries
from outdial.host.deployments.local_function import LocalFunction
from outdial.host.deployments.multipart import read_form, write_form
from outdial.host.deployments.upload import check_path
from outdial.host.wire.errors import HostError

# The response to a deployment comes when its functions have started.
_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=10)


Decoded = TypeVar("Decoded")


class RequestRefused(HostError):
    """The environment rejected a request. The message is the environment's own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class EnvironmentUnreachable(HostError):
    """The environment's management API cannot be reached."""


class DeployedFunction(msgspec.Struct):
    """A deployed function. Times are Unix times in ms. `warnings` say what a deployment may have left out."""

    slug: str
    version: int
    status: str
    verify_jwt: bool
    entrypoint_path: str
    updated_at: int
    warnings: list[str] = msgspec.field(default_factory=list)


class StoredVersion(msgspec.Struct):
    """A stored version of a function. `error` is the reason why it was refused."""

    version: int
    status: str
    verify_jwt: bool
    created_at: datetime
    created_by: str
    error: str | None = None


class ListedSecret(msgspec.Struct):
    """A secret. `value` is the SHA-256 of its value."""

    name: str
    value: str
    updated_at: datetime | None = None


class _LogRows(msgspec.Struct, Generic[Decoded]):
    result: list[Decoded]


class _Project(msgspec.Struct):
    ref: str


class _RolledBack(msgspec.Struct):
    version: int


class _Resealed(msgspec.Struct):
    resealed: int


class ManagementClient:
    """Deploys functions and sets secrets of an environment's one project.

    All methods raise RequestRefused and EnvironmentUnreachable.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, ref: str) -> None:
        self._session = session
        self._url = url
        self.ref = ref

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, access_token: str) -> AsyncIterator[Self]:
        """Open a client for the environment at `url`. Reads the name of its project."""
        headers = {"authorization": f"Bearer {access_token}"}
        async with aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as session:
            base = f"{url.rstrip('/')}/v1/projects"
            projects = _read(list[_Project], await _request(session, "GET", base))
            if not projects:
                raise RequestRefused(404, f"{url} has no project")
            yield cls(session, f"{base}/{projects[0].ref}", projects[0].ref)

    async def deploy(self, function: LocalFunction, *, bundle_only: bool = False) -> DeployedFunction:
        """Upload a function, and activate it unless `bundle_only`."""
        content_type, body = write_form(function.parts())
        query = {"slug": function.slug} | ({"bundleOnly": "true"} if bundle_only else {})
        headers = {"content-type": content_type}
        content = await self._request("POST", "/functions/deploy", params=query, data=body, headers=headers)
        return _read(DeployedFunction, content)

    async def activate(self, uploaded: Iterable[DeployedFunction]) -> None:
        """Activate functions that were uploaded with `bundle_only`, all or none."""
        await self._send("PUT", "/functions", list(uploaded))

    async def functions(self) -> list[DeployedFunction]:
        """Return all deployed functions."""
        return _read(list[DeployedFunction], await self._request("GET", "/functions"))

    async def versions(self, slug: str) -> list[StoredVersion]:
        """Return the versions of a function, newest first."""
        return _read(list[StoredVersion], await self._request("GET", f"/functions/{slug}/versions"))

    async def download(self, slug: str) -> dict[str, bytes]:
        """Return the files of the active version by path. Raises InvalidUpload for a path outside the project."""
        accept = {"accept": "multipart/form-data"}
        async with _open(self._session, "GET", f"{self._url}/functions/{slug}/body", headers=accept) as response:
            parts = read_form(response.headers.get("content-type", ""), await response.read())
        return {check_path(part.filename): part.content for part in parts if part.filename is not None}

    async def delete(self, slug: str) -> None:
        """Take a function out of service."""
        await self._request("DELETE", f"/functions/{slug}")

    async def roll_back(self, slug: str, to: int | None) -> int:
        """Activate an earlier version (default: the previous one) and return its number."""
        return _read(_RolledBack, await self._send("POST", f"/functions/{slug}/rollback", {"version": to})).version

    async def secrets(self) -> list[ListedSecret]:
        """Return all secrets with their digests."""
        return _read(list[ListedSecret], await self._request("GET", "/secrets"))

    async def set_secrets(self, secrets: Mapping[str, str]) -> None:
        """Set secrets, all or none."""
        await self._send("POST", "/secrets", [{"name": name, "value": value} for name, value in secrets.items()])

    async def unset_secrets(self, names: Iterable[str]) -> None:
        """Delete secrets."""
        await self._send("DELETE", "/secrets", list(names))

    async def reseal_secrets(self) -> int:
        """Re-encrypt all secrets with the first key, and return the number of secrets changed."""
        return _read(_Resealed, await self._request("POST", "/secrets/reseal")).resealed

    async def newest(self, filter: LogFilter, limit: int) -> list[LogEntryRow]:
        """Return up to `limit` log entries, newest first."""
        return await self._read_log(LogEntryRow, "entries", {**filter_to_query(filter), "limit": str(limit)})

    async def last_id(self) -> int:
        """Return the id of the last log entry, 0 for an empty log."""
        return (await self._read_log(int, "last-id", {}))[0]

    def follow(self, filter: LogFilter, after_id: int) -> AsyncIterator[list[LogEntryRow]]:
        """Yield new log entries after the entry `after_id`, as `follow_entries` does."""
        given = {**filter_to_query(filter), "limit": str(MAX_BATCH)}

        async def arrived(after_id: int, seen: Collection[int]) -> list[LogEntryRow]:
            entries = await self._read_log(LogEntryRow, "arrived", {**given, "after_id": str(after_id)})
            return [entry for entry in entries if entry.id not in seen]

        return follow_entries(arrived, SystemClock(), after_id)

    async def stats(self, since: datetime, until: datetime, *, slug: str | None = None) -> list[FunctionStats]:
        """Return the statistics of each function from `since` to `until`."""
        query = filter_to_query(LogFilter(slug=slug, since=since, until=until))
        return await self._read_log(FunctionStats, "stats", query)

    async def _read_log(self, kind: type[Decoded], name: str, query: Mapping[str, str]) -> list[Decoded]:
        content = await self._request("GET", f"/analytics/endpoints/outdial.{name}", params=query)
        return _read(_LogRows[kind], content).result  # type: ignore[valid-type]

    async def _send(self, method: str, path: str, value: object) -> bytes:
        headers = {"content-type": "application/json"}
        return await self._request(method, path, data=msgspec.json.encode(value), headers=headers)

    async def _request(self, method: str, path: str, **options: Any) -> bytes:
        return await _request(self._session, method, self._url + path, **options)


async def _request(session: aiohttp.ClientSession, method: str, url: str, **options: Any) -> bytes:
    async with _open(session, method, url, **options) as response:
        return await response.read()


@asynccontextmanager
async def _open(
    session: aiohttp.ClientSession, method: str, url: str, **options: Any
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send a request and yield its response. Redirects are errors: the token must not reach another server."""
    try:
        async with session.request(method, url, allow_redirects=False, **options) as response:
            if response.status >= 300:
                body = await response.read()
                try:
                    message = str(msgspec.json.decode(body, type=dict[str, Any])["message"])
                except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
                    text = body[:300].decode("utf-8", "replace") or "an empty body"
                    message = f"status {response.status}: {text}"
                raise RequestRefused(response.status, message)
            yield response
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise EnvironmentUnreachable(f"no response from {url}: {str(error) or type(error).__name__}") from error


def _read(kind: type[Decoded], body: bytes) -> Decoded:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EnvironmentUnreachable(f"the server does not provide the management API of Outdial: {error}") from error
