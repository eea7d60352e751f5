"""Tests an API key that is not stored yet, with one request to Retell."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from outdial.provider import KeyAccepted, KeyRefused, ProviderUnavailable
from outdial.retell.client import RetellClient
from outdial.retell.transport import BASE_URL
from outdial.retell.workspace_assets import check_key

TIMEOUT: Final = timedelta(seconds=10)


class RetellKeyTester:
    """Asks Retell about a key; implements `KeyTester`. An empty `base_url` is Retell's own."""

    def __init__(self, base_url: str = "", *, guard: Callable[[], None] | None = None) -> None:
        self._base_url = base_url or BASE_URL
        self._guard = guard

    async def test_key(self, api_key: str) -> KeyAccepted | KeyRefused | ProviderUnavailable:
        """GET /get-api-key-info with the key, which no result contains: an error of Retell may quote it."""
        client = RetellClient.connect(api_key, self._base_url, timeout=TIMEOUT, connections=1, guard=self._guard)
        try:
            result = await check_key(client)
        finally:
            await client.close()
        match result:
            case KeyAccepted():
                return result
            case KeyRefused(reason) | ProviderUnavailable(reason):
                return replace(result, reason=reason.replace(api_key, "[key]"))
