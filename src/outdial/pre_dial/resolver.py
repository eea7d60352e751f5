"""A resolver for the hosts of hooks that refuses private addresses."""

import socket
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from outdial.pre_dial.addresses import ONLY_PRIVATE, is_public
from outdial.pre_dial.errors import PrivateAddress


class GuardedResolver(AbstractResolver):
    """Resolves the hosts of hooks, and refuses the private addresses among the results.

    The connection goes to an address that was checked: there is no second look-up that could return another one.
    """

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of `host`. Raises PrivateAddress if one of them is not public."""
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(ip_address(result["host"].partition("%")[0])) for result in found):
            raise PrivateAddress(f"its host resolves to a private address, and {ONLY_PRIVATE}")
        return found

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()
