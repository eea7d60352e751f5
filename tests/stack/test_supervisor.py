"""Child processes: what is known about one that ends while it is being stopped."""

import asyncio
import os
import sys
import threading

import pytest

from outdial.supervisor import ChildProcess

STATUS = 3


async def test_a_child_that_ends_before_it_is_stopped_keeps_its_status(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    may_reap, wait = threading.Event(), os.waitpid

    def wait_late(pid: int, options: int) -> tuple[int, int]:
        # asyncio waits for each child in a thread, which a busy machine runs late.
        if threading.current_thread() is not threading.main_thread():
            may_reap.wait(30)
        return wait(pid, options)

    monkeypatch.setattr(os, "waitpid", wait_late)
    child = await ChildProcess.start([sys.executable, "-c", f"raise SystemExit({STATUS})"], os.environ)
    assert not await child.ready()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    stopping = asyncio.create_task(child.stop(grace_s=30))
    await asyncio.sleep(0)
    may_reap.set()

    assert not await stopping
    assert child.exited.result() == STATUS
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
