"""A worker: one forked process that fences itself in, imports one function, answers its requests, and ends."""

import asyncio
import faulthandler
import gc
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
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

# What a thread reserves for its stack counts as used; with less than 3 MiB, endless recursion is a crash, not an error.
_STACK = 4 << 20
_FRAMES, _MOST_DESCRIPTORS = 3, 1 << 20

_decode_begin = msgspec.msgpack.Decoder(frames.EnvironmentFrame).decode


@dataclass(frozen=True, slots=True)
class ForkContext:
    """What a worker has from the zygote: descriptors, Python's directories, and when its order came (perf_counter)."""

    frames: int
    output: int
    errors: int
    python: tuple[Path, ...]
    end_with_zygote: Callable[[], None]
    began: float


def run_worker(order: SpawnOrder, birth: ForkContext) -> int:
    """Be the worker of `order`, in a process just forked; return its exit status."""
    end = _keep_own_descriptors(birth)
    os.setsid()
    kernel.set_name(f"od:{order.slug}")
    env = _receive_environment(end)
    if env is None:
        return 0
    bundle = order.bundle
    fence = limits.SandboxPolicy(order.config, (*birth.python, *_of_bundle(bundle)), Path(order.temporary), order.uid)
    applied = limits.apply_sandbox(fence, birth.end_with_zygote)
    _furnish(bundle, env, order.temporary)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    answering = loop.run_until_complete(_begin(end, order, env, applied))
    try:
        status = loop.run_until_complete(answering.live(birth.began))
    except (SystemExit, KeyboardInterrupt) as error:
        answering.leave(error)
    answering.end()
    return status


async def _begin(
    end: socket.socket, order: SpawnOrder, env: Mapping[str, str], applied: limits.SandboxReport
) -> FunctionServer:
    # libuv's threads reserve a stack each, which would count as the function's: they are started before that counts.
    await asyncio.get_running_loop().getnameinfo(("127.0.0.1", 0), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    limits.limit_memory(order.config.memory_mb)
    return FunctionServer(end, order.bundle, order.config, env, applied.missing)


def _keep_own_descriptors(birth: ForkContext) -> socket.socket:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (birth.output, 1), (birth.errors, 2)):
        os.dup2(source, target)
    os.dup2(birth.frames, _FRAMES, inheritable=False)
    os.closerange(_FRAMES + 1, _MOST_DESCRIPTORS)
    return socket.socket(fileno=_FRAMES)


def _receive_environment(end: socket.socket) -> dict[str, str] | None:
    """Return what the first frame says, None when the gateway is gone; it comes before any code of the function."""
    with end.makefile("rb", buffering=0) as stream:
        head = _read(stream.read, 4)
        content = _read(stream.read, struct.unpack(">I", head)[0]) if len(head) == 4 else b""
    return _decode_begin(content).env if content else None


def _read(read: Callable[[int], bytes | None], length: int) -> bytes:
    pieces = []
    while length and (piece := read(length)):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces) if not length else b""


def _of_bundle(bundle: Bundle) -> tuple[Path, ...]:
    # A source tree holds other functions, and files with secrets; a deployed bundle is the function's own.
    if bundle.version:
        return (bundle.root,)
    return (bundle.index.parent, bundle.shared)


def _furnish(bundle: Bundle, env: Mapping[str, str], temporary: str) -> None:
    """Make this process the function's: environment, directory, and what the zygote had switched off."""
    os.environ.clear()
    os.environ.update({"HOME": temporary, "TMPDIR": temporary, **env})
    sys.argv[:] = [str(bundle.index)]
    sys.dont_write_bytecode = True
    threading.stack_size(_STACK)
    with suppress(OSError):  # the import will say so
        os.chdir(bundle.index.parent)
    time.tzset()
    faulthandler.enable(2)
    gc.enable()
