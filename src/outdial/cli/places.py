"""`outdial contacts places`: whether it is known where the contacts of an organization may be."""

from typing import Annotated

import typer

from outdial.cli.finding import find_organization
from outdial.cli.output import AsJson, console, print_json
from outdial.db.queries.places import contact_keys
from outdial.db.session import Database
from outdial.domain.location import KEYS_VERSION
from outdial.stack.local import as_service


def places(
    organization: Annotated[str | None, typer.Option(help="Organization id or name (default: the only one).")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how many contacts wait for their time zones and jurisdictions after an update.

    The dialer computes them in the background, 1,000 at a time. Contacts stored by an older version are not called
    before.
    """

    async def work(database: Database) -> int:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await contact_keys.count_old_keys(
                connection, organization_id=organization_id, keys_version=KEYS_VERSION
            )

    waiting = as_service(work)
    if as_json:
        print_json({"waiting": waiting, "keys_version": KEYS_VERSION})
    elif waiting:
        console.print(f"{waiting:,} contacts wait for their time zones and jurisdictions. Is a dialer running?")
    else:
        console.print("The time zones and jurisdictions of all contacts are known.")
