"""`outdial contacts erase`, `erasures`, `confirm-erasure`, `export-subject`, and `outdial organization retention`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
import typer

from outdial.campaigns.erasure import (
    ErasureRefused,
    ErasureRequested,
    confirm_deletions,
    request_erasure,
    wake_campaigns,
)
from outdial.campaigns.errors import InvalidRetention
from outdial.campaigns.lifecycle import Actor
from outdial.campaigns.retention import change_retention, read_retention
from outdial.campaigns.retention_policy import (
    CALL_DAYS,
    EVENT_DAYS,
    KINDS,
    RECORDING_DAYS,
    TRANSCRIPT_DAYS,
    RetentionPolicy,
)
from outdial.campaigns.subject import export_subject as read_subject
from outdial.cli.errors import ActionRefused, InvalidArgument, UnknownName
from outdial.cli.finding import Organization, find_organization, read_phone, read_zoned_time
from outdial.cli.output import AsJson, console, print_json, print_pairs, print_rows
from outdial.clock import SystemClock
from outdial.db.queries import erasures as erasure_queries
from outdial.db.queries.compliance import erasure_calls
from outdial.db.rows import required
from outdial.db.session import Database
from outdial.stack.local import as_service, erasure_keys

clock = SystemClock()

PhoneNumber = Annotated[str, typer.Argument(metavar="PHONE", help="Phone number in E.164, or national with --region.")]
Region = Annotated[str | None, typer.Option(help="Country of a number without a country code, such as US.")]
KEEP = "keep"
MOST_UNREACHED: Final = 100_000


def erase(
    phone: PhoneNumber,
    region: Region = None,
    organization: Organization = None,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase all data about a phone, also at Retell, and never call or add it again.

    The contact is erased at once. The jobs process removes it from files and logs, and the dialer deletes its calls at
    Retell: outdial contacts erasures shows when that is done. Needs OUTDIAL_ERASURE_KEY.
    """
    number = read_phone(phone, region).e164
    if not yes:
        typer.confirm(f"Erase everything about {number}? This cannot be undone.", abort=True)
    keys, now = erasure_keys(), clock.now()

    async def work(database: Database) -> ErasureRequested | ErasureRefused:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            result = await request_erasure(connection, organization_id, number, keys, Actor(), now)
        if isinstance(result, ErasureRequested):
            async with database.as_service() as connection:
                await wake_campaigns(connection, result.campaign_ids, now)
        return result

    result = as_service(work)
    if isinstance(result, ErasureRefused):
        raise ActionRefused(result.reason)
    if as_json:
        print_json({"id": result.erasure_id})
    else:
        console.print(f"Erased. Files, logs and Retell follow: outdial contacts erasures shows {result.erasure_id}.")


