"""Every page and template: rendered with and without rows, and small."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from jinja2 import FileSystemLoader

from outdial.auth.client import SignedIn
from outdial.studio.sign_in.pages import KEPT, SealedForm
from outdial.studio.web.rendering import TEMPLATES, environment
from tests.support.factories import create_member, create_tenant
from tests.support.studio import Browser, FakeAuth, StudioServer, app_without_database
from tests.support.studio_history import create_history
from tests.support.studio_routes import routes_of
from tests.support.studio_world import RouteRows, create_route_rows

LARGEST_PAGE = 60_000
NO_PAGES = ("/live", "/file", ".csv", "/setup")
PAGES = [route.path for route in routes_of(app_without_database()) if route.is_page]
SHOWN = [path for path in PAGES if path != "/o/{organization_id}" and not path.endswith(NO_PAGES)]
LISTS = [path for path in SHOWN if path.count("{") == 1]


class Watching(FileSystemLoader):
    """A loader that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(TEMPLATES)
        self.seen: set[str] = set()

    def get_source(self, *arguments: object) -> object:  # type: ignore[override]
        self.seen.add(str(arguments[1]))
        return super().get_source(*arguments)  # type: ignore[arg-type]


@pytest.fixture
def loader() -> Iterator[Watching]:
    """The loader of the studio's templates, which loads each of them anew."""
    usual, watching = environment.loader, Watching()
    assert environment.cache is not None
    environment.cache.clear()
    environment.loader = watching
    yield watching
    environment.loader = usual


@pytest.fixture
async def route_rows(studio_app: StudioServer, connection: asyncpg.Connection) -> RouteRows:
    return await create_route_rows(studio_app.database, connection)


