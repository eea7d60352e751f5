"""Addresses: recognizes loopback ones, and finds the network of an address and the client of a request."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Return whether `host`, an IP address or `localhost`, can be reached from this machine only.

    Other names are not resolved: they count as remote, and so does the empty host, which listens on every address.
    """
    if host == "localhost":
        return True
    try:
        return _parse_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Return whether the host of `url` is a loopback address; False for text that is not a URL."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


def client_address(peer: str, forwarded_for: Iterable[str], *, proxies: int) -> str:
    """Return the address of the client whose request arrived from `peer` through `proxies` trusted proxies.

    `forwarded_for` are the values of all X-Forwarded-For lines. Each proxy appends the address it got the request from,
    so only the last `proxies` entries are trusted: everything to their left is the client's own claim. A peer on this
    machine counts as a proxy. If the entry is not an address, return `peer`.
    """
    if is_loopback(peer):
        proxies = max(1, proxies)
    hops = [hop.strip() for line in forwarded_for for hop in line.split(",")]
    if not proxies or not hops:
        return peer
    hop = hops[-min(proxies, len(hops))]
    if hop.startswith("["):  # [2001:db8::1]:443, as some proxies write it
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(_parse_address(hop))
    except ValueError:
        return peer


def network_of(host: str, *, ipv4_bits: int = 32, ipv6_bits: int = 64) -> str:
    """Return the network of an address, such as 192.0.2.0/24, to count requests by.

    By default that is the whole of an IPv4 address, and the first 64 bits of an IPv6 address, because one subscriber
    has all addresses that share them. Text that is not an address is returned unchanged.
    """
    try:
        address = _parse_address(host.partition("%")[0])
    except ValueError:
        return host
    bits = ipv4_bits if address.version == 4 else ipv6_bits
    return str(address if bits == address.max_prefixlen else ip_network((address, bits), strict=False))


def _parse_address(text: str) -> IPv4Address | IPv6Address:
    """Parse an address; one like ::ffff:192.0.2.1, from a socket for both versions, is the IPv4 address in it."""
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
