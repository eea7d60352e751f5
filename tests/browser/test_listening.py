"""A member hears a live call in the browser and takes it over. LiveKit's client is a double: no server is here."""

import asyncio
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from playwright.async_api import BrowserContext, Locator, Page, Route, expect

from outdial.studio.listening.service import PLAYER
from outdial.studio.web.assets import StaticAsset, assets
from tests.browser.test_live_pages import new_york, open_page, site, world
from tests.browser.test_pages import Site, faults_in_shapes
from tests.studio.test_live_calls import create_busy_line
from tests.support.factories import NOW, create_campaign
from tests.support.two_organizations import TwoOrganizations

pytestmark = pytest.mark.timeout(300)
__all__ = ["new_york", "site", "world"]
DOUBLE = Path(__file__).parent / "livekit_double.js"
DASHBOARD = "https://dashboard.invalid/"
SOUND = {"listening_id": "l1", "url": "wss://a.livekit.cloud", "token": "t", "is_simulated": False}
# Sends a form to `action`, and whether the browser asks before the page is left.
ASKS_AFTER = """
(action) => {
  const form = document.body.appendChild(document.createElement("form"));
  form.setAttribute("action", action);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.requestSubmit();
  form.remove();
  return !window.dispatchEvent(new Event("beforeunload", { cancelable: true }));
}
"""


@dataclass
class FakeStudioSound:
    """The studio's responses to listening and taking over; the first request to listen is refused.

    The first three requests to take over fail, as they do if Retell's responses are lost.
    """

    posted: list[tuple[str, Any]] = field(default_factory=list)
    may_respond: asyncio.Event = field(default_factory=asyncio.Event)

    async def respond(self, route: Route) -> None:
        """Record a request, and respond to it."""
        action = route.request.url.rpartition("/")[2]
        self.posted.append((action, route.request.post_data_json))
        if action == "take-over":
            await self.may_respond.wait()
        if action == "take-over" and sum(each == action for each, _ in self.posted) <= 3:
            await route.fulfill(status=503, json={"message": "Retell has not confirmed that the agent has stopped"})
        elif action == "take-over":
            await route.fulfill(status=204)
        elif len(self.posted) == 1:
            refused = {"message": "This call can be heard only in Retell's dashboard", "dashboard_url": DASHBOARD}
            await route.fulfill(status=409, json=refused)
        else:
            await route.fulfill(status=200, json=SOUND)


@dataclass
class ListeningPage:
    """The live page with one call that can be heard."""

    page: Page
    call_id: UUID

    @property
    def bar(self) -> Locator:
        return self.page.get_by_role("region", name="Sound of a call")

    @property
    def said(self) -> Locator:
        return self.bar.get_by_role("status")

    @property
    def row(self) -> Locator:
        return self.page.locator(f"#call-{self.call_id}")

    @property
    def listen(self) -> Locator:
        return self.row.get_by_role("button", name="Listen to Ada Hopper")

    def button(self, name: str) -> Locator:
        return self.bar.get_by_role("button", name=name)


