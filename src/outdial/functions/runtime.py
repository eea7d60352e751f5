"""State shared by the functions of one process: settings, clock, keys, database pools, background tasks."""

import asyncio
import contextvars
from collections.abc import Awaitable, Iterator, Mapping
from typing import Literal, Self

from outdial.auth import KeyRing, TokenVerifier
from outdial.clock import Clock
from outdial.db.session import REQUEST_TIMEOUTS, WEBHOOK_TIMEOUTS, Database
from outdial.functions.log import Logger, Redactor
from outdial.settings import DatabaseUrls

DatabaseKind = Literal["api", "webhook"]


class Env(Mapping[str, str]):
    """The environment, read-only. `repr` shows the number of settings, never their values."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Env({len(self)} settings)"


class Runtime:
    """State shared by the functions of a process. `start` hooks receive it."""

    def __init__(self, env: Mapping[str, str], clock: Clock, keyring: KeyRing, verifier: TokenVerifier) -> None:
        self.env = Env(env)
        self.clock = clock
        self.keyring = keyring
        self.verifier = verifier
        self.log = Logger(Redactor(self.env))
        self._databases: dict[DatabaseKind, Database] = {}
        self._connecting = asyncio.Lock()
        self._background: set[asyncio.Task[None]] = set()

    @classmethod
    def from_env(cls, env: Mapping[str, str], clock: Clock) -> Self:
        """Read the keys from `env`. Raise SettingError on an invalid setting. Does not connect to anything."""
        keyring = KeyRing.from_env(env)
        return cls(env, clock, keyring, TokenVerifier.from_keys(keyring, clock))

    async def database(self, kind: DatabaseKind = "api") -> Database:
        """Return the pool that logs in as outdial_api or outdial_webhook. The first call opens it.

        Raises MissingSetting when SUPABASE_DB_URL is not set.
        """
        found = self._databases.get(kind)
        if found is not None:
            return found
        async with self._connecting:
            if kind not in self._databases:
                urls = DatabaseUrls.from_env(self.env)
                dsn = urls.api if kind == "api" else urls.webhook
                self._databases[kind] = await Database.connect(
                    dsn,
                    application_name=f"outdial:{kind}",
                    role=urls.role(kind),
                    timeouts=REQUEST_TIMEOUTS if kind == "api" else WEBHOOK_TIMEOUTS,
                )
        return self._databases[kind]

    def run_in_background(self, awaitable: Awaitable[object], log: Logger) -> None:
        """Run `awaitable` in a background task. Log its failure; `drain` waits for it."""

        async def run() -> None:
            try:
                await awaitable
            except Exception as error:
                log.exception("functions.background_work_failed", error)

        # A fresh context, so that the task does not appear to run inside the caller's transaction.
        task = asyncio.create_task(run(), context=contextvars.Context())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def drain(self, timeout_s: float) -> None:
        """Wait for background tasks, including those they start. Cancel what is left after `timeout_s`."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._background and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(set(self._background), timeout=left)
        cut = set(self._background)
        for task in cut:
            task.cancel()
        if cut:
            self.log.error("functions.background_work_cut", tasks=len(cut), after_s=timeout_s)
            await asyncio.gather(*cut, return_exceptions=True)

    async def close(self) -> None:
        """Close the pools and the connection to the JWK set."""
        databases, self._databases = self._databases, {}
        for database in databases.values():
            await database.close()
        await self.verifier.close()
