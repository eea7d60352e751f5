"""What the search of the studio finds: campaigns, contacts, caller numbers, and the pages themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from outdial.campaigns.selection import without_separators
from outdial.db.session import Connection
from outdial.studio.campaigns.service import list_campaigns
from outdial.studio.contacts.service import ContactSearch, list_contacts
from outdial.studio.numbers.service import list_health
from outdial.studio.view.phones import phone_text
from outdial.studio.web.context import MemberRole, OrganizationContext
from outdial.studio.web.paging import PageRequest
from outdial.studio.web.rendering import menu_of, menu_url

MAX_OF_A_KIND: Final = 6
# Other words for the pages of the menu.
_OTHER_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "settings/retell": "api key workspace url secret connection",
        "/docs": "reference rest openapi developers",
        "inbox": "deliveries ledger",
        "do-not-call": "dnc opt out block list",
        "screening": "consent dnc registry litigators",
        "privacy": "erase gdpr retention delete",
        "rules": "hours law holidays consent tcpa",
        "members": "invite users team roles",
        "jobs": "upload csv xlsx download results bulk background changes",
        "numbers": "phone pool caller id spam",
    }
)
# Things to do: label, path, icon, the role they need, and other words for them.
_ACTIONS: Final[Sequence[tuple[str, str, str, MemberRole, str]]] = (
    ("New campaign", "campaigns/new", "plus", "operator", "create add"),
    ("Stop everything", "stop", "octagon-x", "operator", "halt emergency all calls"),
    ("Budgets", "settings/budgets", "wallet", "viewer", "money cost limit"),
    ("Analytics", "analytics", "chart-column", "viewer", "answer rate statistics"),
    ("Profile and password", "/account", "user", "viewer", "two-factor sessions sign out everywhere time zone"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """A page that matches: its label with a second line, and its icon."""

    label: str
    note: str = ""
    url: str
    icon: str


@dataclass(frozen=True, slots=True)
class HitGroup:
    """Hits of one kind, the best first."""

    label: str
    hits: Sequence[SearchHit]


async def search_studio(connection: Connection, context: OrganizationContext, text: str) -> list[HitGroup]:
    """Return what matches a text, at most six of a kind; without a text, everything there is to do and to open."""
    groups = [HitGroup("Go to", _pages(context, text))]
    if text:
        first = PageRequest(None, MAX_OF_A_KIND)
        base = f"/o/{context.organization_id}"
        campaigns, _ = await list_campaigns(connection, context.organization_id, first, name=text)
        contacts = (await list_contacts(connection, context, first, ContactSearch(search=text))).items
        digits = without_separators(text).lstrip("+")
        numbers = await list_health(connection, context) if len(digits) > 1 and digits.isdecimal() else []
        groups = [
            HitGroup(
                "Campaigns",
                [
                    SearchHit(label=each.name, note=each.status, url=f"{base}/campaigns/{each.id}", icon="megaphone")
                    for each in campaigns
                ],
            ),
            HitGroup(
                "Contacts",
                [
                    SearchHit(
                        label=each.name or phone_text(each.phone),
                        note=" ".join(filter(None, (phone_text(each.phone) if each.name else None, each.company))),
                        url=f"{base}/contacts/{each.id}",
                        icon="user",
                    )
                    for each in contacts
                ],
            ),
            HitGroup(
                "Caller numbers",
                [
                    SearchHit(label=phone_text(each.phone), note=each.why, url=f"{base}/numbers", icon="hash")
                    for each in numbers
                    if digits in each.phone
                ][:MAX_OF_A_KIND],
            ),
            *groups,
        ]
    return [group for group in groups if group.hits]


def _pages(context: OrganizationContext, text: str) -> list[SearchHit]:
    words = text.lower().split()
    actions = [
        SearchHit(label=label, url=menu_url(context, path), icon=icon)
        for label, path, icon, role, others in _ACTIONS
        if context.may(role) and _has_words(words, f"{label} {others}")
    ]
    pages = [
        SearchHit(label=label, note=group, url=menu_url(context, path), icon=icon)
        for group, entries in menu_of(context).items()
        for path, label, icon in entries
        if _has_words(words, f"{label} {group} {_OTHER_WORDS.get(path, '')}")
    ]
    return actions + pages


def _has_words(words: Sequence[str], text: str) -> bool:
    return all(word in text.lower() for word in words)
