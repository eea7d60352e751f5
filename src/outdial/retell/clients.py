"""The clients of a dialer, one for each credential, which follow the API keys that are entered meanwhile."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from outdial.retell.client import RetellClient

CLOSED_AFTER: Final = timedelta(minutes=2)
"""A client of a replaced key closes this much later: its requests in flight have ended by then."""


class RetellClients(Mapping[str, RetellClient]):
    """The clients by credential. Keys of the environment win over stored ones and never change. `repr` shows none."""

    def __init__(self, environment: Mapping[str, str], connect: Callable[[str], RetellClient]) -> None:
        self._connect = connect
        self._own = frozenset(environment)
        self._clients = {credential: connect(key) for credential, key in environment.items()}
        self._stored: dict[str, str] = {}
        self._retired: list[tuple[datetime, RetellClient]] = []

    def __repr__(self) -> str:
        return f"RetellClients({len(self)} accounts)"

    def __getitem__(self, credential: str) -> RetellClient:
        return self._clients[credential]

    def __iter__(self) -> Iterator[str]:
        return iter(self._clients)

    def __len__(self) -> int:
        return len(self._clients)

    async def use(self, stored: Mapping[str, str], now: datetime) -> frozenset[str]:
        """Use these stored keys from now on; return the credentials with a new key. Closes clients retired long ago."""
        wanted = {credential: key for credential, key in stored.items() if credential not in self._own}
        for credential, key in list(self._stored.items()):
            if wanted.get(credential) != key:
                self._retired.append((now, self._clients.pop(credential)))
                del self._stored[credential]
        new = wanted.keys() - self._stored.keys()
        for credential in new:
            self._clients[credential] = self._connect(wanted[credential])
            self._stored[credential] = wanted[credential]
        over = [client for retired_at, client in self._retired if retired_at + CLOSED_AFTER <= now]
        self._retired = [pair for pair in self._retired if pair[1] not in over]
        for client in over:
            await client.close()
        return frozenset(new)

    async def close(self) -> None:
        """Close all clients."""
        for client in (*self._clients.values(), *(client for _, client in self._retired)):
            await client.close()
