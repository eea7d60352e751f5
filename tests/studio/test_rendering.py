"""Rendering: the menu, macros, formats, and the API reference page."""

import io
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

from outdial.domain.call import CallStatus
from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import ContactStatus
from outdial.domain.outcomes import Outcome
from outdial.studio.view import format as figures
from outdial.studio.view.badges import badge_for_outcome, badge_for_status
from outdial.studio.view.countries import country_options
from outdial.studio.web.assets import STATIC, assets
from outdial.studio.web.rendering import TEMPLATES, environment
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations

NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


def render(source: str, **values: object) -> str:
    parts = "status_badge, field, select_field, check_field, action_button, time, empty, pager, problems, breadcrumbs"
    return environment.from_string(f'{{% from "view/ui.html" import {parts} %}}{source}').render(**values)


def test_badges_differ_without_colour() -> None:
    for kind in (CampaignStatus, ContactStatus, CallStatus):
        looks = [badge_for_status(status) for status in kind]
        assert len({look.label for look in looks}) == len(looks)
        assert all(look.mark for look in looks)
    outcomes = [badge_for_outcome(outcome) for outcome in Outcome]
    assert len({look.label for look in outcomes}) == len(outcomes)
    assert badge_for_status("never_heard_of").label == "Never heard of"


def test_macros_escape_their_arguments() -> None:
    evil = "\"><script>alert(1)</script>'"
    for source in (
        "{{ status_badge(evil) }}",
        "{{ field(evil, evil, evil, evil, evil, attributes={'placeholder': evil}) }}",
        "{{ select_field(evil, evil, [(evil, evil)], evil, evil, evil) }}",
        "{{ check_field(evil, evil, True, evil, evil, evil) }}",
        "{{ action_button(evil, evil, evil, evil, 'danger', {evil: evil}) }}",
        "{{ time(moment, evil) }}",
        "{{ empty(evil, evil, evil, evil) }}{{ pager(evil, evil) }}{{ problems(evil, {evil: evil}) }}",
        "{{ breadcrumbs([(evil, evil)]) }}",
    ):
        assert "<script" not in render(source, evil=evil, moment=NOON), source


def test_every_icon_of_a_page_is_among_those_that_are_built() -> None:
    scripts = [path.read_text() for path in STATIC.glob("*.js")]
    sources = [path.read_text() for path in (*TEMPLATES.rglob("*.html"), *TEMPLATES.rglob("*.py"))]
    used = {name for source in sources for name in re.findall(r"""icon\("([a-z0-9-]+)"\)""", source)}
    built = set(re.findall(r'symbol id="([a-z0-9-]+)"', assets()["icons.svg"].body.decode()))
    listed = (STATIC / "icons.txt").read_text().split()

    quoted = set(re.findall(r"""["'#]([a-z0-9-]+)(?=["'])""", "\n".join(sources + scripts)))
    assert "menu" in used
    assert used <= set(listed) <= quoted
    assert (listed, set(listed)) == (sorted(built), built)


def test_figures_have_one_width_and_spaces_and_hyphens_keep_theirs() -> None:
    font = TTFont(io.BytesIO(assets()["inter.woff2"].body))
    table = font["GSUB"].table
    lookups = {i for r in table.FeatureList.FeatureRecord if r.FeatureTag == "tnum" for i in r.Feature.LookupListIndex}
    replaced = {
        old: new for i in lookups for part in table.LookupList.Lookup[i].SubTable for old, new in part.mapping.items()
    }
    digits = {font.getBestCmap()[ord(digit)] for digit in "0123456789"}
    assert set(replaced) == digits
    assert len({font["hmtx"][new][0] for new in replaced.values()}) == 1


async def test_a_theme_is_kept_for_all_pages(browser_for: BrowserFor, two_organizations: TwoOrganizations) -> None:
    browser = await browser_for(two_organizations.own.users["viewer"])
    home = f"/o/{two_organizations.own.tenant.organization_id}/campaigns"
    assert '<html lang="en">' in (await browser.get(home)).text

    chosen = await browser.post_form("/theme", {"theme": "dark", "next": home})
    assert (chosen.status_code, chosen.headers["location"]) == (303, home)
    assert '<html lang="en" data-theme="dark">' in (await browser.get(home)).text
    assert (await browser.post_form("/theme", {"theme": "pink"})).status_code == 400
    elsewhere = await browser.post_form("/theme", {"theme": "system", "next": "//evil.example"})
    assert elsewhere.headers["location"] == "/"
    assert '<html lang="en">' in (await browser.get(home)).text


