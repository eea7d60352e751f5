"""A task that is woken often runs only so often, and serves all wake-ups."""

import asyncio
from datetime import timedelta

from outdial.background import RepeatingTask

REST = timedelta(milliseconds=20)


class Counted:
    """A task that counts its runs and takes what has been asked of it."""

    def __init__(self) -> None:
        self.runs, self.asked, self.served = 0, 0, 0

    async def run_once(self) -> int:
        """Serve what was asked."""
        self.runs, self.served = self.runs + 1, self.asked
        return 1


async def test_wake_ups_within_the_rest_after_a_run_are_served_together() -> None:
    counted = Counted()
    task = RepeatingTask("counted", counted, timedelta(hours=1), rest=REST)
    began = asyncio.get_running_loop().time()
    task.start()
    for _ in range(100):
        counted.asked += 1
        task.wake()
        await asyncio.sleep(0.001)
    async with asyncio.timeout(30):
        while counted.served < counted.asked:  # noqa: ASYNC110 - the run is what is waited for
            await asyncio.sleep(0.001)
    seconds = asyncio.get_running_loop().time() - began
    await task.stop()

    assert counted.runs <= 2 + seconds / REST.total_seconds()
    assert counted.runs < counted.asked
