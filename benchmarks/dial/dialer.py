"""Runs the real `outdial dialer` until SIGTERM, then writes the durations of its claims to a file."""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import ClassVar
from uuid import UUID

import msgspec
import uvloop

from outdial import process as children
from outdial.dialer import worker
from outdial.dialer.claim import Claim, Claimed, Claimer
from outdial.dialer.main import run_dialer
from outdial.dialer.starts import LOCK_WAIT
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


def main(file: Path) -> None:
    """Dial with the settings of the environment. The first printed line means that the process is ready."""
    os.environ[children.READY_FD] = str(os.dup(sys.stdout.fileno()))
    setattr(worker, "Claimer", TimedClaimer)  # noqa: B010
    uvloop.run(run_dialer(DialerProcessSettings.from_env(os.environ)))
    file.write_bytes(msgspec.json.encode(TimedClaimer.timed))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
