"""`outdial contacts`: the do-not-call list of an organization, and erasures."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Protocol
from uuid import UUID

import typer

from outdial.campaigns.erasure import without_erased
from outdial.cli import privacy
from outdial.cli.errors import InvalidArgument
from outdial.cli.finding import Organization, find_organization, read_numbers
from outdial.cli.output import AsJson, console, notes, print_json, print_rows
from outdial.clock import SystemClock
from outdial.db.queries import do_not_call
from outdial.db.queries.places import contact_keys
from outdial.db.session import Connection, Database
from outdial.domain.location import KEYS_VERSION
from outdial.domain.permission.consent import Scope
from outdial.stack.local import as_service, erasure_keys

BATCH_SIZE = 5_000

app = typer.Typer(no_args_is_help=True, help="Contacts: the do-not-call list, and the data about a phone.")
dnc = typer.Typer(no_args_is_help=True, help="The do-not-call list, checked before each call in every campaign.")
app.add_typer(dnc, name="dnc")
clock = SystemClock()

app.command()(privacy.erase)
app.command()(privacy.erasures)
app.command()(privacy.confirm_erasure)
app.command("export-subject")(privacy.export_subject)

Numbers = Annotated[
    list[str] | None, typer.Argument(help="Phone numbers in E.164 or, with --region, in national format.")
]
File = Annotated[Path | None, typer.Option(help="File with one number per line; - reads standard input.")]
Region = Annotated[str | None, typer.Option(help="Country of numbers without a country code, such as US.")]


@app.command()
def places(organization: Organization = None, as_json: AsJson = False) -> None:
    """Show how many contacts wait for their time zones and jurisdictions after an update.

    The dialer computes them in the background, 1,000 at a time. Contacts stored by an older version are not called
    until then.
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


@dnc.command()
def add(
    numbers: Numbers = None,
    file: File = None,
    region: Region = None,
    purpose: Annotated[Scope, typer.Option(help="Purpose of the calls to block.")] = Scope.ANY,
    reason: Annotated[str | None, typer.Option(help="Reason to record.")] = None,
    organization: Organization = None,
) -> None:
    """Add numbers to the list.

    Valid numbers are added. Invalid ones are reported, and the exit status is then 1.
    """
    source = "import" if file is not None else "manual"
    _change(
        partial(do_not_call.block_phones, purpose=purpose, source=source, reason=reason, now=clock.now()),
        numbers=numbers,
        file=file,
        region=region,
        organization=organization,
        message="Added {changed}; {unchanged} already listed.",
    )


@dnc.command()
def remove(
    numbers: Numbers = None,
    file: File = None,
    region: Region = None,
    purpose: Annotated[Scope | None, typer.Option(help="Purpose to allow again (default: all).")] = None,
    organization: Organization = None,
) -> None:
    """Remove numbers from the list, so that they can be called again."""

    async def unblock(connection: Connection, *, organization_id: UUID, phones: Sequence[str]) -> list[str]:
        entries = await do_not_call.unblock_phones(
            connection, organization_id=organization_id, phones=phones, purpose=purpose
        )
        return sorted({entry.phone for entry in entries})

    _change(
        unblock,
        numbers=numbers,
        file=file,
        region=region,
        organization=organization,
        message="Removed {changed}; {unchanged} not listed.",
    )


@dnc.command("list")
def list_numbers(
    organization: Organization = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of entries.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show the list, newest entries first."""

    async def work(database: Database) -> list[do_not_call.BlockedNumber]:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await do_not_call.recently_blocked_phones(connection, organization_id=organization_id, limit=limit)

    rows = as_service(work)
    if as_json:
        print_json(rows)
        return
    columns = {
        "PHONE": lambda row: row.phone,
        "PURPOSE": lambda row: row.purpose,
        "SOURCE": lambda row: row.source,
        "REASON": lambda row: row.reason,
        "ADDED": lambda row: row.created_at,
    }
    print_rows(columns, rows, empty="The do-not-call list is empty.")


class _ChangePhones(Protocol):
    async def __call__(
        self, connection: Connection, *, organization_id: UUID, phones: Sequence[str]
    ) -> Sequence[str]: ...


def _change(
    change: _ChangePhones,
    numbers: Sequence[str] | None,
    file: Path | None,
    region: str | None,
    organization: str | None,
    message: str,
) -> None:
    if not numbers and file is None:
        raise InvalidArgument("pass numbers, or a file with --file")
    texts = list(numbers or ())
    if file is not None:
        with nullcontext(sys.stdin) if str(file) == "-" else file.open(encoding="utf-8-sig") as lines:
            texts += filter(None, map(str.strip, lines))
    good, bad = read_numbers(texts, region)
    keys = erasure_keys()

    async def work(database: Database) -> int:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
        changed = 0
        for first in range(0, len(good), BATCH_SIZE):
            async with database.as_service() as connection:
                # The number of an erased contact is not called anyway, and must not be stored again.
                phones = await without_erased(connection, organization_id, good[first : first + BATCH_SIZE], keys)
                changed += len(await change(connection, organization_id=organization_id, phones=phones))
        return changed

    changed = as_service(work) if good else 0
    console.print(message.format(changed=changed, unchanged=len(good) - changed))
    for phone in bad:
        notes.print(f"{phone.raw!r}: {phone.reason}", markup=False)
    if bad:
        raise typer.Exit(1)
