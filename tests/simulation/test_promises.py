"""The promises under seeded faults: OUTDIAL_SEEDS=500 runs more of them, OUTDIAL_SEED=17 repeats one."""

import logging
import os

import pytest

from outdial.dialer import rescue
from tests.simulation.run import prepared
from tests.support.postgres import Scratch

_ONE = os.environ.get("OUTDIAL_SEED")
_second_tries: dict[int, bool] = {}
SEEDS = [int(_ONE)] if _ONE else list(range(1, int(os.environ.get("OUTDIAL_SEEDS", "8")) + 1))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(300)
async def test_no_fault_schedule_breaks_a_promise(
    database: Scratch, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue, "MAX_CONCURRENT_CHECKS", 1)  # one after the other, so that a seed reproduces
    async with prepared(database, seed) as run:
        await run.to_the_end()

        assert not run.history.broken, f"OUTDIAL_SEED={seed} reproduces: " + "\n".join(run.history.broken[:10])
        _second_tries[seed] = ", 0 second tries" not in run.history.callbacks
        logging.getLogger("outdial.simulation").info(run.summary())
        calls = sum(len(workspace.calls) for workspace in run.workspaces.values())
        assert calls > 10, f"seed {seed} made {calls} calls, which tests nothing"


def test_the_second_try_of_a_callback_is_due_in_some_seed() -> None:
    if len(_second_tries) < 8:
        pytest.skip("fewer than eight seeds ran here")
    assert any(_second_tries.values())
