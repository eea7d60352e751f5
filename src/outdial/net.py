"""Whether an address names this machine."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Return whether `host`, an IP address or `localhost`, can be reached from this machine only.

    Other names are not resolved: they count as remote, and so does the empty host, which listens on every address.
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Return whether the host of `url` is a loopback address."""
    return is_loopback(urlsplit(url).hostname or "")
