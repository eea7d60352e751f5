"""`with_supabase`: methods, authentication, body limit and error responses around a function's handler."""

from collections.abc import Awaitable, Callable, Sequence

from outdial.auth import AccessDenied, Caller, identify, parse_mode
from outdial.auth.caller import ANONYMOUS
from outdial.functions.context import Context
from outdial.functions.errors import HttpError
from outdial.functions.request import MIB, Request
from outdial.functions.response import Response, preflight
from outdial.functions.runtime import Runtime
from outdial.settings import MissingSetting

Handler = Callable[[Request, Context], Awaitable[Response]]

# Supabase responds 405 to all others.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

_REQUIRED_SETTINGS = {
    "user": ("SUPABASE_JWT_SECRET", "functions verify users' tokens with it (or with the keys of SUPABASE_URL)"),
    "publishable": ("SUPABASE_ANON_KEY", "a function accepts publishable keys (or set SUPABASE_PUBLISHABLE_KEYS)"),
    "secret": ("SUPABASE_SERVICE_ROLE_KEY", "a function accepts secret keys (or set SUPABASE_SECRET_KEYS)"),
}


class Endpoint:
    """A handler with its auth modes, methods, body limit and CORS headers. `with_supabase` makes it."""

    def __init__(
        self,
        handler: Handler,
        auth: Sequence[str],
        methods: Sequence[str],
        *,
        max_body: int,
        allow_headers: Sequence[str] | None = None,
    ) -> None:
        self.handler = handler
        self.allow_headers = None if allow_headers is None else ", ".join(allow_headers)
        self.modes = tuple(map(parse_mode, auth))
        self.methods = frozenset(method.upper() for method in methods)
        self.max_body = max_body
        if not self.modes:
            raise ValueError("a function needs an auth mode; with_supabase(auth='none') accepts every caller")
        self._is_open = self.modes[0].kind == "none"

    def check_settings(self, runtime: Runtime) -> None:
        """Raise MissingSetting when a mode of this function can admit no caller with the current settings."""
        for mode in self.modes:
            if mode.kind != "none" and not runtime.keyring.can_check(mode.kind):
                raise MissingSetting(*_REQUIRED_SETTINGS[mode.kind])

    async def respond(self, request: Request, runtime: Runtime, slug: str, request_id: str) -> Response:
        """Run the handler and return its response, or an error response. Raise nothing but MemoryError."""
        try:
            if request.method not in self.methods:
                if request.method == "OPTIONS":
                    return preflight(request.headers.get("access-control-request-headers", ""), self.allow_headers)
                allowed = ", ".join([*sorted(self.methods), "OPTIONS"])
                refused = HttpError(405, "METHOD_NOT_ALLOWED", f"{request.method} is not allowed here: use {allowed}")
                return Response.from_error(refused, headers={"allow": allowed})
            caller: Caller | AccessDenied = ANONYMOUS
            if not self._is_open:
                caller = await identify(request.headers, self.modes, runtime.keyring, runtime.verifier)
            if isinstance(caller, AccessDenied):
                if caller.status >= 500:
                    reason = caller.cause or caller.message
                    runtime.log.error("functions.auth_misconfigured", code=caller.code, reason=reason)
                raise HttpError(caller.status, caller.code, caller.message)
            request.max_body = self.max_body
            response = await self.handler(request, Context(runtime, caller, slug, request_id))
            if not isinstance(response, Response):
                raise TypeError(f"the function returned {type(response).__name__}, not a Response")
            return response
        except HttpError as error:
            return Response.from_error(error)
        except MemoryError:
            raise
        except Exception as error:
            runtime.log.exception("functions.failed", error, function=slug, request_id=request_id)
            return internal_error(request_id)


def internal_error(request_id: str) -> Response:
    """Return the 500 of a failed function: no cause, only the id that finds its log lines."""
    message = "Request failed due to an internal server error"
    return Response.from_error(HttpError(500, "EDGE_FUNCTION_ERROR", message, request_id=request_id))


def with_supabase(
    *,
    auth: str | Sequence[str],
    methods: Sequence[str] = METHODS,
    max_body: int = MIB,
    allow_headers: Sequence[str] | None = None,
) -> Callable[[Handler], Endpoint]:
    """Make an endpoint of `async def fetch(request, ctx) -> Response`.

    `auth` lists the accepted modes; the first that matches wins: user, publishable[:name|:*], secret[:name|:*], none.
    `methods` lists the accepted methods besides OPTIONS. `max_body` limits the body, in bytes. `allow_headers` lists
    the only request headers that pages of other origins may send (default: all that they ask for). Raises ValueError
    on an unknown mode.
    """
    modes = [auth] if isinstance(auth, str) else list(auth)

    def wrap(handler: Handler) -> Endpoint:
        return Endpoint(handler, modes, methods, max_body=max_body, allow_headers=allow_headers)

    return wrap
