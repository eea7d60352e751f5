"""Forks, in each way that Python has; answers what came of each."""

import asyncio
import ctypes
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

from outdial.functions import Context, Request, Response, with_supabase

CLONE_NEWUSER, CLONE_PARENT = 0x10000000, 0x8000


def fork() -> object:
    """Fork as C does."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)


def process() -> object:
    """Fork by multiprocessing."""
    child = multiprocessing.get_context("fork").Process(target=print)
    child.start()
    return child.join()


def clone(flags: int) -> int:
    """Fork by the system call itself. With CLONE_NEWUSER the child has all rights in its namespace."""
    number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    libc = ctypes.CDLL(None, use_errno=True)
    pid: int = libc.syscall(number, flags | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return pid


def thread() -> str:
    """Start a thread, which is allowed."""
    done = threading.Event()
    threading.Thread(target=done.set).start()
    return "ran" if done.wait(10) else "did not run"


WAYS: dict[str, Callable[[], object]] = {
    "fork": fork,
    "forkpty": os.forkpty,
    "subprocess": lambda: subprocess.run(["/bin/true"], check=True),
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "shell": lambda: os.waitstatus_to_exitcode(os.system("/bin/true")),
    "exec": lambda: os.execv(sys.executable, ["python"]),
    "multiprocessing": process,
    "session": lambda: subprocess.run(["/bin/true"], check=True, start_new_session=True),
    "namespace": lambda: os.waitpid(clone(CLONE_NEWUSER), 0),
    # A child of the zygote, which reaps it.
    "sibling": lambda: clone(CLONE_PARENT),
    "thread": thread,
}


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Try every way."""
    if request.path.endswith("/well"):
        return Response.json({"ok": True})
    outcomes = {name: attempt(act) for name, act in WAYS.items()}
    try:
        await asyncio.create_subprocess_exec("/bin/true")
        outcomes["asyncio"] = "done"
    except OSError as error:
        outcomes["asyncio"] = type(error).__name__
    return Response.json(outcomes)


def attempt(act: Callable[[], object]) -> str:
    """Return what came of it."""
    try:
        return f"{act()}"
    except OSError as error:
        return type(error).__name__
