"""The functions that this host serves now, and how a new version replaces an old one."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from outdial.host.deployments.plan import FunctionSpec
from outdial.host.log.sink import LogSink
from outdial.host.pool.handle import WorkerSpawner
from outdial.host.pool.pool import WorkerPool
from outdial.host.pool.token_bucket import TokenBucket
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BootFailed

# A boot occupies a core with imports and has to finish within its boot timeout.
_CONCURRENT_PROBES = 4
# A probe that takes longer does not wait for a core, so the next one starts meanwhile.
_TURN_S = 1.0


@dataclass(frozen=True, slots=True)
class ServedFunction:
    """A function in service: its spec, its workers and its rate limit."""

    spec: FunctionSpec
    pool: WorkerPool
    bucket: TokenBucket

    @property
    def slug(self) -> str:
        return self.spec.slug

    @property
    def version(self) -> int:
        """Number of the deployed version; 0 for a function of the source tree."""
        return self.spec.version

    @property
    def verify_jwt(self) -> bool:
        """Whether the gateway checks the caller's key or token."""
        return self.spec.verify_jwt

    @property
    def config(self) -> FunctionConfig:
        return self.spec.config


class FunctionCatalogue:
    """The functions in service, by slug.

    `uid_of` returns the system user that a function's workers run as, None for the host's own user. `unserved` holds
    the functions that should be in service and are not, with the reasons.
    """

    def __init__(
        self,
        spawner: WorkerSpawner,
        sink: LogSink,
        *,
        uid_of: Callable[[str], int | None] = lambda slug: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spawner = spawner
        self._sink = sink
        self._uid_of = uid_of
        self._clock = clock
        self._served: dict[str, ServedFunction] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._probes = asyncio.Semaphore(_CONCURRENT_PROBES)
        self._draining: dict[asyncio.Task[None], WorkerPool] = {}
        self._checking: asyncio.Task[None] | None = None
        self.unserved: dict[str, str] = {}

    def get(self, slug: str) -> ServedFunction | None:
        """Return the function in service under `slug`, None if there is none."""
        return self._served.get(slug)

    def __iter__(self) -> Iterator[ServedFunction]:
        return iter(tuple(self._served.values()))

    async def swap(self, changes: Mapping[str, FunctionSpec | None], *, proved: bool) -> None:
        """Replace functions in one step; None takes a slug out of service.

        Starts and probes each new function first unless they are `proved`. If one fails, nothing changes and BootFailed
        is raised with the slugs and their tracebacks. Returns when every new pool has its minimum of workers. Old pools
        drain in the background: their workers finish the requests that they have, then exit.
        """
        async with self._locked(changes):
            fresh = await self._swap(changes, proved=proved)
        await asyncio.gather(*(pool.start() for pool in fresh))

    async def reload(self, slug: str) -> bool:
        """Restart a function of the source tree from its current files; return False for any other.

        Raises BootFailed when it does not start; then its old code stays in service.
        """
        async with self._locked([slug]):
            served = self._served.get(slug)
            if served is None or served.version != 0:
                return False
            fresh = await self._swap({slug: served.spec}, proved=False)
        await asyncio.gather(*(pool.start() for pool in fresh))
        return True

    def is_down(self, slug: str) -> bool:
        """Return whether a function should be in service under `slug`, but no version of it can be."""
        return slug in self.unserved and slug not in self._served

    def start_check(self) -> None:
        """Run `check` in the background, so that boot failures are logged before a request. `close` cancels it."""
        self._checking = asyncio.create_task(self.check(), name="check functions")

    async def check(self) -> None:
        """Start a worker of each function that has none."""

        async def check(served: ServedFunction) -> None:
            with suppress(BootFailed):
                await self._probe(served.pool, lambda: self._served.get(served.slug) is served)

        await asyncio.gather(*(check(served) for served in self if served.pool.stats().workers == 0))

    async def close(self, timeout_s: float) -> None:
        """Drain every pool; kill workers that have not finished after `timeout_s`."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])
        async with self._locked(self._locks):
            served, self._served = self._served, {}
        pools = [*(one.pool for one in served.values()), *self._draining.values()]
        await asyncio.gather(*(pool.drain(timeout_s) for pool in pools), *self._draining)

    @asynccontextmanager
    async def _locked(self, slugs: Iterable[str]) -> AsyncIterator[None]:
        """Hold the locks of functions, always in the same order, so that no two tasks wait for each other."""
        async with AsyncExitStack() as stack:
            for slug in sorted(slugs):
                await stack.enter_async_context(self._locks.setdefault(slug, asyncio.Lock()))
            yield

    async def _swap(self, changes: Mapping[str, FunctionSpec | None], *, proved: bool) -> list[WorkerPool]:
        fresh = {
            slug: WorkerPool(
                spec.bundle,
                spec.config,
                spec.env,
                spawner=self._spawner,
                sink=self._sink,
                uid=self._uid_of(slug),
                clock=self._clock,
            )
            for slug, spec in changes.items()
            if spec is not None
        }
        if not proved:
            try:
                await self._prove(fresh)
            except asyncio.CancelledError:
                for unproved in fresh.values():
                    self._drain(unproved, 0)
                raise
        for slug, spec in changes.items():
            old, pool = self._served.pop(slug, None), fresh.get(slug)
            if spec is not None and pool is not None:
                bucket = TokenBucket(spec.config.rate_limit, spec.config.burst_size)
                if old is not None and (old.bucket.rate, old.bucket.burst) == (bucket.rate, bucket.burst):
                    bucket = old.bucket  # a deployment must not reset the rate limit
                self._served[slug] = ServedFunction(spec, pool, bucket)
            if old is not None:
                self._drain(old.pool, old.config.wall_clock_s, successor=pool)
        return list(fresh.values())

    def _drain(self, pool: WorkerPool, timeout_s: float, successor: WorkerPool | None = None) -> None:
        drain = asyncio.create_task(pool.drain(timeout_s, successor=successor), name=f"drain {pool.bundle.slug}")
        self._draining[drain] = pool
        drain.add_done_callback(self._draining.pop)

    async def _probe(self, pool: WorkerPool, is_needed: Callable[[], bool] = lambda: True) -> None:
        """Probe a pool when it is its turn. Raises BootFailed."""
        async with self._probes:
            if not is_needed():
                return
            probe = asyncio.create_task(pool.probe(), name=f"probe {pool.bundle.slug}")
            try:
                await asyncio.wait([probe], timeout=_TURN_S)
            except asyncio.CancelledError:
                probe.cancel()
                raise
        await probe

    async def _prove(self, pools: Mapping[str, WorkerPool]) -> None:
        results = await asyncio.gather(*map(self._probe, pools.values()), return_exceptions=True)
        failures = {slug: error for slug, error in zip(pools, results, strict=True) if error is not None}
        if not failures:
            return
        await asyncio.gather(*(pool.drain(0) for pool in pools.values()))
        for error in failures.values():
            if not isinstance(error, BootFailed):
                raise error
        raise BootFailed("\n".join(f"{slug}: {error}" for slug, error in failures.items()))