async def test_a_list_shows_the_columns_that_were_chosen_in_this_browser(
    browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    browser = await browser_for(two_organizations.own.users["viewer"])
    lists = {name: f"/o/{two_organizations.own.tenant.organization_id}/{name}" for name in ("contacts", "calls")}

    async def heads(name: str) -> list[str]:
        return re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', (await browser.get(lists[name])).text)

    assert await heads("contacts") == ["Contact", "Email", "Company", "External ID", "Time zone", "Added"]
    usual = await heads("calls")
    for name, columns in (("contacts", ["updated_at", "email"]), ("calls", [])):
        form = {"list": name, "column": columns, "next": lists[name]}
        chosen = await browser.post_form("/columns", form)
        assert (chosen.status_code, chosen.headers["location"]) == (303, lists[name])
    assert await heads("contacts") == ["Contact", "Email", "Changed"]
    assert await heads("calls") == ["Call", "Contact", "Outcome"]
    await browser.post_form("/columns", {"list": "calls", "usual": "true", "next": lists["calls"]})
    assert (await heads("calls"), await heads("contacts")) == (usual, ["Contact", "Email", "Changed"])
    for wrong in ({"list": "contacts", "column": "password"}, {"list": "members"}):
        assert (await browser.post_form("/columns", wrong)).status_code == 400


def test_a_field_is_linked_to_its_label_and_error() -> None:
    html = render("{{ field('name', 'Name', error='too long', hint='short', required=True) }}")
    assert 'for="field-name"' in html
    assert 'id="field-name"' in html
    assert 'aria-describedby="field-name-note" aria-invalid="true" required' in html
    assert 'id="field-name-note"' in html


def test_every_country_that_can_be_chosen_has_a_name() -> None:
    assert [code for code, name in country_options() if code == name] == []


def test_a_password_is_never_rendered() -> None:
    assert "hunter2" not in render("{{ field('password', 'Password', 'hunter2', type='password') }}")


def test_dangerous_actions_ask_first_and_work_without_javascript() -> None:
    html = render("{{ action_button('/x/cancel', 'Cancel', 't', confirm='Nobody is called again.', kind='danger') }}")
    before, _, dialog = html.partition("<dialog")
    assert "<form" not in before
    assert "popovertarget" in before
    assert "Nobody is called again." in dialog
    assert 'action="/x/cancel"' in dialog
    assert 'name="csrf_token" value="t"' in dialog


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (figures.duration(None), "–"),
        (figures.duration(0), "0:00"),
        (figures.duration(250), "0:01"),
        (figures.duration(7_000), "0:07"),
        (figures.duration(59_999), "1:00"),
        (figures.duration(3_599_999), "1 h 00 min"),
        (figures.duration(90_000_000), "1 d 1 h"),
        (figures.money(None), "–"),
        (figures.money(Decimal("0.5")), "$0.0050"),
        (figures.money(123_456), "$1,234.56"),
        (figures.number(1_000_000), "1,000,000"),
        (figures.percent(0, 0), "–"),
        (figures.percent(1, 1000), "<1%"),
        (figures.percent(999, 1000), ">99%"),
        (figures.percent(1000, 1000), "100%"),
        (figures.iso(NOON), "2026-07-01T12:00:00.000Z"),
        (figures.in_zone(NOON, "America/New_York"), "8:00 AM in New York"),
        (figures.in_zone(NOON, "Europe/Berlin|Europe/Paris"), "in Europe/Berlin|Europe/Paris"),
        (figures.in_zone(NOON, "../../etc/passwd"), "in ../../etc/passwd"),
    ],
)
def test_values_are_formatted(shown: str, expected: str) -> None:
    assert shown == expected


async def test_the_menu_marks_the_current_page(browser_for: BrowserFor, two_organizations: TwoOrganizations) -> None:
    own, other = two_organizations.own.tenant, two_organizations.other.tenant
    browser = await browser_for(two_organizations.own.users["viewer"])
    html = (await browser.get(f"/o/{own.organization_id}/campaigns")).text
    assert f'href="/o/{own.organization_id}/campaigns" aria-current="page"' in html
    assert html.count('aria-current="page"') == 1
    key = (await browser.get(f"/o/{own.organization_id}/settings/retell")).text
    menu = key.partition('aria-label="Studio"')[2].partition("</nav>")[0]
    assert re.findall(r'href="([^"]*)" aria-current="\w+"', menu) == [f"/o/{own.organization_id}/settings/retell"]
    assert 'href="/docs"' in key
    assert str(other.organization_id) not in html
    assert 'href="#main"' in html
    assert '<main id="main"' in html


async def test_the_api_reference_lists_every_route_and_stays_small(client_for: ClientFor) -> None:
    client = await client_for(None)
    document = (await client.get("/api/v1/openapi.json")).json()
    page = await client.get("/api/v1/docs")
    assert page.status_code == 200
    assert len(page.content) < 60_000
    for path, verbs in document["paths"].items():
        shown = path.replace("/api/v1/organizations/{organization_id}", "…")
        assert f"</b> {shown}</summary>" in page.text
        assert verbs
    sections = re.findall(r'id="group-([^"]+)"', page.text)
    schemas = await client.get("/api/v1/docs/schemas")
    assert len(schemas.content) < 60_000
    named = re.findall(r'href="docs/schemas#(s-\w+)"', page.text)
    assert named
    assert {name for name in named if f'id="{name}"' not in schemas.text} == set()
    tags = {tag for verbs in document["paths"].values() for verb in verbs.values() for tag in verb["tags"]}
    assert sorted(sections) == sorted(tag.replace(" ", "-") for tag in tags)
