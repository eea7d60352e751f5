"""Local Auth in tests: passwords that are hashed cheaply, and a server on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import uvicorn
from argon2 import PasswordHasher
from starlette.types import ASGIApp

from outdial.http import listen

CHEAP: Final = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@asynccontextmanager
async def on_a_socket(app: ASGIApp) -> AsyncIterator[str]:
    """Serve `app` on a free port of this machine, and yield its URL."""
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    running = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
