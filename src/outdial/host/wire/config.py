"""Function settings of config.toml: Supabase's keys, and ours for secrets, processes and limits."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Self

from outdial.host.wire.errors import BadConfig
from outdial.host.wire.frames import MAX_FRAME

MIB = 1 << 20
# The environment variable that holds the id of the worker, as on Supabase.
EXECUTION_ID = "SB_EXECUTION_ID"
# OpenSSL's settings for the certificates of authorities: a file, and directories separated by colons.
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
# Threads per worker: 32 of an executor, 4 of libuv, and some of libraries.
_THREADS = 64
# A frame holds the headers besides the body.
LARGEST_BODY = MAX_FRAME - MIB
# Supabase's rule for slugs.
SLUG = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
# Keys of Supabase's command line that mean nothing for Python, or only for its uploads.
_SUPABASE_KEYS = {"import_map", "static_files"}
_SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?\Z")


@dataclass(frozen=True, slots=True)
class FunctionConfig:
    """`[functions.<slug>]`. Times are in seconds unless the name has another unit.

    `secrets` lists the only secrets the function receives, and `database_role` is its database login. `concurrency` is
    the number of concurrent requests per worker. Up to `queue` more requests wait, for at most `queue_timeout_s`.
    Defaults follow Supabase (docs: Edge Functions, Limits), except `wall_clock_s` and `rate_limit`, which are ours.
    """

    enabled: bool = True
    verify_jwt: bool = True
    entrypoint: str = ""
    secrets: tuple[str, ...] = ()
    database_role: str = "outdial_api"
    min_workers: int = 0
    max_workers: int = 2
    concurrency: int = 32
    queue: int = 128
    queue_timeout_s: float = 10.0
    idle_timeout_s: float = 60.0
    boot_timeout_s: float = 10.0
    wall_clock_s: float = 300.0
    cpu_ms: int = 2_000
    memory_mb: int = 256
    open_files: int = 256
    processes: int = 0
    rate_limit: float = 100.0
    burst: int = 0
    max_body: int = 8 * MIB
    max_requests: int = 100_000

    @property
    def max_in_flight(self) -> int:
        """The largest number of requests in flight, including queued ones."""
        return self.max_workers * self.concurrency + self.queue

    @property
    def max_threads(self) -> int:
        """The largest number of threads and child processes of one worker, and of all workers of one user."""
        return self.max_workers * (_THREADS + self.processes)

    @property
    def burst_size(self) -> float:
        """Requests allowed at once: `burst`, or one second's worth of the rate."""
        return float(self.burst or max(1.0, self.rate_limit))

    @classmethod
    def from_table(cls, slug: str, table: Mapping[str, Any]) -> Self:
        """Read the table `[functions.<slug>]`. Raise BadConfig naming the invalid key.

        Other keys are ignored here; `unknown_keys` names them.
        """
        if not isinstance(table, Mapping):
            raise BadConfig(f"functions.{slug} must be a table")
        values: dict[str, Any] = {}
        for field in fields(cls):
            if field.name in table:
                values[field.name] = _read(slug, field.name, table[field.name], field.default)
        config = cls(**values)
        if config.min_workers > config.max_workers:
            raise BadConfig(f"functions.{slug}: min_workers is {config.min_workers}, more than max_workers")
        if config.max_body > LARGEST_BODY:
            raise BadConfig(f"functions.{slug}.max_body is {config.max_body}, more than {LARGEST_BODY}")
        for name in config.secrets:
            if not _SECRET.match(name):
                raise BadConfig(f"functions.{slug}.secrets: {name!r} is not a name; a star needs a prefix before it")
        return config


def _read(slug: str, name: str, value: Any, default: Any) -> Any:
    where = f"functions.{slug}.{name}"
    if isinstance(default, tuple):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise BadConfig(f"{where} must be a list of names")
    if isinstance(default, bool | str):
        if isinstance(value, type(default)):
            return value
        raise BadConfig(f"{where} must be {'true or false' if isinstance(default, bool) else 'a string'}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadConfig(f"{where} must be a number")
    if isinstance(default, int) and value != int(value):
        raise BadConfig(f"{where} must be a whole number")
    if value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
        raise BadConfig(f"{where} must be more than 0")
    return type(default)(value)


_MAY_BE_ZERO = {"min_workers", "queue", "processes", "burst"}


def unknown_keys(slug: str, table: Mapping[str, Any]) -> list[str]:
    """Return a warning for each key of `[functions.<slug>]` that has no effect, with the key that may be meant."""
    known = {field.name for field in fields(FunctionConfig)}
    warnings = []
    for key in table.keys() - known - _SUPABASE_KEYS:
        close = get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]}?" if close else "it has no effect"
        if key == "env":
            hint = "set values with outdial secrets set, and list their names in secrets"
        warnings.append(f"functions.{slug}: unknown key {key}: {hint}")
    return sorted(warnings)


def read_function_configs(config: Mapping[str, Any]) -> dict[str, FunctionConfig]:
    """Return the settings of each function in a parsed config.toml. Raise BadConfig."""
    tables = config.get("functions", {})
    if not isinstance(tables, Mapping):
        raise BadConfig("functions must be a table")
    for slug in tables:
        if not SLUG.match(slug):
            raise BadConfig(f"functions.{slug}: a name starts with a letter and contains only letters, digits, _ and -")
    return {slug: FunctionConfig.from_table(slug, table) for slug, table in tables.items()}
