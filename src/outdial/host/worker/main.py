"""The main function of a worker process: sandbox, import one function, serve requests, exit."""

import asyncio
import faulthandler
import gc
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvloop

from outdial.host.wire import frames
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.orders import SpawnOrder
from outdial.host.worker import limits
from outdial.host.worker.sandbox import kernel
from outdial.host.worker.serve import FunctionServer

# A thread's stack counts against the memory limit. Below 3 MiB, endless recursion is a crash instead of an error.
_STACK = 4 << 20
_FRAMES_FD = 3
_MAX_DESCRIPTORS = 1 << 20

_decode_environment = msgspec.msgpack.Decoder(frames.EnvironmentFrame).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkContext:
    """What a worker inherits from the zygote: file descriptors, Python's directories, and the order's time.

    `began` is the perf_counter() when the order arrived.
    """

    frames: int
    output: int
    errors: int
    python_paths: tuple[Path, ...]
    set_death_signal: Callable[[], None]
    began: float


def run_worker(order: SpawnOrder, context: ForkContext) -> int:
    """Run the worker of `order` in a process just forked; return its exit status."""
    # The inherited descriptors become 0 to 3, and all others are closed.
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (context.output, 1), (context.errors, 2)):
        os.dup2(source, target)
    os.dup2(context.frames, _FRAMES_FD, inheritable=False)
    os.closerange(_FRAMES_FD + 1, _MAX_DESCRIPTORS)
    end = socket.socket(fileno=_FRAMES_FD)
    os.setsid()
    kernel.set_name(f"od:{order.slug}")
    # The environment arrives before any code of the function runs.
    size = int.from_bytes(end.recv(4, socket.MSG_WAITALL), "big")
    content = end.recv(size, socket.MSG_WAITALL)
    if not content or len(content) < size:  # the gateway is gone
        return 0
    env = _decode_environment(content).env
    bundle = order.bundle
    # A source tree holds other functions and files with secrets. A deployed bundle holds only the function.
    readable = (bundle.root,) if bundle.version else (bundle.index.parent, bundle.shared)
    policy = limits.SandboxPolicy(
        config=order.config,
        readable=(*context.python_paths, *readable, *limits.certificate_files(env)),
        temporary=Path(order.temporary),
        uid=order.uid,
    )
    missing = limits.join_cgroup(order.cgroup) if order.cgroup else []
    missing += limits.apply_sandbox(policy, context.set_death_signal).missing
    _set_up_interpreter(bundle, env, order.temporary)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    server = loop.run_until_complete(_create_server(end, order, env, missing))
    try:
        status = loop.run_until_complete(server.serve(context.began))
    except (SystemExit, KeyboardInterrupt) as error:
        server.exit(error)
    server.flush()
    return status


async def _create_server(
    end: socket.socket, order: SpawnOrder, env: Mapping[str, str], missing: Sequence[str]
) -> FunctionServer:
    # libuv's threads each reserve a stack. Start them before memory is limited, so that they do not count.
    await asyncio.get_running_loop().getnameinfo(("127.0.0.1", 0), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    limits.limit_memory(order.config.memory_mb)
    return FunctionServer(end, bundle=order.bundle, config=order.config, env=env, missing=missing)


def _set_up_interpreter(bundle: Bundle, env: Mapping[str, str], temporary: str) -> None:
    """Set environment and working directory for the function, and re-enable what the zygote had disabled."""
    os.environ.clear()
    os.environ.update({"HOME": temporary, "TMPDIR": temporary, **env})
    sys.argv[:] = [str(bundle.index)]
    sys.dont_write_bytecode = True
    threading.stack_size(_STACK)
    with suppress(OSError):  # the import will report it
        os.chdir(bundle.index.parent)
    time.tzset()
    faulthandler.enable(2)
    gc.enable()
