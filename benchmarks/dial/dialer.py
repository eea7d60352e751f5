"""Runs the real `outdial dialer` until SIGTERM, then writes the durations of its claims to a file."""

import os
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar
from uuid import UUID

import msgspec
import uvloop

from outdial import process as children
from outdial.dialer import main as dialer_process
from outdial.dialer import worker
from outdial.dialer.claim import Claim, Claimed, Claimer
from outdial.dialer.main import run_dialer
from outdial.dialer.starts import LOCK_WAIT
from outdial.domain.openings import MINUTES_OF_DAY, Window
from outdial.domain.rules import RuleBook
from outdial.rules.pack import shipped_rules
from outdial.settings import DialerProcessSettings


class TimedClaim(msgspec.Struct):
    """A claim that returned calls: its end (Unix seconds), duration and campaign."""

    ended_at: float
    seconds: float
    calls: int
    campaign_id: UUID


class TimedClaimer(Claimer):
    """Claims as the dialer does and appends the duration of each claim that returned calls to `timed`."""

    timed: ClassVar[list[TimedClaim]] = []

    async def claim(self, organization_id: UUID, campaign_id: UUID, *, lock_wait: timedelta = LOCK_WAIT) -> Claim:
        """Claim and note the duration."""
        began = time.perf_counter()
        done = await super().claim(organization_id, campaign_id, lock_wait=lock_wait)
        if isinstance(done, Claimed) and done.calls:
            self.timed.append(TimedClaim(time.time(), time.perf_counter() - began, len(done.calls), campaign_id))
        return done


def rules_at_any_hour() -> RuleBook:
    """Return the shipped rules, each open around the clock: claims ask as many rules as in production, at any hour."""
    shipped, all_day = shipped_rules(), (Window(0, MINUTES_OF_DAY),)
    return RuleBook(
        [
            replace(rule, week=None if rule.week is None else (all_day,) * 7, holidays=(), prohibited=False)
            for rule in shipped.rules
        ],
        pack_date=shipped.pack_date,
        calendars=shipped.calendars,
        groups=shipped.groups,
    )


def main(file: Path) -> None:
    """Dial with the settings of the environment. The first printed line means that the process is ready."""
    os.environ[children.READY_FD] = str(os.dup(sys.stdout.fileno()))
    setattr(worker, "Claimer", TimedClaimer)  # noqa: B010
    settings = DialerProcessSettings.from_env(os.environ)
    if not settings.ignore_rules:
        setattr(dialer_process, "rules_in_use", lambda **_: rules_at_any_hour())  # noqa: B010
    uvloop.run(run_dialer(settings))
    file.write_bytes(msgspec.json.encode(TimedClaimer.timed))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
