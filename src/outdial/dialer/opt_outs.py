"""Keeps the organizations' do-not-call lists and the provider's own lists in agreement.

`OptOutSender` sends each opt-out to the provider until it is confirmed. `OptOutReader` reads the provider's lists and
stores the opt-outs that the organizations lack. `OptOutRestarter` begins those again whose account has a new workspace.
"""

from datetime import datetime, timedelta
from typing import Final, assert_never
from uuid import UUID

from outdial.background import run_each
from outdial.clock import Clock
from outdial.db.queries.compliance import opt_outs
from outdial.db.session import Database
from outdial.log import log
from outdial.provider import OptOutDirectory, OptOutsListed, OptOutStored, ProviderUnavailable

SEND_EVERY: Final = timedelta(seconds=2)
SEND_BATCH: Final = 20
"""Opt-outs of one run: with two requests each, at most 20 requests a second go to the provider."""
MAX_CONCURRENT_SENDS: Final = 4
LEASE: Final = timedelta(minutes=5)
FIRST_DELAY: Final = timedelta(seconds=30)
LONGEST_DELAY: Final = timedelta(hours=6)

RESTART_EVERY: Final = timedelta(seconds=2)
RESTART_BATCH: Final = 5000
"""Opt-outs that begin again in one transaction, which takes a tenth of a second."""
MAX_RESTARTS: Final = 20

READ_EVERY: Final = timedelta(minutes=10)
READ_BATCH: Final = 20
MAX_PAGES: Final = 20
"""Pages of one run for one account. A longer list is read on in the next run."""


class OptOutSender:
    """A background task: `run_once` sends the opt-outs that are due, and returns how many it tried.

    A failed opt-out is retried until it succeeds, with growing delays. The others of its account wait for the next run:
    the provider is unavailable, or asks for less.
    """

    def __init__(self, database: Database, directory: OptOutDirectory, clock: Clock) -> None:
        self._database = database
        self._directory = directory
        self._clock = clock
        self._unavailable: set[UUID] = set()

    async def run_once(self) -> int:
        """Send the opt-outs that are due, at most SEND_BATCH."""
        async with self._database.transaction() as connection:
            due = await opt_outs.due_opt_outs(connection, now=self._clock.now(), limit=SEND_BATCH)
        self._unavailable.clear()
        await run_each(
            due,
            self._send,
            at_once=MAX_CONCURRENT_SENDS,
            on_error=lambda _, error: log("opt_outs.send_failed", level="error", error=error),
        )
        return len(due)

    async def _send(self, due: opt_outs.DueOptOut) -> None:
        if due.provider_account_id in self._unavailable:
            return  # It stays due.
        now = self._clock.now()
        taken_until = now + LEASE
        async with self._database.for_organization(due.organization_id) as connection:
            opt_out = await opt_outs.take_opt_out(
                connection,
                provider_account_id=due.provider_account_id,
                phone=due.phone,
                now=now,
                next_try_at=taken_until,
            )
        if opt_out is None:
            return
        if self._directory.has_account(opt_out.credential):
            response = await self._directory.set_opt_out(opt_out.credential, due.phone, do_not_call=opt_out.do_not_call)
        else:
            response = ProviderUnavailable(f"this dialer has no API key for the account {opt_out.credential}")
        async with self._database.for_organization(due.organization_id) as connection:
            match response:
                case OptOutStored(is_new=is_new):
                    await opt_outs.confirm_opt_out(
                        connection,
                        provider_account_id=due.provider_account_id,
                        phone=due.phone,
                        do_not_call=opt_out.do_not_call,
                        is_new=is_new,
                        taken_until=taken_until,
                        now=self._clock.now(),
                    )
                case ProviderUnavailable(reason=reason, retry_after_s=retry_after_s):
                    self._unavailable.add(due.provider_account_id)
                    delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(opt_out.tries - 1, 12))
                    await opt_outs.postpone_opt_out(
                        connection,
                        provider_account_id=due.provider_account_id,
                        phone=due.phone,
                        next_try_at=self._clock.now() + max(delay, timedelta(seconds=retry_after_s or 0)),
                        taken_until=taken_until,
                        error=reason,
                    )
                    log("opt_outs.postponed", level="warning", credential=opt_out.credential, reason=reason)
                case never:
                    assert_never(never)


