"""Keys that sign tokens, and an HTTP server for their public keys."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web


@dataclass
class SigningKey:
    """A private key and the JWK of its public key."""

    kid: str
    algorithm: str
    private: Any

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as a JWK."""
        maker: Any = jwt.get_algorithm_by_name(self.algorithm)
        document = json.loads(maker.to_jwk(self.private.public_key()))
        return {**document, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """Return a token signed with this key, with its `kid` in the header."""
        return jwt.encode(claims, self.private, self.algorithm, headers={"kid": self.kid, **header})


@dataclass
class JwksServer:
    """Serves `keys` over HTTP with `status`, or `document` instead, and counts requests."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    requests: int = 0
    document: bytes | None = None

    async def respond(self, _: web.Request) -> web.Response:
        """Respond with the keys."""
        self.requests += 1
        if self.document is not None:
            return web.Response(body=self.document)
        return web.json_response({"keys": self.keys}, status=self.status)


@asynccontextmanager
async def run_jwks_server() -> AsyncIterator[JwksServer]:
    """Run a server on a free port."""
    server = JwksServer()
    app = web.Application()
    app.router.add_get("/auth/v1/.well-known/jwks.json", server.respond)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()
