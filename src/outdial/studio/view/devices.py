"""Names of browsers, for the list of sessions."""

from collections.abc import Sequence
from typing import Final

# Each browser also claims to be those after it.
_BROWSERS: Final[Sequence[tuple[str, str]]] = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("FxiOS", "Firefox"), ("CriOS", "Chrome"),
    ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS: Final[Sequence[tuple[str, str]]] = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"), ("Linux", "Linux"),
)  # fmt: skip


def device_name(user_agent: str | None) -> str:
    """Return a short name such as "Chrome on macOS" for a user agent; "Unknown device" without one."""
    agent = user_agent or ""
    browser = next((name for part, name in _BROWSERS if part in agent), None)
    system = next((name for part, name in _SYSTEMS if part in agent), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "Unknown device"
