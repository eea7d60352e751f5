"""What a worker does between its birth and its end: import the function, answer its requests, finish what it began."""

import asyncio
import mmap
import os
import resource
import socket
import time
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NoReturn
from urllib.parse import unquote

from outdial.clock import SystemClock
from outdial.functions.endpoint import internal_error
from outdial.functions.errors import FunctionNotLoaded
from outdial.functions.loading import LoadedFunction, load_function
from outdial.functions.log import Redactor
from outdial.functions.request import Request
from outdial.functions.response import Response
from outdial.functions.runtime import Runtime, tune_gc
from outdial.host.wire import frames
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.channel import Channel
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BadFrame
from outdial.host.worker.capture import WorkerLog, current_request
from outdial.host.worker.metering import CpuMeter, MeteredCoroutine
from outdial.host.worker.streams import redirect_output
from outdial.settings import SettingError

# Bytes that the gateway has not taken, beyond which lines wait.
_BACKLOG = 4 << 20
# Reserved, and let go of when there is no more memory, so that there is some to say so.
_BALLAST = 1 << 20
_ALIVE = frames.encode(frames.LogFrame([], 0))
_SHOW_LIFE_NS = 50_000_000
_STOP_S = 10.0
_CLOSE_S = 3.0
_LAST_WORDS_S = 5.0


