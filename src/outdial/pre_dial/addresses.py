"""Which URLs and addresses a pre-dial hook may have.

An admin of any organization chooses where Outdial's own machines send requests. Without a check, that reaches services
that trust their network: metadata endpoints, databases, other tenants. The URL is checked when it is set, and each
address that its name resolves to is checked when a connection is opened: the name may resolve differently by then.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from outdial.net import is_loopback
from outdial.pre_dial.errors import InvalidHookSecret, InvalidHookUrl

LONGEST_URL: Final = 2000
SHORTEST_SECRET: Final = 16
LONGEST_SECRET: Final = 200
PRIVATE_SETTING: Final = "OUTDIAL_HOOK_PRIVATE_NETWORKS"
ONLY_PRIVATE: Final = f"only deployments with {PRIVATE_SETTING}=true call hooks there"
_IPV4_IN_IPV6: Final = ip_network("64:ff9b::/96")  # RFC 6052: the IPv4 address is in the last 32 bits


def check_hook_url(url: str, *, allow_private: bool) -> str:
    """Return the URL of a hook without surrounding spaces. Raises InvalidHookUrl, whose message says what to change."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidHookUrl("Not a URL: write it as https://host.example.com/path") from None
    if problem := _problem_of(url, parts, host):
        raise InvalidHookUrl(problem)
    if not allow_private and is_private_host(host):
        raise InvalidHookUrl(f"{host} is on a private network, and {ONLY_PRIVATE}")
    return url


def check_hook_secret(secret: str) -> str:
    """Return the secret without surrounding spaces. Raises InvalidHookSecret."""
    secret = secret.strip()
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET or not (secret.isascii() and secret.isprintable()):
        raise InvalidHookSecret(
            f"The secret needs {SHORTEST_SECRET} to {LONGEST_SECRET} ASCII characters, such as the output of "
            "openssl rand -hex 32"
        )
    return secret


def is_private_host(host: str) -> bool:
    """Return whether `host` is `localhost` or a literal address that is not public. Other names are not resolved."""
    if is_loopback(host):
        return True
    try:
        return not is_public(ip_address(host))
    except ValueError:
        return False


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is on the public internet. An IPv6 address counts as the IPv4 address inside it."""
    if isinstance(address, IPv6Address):
        teredo = address.teredo
        inside = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
        if inside is None and address in _IPV4_IN_IPV6:
            inside = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inside is not None:
            return is_public(inside)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _problem_of(url: str, parts: SplitResult, host: str) -> str | None:
    if not host or any(character.isspace() or not character.isprintable() for character in url):
        return "Not a URL: write it as https://host.example.com/path"
    if len(url) > LONGEST_URL:
        return f"The URL has {len(url)} characters, more than {LONGEST_URL}"
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        return "Use https: phone numbers must not cross a network unencrypted"
    if parts.username is not None or parts.password is not None:
        return "Leave out the user name and password: the signature authenticates the request"
    if parts.fragment:
        return "Leave out the part after #: it is never sent"
    return None
