"""Phone numbers on pages: how they read, that fields and searches take that form, and what keeps E.164."""

import asyncpg
import phonenumbers
import pytest

from outdial.campaigns.selection import search_patterns
from outdial.domain.phone import Phone, parse_phone
from outdial.studio.view.phones import phone_text, with_phone_texts
from tests.support.factories import create_contact
from tests.support.studio import BrowserFor
from tests.support.two_organizations import TwoOrganizations

EXAMPLES = [
    phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    if (example := phonenumbers.example_number(region)) is not None
]


@pytest.mark.parametrize(
    ("e164", "shown"),
    [
        ("+12062227481", "+1 (206) 222-7481"),
        ("+18765550123", "+1 (876) 555-0123"),
        ("+442079460958", "+44 20 7946 0958"),
        ("+4930123456", "+49 30 123456"),
        ("+390612345678", "+39 06 1234 5678"),
        ("+80012345678", "+800 1234 5678"),
        ("+99912345678", "+99912345678"),
        ("+1206", "+1206"),
        ("erased:7f", "erased:7f"),
        ("", ""),
    ],
)
def test_a_number_reads_as_in_its_country(e164: str, shown: str) -> None:
    assert phone_text(e164) == shown


def test_what_pages_show_of_a_number_is_read_back_and_found() -> None:
    assert len(EXAMPLES) > 200
    for e164 in EXAMPLES:
        shown = phone_text(e164)
        parsed = parse_phone(shown, None)
        assert isinstance(parsed, Phone), shown
        assert parsed.e164 == e164
        digits = search_patterns(shown)["digits"]
        assert digits is not None
        assert digits.strip("%") in e164


def test_numbers_in_a_sentence_are_formatted_and_nothing_else() -> None:
    assert with_phone_texts("+12062227481 added; write +493012345678.") == (
        "+1 (206) 222-7481 added; write +49 30 12345678."
    )
    for text in (
        "at 2026-03-10T12:40:00+01:00",
        "a=+12062227481",
        "/o/+12062227481",
        "call_+12062227481x",
        "+1206 only",
    ):
        assert with_phone_texts(text) == text


def test_the_cache_has_a_bound() -> None:
    assert phone_text.cache_info().maxsize == 10_000


async def test_a_contact_is_found_by_its_number_as_pages_show_it(
    connection: asyncpg.Connection, browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    contact = await create_contact(connection, own.tenant.organization_id, name="Ada Quist", phone="+12062227481")
    base = f"/o/{own.tenant.organization_id}"
    browser = await browser_for(own.users["viewer"])
    for path, name in ((f"{base}/search", "q"), (f"{base}/contacts", "q")):
        for typed in ("+1 (206) 222-7481", "(206) 222-7481", "222-7481", "+12062227481"):
            html = (await browser.get(path, params={name: typed})).text
            assert f'contacts/{contact.id}"' in html, (path, typed)
            assert "+1 (206) 222-7481" in html


async def test_messages_and_questions_show_the_number_while_forms_send_e164(
    browser_for: BrowserFor, two_organizations: TwoOrganizations
) -> None:
    own = two_organizations.own
    browser = await browser_for(own.users["owner"])
    url = f"/o/{own.tenant.organization_id}"
    await browser.post_form(f"{url}/settings/numbers", {"phone": "+1 (415) 555-0111"}, page=f"{url}/settings")
    settings = (await browser.get(f"{url}/settings")).text
    assert "+1 (415) 555-0111 added." in settings
    again = await browser.post_form(f"{url}/settings/numbers", {"phone": "+14155550111"}, page=f"{url}/settings")
    assert "+1 (415) 555-0111 has already been added" in again.text

    added = await browser.post_form(f"{url}/do-not-call", {"numbers": "(415) 555-0112", "region": "US"})
    assert added.status_code == 303
    listed = (await browser.get(f"{url}/do-not-call", params={"phone": "(415) 555-0112"})).text
    assert "Campaigns can call +1 (415) 555-0112 again." in listed
    assert '<input type="hidden" name="phone" value="+14155550112">' in listed
