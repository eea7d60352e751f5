"""A gateway process without functions, for tests of the launcher. Every response is its process id.

Run `python -m tests.support.small_gateway MODE` with one of these modes: `serve`; `stubborn`, which ignores signals;
`broken`, which exits before it is ready; `broken-if PATH`, which does so if the file exists.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from outdial.host.gateway.launcher import LISTENER_FD, RETIRE
from outdial.http import HttpResponse, RequestHead, adopt, serving
from outdial.process import notify_ready

_GRACE_S = 1.0


class Application:
    """Responds after a short delay, as a function would."""

    def admit(self, head: RequestHead) -> int | HttpResponse:
        """Accept a small body."""
        return 1024

    async def respond(self, head: RequestHead, body: bytes) -> HttpResponse:
        """Respond with the process id."""
        if head.path == "/slow":
            await asyncio.sleep(0.5)
        await asyncio.sleep(0.002)
        return HttpResponse(200, [(b"content-type", b"text/plain")], str(os.getpid()).encode())


async def serve(mode: str) -> None:
    """Serve on the inherited listener until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, RETIRE):
        asyncio.get_running_loop().add_signal_handler(number, stop.set if mode != "stubborn" else lambda: None)
    async with serving(Application(), adopt(int(os.environ[LISTENER_FD]))) as server:
        notify_ready()
        await stop.wait()
        await server.drain(20.0, grace_s=_GRACE_S)


if __name__ == "__main__":
    mode, *rest = sys.argv[1:]
    if mode == "broken" or (mode == "broken-if" and Path(rest[0]).exists()):
        sys.exit(3)
    asyncio.run(serve(mode))
