"""Keys that sign tokens, and a real server of their public halves."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web


@dataclass
class SigningKey:
    """A private key with the JWK that its public half is listed as."""

    kid: str
    algorithm: str
    private: Any

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half."""
        maker: Any = jwt.get_algorithm_by_name(self.algorithm)
        document = json.loads(maker.to_jwk(self.private.public_key()))
        return {**document, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """Return a token that names this key."""
        return jwt.encode(claims, self.private, self.algorithm, headers={"kid": self.kid, **header})


@dataclass
class JwksServer:
    """Serves `keys` over HTTP, counts the requests, and can be made to fail."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    requests: int = 0

    async def answer(self, _: web.Request) -> web.Response:
        """Answer with the set, or with the failure that was asked for."""
        self.requests += 1
        return web.json_response({"keys": self.keys}, status=self.status)


@asynccontextmanager
async def run_jwks_server() -> AsyncIterator[JwksServer]:
    """Run a server on a free port."""
    server = JwksServer()
    app = web.Application()
    app.router.add_get("/auth/v1/.well-known/jwks.json", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()
