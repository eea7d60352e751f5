"""`outdial verify`: checks that the audit log and evidence were not changed."""

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from outdial.cli.errors import InvalidArgument
from outdial.cli.finding import maybe_organization
from outdial.cli.output import AsJson, console, fail, print_json, print_rows
from outdial.db.queries.proofs import audit_chain
from outdial.db.session import Database
from outdial.evidence.audit_chain import VerifiedChain, verify_chain
from outdial.evidence.file import check_file
from outdial.stack.local import as_service

FOUND_PROBLEM: Final = 3
"""Exit status when something was changed: 1 means that the check could not run."""

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Check that the audit log and evidence were not changed. Exit status: 0 for unchanged, 3 for changed, 1 when "
        "the check cannot run."
    ),
)


@app.command("audit")
def verify_audit(
    organization: Annotated[str | None, typer.Option(help="Organization id or name (default: all).")] = None,
    expect_head: Annotated[
        list[str] | None,
        typer.Option(help="Head that an earlier check printed: its entry must still be in the chain; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the hash chain of the audit log, and report the first entry that does not fit.

    Keep the printed heads outside the database: entries removed from the end, or a log that was rewritten as a whole,
    show only when an earlier head is missing.
    """
    expected = frozenset(_read_head(head) for head in expect_head or [])

    async def work(database: Database) -> list[VerifiedChain]:
        async with database.as_service() as connection:
            organization_id = await maybe_organization(connection, organization)
            found = await audit_chain.chained_organizations(connection, organization_id=organization_id)
        chains = []
        for row in found:
            async with database.as_service() as connection:
                chains.append(await verify_chain(connection, row, expected=expected))
        return chains

    chains = as_service(work)
    lost = sorted(expected - {head for chain in chains for head in chain.passed})
    if as_json:
        print_json([_as_json(chain) for chain in chains])
    else:
        _print_chains(chains)
    for head in lost:
        fail(f"no entry has the expected head {head}: entries were removed from the end, or the log was rewritten")
    if lost or any(chain.problem for chain in chains):
        raise typer.Exit(FOUND_PROBLEM)


@app.command("evidence")
def verify_evidence(
    file: Annotated[Path, typer.Argument(help="File that outdial evidence or the studio wrote.")],
    as_json: AsJson = False,
) -> None:
    """Check the digest of an evidence pack, and the hashes of the audit entries in it. It needs no database."""
    checked = check_file(file)
    if as_json:
        print_json(checked)
    elif checked.is_unchanged and not checked.wrong_entries:
        console.print(f"Unchanged: {checked.sha256}, {checked.audit_entries:,} audit entries fit their hashes.")
    if not checked.is_unchanged:
        fail(f"{file} was changed: its content has the digest {checked.sha256}")
    if checked.wrong_entries:
        fail(f"{file}: audit entries do not fit their hashes: {', '.join(map(str, checked.wrong_entries[:10]))}")
    if checked.wrong_entries or not checked.is_unchanged:
        raise typer.Exit(FOUND_PROBLEM)


def _read_head(text: str) -> str:
    head = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", head):
        raise InvalidArgument(f"--expect-head: {text!r} is not a head, which has 64 hexadecimal digits")
    return head


def _print_chains(chains: list[VerifiedChain]) -> None:
    columns = {
        "ORGANIZATION": lambda chain: chain.organization,
        "ENTRIES": lambda chain: f"{chain.entries:,}",
        "REDACTED": lambda chain: f"{chain.redacted:,}",
        "HEAD": lambda chain: chain.hash if chain.entries else "-",
        "RESULT": lambda chain: "unchanged" if chain.problem is None else chain.problem.fault.value,
    }
    print_rows(columns, chains, empty="There is no organization.")
    for chain in chains:
        if (problem := chain.problem) is not None:
            entry = "" if problem.entry_id is None else f", entry {problem.entry_id}"
            place = "outside the chain" if problem.position is None else f"position {problem.position}"
            console.print(f"{chain.organization}: {problem.fault.value} at {place}{entry}: {problem.reason}")


def _as_json(chain: VerifiedChain) -> dict[str, object]:
    problem = chain.problem
    return {
        "organization_id": chain.organization_id,
        "organization": chain.organization,
        "unchanged": problem is None,
        "entries": chain.entries,
        "redacted": chain.redacted,
        "head": chain.hash if chain.entries else None,
        "expected_heads_found": sorted(chain.passed),
        "problem": None
        if problem is None
        else {
            "fault": problem.fault,
            "position": problem.position,
            "entry_id": problem.entry_id,
            "reason": problem.reason,
        },
    }