def erasures(
    organization: Organization = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of entries.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show the erasures of an organization and what remains of each, newest first."""

    async def work(
        database: Database,
    ) -> tuple[list[erasure_queries.ErasureRow], list[erasure_calls.CallOutOfReach]]:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            rows = await erasure_queries.list_erasures(
                connection, organization_id=organization_id, after_at=None, after_id=None, limit=limit
            )
            ids = [row.id for row in rows if row.calls_out_of_reach]
            unreached = await erasure_calls.calls_out_of_reach(
                connection, organization_id=organization_id, erasure_ids=ids, limit=MOST_UNREACHED
            )
        return rows, unreached

    rows, calls = as_service(work)
    if as_json:
        print_json([_erasure_object(row, calls) for row in rows])
        return
    columns = {
        "ID": lambda row: row.id,
        "REQUESTED": lambda row: row.requested_at,
        "BY": lambda row: row.requested_by,
        "HERE": lambda row: row.swept_at or (f"waits for {row.waiting_for}" if row.waiting_for else "pending"),
        "AT RETELL": _at_retell,
        "FINISHED": lambda row: row.finished_at or ("opened again" if row.finished_without_proof_at else None),
        "ERROR": lambda row: row.last_error,
    }
    print_rows(columns, rows, empty="Nothing has been erased.")
    if unreached := sum(row.calls_out_of_reach for row in rows):
        subject = "1 call" if unreached == 1 else f"{unreached} calls"
        console.print(
            f"Outdial has no key that reaches {subject} at Retell: enter the key of the workspace, or delete the calls"
            " in Retell (--json lists them) and run outdial contacts confirm-erasure."
        )


def confirm_erasure(
    erasure_id: Annotated[UUID, typer.Argument(metavar="ERASURE", help="Id of the erasure.")],
    until: Annotated[
        str | None,
        typer.Option(
            help="Confirm only calls that were out of reach by then: out_of_reach_until of outdial contacts erasures"
            " --json (default: all that are out of reach now)."
        ),
    ] = None,
    organization: Organization = None,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
) -> None:
    """Confirm that calls of an erasure that Outdial cannot delete are deleted in Retell.

    outdial contacts erasures --json lists them. Pass its out_of_reach_until with --until, so that no call is confirmed
    that it did not list.
    """
    given = read_zoned_time("--until", until)

    async def find(database: Database) -> erasure_queries.ErasureRow | None:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await erasure_queries.show_erasure(
                connection, organization_id=organization_id, erasure_id=erasure_id
            )

    erasure = as_service(find)
    if erasure is None or erasure.out_of_reach_until is None:
        raise UnknownName(f"no call of the erasure {erasure_id} is out of reach")
    # What the confirmation names, and no call that gets out of reach meanwhile.
    shown_until = given or erasure.out_of_reach_until
    if not yes:
        count = erasure.calls_out_of_reach
        question = "Is the call that is out of reach" if count == 1 else f"Are the {count} calls that are out of reach"
        typer.confirm(f"{question} deleted in Retell? The evidence keeps your confirmation.", abort=True)

    async def work(database: Database) -> int:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await confirm_deletions(
                connection, organization_id, erasure_id, Actor(), until=shown_until, now=clock.now()
            )

    confirmed = as_service(work)
    if not confirmed:
        raise UnknownName(f"no call of the erasure {erasure_id} was out of reach by {shown_until.isoformat()}")
    console.print(f"Confirmed: {confirmed} {'call' if confirmed == 1 else 'calls'}.")


def export_subject(phone: PhoneNumber, region: Region = None, organization: Organization = None) -> None:
    """Print all data about a phone as JSON."""
    number, keys = read_phone(phone, region).e164, erasure_keys()

    async def work(database: Database) -> dict[str, Any]:
        async with database.as_service() as connection:
            organization_id = await find_organization(connection, organization)
            return await read_subject(connection, organization_id, number, keys, Actor())

    print_json(as_service(work))


def retention(
    organization: Annotated[str, typer.Argument(help="Organization id or name.")],
    transcripts: Annotated[str | None, typer.Option(help=f"Days, or {KEEP}: {TRANSCRIPT_DAYS.hint}.")] = None,
    recordings: Annotated[str | None, typer.Option(help=f"Days, or {KEEP}: {RECORDING_DAYS.hint}.")] = None,
    events: Annotated[str | None, typer.Option(help=f"Days, or {KEEP}: {EVENT_DAYS.hint}.")] = None,
    calls: Annotated[str | None, typer.Option(help=f"Days, or {KEEP}: {CALL_DAYS.hint}.")] = None,
    hold: Annotated[str | None, typer.Option(help="Begin a legal hold, with this reason.")] = None,
    release: Annotated[bool, typer.Option("--release", help="End the legal hold.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show or change how long an organization keeps personal data. A legal hold stops every removal and erasure."""
    if hold is not None and release:
        raise InvalidArgument("pass --hold or --release, not both")
    given = {"transcript_days": transcripts, "recording_days": recordings, "event_days": events, "call_days": calls}
    changes: dict[str, Any] = {name: _read_days(name, text) for name, text in given.items() if text is not None}
    if hold is not None:
        changes |= {"legal_hold": True, "legal_hold_reason": hold.strip() or None}
    elif release:
        changes |= {"legal_hold": False, "legal_hold_reason": None}

    async def work(database: Database) -> RetentionPolicy:
        async with database.as_service() as connection:
            organization_id: UUID = await find_organization(connection, organization)
            former = required(await read_retention(connection, organization_id))
            wanted = replace(former, **changes)
            if changes and not await change_retention(connection, organization_id, former, wanted, Actor()):
                raise ActionRefused("someone has changed it in the meantime: try again")
            return wanted

    try:
        policy = as_service(work)
    except InvalidRetention as error:
        options = {kind.name: kind.option for kind in KINDS} | {"legal_hold_reason": "--hold"}
        raise InvalidArgument("; ".join(f"{options[name]}: {why}" for name, why in error.problems.items())) from error
    if as_json:
        print_json(policy)
        return
    days = {kind.label.removesuffix(", in days"): getattr(policy, kind.name) for kind in KINDS}
    shown = {label: "kept" if kept is None else f"{kept} days" for label, kept in days.items()}
    print_pairs(shown | {"Legal hold": policy.legal_hold_reason if policy.legal_hold else "no"})


def _read_days(name: str, text: str) -> int | None:
    if text == KEEP:
        return None
    if not (text.isascii() and text.isdecimal()):
        option = next(kind.option for kind in KINDS if kind.name == name)
        raise InvalidArgument(f"{option}: {text!r} is neither a number of days nor {KEEP}")
    return int(text)


def _at_retell(row: erasure_queries.ErasureRow) -> str:
    unreached = f", {row.calls_out_of_reach} out of reach" if row.calls_out_of_reach else ""
    return f"{row.calls_deleted} of {row.calls} calls{unreached}"


def _erasure_object(row: erasure_queries.ErasureRow, calls: Sequence[erasure_calls.CallOutOfReach]) -> dict[str, Any]:
    names = ("id", "requested_by", "requested_at", "waiting_for", "swept_at", "finished_at", "calls", "calls_deleted")
    shown: dict[str, Any] = {name: getattr(row, name) for name in names}
    fields = ("reason", "workspace_name", "retell_call_id", "call_id")
    unreached = [{field: getattr(call, field) for field in fields} for call in calls if call.erasure_id == row.id]
    shown |= {"finished_without_proof_at": row.finished_without_proof_at, "calls_out_of_reach": row.calls_out_of_reach}
    shown |= {"out_of_reach_until": row.out_of_reach_until, "out_of_reach": unreached}
    return shown | {"removed": msgspec.json.decode(row.removed), "last_error": row.last_error}
