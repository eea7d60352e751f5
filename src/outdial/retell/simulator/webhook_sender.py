"""Sends webhooks over HTTP as Retell does: signed, retried and concurrent."""

import asyncio
import contextlib
from collections import Counter
from typing import Final

import aiohttp

from outdial.retell.simulator.clock import epoch_ms, wall_now
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.workspace import DueWebhook, SimulatedWorkspace

MAX_WAITING: Final = 10_000


class WebhookSender:
    """Sends queued webhooks to the configured URL. Any 2xx is a success; other results are retried up to three times.

    Each delivery is signed with the real time. When MAX_WAITING webhooks wait, `put` waits too.
    """

    def __init__(self, config: SimulatorConfig, workspace: SimulatedWorkspace) -> None:
        self._config = config
        self._workspace = workspace
        self._waiting: asyncio.Queue[DueWebhook] = asyncio.Queue(MAX_WAITING)
        self.counts: Counter[str] = Counter()

    async def put(self, webhook: DueWebhook) -> None:
        """Queue one webhook. Without a URL, only count it."""
        if webhook.url is None and self._config.webhook_url is None:
            self.counts["no_address"] += 1
        else:
            await self._waiting.put(webhook)

    def clear(self) -> None:
        """Drop queued webhooks and reset the counts. Deliveries in progress continue."""
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self.counts.clear()

    @property
    def waiting(self) -> int:
        """Number of queued webhooks."""
        return self._waiting.qsize()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._config.webhook_timeout_s),
                connector=aiohttp.TCPConnector(limit=self._config.webhook_concurrency),
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(self._config.webhook_concurrency):
                group.create_task(self._work(session))

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while True:
            webhook = await self._waiting.get()
            for retry in range(self._config.webhook_retries + 1):
                if retry:
                    self.counts["retried"] += 1
                    await asyncio.sleep(self._config.webhook_backoff_s * 2 ** (retry - 1))
                headers = webhook.headers(self._config.webhook_key, wall_now())
                url = webhook.url or self._config.webhook_url
                assert url is not None
                if webhook.has_cost:
                    self._workspace.bills.sent(webhook.call_id, epoch_ms(wall_now()))
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    async with session.post(url, data=webhook.body, headers=headers, allow_redirects=False) as response:
                        await response.read()
                    if 200 <= response.status < 300:
                        self.counts["delivered"] += 1
                        if webhook.has_cost:
                            self._workspace.bills.accepted(webhook.call_id, epoch_ms(wall_now()))
                        break
            else:
                self.counts["given_up"] += 1
