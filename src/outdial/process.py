"""What a process and those that it starts owe each other: to say when they are ready, and to end when it does."""

import asyncio
import ctypes
import os
import platform
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

READY_FD = "OUTDIAL_READY_FD"
_PR_SET_PDEATHSIG = 1


def notify_ready() -> None:
    """Tell whoever started this process, and asked to be told, that it is ready."""
    number = os.environ.pop(READY_FD, None)
    if number is not None:
        with os.fdopen(int(number), "w") as pipe:
            pipe.write("ready\n")


async def start_child_process(
    command: Sequence[str], env: Mapping[str, str], *, inherit: Sequence[int] = (), **options: Any
) -> tuple[asyncio.subprocess.Process, int]:
    """Start a process that ends with this one and may say when it is ready; return it, and the pipe for `is_ready`.

    `inherit` are descriptors that it is given, `options` those of asyncio.create_subprocess_exec.
    """
    reader, writer = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**env, READY_FD: str(writer)},
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(writer, *inherit),
            # Ctrl-C is for the parent, which stops its children in order.
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
    """Wait until the child that holds the other end of the pipe `reader` is ready: False when it has ended instead.

    The pipe is closed.
    """
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reader, "rb", 0)
    )
    try:
        return bool(await stream.readline())
    finally:
        transport.close()


def die_with_parent(by: signal.Signals = signal.SIGTERM) -> Callable[[], None] | None:
    """Return what a new process has to call before it runs its program, so that `by` ends it when this one dies.

    None where the system has no such call, as on macOS: there a killed process leaves its children behind.
    """
    if platform.system() != "Linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(by))
        if os.getppid() != parent:
            os._exit(1)

    return set_death_signal
