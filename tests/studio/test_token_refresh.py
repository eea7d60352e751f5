"""Token refresh: a session is renewed once for all requests, and ends when Auth ends it."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest

from outdial.auth.client import AuthUnavailable, BadCredentials, SessionActive, SignedIn, SignedOut, SignInResult
from outdial.clock import VirtualClock
from outdial.studio.web.sessions import (
    COOKIE,
    RenewalUnavailable,
    RenewSession,
    SessionEnded,
    SessionRenewal,
    StudioSession,
)
from outdial.studio.web.token_refresh import CHECK_EVERY, RENEW_BEFORE, TokenRefresher
from tests.support.factories import NOW
from tests.support.studio import BrowserFor, StudioServer
from tests.support.two_organizations import TwoOrganizations


@dataclass
class Auth:
    answer: SignInResult
    session: SessionActive | SignedOut | AuthUnavailable = field(default_factory=SessionActive)
    checked: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def check_session(self, access_token: str) -> SessionActive | SignedOut | AuthUnavailable:
        self.checked.append(access_token)
        await asyncio.sleep(0)
        return self.session

    async def refresh(self, refresh_token: str) -> SignInResult:
        self.asked.append(refresh_token)
        await self.may_answer.wait()
        return self.answer


NEW = SignedIn("new access", "new refresh", NOW + timedelta(hours=2), UUID(int=1), "ada@example.com")


def session(*, lives: timedelta) -> StudioSession:
    return StudioSession(
        access_token="access",
        refresh_token="refresh",
        expires_at=int((NOW + lives).timestamp()),
        user_id="1",
        email="ada@example.com",
    )


async def test_concurrent_requests_renew_a_session_once() -> None:
    auth, old = Auth(NEW), session(lives=timedelta(seconds=5))
    refresher = TokenRefresher(auth, VirtualClock(NOW))
    waiting = [asyncio.create_task(refresher.current(old)) for _ in range(5)]
    await asyncio.sleep(0)
    auth.may_answer.set()
    renewed = await asyncio.gather(*waiting)
    # One more comes late, still with the old cookie.
    renewed.append(await refresher.current(old))

    assert auth.asked == ["refresh"]
    assert len(set(renewed)) == 1
    assert isinstance(renewed[0], StudioSession)
    assert (renewed[0].access_token, renewed[0].refresh_token) == ("new access", "new refresh")
    assert renewed[0].csrf == old.csrf


async def test_a_cancelled_request_does_not_cancel_the_renewal() -> None:
    auth, old = Auth(NEW), session(lives=timedelta(0))
    refresher = TokenRefresher(auth, VirtualClock(NOW))
    first, second = (asyncio.create_task(refresher.current(old)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    auth.may_answer.set()
    assert isinstance(await second, StudioSession)


async def test_a_copied_cookie_ends_soon_after_the_user_has_signed_out() -> None:
    auth, clock, copied = Auth(NEW), VirtualClock(NOW), session(lives=timedelta(minutes=50))
    refresher = TokenRefresher(auth, clock)
    assert await asyncio.gather(*(refresher.current(copied) for _ in range(5))) == [copied] * 5
    assert auth.checked == ["access"], "Auth is asked once for all"
    auth.session = SignedOut()
    clock.advance(CHECK_EVERY - timedelta(seconds=1))
    assert await refresher.current(copied) is copied
    clock.advance(timedelta(seconds=1))
    assert await refresher.current(copied) == SessionEnded()
    assert await refresher.current(copied) == SessionEnded()


async def test_a_session_does_not_end_because_auth_is_unreachable() -> None:
    auth, clock, mine = Auth(NEW, AuthUnavailable("down")), VirtualClock(NOW), session(lives=timedelta(minutes=50))
    refresher = TokenRefresher(auth, clock)
    for _ in range(3):
        assert await refresher.current(mine) is mine
        clock.advance(CHECK_EVERY)
    assert len(auth.checked) == 3


async def test_a_fresh_token_is_not_renewed() -> None:
    auth, fresh = Auth(NEW), session(lives=RENEW_BEFORE + timedelta(seconds=1))
    assert await TokenRefresher(auth, VirtualClock(NOW)).current(fresh) is fresh
    assert auth.asked == []


@pytest.mark.parametrize(
    ("answer", "lives", "expected"),
    [
        (BadCredentials(), timedelta(seconds=30), SessionEnded()),
        (AuthUnavailable("away"), timedelta(0), RenewalUnavailable()),
    ],
)
async def test_the_response_of_auth_decides(answer: SignInResult, lives: timedelta, expected: SessionRenewal) -> None:
    auth = Auth(answer)
    auth.may_answer.set()
    assert await TokenRefresher(auth, VirtualClock(NOW)).current(session(lives=lives)) == expected


async def test_while_auth_is_down_a_token_is_used_until_it_expires() -> None:
    auth, old = Auth(AuthUnavailable("away")), session(lives=timedelta(seconds=30))
    auth.may_answer.set()
    refresher = TokenRefresher(auth, VirtualClock(NOW))
    assert await refresher.current(old) is old
    auth.answer = NEW
    assert isinstance(renewed := await refresher.current(old), StudioSession)
    assert renewed.access_token == "new access"


class Renewing:
    """Renews sessions as a test says."""

    def __init__(self) -> None:
        self.answer: SessionRenewal | None = None

    async def __call__(self, session: StudioSession) -> SessionRenewal:
        return self.answer if self.answer is not None else session


@pytest.fixture
def renew() -> RenewSession:
    return Renewing()


async def test_a_renewed_session_is_sent_to_the_browser(
    studio_app: StudioServer, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    browser = await browser_for(two_organizations.own.users["operator"])
    assert browser.session is not None
    assert isinstance(studio_app.studio.renew, Renewing)
    renewed = browser.session.renewed(access_token=browser.session.access_token, refresh_token="r2", expires_at=2**31)
    studio_app.studio.renew.answer = renewed

    response = await browser.get("/")

    assert response.headers["location"].endswith("/campaigns")
    kept = studio_app.studio.sealer.open(COOKIE, response.cookies[COOKIE], StudioSession)
    assert kept == renewed
    # Signing out has the last word.
    out = await browser.post_form("/sign-out")
    assert out.cookies.get(COOKIE) in (None, "")
    assert COOKIE not in browser.client.cookies


async def test_an_ended_session_redirects_to_sign_in_and_an_unreachable_auth_does_not(
    studio_app: StudioServer, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    assert isinstance(studio_app.studio.renew, Renewing)
    browser = await browser_for(two_organizations.own.users["operator"])
    studio_app.studio.renew.answer = RenewalUnavailable()
    assert (await browser.get("/")).status_code == 503
    assert COOKIE in browser.client.cookies
    studio_app.studio.renew.answer = SessionEnded()
    assert (await browser.get("/")).headers["location"] == "/sign-in?next=/"
    assert COOKIE not in browser.client.cookies
