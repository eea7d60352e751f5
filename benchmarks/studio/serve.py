"""Serves the studio with the environment's settings on a free port, and prints the URL first."""

import os
import socket

import uvicorn
import uvloop

from outdial.clock import SystemClock
from outdial.http import listen, url_of
from outdial.log import log_to_stderr
from outdial.studio.web.main import open_studio
from outdial.studio.web.settings import StudioProcessSettings


async def serve(listener: socket.socket) -> None:
    """Serve until SIGTERM, like `outdial studio`."""
    url = url_of(listener)
    settings = StudioProcessSettings.from_env(os.environ, secure=False)
    async with open_studio(settings, SystemClock(), own_url=url) as opened:
        config = uvicorn.Config(
            opened.app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
        )
        print(url, flush=True)
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    log_to_stderr("error")
    with listen("127.0.0.1", 0) as own:
        uvloop.run(serve(own))
