"""Outlives its gateway and its zygote, or tries to, with the children that it may have."""

import ctypes
import os
import signal
import time

from outdial.functions import Context, Request, Response, with_supabase

LIBC = ctypes.CDLL(None, use_errno=True)
OPTIONS = {
    "PR_SET_PDEATHSIG": (1, 0),
    "PR_SET_DUMPABLE": (4, 1),
    "PR_SET_MM": (35, 8),
    "PR_SCHED_CORE": (62, 1),
    "PR_SET_PTRACER": (0x59616D61, -1),
}


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Ask to live on, and start a child that starts another; return what came of it."""
    if request.path.endswith("/well"):
        return Response.json({"ok": True})
    if request.path.endswith("/asleep"):
        print("about to sleep")  # noqa: T201
        time.sleep(60)  # noqa: ASYNC251 - so that it does not notice that its socket is closed
    outcomes = {name: set_option(*arguments) for name, arguments in OPTIONS.items()}
    return Response.json({"options": outcomes, "children": descendants()})


def set_option(option: int, argument: int) -> str:
    """Return what came of a prctl."""
    if LIBC.prctl(option, *map(ctypes.c_ulong, (argument, 0, 0, 0))) < 0:
        return os.strerror(ctypes.get_errno())
    return "done"


def descendants() -> list[int]:
    """Return the pids of a child and a grandchild, neither of which ends within a minute."""
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except PermissionError:
        return []
    if pid == 0:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        set_option(*OPTIONS["PR_SET_PDEATHSIG"])
        grandchild = os.fork()
        if grandchild:
            os.write(writing, grandchild.to_bytes(4, "big"))
        signal.alarm(60)
        while True:
            signal.pause()
    return [pid, int.from_bytes(os.read(reading, 4), "big")]
