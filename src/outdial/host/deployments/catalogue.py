"""The functions that this host serves now, and how a new version replaces an old one."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
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
        self._swapping = asyncio.Lock()
        self._probes = asyncio.Semaphore(_CONCURRENT_PROBES)
        self._draining: dict[asyncio.Task[None], WorkerPool] = {}
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
        async with self._swapping:
            fresh = await self._swap(changes, proved=proved)
        await asyncio.gather(*(pool.start() for pool in fresh))

    async def reload(self, slugs: Iterable[str]) -> dict[str, BootFailed | None]:
        """Restart functions of the source tree from their current files; deployed ones are skipped.

        Returns an entry per function: None if it was restarted, or why its old code stays in service.
        """
        results: dict[str, BootFailed | None] = {}
        for slug in slugs:
            async with self._swapping:
                served = self._served.get(slug)
                if served is None or served.version != 0:
                    continue
                try:
                    fresh = await self._swap({slug: served.spec}, proved=False)
                except BootFailed as error:
                    results[slug] = error
                    continue
            await asyncio.gather(*(pool.start() for pool in fresh))
            results[slug] = None
        return results

    def is_down(self, slug: str) -> bool:
        """Return whether a function should be in service under `slug`, but no version of it can be."""
        return slug in self.unserved and slug not in self._served

    async def check(self) -> None:
        """Start a worker of each function that has none, so that boot failures are logged before the first request."""

        async def check(served: ServedFunction) -> None:
            async with self._probes:
                if self._served.get(served.slug) is served:
                    with suppress(BootFailed):
                        await served.pool.probe()

        await asyncio.gather(*(check(served) for served in self if served.pool.stats().workers == 0))

    async def close(self, timeout_s: float) -> None:
        """Drain every pool; kill workers that have not finished after `timeout_s`."""
        async with self._swapping:
            served, self._served = self._served, {}
        pools = [*(one.pool for one in served.values()), *self._draining.values()]
        await asyncio.gather(*(pool.drain(timeout_s) for pool in pools), *self._draining)

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
            await self._prove(fresh)
        for slug, spec in changes.items():
            self._replace(slug, spec, fresh.get(slug))
        return list(fresh.values())

    def _replace(self, slug: str, spec: FunctionSpec | None, pool: WorkerPool | None) -> None:
        old = self._served.pop(slug, None)
        if spec is not None and pool is not None:
            bucket = TokenBucket(spec.config.rate_limit, spec.config.burst_size)
            if old is not None and (old.bucket.rate, old.bucket.burst) == (bucket.rate, bucket.burst):
                bucket = old.bucket  # a deployment must not reset the rate limit
            self._served[slug] = ServedFunction(spec, pool, bucket)
        if old is not None:
            drain = asyncio.create_task(old.pool.drain(old.config.wall_clock_s, successor=pool), name=f"drain {slug}")
            self._draining[drain] = old.pool
            drain.add_done_callback(self._draining.pop)

    async def _prove(self, pools: Mapping[str, WorkerPool]) -> None:
        async def prove(pool: WorkerPool) -> None:
            async with self._probes:
                await pool.probe()

        results = await asyncio.gather(*map(prove, pools.values()), return_exceptions=True)
        failures = {slug: error for slug, error in zip(pools, results, strict=True) if error is not None}
        if not failures:
            return
        await asyncio.gather(*(pool.drain(0) for pool in pools.values()))
        for error in failures.values():
            if not isinstance(error, BootFailed):
                raise error
        raise BootFailed("\n".join(f"{slug}: {error}" for slug, error in failures.items()))
