"""Serve one function without a host, applying the limits of its config.toml that a container cannot."""

import asyncio

from outdial.functions.loading import LoadedFunction
from outdial.functions.runtime import Runtime
from outdial.functions.server import FunctionApp
from outdial.host.gateway.verify import JwtCheck
from outdial.host.pool.token_bucket import TokenBucket
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.outcomes import InvocationTimedOut
from outdial.host.wire.responses import ErrorResponse, error_for, rate_limited
from outdial.http import HttpResponse, RequestHead


class StandaloneApp(FunctionApp):
    """Serves one function in this process and enforces `verify_jwt`, `rate_limit`, `max_body` and `wall_clock_s`.

    The container limits memory, CPU time and privileges. Logs go to standard error.
    """

    def __init__(self, function: LoadedFunction, config: FunctionConfig, runtime: Runtime) -> None:
        super().__init__({function.slug: function}, runtime)
        self._config = config
        self._bucket = TokenBucket(config.rate_limit, config.burst_size)
        self._jwt_check = JwtCheck(runtime.keyring, runtime.verifier) if config.verify_jwt else None

    def admit(self, head: RequestHead) -> int | HttpResponse:
        """Return the maximum body size in bytes, or a response that needs no body."""
        admitted = super().admit(head)
        if isinstance(admitted, HttpResponse):
            return admitted
        wait_s = 0.0 if head.method == "OPTIONS" else self._bucket.take(asyncio.get_running_loop().time())
        if wait_s > 0:
            return self._reject(rate_limited(self._bucket.rate, wait_s))
        return min(admitted, self._config.max_body)

    async def respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Return the function's response, or an error response."""
        if self._jwt_check is not None and head.method != "OPTIONS":
            error = await self._jwt_check.check(head.headers)
            if error is not None:
                return self._reject(error)
        try:
            async with asyncio.timeout(self._config.wall_clock_s):
                return await super().respond(head, body)
        except TimeoutError:
            return self._reject(error_for(InvocationTimedOut(self._config.wall_clock_s, execution_id="")))

    def _reject(self, error: ErrorResponse) -> HttpResponse:
        return error.to_http([(b"sb-request-id", self._new_id().encode("latin-1"))])
