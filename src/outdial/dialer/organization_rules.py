"""Reads the calling rules of an organization: the shipped ones, minus those it has switched off, plus its own."""

from uuid import UUID

from outdial.db.queries import calling_rules
from outdial.db.session import Connection
from outdial.domain.rules import UNRESTRICTED, RuleBook
from outdial.rules.organization import readable_rules, rules_of_organization


async def organization_rules(
    connection: Connection, organization_id: UUID, shipped: RuleBook, *, skip_unreadable: bool = False
) -> RuleBook:
    """Return the rules that apply to an organization; raises InvalidRule for a stored rule that cannot be read.

    With `skip_unreadable`, such a rule is left out.
    """
    if shipped is UNRESTRICTED:
        return shipped
    row = await calling_rules.rules_of(connection, organization_id=organization_id)
    own_rules = readable_rules(row.own_rules) if skip_unreadable else row.own_rules
    return rules_of_organization(shipped, switched_off=row.switched_off, own_rules=own_rules)
