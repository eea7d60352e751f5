"""CORS for the JSON API: pages of other origins may call it, if OUTDIAL_API_ORIGINS lists them."""

from collections.abc import Sequence
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_API: Final = "/api/v1/"
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_EXPOSED: Final = ("etag", "location", "retry-after", "x-request-id", "idempotency-replayed", "content-disposition")


class ApiCorsMiddleware:
    """Allows the listed origins every request header, but no cookies: callers send a token or a key.

    Pages and all other paths have no CORS headers.
    """

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        self._app = app
        self._cors = CORSMiddleware(
            app, allow_origins=origins, allow_methods=_METHODS, allow_headers=["*"], expose_headers=_EXPOSED
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_api = scope["type"] == "http" and scope["path"].startswith(_API)
        await (self._cors if is_api else self._app)(scope, receive, send)
