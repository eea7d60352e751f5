"""Fixtures of the host's tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from outdial.host.pool.spawning import ZygoteProcess


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def zygote() -> AsyncIterator[ZygoteProcess]:
    """A zygote for the tests of one module, which say `pytestmark = pytest.mark.asyncio(loop_scope="module")`."""
    async with ZygoteProcess.running() as running:
        yield running
