"""Which functions are served now, by which version, and how one version takes over from another."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from outdial.host.deployments.plan import FunctionSpec
from outdial.host.log.sink import LogSink
from outdial.host.pool.handle import WorkerSpawner
from outdial.host.pool.pool import WorkerPool
from outdial.host.pool.token_bucket import TokenBucket
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BootFailed

# Each start takes a core for its imports, and has only its boot time-out to be done.
_PROOFS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class ServedFunction:
    """A function that takes requests."""

    wanted: FunctionSpec
    pool: WorkerPool
    bucket: TokenBucket

    @property
    def slug(self) -> str:
        """The name in the function's address."""
        return self.wanted.slug

    @property
    def version(self) -> int:
        """The number of the deployment; 0 when it is served from a source tree."""
        return self.wanted.version

    @property
    def verify_jwt(self) -> bool:
        """Tell whether the gateway asks callers for a key or a token."""
        return self.wanted.verify_jwt

    @property
    def config(self) -> FunctionConfig:
        """Its limits."""
        return self.wanted.config


class FunctionCatalogue:
    """The functions that are served now.

    `uid_of` gives the system user that a function's workers run as; None leaves them as they are.
    """

    def __init__(
        self,
        spawner: WorkerSpawner,
        sink: LogSink,
        *,
        uid_of: Callable[[str], int | None] = lambda slug: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spawner, self._sink, self._uid_of, self._clock = spawner, sink, uid_of, clock
        self._served: dict[str, ServedFunction] = {}
        self._swapping = asyncio.Lock()
        self._proofs = asyncio.Semaphore(_PROOFS_AT_ONCE)
        self._old: dict[asyncio.Task[None], WorkerPool] = {}

    def get(self, slug: str) -> ServedFunction | None:
        """Return what serves `slug` now, None when nothing does."""
        return self._served.get(slug)

    def __iter__(self) -> Iterator[ServedFunction]:
        return iter(tuple(self._served.values()))

    async def swap(self, changes: Mapping[str, FunctionSpec | None], *, proved: bool) -> None:
        """Serve each of `changes` instead of what its slug had, all in one step; None takes the slug out of service.

        Unless they are `proved`, each is started and probed first; when one fails, nothing changes and BootFailed is
        raised with the slugs and their tracebacks. Returns when the workers that each is to have at least are there.
        The old ones end in the background after they have answered what they had.
        """
        async with self._swapping:
            fresh = await self._swap(changes, proved=proved)
        await asyncio.gather(*(pool.start() for pool in fresh))

    async def renew(self, slugs: Iterable[str]) -> dict[str, BootFailed | None]:
        """Start the code of functions anew from the same files, as far as they are served from a source tree.

        Returns which those were, and why one goes on as it was.
        """
        results: dict[str, BootFailed | None] = {}
        for slug in slugs:
            async with self._swapping:
                served = self._served.get(slug)
                if served is None or served.version != 0:
                    continue
                try:
                    fresh = await self._swap({slug: served.wanted}, proved=False)
                except BootFailed as error:
                    results[slug] = error
                    continue
            await asyncio.gather(*(pool.start() for pool in fresh))
            results[slug] = None
        return results

    async def close(self, timeout_s: float) -> None:
        """Take all out of service; return when all is answered and all workers have ended, by force if need be."""
        async with self._swapping:
            served, self._served = self._served, {}
        pools = [*(one.pool for one in served.values()), *self._old.values()]
        await asyncio.gather(*(pool.drain(timeout_s) for pool in pools), *self._old)

    async def _swap(self, changes: Mapping[str, FunctionSpec | None], *, proved: bool) -> list[WorkerPool]:
        fresh = {slug: self._pool(wanted) for slug, wanted in changes.items() if wanted is not None}
        if not proved:
            await self._prove_all(fresh)
        for slug, wanted in changes.items():
            self._put(slug, wanted, fresh.get(slug))
        return list(fresh.values())

    def _pool(self, wanted: FunctionSpec) -> WorkerPool:
        uid = self._uid_of(wanted.slug)
        return WorkerPool(
            wanted.bundle, wanted.config, wanted.env, self._spawner, self._sink, uid=uid, clock=self._clock
        )

    def _put(self, slug: str, wanted: FunctionSpec | None, pool: WorkerPool | None) -> None:
        old = self._served.pop(slug, None)
        if wanted is not None and pool is not None:
            self._served[slug] = ServedFunction(wanted, pool, _bucket(wanted.config, old))
        if old is not None:
            drain = asyncio.create_task(old.pool.drain(old.config.wall_clock_s, successor=pool), name=f"drain {slug}")
            self._old[drain] = old.pool
            drain.add_done_callback(self._old.pop)

    async def _prove(self, pool: WorkerPool) -> None:
        async with self._proofs:
            await pool.prove()

    async def _prove_all(self, pools: Mapping[str, WorkerPool]) -> None:
        results = await asyncio.gather(*map(self._prove, pools.values()), return_exceptions=True)
        failures = {slug: error for slug, error in zip(pools, results, strict=True) if error is not None}
        if not failures:
            return
        await asyncio.gather(*(pool.drain(0) for pool in pools.values()))
        for error in failures.values():
            if not isinstance(error, BootFailed):
                raise error
        raise BootFailed("\n".join(f"{slug}: {error}" for slug, error in failures.items()))


def _bucket(config: FunctionConfig, old: ServedFunction | None) -> TokenBucket:
    # A deployment is no way around the limit.
    if old is not None and (old.bucket.rate, old.bucket.burst) == (config.rate_limit, config.bucket):
        return old.bucket
    return TokenBucket(config.rate_limit, config.bucket)
