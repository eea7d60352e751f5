"""Functions served over real HTTP on a free port, and the lines that they log."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from outdial.auth.keys import LOCAL_JWT_SECRET, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from outdial.clock import SystemClock
from outdial.functions import Endpoint, Runtime
from outdial.functions.loading import LoadedFunction
from outdial.functions.server import FunctionApp, serving

ENV = {
    "SUPABASE_JWT_SECRET": LOCAL_JWT_SECRET,
    "SUPABASE_ANON_KEY": LOCAL_PUBLISHABLE_KEY,
    "SUPABASE_SERVICE_ROLE_KEY": LOCAL_SECRET_KEY,
}

Serve = Callable[..., AbstractAsyncContextManager[aiohttp.ClientSession]]


@asynccontextmanager
async def _serve(*functions: LoadedFunction, env: dict[str, str] = ENV, **endpoints: Endpoint) -> AsyncIterator[Any]:
    every = [*functions, *(LoadedFunction(slug, endpoint) for slug, endpoint in endpoints.items())]
    app = FunctionApp({function.slug: function for function in every}, Runtime.from_env(env, SystemClock()))
    async with serving(app) as url, aiohttp.ClientSession(f"{url}/functions/v1/") as session:
        yield session


@pytest.fixture
def serve() -> Serve:
    """Serves functions by slug, and gives a client whose relative URLs begin after /functions/v1/."""
    return _serve
