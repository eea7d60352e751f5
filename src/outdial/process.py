"""Parent and child processes: readiness, the death signal, and the signals that stop a process."""

import asyncio
import ctypes
import gc
import os
import platform
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from outdial.log import log

READY_FD = "OUTDIAL_READY_FD"
_PR_SET_PDEATHSIG = 1
# Enough for every limit of connections here, and few enough for programs that go through all descriptors.
_OPEN_FILES = 65_536


def notify_ready() -> None:
    """Report readiness to the parent process, if it asked for it by setting OUTDIAL_READY_FD."""
    number = os.environ.pop(READY_FD, None)
    if number is None:
        return
    try:
        with os.fdopen(int(number), "w") as pipe:
            pipe.write("ready\n")
    except (ValueError, OSError) as error:  # a number that is not that of an open pipe: no parent is waiting
        log("process.ready_not_reported", level="warning", reason=str(error))


def raise_file_limit() -> None:
    """Allow this process as many open files as it may have, up to 65,536.

    The soft limit of systemd and of shells is 1024: too few connections for a server. Call it at the start, before a
    server reads the limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS refuses more than kern.maxfilesperproc even when the hard limit is unlimited. Keep the soft limit then.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def stop_event() -> asyncio.Event:
    """Return an event that SIGINT, SIGTERM and SIGHUP set. Call it inside the running loop.

    Signals set an event and never raise in the middle of other code.
    """
    stop = asyncio.Event()
    numbers = [signal.SIGINT, signal.SIGTERM]
    # nohup ignores SIGHUP for its command; keep it ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def wait_for_event(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait at most `timeout_s` for `event`, and return whether it is set."""
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return event.is_set()


async def start_child_process(
    command: Sequence[str], env: Mapping[str, str], *, inherit: Sequence[int] = (), **options: Any
) -> tuple[asyncio.subprocess.Process, int]:
    """Start a process that ends when this one ends. Return it with its readiness pipe, for `wait_ready`.

    The process inherits the file descriptors in `inherit`; `options` go to asyncio.create_subprocess_exec.
    """
    reader, writer = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**env, READY_FD: str(writer)},
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(writer, *inherit),
            # Ctrl-C reaches the parent only, which stops its children in order.
            start_new_session=True,
            preexec_fn=die_with_parent(),
            **options,
        )
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return process, reader


async def wait_ready(reader: int) -> bool:
    """Wait until the child at the other end of the pipe is ready. Return False when it ends first.

    Closes the pipe.
    """
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reader, "rb", 0)
    )
    try:
        return bool(await stream.readline())
    finally:
        transport.close()


def signal_child(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to a child process, unless it has ended.

    `Process.send_signal` first polls the child. One that has just ended would be reaped by that poll and not by
    asyncio, which then reports the status 255 and logs "Unknown child process pid".
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


def die_with_parent(by: signal.Signals = signal.SIGTERM) -> Callable[[], None] | None:
    """Return a function that ties a new process to this one: once called there, the kernel sends `by` when this dies.

    Call it in the child before it runs its program. Return None on systems without prctl(PR_SET_PDEATHSIG), such as
    macOS: there, a killed process leaves its children running.
    """
    if platform.system() != "Linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(by))
        # The parent may have died before the call.
        if os.getppid() != parent:
            os._exit(1)

    return set_death_signal


def tune_gc() -> None:
    """Exclude loaded objects from garbage collection and collect less often.

    Loaded modules stay alive and requests create few cycles. With the default settings the collector cost 4 to 6% of
    the events per second at 128 connections, and a fifth of the p99.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
