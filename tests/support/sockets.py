"""An application on a real socket of this machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from outdial.http import listen


@asynccontextmanager
async def on_a_socket(app: ASGIApp) -> AsyncIterator[str]:
    """Serve `app` on a free port of this machine, and yield its URL."""
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, ws="none"))
    # Unlike `serve`, this leaves the signals to pytest.
    serving = asyncio.create_task(server._serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
