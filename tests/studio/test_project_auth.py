"""The studio of a Supabase project, whose Auth emails invitations and resets, and offers identity providers."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from html import unescape
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx
import pytest

from outdial.auth.client import AuthClient
from outdial.auth.keys import LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY
from tests.support.factories import add_factor, create_user
from tests.support.postgres import Scratch
from tests.support.project_auth import ProjectAuth, project_auth, query_of
from tests.support.studio import Browser, StudioServer, app_without_database, serve_studio, unchanged
from tests.support.two_organizations import TwoOrganizations

NEW, KNOWN = "grace@example.com", "ada@example.com"


@dataclass
class Project:
    """The studio, and the Auth of its project."""

    served: StudioServer
    auth: ProjectAuth


@pytest.fixture
async def project(two_organizations: TwoOrganizations, database: Scratch) -> AsyncIterator[Project]:
    async with (
        project_auth() as auth,
        serve_studio(database, unchanged, app_without_database()) as served,
        AuthClient(auth.url, LOCAL_PUBLISHABLE_KEY, LOCAL_SECRET_KEY) as client,
    ):
        served.studio = replace(served.studio, auth=client)
        served.app.state.studio = served.studio
        yield Project(served, auth)


async def user(project: Project, connection: asyncpg.Connection, email: str) -> None:
    """Make a user with a confirmed address."""
    user_id = await create_user(connection, email=email)
    project.auth.users[email] = user_id
    project.auth.tokens[email] = project.served.token(user_id, email=email)


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


async def invite(project: Project, houses: TwoOrganizations, email: str) -> tuple[Browser, str]:
    admin = await project.served.browser_of(houses.own.users["admin"])
    sent = await admin.post_form(f"/o/{houses.own.tenant.organization_id}/members", {"email": email, "role": "viewer"})
    return admin, sent.headers["location"]


async def follow(visitor: Browser, link: str) -> httpx.Response:
    """Open the link of an email, and press Continue."""
    shown = await visitor.get(link)
    assert shown.status_code == 200, shown.headers
    assert "outdial_session" not in shown.headers.get("set-cookie", ""), "no link signs in without a press"
    form = {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]+)"', shown.text)}
    return await visitor.client.post("/sign-in/continue", data=form)


async def test_the_code_of_each_of_the_users_apps_signs_in(project: Project, connection: asyncpg.Connection) -> None:
    await user(project, connection, KNOWN)
    project.auth.codes |= {str(UUID(int=7)): "111111", str(UUID(int=8)): "222222"}
    visitor = await project.served.browser_of(None)
    await visitor.post_form("/sign-in/forgot", {"email": KNOWN}, page="/sign-in/forgot")
    asked = await follow(visitor, f"{path_of(project.auth.sent[0][2])}&code={project.auth.code_for(KNOWN)}")
    form = {
        name: unescape(value) for name, value in re.findall(r'name="(csrf_token|pending)" value="([^"]+)"', asked.text)
    }
    wrong = await visitor.client.post("/sign-in/code", data={**form, "code": "333333"})
    assert (wrong.status_code, "Wrong code" in wrong.text) == (401, True)
    right = await visitor.client.post("/sign-in/code", data={**form, "code": "222222"})
    assert (right.status_code, right.headers["location"]) == (303, "/account")


async def test_a_session_from_before_the_users_app_goes_to_the_code_page_of_a_project_too(
    project: Project, connection: asyncpg.Connection
) -> None:
    await user(project, connection, KNOWN)
    user_id, factor = project.auth.users[KNOWN], await add_factor(connection, project.auth.users[KNOWN])
    project.auth.codes[str(factor)] = "111111"
    project.auth.raised[KNOWN] = project.served.token(user_id, email=KNOWN, aal="aal2")
    browser = await project.served.browser_of(user_id)
    project.auth.tokens[KNOWN] = browser.session.access_token if browser.session else ""
    sent = await browser.get("/organizations")
    assert sent.headers["location"] == "/sign-in/code?next=/organizations"
    asked = await browser.get(sent.headers["location"])
    assert "recovery code" not in asked.text, "a project's Auth has none"
    form = {
        name: unescape(value) for name, value in re.findall(r'name="(csrf_token|pending)" value="([^"]+)"', asked.text)
    }
    opened = await browser.client.post("/sign-in/code", data={**form, "code": "111111"})
    assert opened.headers["location"] == "/organizations"
    assert (await browser.get("/organizations")).status_code == 200


@pytest.mark.parametrize("sign_ups", [True, False])
async def test_an_invitation_is_emailed_to_new_and_known_addresses_alike(
    project: Project, two_organizations: TwoOrganizations, connection: asyncpg.Connection, sign_ups: bool
) -> None:
    project.auth.settings["disable_signup"] = not sign_ups
    await user(project, connection, KNOWN)
    for email in (NEW, KNOWN):
        admin, shown = await invite(project, two_organizations, email)
        page = await admin.get(shown)
        assert f"Invitation sent to {email}." in page.text
        assert "expires in 7 days" in page.text
    assert [address for _, address, _ in project.auth.sent] == [NEW, KNOWN]


async def test_the_link_of_the_email_signs_in_and_leads_to_the_invitation(
    project: Project, two_organizations: TwoOrganizations, connection: asyncpg.Connection
) -> None:
    await user(project, connection, KNOWN)
    await invite(project, two_organizations, KNOWN)
    [(_, _, back)] = project.auth.sent
    visitor = await project.served.browser_of(None)
    link = f"{path_of(back)}&code={project.auth.code_for(KNOWN)}"
    state, code = query_of(link)["state"], query_of(link)["code"]
    forged = await visitor.client.post("/sign-in/continue", data={"state": state, "code": code})
    assert (forged.status_code, "outdial_session" in visitor.client.cookies) == (403, False)
    arrived = await follow(visitor, link)
    assert re.fullmatch(r"/join/[\w-]{43}", arrived.headers["location"])
    page = await visitor.get(arrived.headers["location"])
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    accepted = await visitor.client.post(f"{arrived.headers['location']}/accept", data={"csrf_token": token[1]})
    own = two_organizations.own.tenant.organization_id
    assert accepted.headers["location"] == f"/o/{own}/campaigns"

    again = await follow(visitor, f"{path_of(back)}&code={project.auth.code_for(KNOWN)}")
    assert again.headers["location"] == "/sign-in", "a code works once"


async def test_an_email_that_is_not_sent_is_reported_and_the_link_is_there(
    project: Project, two_organizations: TwoOrganizations
) -> None:
    project.auth.recent.add(NEW)
    admin, shown = await invite(project, two_organizations, NEW)
    page = (await admin.get(shown)).text
    assert ("no email was sent" in page, "/join/" in page) == (True, True)


async def test_a_forgotten_password_gets_the_same_response_for_every_address(
    project: Project, connection: asyncpg.Connection
) -> None:
    await user(project, connection, KNOWN)
    await user(project, connection, "recent@example.com")
    project.auth.recent.add("recent@example.com")
    visitor = await project.served.browser_of(None)
    texts = []
    for email in (KNOWN, NEW, "recent@example.com"):
        sent = await visitor.post_form("/sign-in/forgot", {"email": email}, page="/sign-in/forgot")
        texts.append((sent.status_code, sent.text.replace(email, "")))
    assert texts[0] == texts[1] == texts[2]
    assert [(kind, address) for kind, address, _ in project.auth.sent] == [("recover", KNOWN)]

    back = path_of(project.auth.sent[0][2])
    arrived = await follow(visitor, f"{back}&code={project.auth.code_for(KNOWN)}")
    assert arrived.headers["location"] == "/account"


async def test_an_identity_provider_leads_back_to_the_browser_that_began(
    project: Project, connection: asyncpg.Connection
) -> None:
    await user(project, connection, KNOWN)
    project.auth.settings["external"] |= {"google": True, "azure": True, "apple": False}
    visitor, other = [await project.served.browser_of(None) for _ in range(2)]
    page = await visitor.get("/sign-in?next=/organizations")
    assert re.findall(r"Continue with (\w+)", page.text) == ["Microsoft", "Google"]
    assert (await other.get("/sign-in/with/google")).headers["location"] == "/sign-in", "it has no form"

    left = (await visitor.get("/sign-in/with/google?next=/organizations")).headers["location"]
    asked = query_of(left)
    assert (urlsplit(left).path, asked["provider"]) == ("/auth/v1/authorize", "google")
    assert (await visitor.get("/sign-in/with/apple")).headers["location"] == "/sign-in"
    project.auth.challenges[KNOWN] = asked["code_challenge"]
    back = f"{path_of(asked['redirect_to'])}&code={project.auth.code_for(KNOWN)}"
    await other.get("/sign-in")
    assert (await other.get(back)).headers["location"] == "/sign-in", "another site's user is not signed in here"
    assert (await visitor.get(back)).headers["location"] == "/organizations"