def address(path: str, rows: dict[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda found: rows[found[1]], path)


# What needs users with passwords, or none yet: test_accounts.py, test_invitation_links.py, test_two_factor.py and
# test_retell_keys.py render these.
WITH_AUTH = {
    "invitations/join.html",
    "organizations/new.html",
    "profile/enroll.html",
    "profile/recovery_codes.html",
    "profile/show.html",
    "sign_in/code.html",
    "sign_in/continue.html",
    "sign_in/reset.html",
}


async def test_every_template_renders_and_every_page_is_small(
    studio_app: StudioServer, route_rows: RouteRows, connection: asyncpg.Connection, loader: Watching
) -> None:
    people = route_rows.world.own.users
    campaign, call_id = await create_history(connection, route_rows.world.own.tenant)
    owner = await studio_app.browser_of(people["owner"])
    rows = {**route_rows.own, "campaign_id": str(campaign.id), "call_id": str(call_id)}
    entry = await connection.fetchval("select campaign_contact_id from calls where id = $1", call_id)
    sizes = {}
    for path in SHOWN:
        wanted = rows | {"campaign_contact_id": str(entry)}
        if path.endswith(("/edit", "/setup/{step}")):
            wanted["campaign_id"] = route_rows.own["draft" if path.endswith("{step}") else "paused"]
        if "{bulk_job_id}" in path:
            wanted["campaign_id"] = route_rows.own["of_bulk_job"]
        if path == "/o/{organization_id}/bulk-jobs/{bulk_job_id}":
            wanted["bulk_job_id"] = route_rows.own["organization_job"]
        answer = await owner.get(address(path, wanted))
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[-500:]}"
        sizes[path] = len(answer.content)
        assert list(silent_dangers(answer.text)) == [], path
        assert raw_phones(answer.text) == [], path
        # Evidence has times as its file has them.
        assert path.endswith("/evidence") or clocks_of_24_hours(answer.text) == [], path
    assert {path: size for path, size in sizes.items() if size > LARGEST_PAGE} == {}

    await look_at_what_is_left(studio_app, route_rows, connection, owner)
    everything = {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html")}
    assert everything - loader.seen == WITH_AUTH


def raw_phones(html: str) -> list[str]:
    """Return the numbers in E.164 that people read, also in labels. Inputs, code and text of files may have them."""
    return re.findall(r"\+[1-9]\d{6,14}", shown_text(html))


def clocks_of_24_hours(html: str) -> list[str]:
    """Return times such as 09:00 and 20:00 that people read; durations such as 0:09 are none."""
    return re.findall(r"(?<![\d:])(?:0\d:[0-5]\d|(?:1[3-9]|2[0-4]):00)(?![\d:])", shown_text(html))


def shown_text(html: str) -> str:
    shown = re.sub(r"<(code|pre|samp|textarea|script)\b.*?</\1>", "", html, flags=re.DOTALL)
    labels = re.findall(r'(?:aria-label|title|alt)="([^"]*)"', shown)
    return " ".join([re.sub(r"<[^>]*>", " ", shown), *labels])


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_every_template_shows_phone_numbers_as_people_read_them(path: Path) -> None:
    text = re.sub(r"{% (?:if|elif|set ns =|for) .*?%}", "", path.read_text())
    # Hidden inputs have E.164, and the macro of links to contacts formats it.
    sent = re.compile(r'fields=\{[^}]*\}|value="{{ [\w.]+ }}"|contact_link\([^)]*, [\w.]+\)|form\.from_number')
    assert re.findall(r"\w+\.(?:phone|from_number)\b(?! \| phone)", sent.sub("", text)) == []


def silent_dangers(html: str) -> Iterator[str]:
    """Yield what destroys something and does not say whether that can be undone: dialogs, and forms outside of them."""
    dialogs = re.compile(r"<dialog.*?</dialog>", re.DOTALL)
    forms = re.findall(r"<form.*?</form>", dialogs.sub("", html), re.DOTALL)
    for part in (*dialogs.findall(html), *forms):
        dangers = [tag for tag in re.findall(r"<button[^>]*>", part) if "button-danger" in tag and "type=" not in tag]
        if dangers and "data-undo" not in part and "data-selection" not in part:
            yield re.sub(r"<[^>]*>|\s+", " ", part)


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_every_destructive_button_says_what_it_does_and_whether_that_can_be_undone(path: Path) -> None:
    for call in re.findall(r"action_button\((.*?)\) ?\}\}", path.read_text(), re.DOTALL):
        if 'kind="danger"' in call:
            assert "confirm=" in call, call
            assert re.search(r'undo="[A-Z][^"]{15,}\."', call), call


async def look_at_what_is_left(
    studio_app: StudioServer, route_rows: RouteRows, connection: asyncpg.Connection, owner: Browser
) -> None:
    """Look at the pages for which something has to be otherwise."""
    viewer = await studio_app.browser_of(route_rows.world.own.users["viewer"])
    assert (await viewer.get(address("/o/{organization_id}/functions", dict(route_rows.own)))).status_code == 403
    outsider = await studio_app.browser_of(route_rows.world.own.users["outsider"])
    assert (await outsider.get("/")).status_code == 200
    assert (await owner.get("/organizations")).status_code == 200
    assert (await owner.get("/design")).status_code == 200
    assert (await owner.get("/sign-in/forgot")).status_code == 200
    assert (await owner.get("/nowhere")).status_code == 404
    assert (await owner.get("/shared/reports/unknown")).status_code == 404
    assert (await owner.get("/api/v1/docs")).status_code == 200
    assert (await owner.get("/api/v1/docs/schemas")).status_code == 200
    edit_running = address("/o/{organization_id}/campaigns/{campaign_id}/edit", dict(route_rows.own))
    assert (await owner.get(edit_running)).status_code == 200
    review = address("/o/{organization_id}/campaigns/{draft}/setup/review", dict(route_rows.own))
    assert (await owner.get(review)).status_code == 200
    await sign_in_with_a_kept_form(studio_app, route_rows)
    erase = address("/o/{organization_id}/privacy/erase", dict(route_rows.own))
    asked = await owner.post_form(erase, {"phone": "+12025550123"})
    assert (asked.status_code, list(silent_dangers(asked.text)), raw_phones(asked.text)) == (200, [], [])
    import_url = address("/o/{organization_id}/imports/{import_id}", dict(route_rows.own))
    assert (await owner.post_form(f"{import_url}/cancel")).status_code == 303
    assert (await owner.get(import_url)).status_code == 200
    await connection.execute("delete from phone_numbers")
    assert (await owner.get(address("/o/{organization_id}/campaigns/new", dict(route_rows.own)))).status_code == 200


async def sign_in_with_a_kept_form(studio_app: StudioServer, route_rows: RouteRows) -> None:
    user_id, now = route_rows.world.own.users["owner"], studio_app.clock.now()
    visitor = await studio_app.browser_of(None)
    token = await visitor.token_on("/sign-in")
    assert isinstance(studio_app.studio.auth, FakeAuth)
    studio_app.studio.auth.answer = SignedIn(studio_app.token(user_id), "", now + timedelta(hours=1), user_id, None)
    kept = SealedForm(action="/o/1/campaigns", page="/", fields=[("name", "Spring")], kept_at=now)
    form = {"csrf_token": token, "email": "a@b.c", "password": "x", "kept": studio_app.studio.sealer.seal(KEPT, kept)}
    answer = await visitor.client.post("/sign-in", data=form)
    assert (answer.status_code, "Send form" in answer.text) == (200, True)


@pytest.mark.parametrize("role", ["viewer", "operator", "owner"])
async def test_empty_pages_explain_the_next_step_for_a_new_organization(
    role: str, studio_app: StudioServer, connection: asyncpg.Connection
) -> None:
    tenant = await create_tenant(connection)
    browser = await studio_app.browser_of(await create_member(connection, tenant.organization_id, role))
    allowed = {200} if role == "owner" else {200, 403}
    for path in LISTS:
        answer = await browser.get(address(path, {"organization_id": str(tenant.organization_id)}))
        assert answer.status_code in allowed, f"{path}: {answer.text[-500:]}"
