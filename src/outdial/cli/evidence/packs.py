"""`outdial evidence`: files that show why calls were placed."""

import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from outdial.cli.errors import InvalidArgument
from outdial.cli.finding import Organization, find_campaign, find_organization, read_phone
from outdial.cli.output import AsJson, console, print_json
from outdial.clock import SystemClock
from outdial.db.queries import audit
from outdial.db.session import Connection, Database, encode_json
from outdial.evidence.file import pack_chunks
from outdial.evidence.pack import EvidenceKind, EvidencePack, EvidenceSubject, find_subject
from outdial.stack.local import as_service

app = typer.Typer(
    no_args_is_help=True,
    help="Evidence: why calls were placed, in one file whose digest shows that nothing was changed.",
)
clock = SystemClock()

Out = Annotated[Path, typer.Option("--out", help="File to write; it must not exist.")]


@app.command("call")
def evidence_call(
    call_id: Annotated[str, typer.Argument(help="Id of the call.")], out: Out, as_json: AsJson = False
) -> None:
    """Write the evidence of a call, with all attempts to reach its contact in the campaign."""
    try:
        id = UUID(call_id)
    except ValueError:
        raise InvalidArgument(f"CALL_ID: {call_id!r} is not an id") from None
    _write(lambda connection: find_subject(connection, EvidenceKind.CALL, id), out, as_json)


@app.command("phone")
def evidence_phone(
    phone: Annotated[str, typer.Argument(help="Number in E.164, such as +12125550100.")],
    out: Out,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Write the evidence of a phone number: all calls to it, or that there was none."""
    number = read_phone(phone).e164

    async def find(connection: Connection) -> EvidenceSubject:
        organization_id = await find_organization(connection, organization)
        return await find_subject(connection, EvidenceKind.PHONE, number, organization_id)

    _write(find, out, as_json)


@app.command("campaign")
def evidence_campaign(
    campaign: Annotated[str, typer.Argument(help="Campaign id, beginning of an id, or name.")],
    out: Out,
    as_json: AsJson = False,
) -> None:
    """Write the evidence of a campaign: all its contacts and calls."""

    async def find(connection: Connection) -> EvidenceSubject:
        return await find_subject(connection, EvidenceKind.CAMPAIGN, await find_campaign(connection, campaign))

    _write(find, out, as_json)


def _write(find: Callable[[Connection], Awaitable[EvidenceSubject]], out: Path, as_json: bool) -> None:
    async def work(database: Database) -> int:
        async with database.as_service() as connection:
            subject = await find(connection)
            await audit.record_audit(
                connection,
                organization_id=subject.organization_id,
                actor="service",
                action="take_evidence",
                subject_type=subject.kind,
                subject_id=subject.id,
                details=encode_json({}),
            )
        open_transaction: Callable[[], AbstractAsyncContextManager[Connection]] = database.as_service
        pack = EvidencePack(open_transaction, subject, taken_at=clock.now(), taken_by="service")
        size = 0
        # Packs hold personal data.
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            try:
                async for chunk in pack_chunks(pack):
                    size += file.write(chunk)
            except BaseException:
                out.unlink()
                raise
        return size

    size = as_service(work)
    if as_json:
        print_json({"file": str(out), "bytes": size})
    else:
        console.print(f"Wrote {out} ({size:,} bytes). Check it with outdial verify evidence {out}.")
