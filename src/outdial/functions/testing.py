"""Calls a function in a test, in this process: no host, no port and no database are needed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec

from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_SECRET_KEY, local_anon_jwt
from outdial.clock import SystemClock
from outdial.functions.loading import SHARED, load_function
from outdial.functions.paths import PREFIX
from outdial.functions.runtime import Runtime
from outdial.functions.server import FunctionApp
from outdial.http import HttpResponse, RequestHead

# The public keys of a local stack.
LOCAL_ENV: Final[Mapping[str, str]] = {
    "SUPABASE_URL": "http://127.0.0.1:54321",
    "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
    "SUPABASE_ANON_KEY": local_anon_jwt(),
    "SUPABASE_SERVICE_ROLE_KEY": LOCAL_SECRET_KEY,
}


@dataclass(frozen=True, slots=True)
class FunctionResponse:
    """Status, headers by lower-case name, and body of a function's response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the parsed body."""
        return msgspec.json.decode(self.body)


@dataclass(frozen=True, slots=True)
class FunctionClient:
    """Calls the function `slug` of `directory`, a directory like `supabase`, with its start and stop hooks.

    `env` adds to the settings of a local stack, or replaces them: the function sees all of it.
    """

    slug: str
    directory: Path = Path("supabase")
    env: Mapping[str, str] | None = None

    def request(
        self,
        json: object = None,
        *,
        method: str = "POST",
        path: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> FunctionResponse:
        """Send a request with a secret key, or with `headers` instead, and return the response.

        `path` is what follows the slug, with its query. `json` becomes the body.
        """
        body = b"" if json is None else msgspec.json.encode(json)
        sent = {"apikey": LOCAL_SECRET_KEY} if headers is None else headers
        pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()]
        target, _, query = f"{PREFIX}{self.slug}{path}".partition("?")
        head = RequestHead(method, target, query, pairs, client="127.0.0.1")
        response = asyncio.run(self._respond(head, body))
        names = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
        return FunctionResponse(response.status, names, response.body)

    async def _respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        runtime = Runtime.from_env({**LOCAL_ENV, **(self.env or {})}, SystemClock())
        functions = self.directory / "functions"
        function = load_function(self.slug, functions / self.slug / "index.py", functions / SHARED)
        app = FunctionApp({self.slug: function}, runtime)
        await app.start()
        try:
            limit = app.admit(head)
            if isinstance(limit, HttpResponse):
                return limit
            if len(body) > limit:
                return app.error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body may have at most {limit} bytes")
            return await app.respond(head, body)
        finally:
            await app.stop()
