"""Runs the real `outdial dialer` until SIGTERM, then writes the durations of its claims to a file."""

import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import msgspec
import uvloop

from outdial import process as children
from outdial.dialer.claim import Claim, Claimed, Claimer
from outdial.dialer.main import run_dialer
from outdial.settings import DialerProcessSettings


class TimedClaim(msgspec.Struct):
    """A claim that returned calls: its end (Unix seconds), duration and campaign."""

    ended_at: float
    seconds: float
    calls: int
    campaign_id: UUID


def timed(
    claim: Callable[[Claimer, UUID, UUID], Awaitable[Claim]], claims: list[TimedClaim]
) -> Callable[[Claimer, UUID, UUID], Awaitable[Claim]]:
    """Wrap `claim` so that it appends its duration to `claims`."""

    async def watched(claimer: Claimer, organization_id: UUID, campaign_id: UUID) -> Claim:
        began = time.perf_counter()
        done = await claim(claimer, organization_id, campaign_id)
        if isinstance(done, Claimed) and done.calls:
            claims.append(TimedClaim(time.time(), time.perf_counter() - began, len(done.calls), campaign_id))
        return done

    return watched


def main(file: Path) -> None:
    """Dial with the settings of the environment. The first printed line means that the process is ready."""
    os.environ[children.READY_FD] = str(os.dup(sys.stdout.fileno()))
    claims: list[TimedClaim] = []
    setattr(Claimer, "claim", timed(Claimer.claim, claims))  # noqa: B010
    uvloop.run(run_dialer(DialerProcessSettings.from_env(os.environ)))
    file.write_bytes(msgspec.json.encode(claims))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
