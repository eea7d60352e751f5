"""Serves one function in a worker: imports it, runs invocations, finishes background tasks before exit."""

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
from outdial.functions.loading import load_function
from outdial.functions.log import Redactor
from outdial.functions.request import Request
from outdial.functions.response import Response
from outdial.functions.runtime import Runtime
from outdial.host.wire import frames
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.channel import Channel
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BadFrame
from outdial.host.worker.capture import WorkerLog, current_request
from outdial.host.worker.metering import CpuMeter, MeteredCoroutine
from outdial.host.worker.streams import redirect_output
from outdial.http import HttpResponse
from outdial.process import tune_gc
from outdial.settings import SettingError

# Log lines wait while the gateway has more unread bytes than this.
_MAX_BACKLOG = 4 << 20
# Memory released on a MemoryError, so that there is enough to report it.
_RESERVE = 1 << 20
_HEARTBEAT = frames.encode(frames.LogFrame([], 0))
_HEARTBEAT_NS = 50_000_000
_STOP_S = 10.0
_CLOSE_S = 3.0
_LAST_FLUSH_S = 5.0


class FunctionServer:
    """Serves one function on the socket `end`. Create it in a running loop. `missing` lists absent sandbox layers.

    The process exits when the gateway closes the socket.
    """

    def __init__(
        self,
        end: socket.socket,
        *,
        bundle: Bundle,
        config: FunctionConfig,
        env: Mapping[str, str],
        missing: Iterable[str],
    ) -> None:
        self._bundle = bundle
        self._config = config
        self._env = env
        self._missing = list(missing)
        self._channel = Channel(end, self._on_data, lambda: os._exit(0))
        self._clock = SystemClock()
        self._redact = Redactor(env)
        self._log = WorkerLog(self._send_log, self._clock, self._redact)
        self._reader = frames.gateway_frame_reader()
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired = asyncio.Event()
        self._meter = CpuMeter(self._send_heartbeat)
        self._heartbeat_ns = 0
        self._limit_ns = config.cpu_ms * 1_000_000
        self._reserve = mmap.mmap(-1, _RESERVE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._initial_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def serve(self, began: float) -> int:
        """Start the function and serve until retired; return the exit status. `began` is when it was ordered."""
        redirect_output(self._log)
        asyncio.get_running_loop().set_exception_handler(self._on_loop_error)
        bundle = self._bundle
        try:
            self._runtime = runtime = Runtime.from_env(self._env, self._clock)
            self._function = load_function(bundle.slug, bundle.index, bundle.shared if bundle.shared.is_dir() else None)
            self._function.endpoint.check_settings(runtime)
            if self._function.start is not None:
                await self._function.start(runtime)
        except BaseException as error:  # including SystemExit, which must be reported too
            text = ""
            if isinstance(error, FunctionNotLoaded):
                text = error.traceback
            elif not isinstance(error, SettingError):
                text = "".join(traceback.format_exception(error))
            message = str(error) if isinstance(error, FunctionNotLoaded | SettingError) else _describe(error)
            message, text = (frames.shorten_line(self._redact(each)) for each in (message, text))
            self._channel.send(frames.encode(frames.BootFailedFrame(message, text)))
            return 1
        tune_gc()
        self._channel.send(frames.encode(frames.ReadyFrame((time.perf_counter() - began) * 1000, self._missing)))
        self._channel.start_reading()
        await self._retired.wait()
        await self._finish()
        return 0

    def exit(self, reason: SystemExit | KeyboardInterrupt) -> NoReturn:
        """Exit the process as the function requested."""
        self._log.add("error", _describe(reason))
        self.flush()
        code = reason.code if isinstance(reason, SystemExit) else 1
        os._exit((code or 0) & 0xFF if isinstance(code, int | None) else 1)

    def flush(self) -> None:
        """Send everything that is still unsent, blocking."""
        self._log.flush()
        self._channel.finish(_LAST_FLUSH_S)

    def _on_data(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                if isinstance(frame, frames.InvokeFrame):
                    task = asyncio.create_task(self._run(frame))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                elif isinstance(frame, frames.RetireFrame):
                    self._channel.stop_reading()
                    self._retired.set()
        except BadFrame:
            self._channel.close()

    async def _run(self, frame: frames.InvokeFrame) -> None:
        invocation = frame.invocation
        request_id = invocation.request_id
        current_request.set(request_id)
        path = unquote(invocation.path) if "%" in invocation.path else invocation.path
        request = Request(
            method=invocation.method,
            path=path,
            query=invocation.query,
            headers=invocation.headers,
            body=invocation.body,
        )
        endpoint = self._function.endpoint
        metered = MeteredCoroutine(
            endpoint.respond(request, self._runtime, self._bundle.slug, request_id), self._limit_ns, self._meter
        )
        try:
            response = await metered
            if not metered.exceeded:
                self._send_response(frame, response, metered.used_ns)
        except (SystemExit, KeyboardInterrupt) as error:
            self.exit(error)
        except MemoryError as error:
            self._on_memory_error(frame, error)
        except BaseException as error:
            if not metered.exceeded:
                self._log_exception(error)
                self._send_response(frame, internal_error(request_id), metered.used_ns)
        if metered.exceeded:
            self._send_limit(frame.number, "cpu", self._config.cpu_ms, metered.used_ns // 1_000_000)

    def _send_response(self, frame: frames.InvokeFrame, response: Response, used_ns: int) -> None:
        sent = response.to_http(None)
        cpu_us = (used_ns + 500) // 1000
        encoded = _encode_response(frame.number, sent, cpu_us)
        body, problem = len(sent.body), ""
        if len(sent.headers) > frames.MAX_RESPONSE_HEADERS:
            problem = f"{len(sent.headers)} headers"
        elif len(encoded) - body > frames.MAX_FROM_WORKER:
            problem = f"{len(encoded) - body} bytes of headers"
        elif len(encoded) > frames.MAX_FRAME:
            problem = f"{body} bytes"
        if problem:  # the gateway would reject it
            self._log.add("error", f"the response has {problem}, more than can be sent")
            encoded = _encode_response(frame.number, internal_error(frame.invocation.request_id).to_http(None), cpu_us)
        self._log.flush_lines()
        self._channel.send(encoded)

    def _on_memory_error(self, frame: frames.InvokeFrame, error: MemoryError) -> None:
        self._reserve.close()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        used = max(0, peak - self._initial_rss) >> 10
        # The frames of the traceback keep the function's data alive.
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        limit = self._config.memory_mb
        self._log.add("error", f"out of memory: {used} MiB were in use, and the limit is {limit} MiB")
        self._send_limit(frame.number, "memory", limit, used)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), MemoryError) and "handle" in context:
            # Too little memory is left even to read a request; the loop would retry for ever.
            self._reserve.close()
            self._log.add("error", "out of memory while reading a request: the worker exits")
            self.flush()
            os._exit(1)
        loop.default_exception_handler(context)

    def _send_limit(self, number: int, resource_name: frames.Resource, limit: int, used: int) -> None:
        self._log.flush_lines()
        self._channel.send(frames.encode(frames.LimitFrame(number, resource_name, limit, used)))

    def _log_exception(self, error: BaseException) -> None:
        self._log.add("error", "".join(traceback.format_exception(error)).rstrip())

    def _send_log(self, batch: frames.LogFrame) -> bool:
        if self._channel.backlog > _MAX_BACKLOG:
            return False
        for frame in frames.encode_log(batch):
            self._channel.send(frame)
        # Flush at once: the function may be about to spin or to crash.
        self._channel.flush()
        return True

    def _send_heartbeat(self, now_ns: int) -> None:
        # Many requests in turn may keep the loop busy for long; the gateway must not take that for one that spins.
        if now_ns - self._heartbeat_ns > _HEARTBEAT_NS:
            self._heartbeat_ns = now_ns
            self._channel.send(_HEARTBEAT)
            self._channel.flush()

    async def _finish(self) -> None:
        """Wait for requests and background tasks within the wall clock limit, then run the stop hook."""
        deadline = asyncio.get_running_loop().time() + self._config.wall_clock_s
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=self._config.wall_clock_s)
        await self._runtime.drain(max(0.0, deadline - asyncio.get_running_loop().time()))
        if self._function.stop is not None:
            try:
                async with asyncio.timeout(_STOP_S):
                    await self._function.stop()
            except Exception as error:
                self._log_exception(error)
        with suppress(Exception):
            async with asyncio.timeout(_CLOSE_S):
                await self._runtime.close()


def _encode_response(number: int, sent: HttpResponse, cpu_us: int) -> bytes:
    return frames.encode(frames.ResponseFrame(number, sent.status, list(sent.headers), sent.body, cpu_us))


def _describe(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the function called sys.exit({error.code!r}), so its worker exits"
    return f"{type(error).__name__}: {error}"
