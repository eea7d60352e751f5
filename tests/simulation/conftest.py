"""The simulation runs on the event loop of production, which takes a third less of the processor."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the event loop of the tests in this folder."""
    return {"uvloop": uvloop.new_event_loop}