async def test_a_member_hears_a_call_takes_it_over_and_speaks_until_it_ends(
    new_york: BrowserContext,
    site: Site,
    connection: asyncpg.Connection,
    world: TwoOrganizations,
    screenshots: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = StaticAsset(DOUBLE.read_bytes(), "text/javascript; charset=utf-8", '"double"')
    monkeypatch.setitem(assets(), PLAYER, script)
    await connection.execute("delete from calls where organization_id = $1", world.own.tenant.organization_id)
    line = await create_busy_line(connection, await create_campaign(connection, world.own.tenant, name="Spring"))
    sound = FakeStudioSound()
    await new_york.route(re.compile(r"/api/v1/.*/calls/.*/(listen|take-over)$"), sound.respond)
    page = await open_page(new_york, site, "live-calls")
    shown = ListeningPage(page, line["talking"])

    await hear_after_a_refusal(shown)
    assert await faults_in_shapes(page, screenshots, "live-calls-listening") == []
    # The row is rendered again, and the bar goes on.
    await connection.execute("update calls set attempt_number = 2 where id = $1", line["talking"])
    await expect(shown.row).to_contain_text("attempt 2")
    await expect(shown.listen).to_have_attribute("data-heard", "")
    await ask_for_the_microphone(shown)
    await leave_while_taking_over(shown)
    sound.may_respond.set()
    await hear_again(shown)
    await lose_the_response(shown)
    await hear_again(shown)
    await speak(shown)
    listen, takeover = ("listen", {}), ("take-over", {"listening_id": "l1"})
    assert sound.posted[1:] == [listen, takeover, listen, takeover, takeover, listen, takeover]

    await connection.execute(
        "update calls set status = 'ended', outcome = 'stopped', ended_at = $2, duration_ms = 42000 where id = $1",
        line["talking"],
        NOW - timedelta(seconds=1),
    )
    await expect(shown.said).to_have_text("The call has ended.")
    assert await page.evaluate("[rooms.length, rooms[2].isLeft, microphone.isStopped]") == [3, True, True]
    await expect(shown.bar.locator("audio")).to_have_count(0)
    await shown.button("Close").click()
    await expect(shown.bar).to_be_hidden()


async def hear_after_a_refusal(shown: ListeningPage) -> None:
    await expect(shown.page.get_by_role("button", name=re.compile("^Listen"))).to_have_count(1)
    await expect(shown.bar).to_be_hidden()
    assert await shown.page.evaluate("window.LivekitClient === undefined")
    await shown.listen.click()
    await expect(shown.said).to_have_text("This call can be heard only in Retell's dashboard.")
    await expect(shown.bar.get_by_role("link", name="Open Retell's dashboard")).to_have_attribute("href", DASHBOARD)
    await shown.listen.click()
    await expect(shown.said).to_have_text("Your browser blocks the sound until you press the button.")
    await shown.button("Press to hear").click()
    await expect(shown.said).to_have_text("You are listening to the call with Ada Hopper. No one hears you.")
    await expect(shown.bar.locator("audio")).to_have_count(1)
    assert await shown.page.evaluate("[rooms[0].url, rooms[0].token]") == ["wss://a.livekit.cloud", "t"]


async def ask_for_the_microphone(shown: ListeningPage) -> None:
    await shown.page.evaluate("window.refusesMicrophone = true")
    await shown.button("Take over…").click()
    await expect(shown.said).to_contain_text("Your browser does not let this page use a microphone.")
    await shown.page.evaluate("window.refusesMicrophone = false")
    await shown.button("Take over…").click()
    dialog = shown.page.get_by_role("dialog", name="Take this call over?")
    await expect(dialog).to_contain_text("The agent stops at once and does not come back.")
    await dialog.get_by_role("button", name="Go back").click()
    await expect(shown.said).to_contain_text("No one hears you.")
    assert await shown.page.evaluate("microphone.isStopped")


async def leave_while_taking_over(shown: ListeningPage) -> None:
    await shown.button("Take over…").click()
    await shown.page.get_by_role("dialog").get_by_role("button", name="Take over").click()
    await expect(shown.said).to_have_text("Taking over…")
    await shown.button("Leave the call").click()
    await expect(shown.said).to_contain_text("the agent may have stopped, and the contact hear no one. Hang up if so.")
    assert await shown.page.evaluate("microphone.isStopped")


async def hear_again(shown: ListeningPage) -> None:
    await shown.listen.click()
    await shown.button("Press to hear").click()
    await expect(shown.said).to_have_text("You are listening to the call with Ada Hopper. No one hears you.")


async def lose_the_response(shown: ListeningPage) -> None:
    """Who may speak has taken over, also if the response that says so is lost."""
    page = shown.page
    take_over = page.get_by_role("dialog").get_by_role("button", name="Take over")
    await shown.button("Take over…").click()
    await take_over.click()
    await expect(shown.said).to_have_text("Retell has not confirmed that the agent has stopped.")
    assert await page.evaluate("microphone.isStopped")
    await page.evaluate("rooms.at(-1).localParticipant.permissions.canPublish = true")
    await shown.button("Take over…").click()
    await take_over.click()
    await expect(shown.said).to_contain_text("You are speaking with Ada Hopper. The agent has left")
    await page.evaluate("rooms.at(-1).emit('Reconnecting'); rooms.at(-1).emit('Reconnected')")
    await expect(shown.said).to_contain_text("You are speaking with Ada Hopper. The agent has left")
    await page.evaluate("rooms.at(-1).emit('Disconnected', 9)")
    await expect(shown.said).to_contain_text("The contact hears no one: listen and take over again, or hang up.")


async def speak(shown: ListeningPage) -> None:
    page = shown.page
    await shown.button("Take over…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Take over").click()
    await expect(shown.said).to_have_text("Connecting your microphone…")
    await page.evaluate("rooms.at(-1).localParticipant.permissions.canPublish = true")
    await page.evaluate("rooms.at(-1).emit('ParticipantPermissionsChanged')")
    await expect(shown.said).to_contain_text("You are speaking with Ada Hopper. The agent has left")
    assert await page.evaluate("rooms.at(-1).published[0] === microphone")
    assert await page.evaluate(ASKS_AFTER, "/theme")
    assert not await page.evaluate(ASKS_AFTER, f"/o/1/calls/{shown.call_id}/hang-up")
    await shown.button("Mute").click()
    await expect(shown.said).to_have_text("Your microphone is muted: the contact hears no one.")
    await expect(shown.button("Mute")).to_have_attribute("aria-pressed", "true")
