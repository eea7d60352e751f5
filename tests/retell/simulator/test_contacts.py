"""Contacts and Retell's own do-not-call list: the official SDK creates, changes, lists and deletes them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import retell
from retell import AsyncRetell
from retell.types import ContactResponse

from outdial.provider import CallPlaced, CallRefused, OptOutsListed, OptOutStored, ProviderUnavailable, RefusalKind
from outdial.retell.client import RetellClient
from outdial.retell.provider import RetellProvider
from outdial.retell.simulator.config import SimulatorConfig
from outdial.retell.simulator.faults import Fault, FaultKind
from outdial.retell.simulator.runtime import Simulator
from outdial.retell.simulator.server import running
from tests.retell.simulator.requests import until
from tests.retell.simulator.test_in_process import body_for

FAST = SimulatorConfig(calls_per_second=None, speed=1000.0)
NUMBERS: dict[str, Any] = {"from_number": "+14155550100", "to_number": "+14155559901"}
OPTED_OUT: Any = {"do_not_call": {"type": "boolean", "op": "eq", "value": True}}


@pytest.fixture
async def served() -> AsyncIterator[tuple[AsyncRetell, Simulator, RetellProvider]]:
    """The SDK and our own provider, at the same simulator."""
    async with running(FAST) as (url, simulator), AsyncRetell(api_key="key_simulator", base_url=url, timeout=30) as sdk:
        client = RetellClient.connect("key_simulator", url)
        yield sdk, simulator, RetellProvider({"default": client})
        await client.close()


Served = tuple[AsyncRetell, Simulator, RetellProvider]


def strictly(contact: ContactResponse) -> ContactResponse:
    again = ContactResponse.model_validate(contact.model_dump(exclude_unset=True), strict=True)
    assert not again.model_extra
    return again


async def test_the_sdk_creates_changes_lists_and_deletes_contacts(served: Served) -> None:
    sdk, _, _ = served
    made = [strictly(await sdk.contact.create(phone_number=f"+1415555010{n}", first_name=f"A{n}")) for n in range(3)]
    assert [contact.do_not_call for contact in made] == [False, False, False]
    with pytest.raises(retell.BadRequestError, match="already exists"):
        await sdk.contact.create(phone_number="+14155550100")
    with pytest.raises(retell.BadRequestError, match=r"E\.164"):
        await sdk.contact.create(phone_number="415")
    changed = strictly(await sdk.contact.update(made[0].contact_id, do_not_call=True, last_name="B"))
    assert (changed.do_not_call, changed.first_name, changed.last_name) == (True, "A0", "B")
    await sdk.contact.update(made[2].contact_id, do_not_call=True)
    assert (await sdk.contact.get_by_phone("+14155550101")).contact_id == made[1].contact_id
    assert (await sdk.contact.get(made[2].contact_id)).do_not_call is True

    page = await sdk.contact.list(filter_criteria=OPTED_OUT, sort_order="asc", limit=1)
    following = await sdk.contact.list(
        filter_criteria=OPTED_OUT, sort_order="asc", limit=1, pagination_key=str(page.pagination_key)
    )
    assert [item.phone_number for item in (*page.items, *following.items)] == ["+14155550100", "+14155550102"]
    assert (page.has_more, following.has_more, page.total) == (True, False, 2)
    found = await sdk.contact.list(
        filter_criteria={"phone_number": {"type": "string", "op": "eq", "value": "+14155550101"}}
    )
    assert [item.contact_id for item in found.items] == [made[1].contact_id]
    with pytest.raises(retell.BadRequestError):
        await sdk.contact.list(search_query="A0")

    await sdk.contact.delete(made[0].contact_id)
    for missing in (sdk.contact.get(made[0].contact_id), sdk.contact.get_by_phone("+14155550100")):
        with pytest.raises(retell.UnprocessableEntityError):
            await missing


async def test_retell_refuses_a_call_to_its_own_list_only_if_asked_to(served: Served) -> None:
    sdk, simulator, _ = served
    await sdk.contact.create(phone_number="+14155559901", do_not_call=True)
    with pytest.raises(retell.BadRequestError, match="do_not_call"):
        await sdk.call.create_phone_call(**NUMBERS, honor_internal_dnc=True)
    assert (await sdk.call.create_phone_call(**NUMBERS)).call_id
    assert simulator.workspace.ledger.totals()["create-phone-call"] == {"accepted": 1, "refused": 1}


async def test_a_contact_who_asks_is_on_retells_list(served: Served) -> None:
    sdk, simulator, provider = served
    call = await sdk.call.create_phone_call(from_number="+14155550100", to_number="+14155559908")
    await until(lambda: simulator.workspace.calls[call.call_id].analyzed)
    assert (await sdk.contact.get_by_phone("+14155559908")).do_not_call is True
    refused = await provider.create_call("default", body_for("+14155559908"))
    assert isinstance(refused, CallRefused)
    assert refused.kind is RefusalKind.do_not_call


async def test_our_provider_sets_and_clears_what_the_sdk_reads(served: Served) -> None:
    sdk, _, provider = served
    await sdk.contact.create(phone_number="+14155550101", first_name="Ann")
    for phone in ("+14155550101", "+14155550102"):
        assert await provider.set_opt_out("default", phone, do_not_call=True) == OptOutStored(is_new=True)
        assert await provider.set_opt_out("default", phone, do_not_call=True) == OptOutStored(is_new=False)
        assert (await sdk.contact.get_by_phone(phone)).do_not_call is True
    assert (await sdk.contact.get_by_phone("+14155550101")).first_name == "Ann"
    assert await provider.list_opt_outs("default", None) == OptOutsListed(("+14155550101", "+14155550102"), None)
    assert await provider.set_opt_out("default", "+14155550101", do_not_call=False) == OptOutStored(is_new=True)
    assert await provider.set_opt_out("default", "+14155550199", do_not_call=False) == OptOutStored(is_new=False)
    assert (await sdk.contact.get_by_phone("+14155550101")).do_not_call is False
    assert isinstance(await provider.set_opt_out("other", "+14155550101", do_not_call=True), ProviderUnavailable)


async def test_a_lost_response_is_confirmed_by_the_next_request(served: Served) -> None:
    _, simulator, provider = served
    simulator.workspace.faults.replace([Fault(kind=FaultKind.drop_reply, operation="create-contact", times=1)])
    first = await provider.set_opt_out("default", "+14155550101", do_not_call=True)
    assert isinstance(first, ProviderUnavailable)
    assert await provider.set_opt_out("default", "+14155550101", do_not_call=True) == OptOutStored(is_new=False)


async def test_a_400_with_another_message_is_checked_against_the_contact(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdk, _, provider = served
    # 9941 is refused with a plain 400, whatever the contact.
    await sdk.contact.create(phone_number="+14155559941", do_not_call=True)
    refused = await provider.create_call("default", body_for("+14155559941"))
    assert isinstance(refused, CallRefused)
    assert refused.kind is RefusalKind.do_not_call
    await provider.set_opt_out("default", "+14155559941", do_not_call=False)
    bad = await provider.create_call("default", body_for("+14155559941"))
    assert bad == replace(refused, kind=RefusalKind.contact)
    assert isinstance(await provider.create_call("default", body_for("+14155559901")), CallPlaced)
