"""Runs small requests of one caller that arrive together in one transaction, so that they share its commit.

The entries of an organization's audit log are chained: transactions that write one commit one after another, each with
a write to the disk. Alone, such requests come to no more than one for each such write.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import asyncpg

from outdial.db.session import CONNECTION_ERRORS, Connection, LockNotAvailable, encode_json
from outdial.inbox.batcher import EventBatcher
from outdial.studio.web.context import OrganizationContext

MOST_TOGETHER: Final = 8
"""More would keep the contacts of the first of them from being called, and share little more of the commit."""
LOCK_WAIT: Final = timedelta(milliseconds=200)
"""A request that waits longer for a lock runs again on its own: the others would wait with it."""

# A transaction that locks for several requests may lock in another order than one that locks for a single one.
_NOT_LOCKED: Final = (asyncpg.DeadlockDetectedError, LockNotAvailable)

Made = TypeVar("Made")
Work = Callable[[Connection], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class WorkDone:
    """What the work of a request has returned."""

    made: Any


@dataclass(frozen=True, slots=True)
class WorkFailed:
    """What the work of a request has raised. Nothing of it is stored."""

    error: Exception


class SharedTransactions:
    """Shares transactions between requests of the same caller and organization.

    A request that arrives alone runs at once. Those that arrive meanwhile run together, each in a savepoint: one that
    raises stores nothing, and the others do. A response leaves after the commit.
    """

    def __init__(self) -> None:
        self._batchers = WeakValueDictionary[object, EventBatcher[Work, WorkDone | WorkFailed]]()

    async def run(self, context: OrganizationContext, work: Callable[[Connection], Awaitable[Made]]) -> Made:
        """Run `work` in a transaction as the caller, and return what it returns once that is committed.

        `work` may run a second time, after its first run was rolled back.
        """
        identity = context.caller.identity
        key = (context.organization_id, identity.role, encode_json(dict(identity.claims)))
        batcher = self._batchers.get(key)
        if batcher is None:
            batcher = EventBatcher(
                partial(_run_together, context), max_batch=MOST_TOGETHER, concurrent_at=MOST_TOGETHER
            )
            self._batchers[key] = batcher
        outcome = await batcher.submit(work)
        if isinstance(outcome, WorkFailed):
            if not isinstance(outcome.error, _NOT_LOCKED):
                raise outcome.error
            async with context.transaction() as connection:
                return await work(connection)
        made: Made = outcome.made
        return made


async def _run_together(context: OrganizationContext, works: Sequence[Work]) -> list[WorkDone | WorkFailed]:
    outcomes: list[WorkDone | WorkFailed] = []
    try:
        async with context.caller.transaction(lock_timeout=LOCK_WAIT) as connection:
            if len(works) == 1:
                return [WorkDone(await works[0](connection))]
            for work in works:
                try:
                    async with connection.transaction():
                        outcomes.append(WorkDone(await work(connection)))
                except (TimeoutError, *CONNECTION_ERRORS):
                    raise  # The connection is lost, and with it the work of all.
                except Exception as error:
                    outcomes.append(WorkFailed(error))
    except _NOT_LOCKED as error:  # of a single request, or of the commit, which nothing has survived
        return [WorkFailed(error) for _ in works]
    return outcomes
