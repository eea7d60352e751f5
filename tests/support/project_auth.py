"""A scripted Auth of a Supabase project: records the requests it gets, and responds as Supabase's Auth 2.19x does."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from aiohttp import web

from tests.support.factories import NOW


@dataclass(slots=True)
class ProjectAuth:
    """The state of the Auth: who has an account, what is switched on, and the emails it has sent."""

    url: str = ""
    users: dict[str, UUID] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=lambda: {"external": {"email": True}, "disable_signup": False})
    recent: set[str] = field(default_factory=set)
    """Addresses that got an email a moment ago: Auth sends them no other one."""
    sent: list[tuple[str, str, str]] = field(default_factory=list)
    """Kind, address and where the link of the email leads."""
    challenges: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    """The access token of each address, which the test makes."""
    raised: dict[str, str] = field(default_factory=dict)
    """The access token of each address after its second factor; that of `tokens` without an entry."""
    codes: dict[str, str] = field(default_factory=dict)
    """The code that each second factor of every user takes, by the factor's id."""

    def code_for(self, email: str) -> str:
        """Return the code that the link of the last email leads back with."""
        return f"code-of-{email}"

    async def show_settings(self, _: web.Request) -> web.Response:
        """Return the settings."""
        return web.json_response(self.settings)

    async def email(self, request: web.Request) -> web.Response:
        """Send an email, or refuse it as Auth does."""
        body, kind = await request.json(), request.path.rpartition("/")[2]
        address = body["email"]
        if kind == "recover" and address not in self.users:
            return web.json_response({})
        refused = self._refusal(kind, address, request, creates=body.get("create_user", True))
        if refused is not None:
            return refused
        self.users.setdefault(address, UUID(int=len(self.users) + 1))
        self.sent.append((kind, address, request.query["redirect_to"]))
        if "code_challenge" in body:
            self.challenges[address] = body["code_challenge"]
        return web.json_response({})

    def _refusal(self, kind: str, address: str, request: web.Request, *, creates: bool) -> web.Response | None:
        is_new = address not in self.users
        if address in self.recent:
            return _refuse(429, "over_email_send_rate_limit")
        if kind == "otp" and is_new and not creates:
            return _refuse(422, "otp_disabled")
        if kind == "otp" and is_new and self.settings["disable_signup"]:
            return _refuse(422, "signup_disabled")
        if kind == "invite" and not request.headers["apikey"].startswith("sb_secret_"):
            return _refuse(401, "no_authorization")
        return _refuse(422, "email_exists") if kind == "invite" and not is_new else None

    async def token(self, request: web.Request) -> web.Response:
        """Exchange a code, once, against the verifier of its challenge."""
        body = await request.json()
        address = str(body.get("auth_code", "")).removeprefix("code-of-")
        digest = sha256(str(body.get("code_verifier")).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if request.query["grant_type"] != "pkce" or self.challenges.pop(address, None) != challenge:
            return _refuse(400, "bad_code_verifier")
        return self._session(address)

    async def challenge(self, _: web.Request) -> web.Response:
        """Begin to verify a factor."""
        return web.json_response({"id": str(UUID(int=1))})

    async def verify(self, request: web.Request) -> web.Response:
        """Check the code of a factor."""
        if (await request.json())["code"] != self.codes[request.match_info["factor_id"]]:
            return _refuse(422, "mfa_verification_failed")
        token = request.headers["authorization"].removeprefix("Bearer ")
        address = self._address_of(token)
        return self._session(address, self.raised.get(address))

    async def user(self, request: web.Request) -> web.Response:
        """Return the user of a token."""
        return web.json_response(self._user(self._address_of(request.headers["authorization"].removeprefix("Bearer "))))

    def _address_of(self, token: str) -> str:
        return next(address for address, known in self.tokens.items() if known == token)

    def _user(self, address: str) -> dict[str, Any]:
        factors = [{"id": factor, "factor_type": "totp", "status": "verified"} for factor in self.codes]
        return {"id": str(self.users[address]), "email": address, "factors": factors}

    def _session(self, address: str, access_token: str | None = None) -> web.Response:
        lives = {"expires_in": 3600, "expires_at": int((NOW + timedelta(hours=1)).timestamp())}
        tokens = {"access_token": access_token or self.tokens[address], "refresh_token": "r"}
        return web.json_response({**tokens, **lives, "user": self._user(address)})


@asynccontextmanager
async def project_auth() -> AsyncIterator[ProjectAuth]:
    """Serve a scripted Auth on a free port."""
    auth, app = ProjectAuth(), web.Application()
    app.router.add_get("/settings", auth.show_settings)
    for path in ("/otp", "/invite", "/recover"):
        app.router.add_post(path, auth.email)
    app.router.add_post("/token", auth.token)
    app.router.add_get("/user", auth.user)
    app.router.add_post("/factors/{factor_id}/challenge", auth.challenge)
    app.router.add_post("/factors/{factor_id}/verify", auth.verify)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    auth.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield auth
    finally:
        await runner.cleanup()


def query_of(url: str) -> dict[str, str]:
    """Return the query parameters of a URL."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def _refuse(status: int, code: str) -> web.Response:
    return web.json_response({"code": code, "message": code.replace("_", " ")}, status=status)