class FunctionServer:
    """One function at work on the socket `end`; made in a running loop. `missing` names fences that are not up.

    The process ends when the gateway is gone: nobody is left to answer.
    """

    def __init__(
        self, end: socket.socket, bundle: Bundle, config: FunctionConfig, env: Mapping[str, str], missing: Iterable[str]
    ) -> None:
        self._bundle, self._config, self._env, self._missing = bundle, config, env, list(missing)
        self._channel = Channel(end, self._take, lambda: os._exit(0))
        self._clock = SystemClock()
        self._redact = Redactor(env)
        self._journal = WorkerLog(self._send_lines, self._clock, self._redact)
        self._reader = frames.gateway_frame_reader()
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired = asyncio.Event()
        self._meter = CpuMeter(self._show_life)
        self._life_shown_ns = 0
        self._limit_ns = config.cpu_ms * 1_000_000
        self._ballast = mmap.mmap(-1, _BALLAST, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._rss_at_birth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def live(self, began: float) -> int:
        """Start the function, answer until retired, and return the exit status; `began` is when it was ordered."""
        redirect_output(self._journal)
        asyncio.get_running_loop().set_exception_handler(self._on_error_of_loop)
        try:
            await self._boot()
        except BaseException as error:  # sys.exit among them, which is no reason to go without a word
            self._channel.send(frames.encode(self._failed(error)))
            return 1
        self._channel.send(frames.encode(frames.ReadyFrame((time.perf_counter() - began) * 1000, self._missing)))
        self._channel.start_reading()
        await self._retired.wait()
        await self._finish()
        return 0

    def leave(self, reason: SystemExit | KeyboardInterrupt) -> NoReturn:
        """End the process, as the function has asked for."""
        self._journal.add("error", _say(reason))
        self.end()
        code = reason.code if isinstance(reason, SystemExit) else 1
        os._exit((code or 0) & 0xFF if isinstance(code, int | None) else 1)

    def end(self) -> None:
        """Send what is left to send."""
        self._journal.flush()
        self._channel.finish(_LAST_WORDS_S)

    def _take(self, data: bytes) -> None:
        """Do what the gateway says."""
        try:
            for frame in self._reader.feed(data):
                if isinstance(frame, frames.InvokeFrame):
                    self._begin(frame)
                elif isinstance(frame, frames.RetireFrame):
                    self._channel.stop_reading()
                    self._retired.set()
        except BadFrame:
            self._channel.close()

    async def _boot(self) -> None:
        runtime = Runtime.from_env(self._env, self._clock)
        bundle = self._bundle
        shared = bundle.shared if bundle.shared.is_dir() else None
        function = load_function(bundle.slug, bundle.index, shared)
        function.endpoint.check_settings(runtime)
        if function.start is not None:
            await function.start(runtime)
        self._runtime, self._function = runtime, function
        tune_gc()

    def _failed(self, error: BaseException) -> frames.BootFailedFrame:
        text = ""
        if isinstance(error, FunctionNotLoaded):
            text = error.traceback
        elif not isinstance(error, SettingError):
            text = "".join(traceback.format_exception(error))
        message = str(error) if isinstance(error, FunctionNotLoaded | SettingError) else _say(error)
        return frames.BootFailedFrame(self._redact(message), self._redact(text))

    def _begin(self, invoke: frames.InvokeFrame) -> None:
        task = asyncio.create_task(self._answer(invoke))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, invoke: frames.InvokeFrame) -> None:
        asked = invoke.invocation
        current_request.set(asked.request_id)
        path = unquote(asked.path) if "%" in asked.path else asked.path
        request = Request(asked.method, path, asked.query, asked.headers, asked.body)
        endpoint = self._function.endpoint
        run = MeteredCoroutine(
            endpoint.answer(request, self._runtime, self._bundle.slug, asked.request_id), self._limit_ns, self._meter
        )
        try:
            response = await run
            if not run.exceeded:
                self._reply(invoke, response, run.used_ns)
        except (SystemExit, KeyboardInterrupt) as error:
            self.leave(error)
        except MemoryError as error:
            self._out_of_memory(invoke, error)
        except BaseException as error:
            if not run.exceeded:
                self._report(error)
                self._reply(invoke, internal_error(invoke.invocation.request_id), run.used_ns)
        if run.exceeded:
            self._tell_exceeded(invoke.number, "cpu", self._config.cpu_ms, run.used_ns // 1_000_000)

    def _reply(self, invoke: frames.InvokeFrame, response: Response, used_ns: int) -> None:
        answer = response.answer(invoke.invocation.request_id)
        if len(answer.body) + len(answer.headers) > frames.LARGEST - 1024:
            self._journal.add("error", f"the answer has {len(answer.body)} bytes, more than can be sent")
            answer = internal_error(invoke.invocation.request_id).answer(invoke.invocation.request_id)
        self._journal.flush()
        self._channel.send(
            frames.encode(
                frames.ResponseFrame(invoke.number, answer.status, answer.headers, answer.body, (used_ns + 500) // 1000)
            )
        )

    def _out_of_memory(self, invoke: frames.InvokeFrame, error: MemoryError) -> None:
        self._ballast.close()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        used = max(0, peak - self._rss_at_birth) >> 10
        # The frames of the traceback hold what the function had.
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        limit = self._config.memory_mb
        self._journal.add("error", f"no more memory: {used} MiB were in use, and the limit is {limit} MiB")
        self._tell_exceeded(invoke.number, "memory", limit, used)

    def _on_error_of_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), MemoryError) and "handle" in context:
            # What was used up was kept, so that not even a request can be read: it would be tried for ever.
            self._ballast.close()
            self._journal.add("error", "no more memory, not even to read a request: the worker ends")
            self.end()
            os._exit(1)
        loop.default_exception_handler(context)

    def _tell_exceeded(self, number: int, resource_name: frames.Resource, limit: int, used: int) -> None:
        self._journal.flush()
        self._channel.send(frames.encode(frames.LimitFrame(number, resource_name, limit, used)))

    def _report(self, error: BaseException) -> None:
        self._journal.add("error", "".join(traceback.format_exception(error)).rstrip())

    def _send_lines(self, lines: frames.LogFrame) -> bool:
        if self._channel.backlog > _BACKLOG:
            return False
        self._channel.send(frames.encode(lines))
        # At once: the function may be about to spin or to crash.
        self._channel.flush()
        return True

    def _show_life(self, now_ns: int) -> None:
        # Requests that take turns may keep the loop for long together, which must not pass for one that spins.
        if now_ns - self._life_shown_ns > _SHOW_LIFE_NS:
            self._life_shown_ns = now_ns
            self._channel.send(_ALIVE)
            self._channel.flush()

    async def _finish(self) -> None:
        deadline = asyncio.get_running_loop().time() + self._config.wall_clock_s
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=self._config.wall_clock_s)
        await self._runtime.drain(max(0.0, deadline - asyncio.get_running_loop().time()))
        await self._stop(self._function)
        with suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await self._runtime.close()

    async def _stop(self, function: LoadedFunction) -> None:
        if function.stop is None:
            return
        try:
            async with asyncio.timeout(_STOP_S):
                await function.stop()
        except Exception as error:
            self._report(error)


def _say(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the function called sys.exit({error.code!r}), so its worker ends"
    return f"{type(error).__name__}: {error}"
