"""What a request uses of the processor, added up step by step while its coroutine is driven."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from time import perf_counter_ns, thread_time_ns
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")

# The clock of the thread costs a system call (280 ns here), the monotonic one does not (60 ns). A step that is over
# sooner than this can hardly have been interrupted, so its span is what it used; for a longer one, the thread's clock
# tells, which was last looked at within the other time or right before the request.
_SHORT_NS = 500_000
_LOOK_AGAIN_NS = 10_000_000


class CpuMeter:
    """The processor time of one thread, read as rarely as will do; `on_long_step` is told when one is over."""

    __slots__ = ("_on_long_step", "_used_ns", "look_at_ns")

    def __init__(self, on_long_step: Callable[[int], None] = lambda now_ns: None) -> None:
        self._used_ns = self.look_at_ns = 0
        self._on_long_step = on_long_step

    def look(self, now_ns: int) -> None:
        """Remember where the thread's clock stands at `now_ns` of the monotonic one."""
        self.look_at_ns = now_ns + _LOOK_AGAIN_NS
        self._used_ns = thread_time_ns()

    def of_long_step(self, span_ns: int) -> int:
        """Return what a step used at most, which is over now and took `span_ns`."""
        before, now_ns = self._used_ns, perf_counter_ns()
        self.look(now_ns)
        self._on_long_step(now_ns)
        return min(span_ns, self._used_ns - before)


class MeteredCoroutine(Generic[Result]):
    """Runs a coroutine, for a task to await; beyond `limit_ns` the task is cancelled, beyond twice that it is closed.

    `used_ns` is what it used when it is over, and `exceeded` whether it was cancelled for that.
    """

    used_ns = 0
    exceeded = False

    def __init__(self, coroutine: Coroutine[Any, Any, Result], limit_ns: int, meter: CpuMeter) -> None:
        self._coroutine = coroutine
        self._limit_ns = limit_ns
        self._meter = meter

    def __await__(self) -> Generator[Any, None, Result]:
        meter, limit, send, clock, used = self._meter, self._limit_ns, self._coroutine.send, perf_counter_ns, 0
        error: BaseException | None = None
        began = clock()
        if began > meter.look_at_ns:
            meter.look(began)
        try:
            while True:
                awaited = send(None) if error is None else self._coroutine.throw(error)
                span = clock() - began
                used += span if span < _SHORT_NS else meter.of_long_step(span)
                if used > limit:
                    began = clock()
                    self._exceed(used)
                try:
                    yield awaited
                    error = None
                except BaseException as thrown:
                    error = thrown
                began = clock()
        except StopIteration as done:
            result: Result = done.value
            return result
        finally:
            span = clock() - began
            self.used_ns = used + (span if span < _SHORT_NS else meter.of_long_step(span))

    def _exceed(self, used_ns: int) -> None:
        if not self.exceeded:
            self.exceeded = True
            task = asyncio.current_task()
            if task is not None:
                task.cancel()
        elif used_ns > 2 * self._limit_ns:
            self._coroutine.close()
            raise asyncio.CancelledError
