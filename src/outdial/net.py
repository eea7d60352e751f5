"""What an address says: whether it names this machine, and which network it is in."""

from ipaddress import IPv6Address, ip_address, ip_network
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


def network_of(host: str) -> str:
    """Return what to count requests of an address by: the address, or for IPv6 its network of 64 bits.

    One subscriber has a whole such network. Text that is no address stands for itself.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
    return str(address)