class OptOutRestarter:
    """A background task: `run_once` begins the opt-outs of new workspaces again, and returns how many.

    The former workspace has confirmed them, and the new one knows none. None of the account is sent meanwhile.
    """

    def __init__(self, database: Database, batch: int = RESTART_BATCH) -> None:
        self._database = database
        self._batch = batch

    async def run_once(self) -> int:
        """Restart opt-outs in at most MAX_RESTARTS batches, each in its own transaction."""
        total = 0
        for _ in range(MAX_RESTARTS):
            async with self._database.transaction() as connection:
                restarted = await opt_outs.restart_opt_outs(connection, limit=self._batch)
            if restarted is None:
                break
            total += restarted
        return total


class OptOutReader:
    """A background task: `run_once` reads the lists that are due, and returns how many opt-outs were new."""

    def __init__(self, database: Database, directory: OptOutDirectory, clock: Clock) -> None:
        self._database = database
        self._directory = directory
        self._clock = clock

    async def run_once(self) -> int:
        """Read the lists of the accounts that are due, one after the other."""
        async with self._database.transaction() as connection:
            due = await opt_outs.due_opt_out_reads(connection, now=self._clock.now(), limit=READ_BATCH)
        new = 0
        for account in due:
            try:
                new += await self._read(account)
            except Exception as error:  # one broken account must not stop the others
                log("opt_outs.read_failed", level="error", credential=account.credential, error=error)
        return new

    async def _read(self, account: opt_outs.DueOptOutRead) -> int:
        now = self._clock.now()
        async with self._database.for_organization(account.organization_id) as connection:
            taken = await opt_outs.take_opt_out_read(
                connection,
                provider_account_id=account.provider_account_id,
                organization_id=account.organization_id,
                next_read_at=now + READ_EVERY,
                now=now,
            )
        if taken is None or not self._directory.has_account(account.credential):
            return 0
        new, page, seen = 0, taken.page, set[str]()
        for _ in range(MAX_PAGES):
            read_at = self._clock.now()
            match await self._directory.list_opt_outs(account.credential, page):
                case ProviderUnavailable(reason=reason):
                    # From the start: the page may be what the provider does not know any more.
                    await self._end(account, page=None, error=reason, next_read_at=self._clock.now() + READ_EVERY)
                    return new
                case OptOutsListed(phones=phones, next_page=next_page):
                    new += await self._store(account, phones, read_at)
                case never:
                    assert_never(never)
            if next_page is None:
                done_at = self._clock.now()
                await self._end(account, page=None, read_at=done_at, next_read_at=done_at + READ_EVERY)
                return new
            if next_page in seen:
                error = "the provider's list repeats its pages"
                await self._end(account, page=None, error=error, next_read_at=self._clock.now() + READ_EVERY)
                return new
            seen.add(next_page)
            page = next_page
        await self._end(account, page=page, next_read_at=self._clock.now())
        return new

    async def _store(self, account: opt_outs.DueOptOutRead, phones: tuple[str, ...], read_at: datetime) -> int:
        if not phones:
            return 0
        async with self._database.for_organization(account.organization_id) as connection:
            new = await opt_outs.import_opt_outs(
                connection,
                organization_id=account.organization_id,
                provider_account_id=account.provider_account_id,
                phones=list(phones),
                read_at=read_at,
                now=self._clock.now(),
            )
        if new:
            log("opt_outs.imported", credential=account.credential, count=len(new))
        return len(new)

    async def _end(
        self,
        account: opt_outs.DueOptOutRead,
        *,
        page: str | None,
        next_read_at: datetime,
        read_at: datetime | None = None,
        error: str | None = None,
    ) -> None:
        if error is not None:
            log("opt_outs.list_unavailable", level="warning", credential=account.credential, reason=error)
        async with self._database.for_organization(account.organization_id) as connection:
            await opt_outs.end_opt_out_read(
                connection,
                provider_account_id=account.provider_account_id,
                page=page,
                error=error,
                read_at=read_at,
                next_read_at=next_read_at,
            )
