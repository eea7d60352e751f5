"""The callback that the queue shows beside its list: the call in which it was asked for, and times to choose from."""

from collections.abc import Sequence
from dataclasses import dataclass

from outdial.db.session import Connection
from outdial.dialer.doctor import read_rules
from outdial.studio.callbacks.actions import ContactActions, TimePreset, actions_of, time_presets
from outdial.studio.callbacks.service import Callback, UndecidedCallback, find_contact
from outdial.studio.calls.beside import CallBeside, read_call_beside
from outdial.studio.view.format import place_name
from outdial.studio.web.context import OrganizationContext


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenCallback:
    """An entry of the queue; viewers get no actions and presets. `zone` is the contact's first, with its `place`."""

    entry: Callback | UndecidedCallback
    call: CallBeside | None
    actions: ContactActions | None
    presets: Sequence[TimePreset]
    zone: str = ""
    place: str = ""


async def read_chosen(
    connection: Connection, context: OrganizationContext, entry: Callback | UndecidedCallback
) -> ChosenCallback:
    """Return what the queue shows of an entry; raises ResourceNotFound."""
    call = await read_call_beside(connection, context, entry.asked_in_call)
    if not context.may("operator"):
        return ChosenCallback(entry=entry, call=call, actions=None, presets=())
    contact = await find_contact(connection, context, entry.campaign_contact_id)
    rules = await read_rules(connection, context.organization_id, context.studio.rules)
    now = context.studio.clock.now()
    actions = actions_of(contact, rules, now)
    zone = contact.zone_key.split("|")[0]
    return ChosenCallback(
        entry=entry,
        call=call,
        actions=actions,
        presets=time_presets(contact, rules, now) if actions.may_call_back else (),
        zone=zone,
        place=place_name(zone),
    )
