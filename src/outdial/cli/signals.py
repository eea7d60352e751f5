"""The signals that end a process: told to a task, and never an exception in the middle of something."""

import asyncio
import signal


def stop_event() -> asyncio.Event:
    """Return an event that SIGINT, SIGTERM and the end of the terminal set, inside the running loop."""
    stop = asyncio.Event()
    numbers = [signal.SIGINT, signal.SIGTERM]
    # Under nohup, the end of the terminal is to be ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for `event`, `seconds` at most; tell whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return event.is_set()
