"""The studio over a database of its own, and people who use it: programs with a token, and browsers with a session."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from outdial.domain.rules import UNRESTRICTED, RuleBook
from outdial.studio.web.sessions import RenewSession
from tests.support.postgres import Scratch
from tests.support.studio import BrowserFor, ClientFor, StudioServer, app_without_database, serve_studio, unchanged


@pytest.fixture
def renew() -> RenewSession:
    """How sessions are renewed; a test that is about it has its own."""
    return unchanged


@pytest.fixture
def rules() -> RuleBook:
    """The calling rules of the studio: none, unless a test is about them."""
    return UNRESTRICTED


@pytest.fixture
def application() -> FastAPI:
    """The shared application; tests that add routes have their own."""
    return app_without_database()


@pytest.fixture
async def studio_app(
    database: Scratch, renew: RenewSession, rules: RuleBook, application: FastAPI
) -> AsyncIterator[StudioServer]:
    """The studio on a cloned database, logged in as outdial_api."""
    async with serve_studio(database, renew, application, rules=rules) as served:
        yield served


@pytest.fixture
def client_for(studio_app: StudioServer) -> ClientFor:
    """Make an API client of a user: `await client_for(user_id)`; None is a back end with the secret key."""
    return studio_app.client_of


@pytest.fixture
def browser_for(studio_app: StudioServer) -> BrowserFor:
    """Make a browser in which a user is signed in: `await browser_for(user_id)`; None is somebody who is not."""
    return studio_app.browser_of
