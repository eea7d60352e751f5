"""`with_supabase`: what stands between the wire and a function, so that the function is only its own matter."""

from collections.abc import Awaitable, Callable, Sequence

from outdial.auth import AccessDenied, Caller, identify, parse_mode
from outdial.auth.caller import ANONYMOUS
from outdial.functions.context import Context
from outdial.functions.errors import HttpError
from outdial.functions.request import MIB, Request
from outdial.functions.response import PREFLIGHT, Response
from outdial.functions.runtime import Runtime
from outdial.settings import MissingSetting

Handler = Callable[[Request, Context], Awaitable[Response]]

# Supabase answers 405 to all others.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_FAILED = "Request failed due to an internal server error"

_NEEDS = {
    "user": ("SUPABASE_JWT_SECRET", "functions verify users' tokens with it (or with the keys of SUPABASE_URL)"),
    "publishable": ("SUPABASE_ANON_KEY", "a function accepts publishable keys (or set SUPABASE_PUBLISHABLE_KEYS)"),
    "secret": ("SUPABASE_SERVICE_ROLE_KEY", "a function accepts secret keys (or set SUPABASE_SECRET_KEYS)"),
}


class Endpoint:
    """A function with its auth modes and bounds: what `with_supabase` makes of a handler."""

    def __init__(self, handler: Handler, auth: Sequence[str], methods: Sequence[str], max_body: int) -> None:
        self.handler = handler
        self.modes = tuple(map(parse_mode, auth))
        self.methods = frozenset(method.upper() for method in methods)
        self.max_body = max_body
        if not self.modes:
            raise ValueError("a function needs an auth mode; with_supabase(auth='none') lets everybody in")
        self._is_open = self.modes[0].kind == "none"

    def check_settings(self, runtime: Runtime) -> None:
        """Raise MissingSetting when a mode of this function could never let anybody in."""
        for mode in self.modes:
            if mode.kind != "none" and not runtime.keyring.can_check(mode.kind):
                raise MissingSetting(*_NEEDS[mode.kind])

    async def answer(self, request: Request, runtime: Runtime, slug: str, request_id: str) -> Response:
        """Return the answer to `request`, whatever the handler does; only a MemoryError is raised."""
        try:
            if request.method not in self.methods:
                return PREFLIGHT if request.method == "OPTIONS" else self._wrong_method(request)
            caller = ANONYMOUS if self._is_open else await self._identify(request, runtime)
            request.max_body = self.max_body
            response = await self.handler(request, Context(runtime, caller, slug, request_id))
            if not isinstance(response, Response):
                raise TypeError(f"the function returned {type(response).__name__}, not a Response")
            return response
        except HttpError as error:
            return Response.of(error)
        except MemoryError:
            raise
        except Exception as error:
            runtime.log.exception("functions.failed", error, function=slug, request_id=request_id)
            return internal_error(request_id)

    async def _identify(self, request: Request, runtime: Runtime) -> Caller:
        caller = await identify(request.headers, self.modes, runtime.keyring, runtime.verifier)
        if isinstance(caller, AccessDenied):
            if caller.status >= 500:
                runtime.log.error("functions.auth_misconfigured", code=caller.code, reason=caller.message)
            raise HttpError(caller.status, caller.code, caller.message)
        return caller

    def _wrong_method(self, request: Request) -> Response:
        allowed = ", ".join([*sorted(self.methods), "OPTIONS"])
        message = f"{request.method} is not answered here: use {allowed}"
        return Response.of(HttpError(405, "METHOD_NOT_ALLOWED", message), headers={"allow": allowed})


def internal_error(request_id: str) -> Response:
    """Return what a caller is told of a function that failed: nothing of the cause, and how to name its lines."""
    return Response.of(HttpError(500, "EDGE_FUNCTION_ERROR", _FAILED, request_id=request_id))


def with_supabase(
    *, auth: str | Sequence[str], methods: Sequence[str] = METHODS, max_body: int = MIB
) -> Callable[[Handler], Endpoint]:
    """Make an endpoint of `async def fetch(request, ctx) -> Response`.

    `auth` names the accepted modes, the first that fits wins: user, publishable[:name|:*], secret[:name|:*], none.
    `methods` are those it answers besides OPTIONS; `max_body` bounds the body, in bytes. Raises ValueError on an
    unknown mode.
    """
    modes = [auth] if isinstance(auth, str) else list(auth)

    def wrap(handler: Handler) -> Endpoint:
        return Endpoint(handler, modes, methods, max_body)

    return wrap
