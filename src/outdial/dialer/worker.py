"""One dialer: claims for due campaigns in turn, while the requests of earlier claims are still running."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from uuid import UUID

from outdial.clock import Clock
from outdial.db.queries import batches
from outdial.db.session import CONNECTION_ERRORS, Database, LockNotAvailable
from outdial.dialer.account_limits import LimitReader
from outdial.dialer.claim import AccountBlocked, Claimed, Claimer, Completed
from outdial.dialer.clearance import ClearanceGate
from outdial.dialer.finish import Finisher
from outdial.dialer.place import CallResponse, Placer
from outdial.dialer.plan import PlannedCall
from outdial.dialer.rescue import Rescuer
from outdial.dialer.schedule import Scheduler
from outdial.dialer.settle import ClaimTally, Settler
from outdial.dialer.starts import LOCK_WAIT
from outdial.domain.campaign import CampaignStatus
from outdial.domain.errors import DomainError
from outdial.domain.ids import new_id
from outdial.domain.rules import RuleBook
from outdial.log import log
from outdial.pre_dial.client import HookClient
from outdial.provider import VoiceProvider
from outdial.settings import DialerSettings

MAX_DUE_CAMPAIGNS = 25
"""Campaigns in one round. A campaign that becomes due during a round waits until it ends; each adds up to 20 ms."""
MAX_REQUESTS = 400
"""Concurrent requests of one dialer; a claim waits while there are more."""
BLOCKED_FOR = timedelta(seconds=5)
"""After a claim failed to lock an account within LOCK_WAIT, further claims do not wait for it during this time."""
MAX_FAILURES = 3
"""After this many failed campaigns, an organization waits for the next round: failures take time from the others."""
LOCK_PROBE = timedelta(milliseconds=1)
FIRST_SET_BACK = timedelta(seconds=2)
LONGEST_SET_BACK = timedelta(minutes=5)
"""A campaign that fails is due again after FIRST_SET_BACK, and after each further failure in twice the time."""


class Dialer:
    """A background task: `run_once` claims for every due campaign until none is due.

    Any number of dialers run side by side. A claim locks the rows of its campaign and its account, so no limit depends
    on the memory of one process.
    """

    def __init__(
        self,
        database: Database,
        provider: VoiceProvider,
        clock: Clock,
        settings: DialerSettings,
        *,
        rules: RuleBook,
        make_id: Callable[[datetime], UUID] = new_id,
        hook: HookClient | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings
        self._claimer = Claimer(
            database=database, provider=provider, clock=clock, settings=settings, rules=rules, make_id=make_id
        )
        self._placer = Placer(database, provider, clock, settings)
        self._settler = Settler(database, clock, settings)
        self._clearance = ClearanceGate(database, hook or HookClient(allow_private=False), clock)
        self._finisher = Finisher(database, provider, clock)
        self._limits = LimitReader(database, provider, clock)
        self.rescuer = Rescuer(
            database=database,
            provider=provider,
            placer=self._placer,
            settler=self._settler,
            clearance=self._clearance,
            clock=clock,
            settings=settings,
            rules=rules,
        )
        self.scheduler = Scheduler(database, clock)
        self._named: set[UUID] = set()
        self._next_batch_at: dict[UUID, datetime] = {}
        # Accounts and campaigns that another transaction holds, and until when this dialer does not wait for them.
        self._blocked_until: dict[UUID, datetime] = {}
        self._failed_in_turn: Counter[UUID] = Counter()
        self._hanging_up: set[UUID] = set()
        self._requests: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._stopping = False

    def wake_for(self, campaign_id: str) -> None:
        """Claim for a campaign in the next run, before it is due: a notification named it."""
        self._named.add(UUID(campaign_id))

    def recheck(self, account_id: str) -> None:
        """Check the limits of an account again before its next call starts: one of them was lowered."""
        self._placer.recheck(UUID(account_id))

    def recheck_all(self) -> None:
        """Do as `recheck` does for all accounts: notifications may have been lost."""
        self._placer.recheck_all()

    def pause(self) -> timedelta:
        """Return how long no campaign will be due, as far as this dialer knows; at most the poll interval."""
        now, longest = self._clock.now(), self._settings.poll_interval
        until = min(self._next_batch_at.values(), default=now + longest)
        return min(max(until - now, timedelta()), longest)

    async def run_once(self) -> int:
        """Claim for the due campaigns, a batch each in turn, until none is due; return how many calls were claimed."""
        total = 0
        while not self._stopping:
            now, named = self._clock.now(), frozenset(self._named)
            async with self._database.transaction() as connection:
                due = await batches.due_campaigns(connection, now=now, limit=MAX_DUE_CAMPAIGNS, named=list(named))
            self._named -= named
            # A campaign that is due is claimed for now, by this dialer or another.
            self._next_batch_at = {campaign_id: at for campaign_id, at in self._next_batch_at.items() if at > now}
            claimed = 0
            self._failed_in_turn.clear()
            for campaign in due:
                if self._failed_in_turn[campaign.organization_id] < MAX_FAILURES:
                    claimed += await self._try_campaign(campaign)
                elif campaign.campaign_id in named:
                    self._named.add(campaign.campaign_id)
            total += claimed
            if claimed == 0:
                break
        return total

    async def settled(self) -> None:
        """Wait until no request of this dialer is in flight and every response is settled."""
        while self._requests:
            await asyncio.wait(set(self._requests))

    async def stop(self) -> None:
        """Stop claiming and wait for the requests in flight."""
        self._stopping = True
        await self.settled()

    async def _try_campaign(self, due: batches.DueCampaign) -> int:
        if self._is_blocked(due.campaign_id):
            return 0
        try:
            claimed = await self._run_campaign(due)
            if claimed is None:
                return 0
            if due.failures:
                async with self._database.for_organization(due.organization_id) as connection:
                    await batches.end_failures(connection, campaign_id=due.campaign_id)
        except LockNotAvailable:  # such as a pause that waits for a stalled transaction
            self._block(due.campaign_id)
            return 0
        except CONNECTION_ERRORS as error:
            log("dialer.connection_lost", level="warning", campaign_id=str(due.campaign_id), reason=repr(error))
            return 0
        except Exception as error:  # one broken campaign must not stop the others
            await self._set_back(due, error)
            return 0
        return claimed

    def _is_blocked(self, id: UUID) -> bool:
        until = self._blocked_until.get(id)
        if until is not None and until <= self._clock.now():
            del self._blocked_until[id]
            return False
        return until is not None

    def _block(self, id: UUID) -> None:
        self._blocked_until[id] = self._clock.now() + BLOCKED_FOR
        log("dialer.locked_elsewhere", level="warning", id=str(id), for_s=BLOCKED_FOR.total_seconds())

    async def _set_back(self, due: batches.DueCampaign, error: Exception) -> None:
        """Log the failure of a campaign, and postpone its next batch by twice as long as after the last failure."""
        self._failed_in_turn[due.organization_id] += 1
        now = self._clock.now()
        pause = min(FIRST_SET_BACK * 2 ** min(due.failures, 10), LONGEST_SET_BACK)
        # The text of other errors may quote anything. A broken rule needs no traceback.
        is_rule = isinstance(error, DomainError)
        reason = str(error) if is_rule else type(error).__name__
        log(
            "dialer.campaign_failed",
            level="error",
            campaign_id=str(due.campaign_id),
            failures=due.failures + 1,
            retry_s=pause.total_seconds(),
            reason=reason,
            error=None if is_rule else error,
        )
        try:
            async with self._database.for_organization(due.organization_id) as connection:
                await batches.set_back_campaign(
                    connection, campaign_id=due.campaign_id, next_batch_at=now + pause, reason=reason[:500], now=now
                )
        except Exception as lost:  # such as a lost database connection: the campaign stays due
            log("dialer.set_back_failed", level="warning", campaign_id=str(due.campaign_id), reason=repr(lost))

    async def _run_campaign(self, due: batches.DueCampaign) -> int | None:
        """Claim for a campaign, or finish it; return how many calls were claimed, None if it could not be locked."""
        if due.status != CampaignStatus.ACTIVE:
            if due.status == CampaignStatus.CANCELLING and due.campaign_id not in self._hanging_up:
                self._hanging_up.add(due.campaign_id)
                self._spawn(self._hang_up(due))
            await self._finisher.finish(due.organization_id, due.campaign_id, due.status)
            return 0
        while self._in_flight >= MAX_REQUESTS:
            await asyncio.wait(set(self._requests), return_when=asyncio.FIRST_COMPLETED)
        lock_wait = LOCK_PROBE if self._is_blocked(due.provider_account_id) else LOCK_WAIT
        claim = await self._claimer.claim(due.organization_id, due.campaign_id, lock_wait=lock_wait)
        if isinstance(claim, AccountBlocked) and lock_wait == LOCK_WAIT:
            self._block(due.provider_account_id)
        if not isinstance(claim, Claimed):
            return 0 if isinstance(claim, Completed) else None
        self._next_batch_at[due.campaign_id] = claim.next_batch_at
        if self._limits.is_due(due.provider_account_id):
            self._spawn(self._limits.refresh(due))
        if claim.calls:
            self._blocked_until.pop(due.provider_account_id, None)
            self._in_flight += len(claim.calls)
            self._spawn(self._place_and_settle(claim.calls))
        return len(claim.calls)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _hang_up(self, due: batches.DueCampaign) -> None:
        try:
            await self._finisher.hang_up(due.organization_id, due.campaign_id)
        except Exception as error:  # the campaign is due again until no call is live
            log("dialer.hang_up_failed", level="warning", campaign_id=str(due.campaign_id), error=error)
        finally:
            self._hanging_up.discard(due.campaign_id)

    async def _place_and_settle(self, calls: list[PlannedCall]) -> None:
        tally = ClaimTally()
        try:
            cleared = await self._clearance.clear(calls)
            async for responses in self._placer.place_in_groups(cleared):
                # Go on after an error: the other requests still leave, and MAX_REQUESTS counts them.
                try:
                    await self._settle_group(responses, tally)
                except Exception as error:
                    # The calls stay `placing` and are rescued after their deadline.
                    log("dialer.settle_failed", level="error", calls=len(responses), error=error)
            await self._settler.end_claim(calls[0], tally)
        except Exception as error:  # such as a lost connection: the next claim detects a list of bad numbers again
            log("dialer.settle_failed", level="error", calls=len(calls), error=error)
        finally:
            self._in_flight -= len(calls)

    async def _settle_group(self, responses: list[CallResponse], tally: ClaimTally) -> None:
        try:
            await self._settler.settle_group(responses, tally)
        except LockNotAvailable:  # the others must not wait for the call that another transaction holds
            for response in responses:
                try:
                    await self._settler.settle_group([response], tally)
                except LockNotAvailable:
                    # The call stays `placing` and is rescued after its deadline.
                    log("dialer.locked_elsewhere", level="warning", id=str(response.call.id))
