"""Meddles with other processes: the body is `{"pids": [...]}`, the answer tells what could be done to any of them."""

import fcntl
import os
import resource
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any

from outdial.functions import Context, Request, Response, with_supabase

F_SETOWN_EX, F_OWNER_PID, FIOSETOWN, SIOCSPGRP = 15, 1, 0x8901, 0x8902
PAIR = socket.socketpair()
END = PAIR[0].fileno()

WAYS: dict[str, Callable[[int], object]] = {
    "signal": lambda pid: os.kill(pid, signal.SIGCONT),
    "probe": lambda pid: os.kill(pid, 0),
    "limit": lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE),
    "affinity": lambda pid: os.sched_setaffinity(pid, {0}),
    "priority": lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
    "scheduler": lambda pid: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)),
    "owner": lambda pid: fcntl.fcntl(END, fcntl.F_SETOWN, pid),
    "owner by type": lambda pid: fcntl.fcntl(END, F_SETOWN_EX, struct.pack("ii", F_OWNER_PID, pid)),
    "owner by ioctl": lambda pid: fcntl.ioctl(END, FIOSETOWN, struct.pack("i", pid)),
    "group by ioctl": lambda pid: fcntl.ioctl(END, SIOCSPGRP, struct.pack("i", pid)),
    "which signal": lambda pid: fcntl.fcntl(END, fcntl.F_SETSIG, signal.SIGKILL),
    "pidfd": lambda pid: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGCONT),
}


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Try every way on each process."""
    if request.path.endswith("/well"):
        return Response.json({"ok": True})
    pids: list[Any] = (await request.json())["pids"]
    outcomes = {name: sorted({attempt(act, pid) for pid in pids}) for name, act in WAYS.items()}
    os.kill(os.getpid(), 0)
    return Response.json(outcomes)


def attempt(act: Callable[[int], object], pid: int) -> str:
    """Return what came of it."""
    try:
        act(pid)
    except OSError as error:
        return type(error).__name__
    return "done"
