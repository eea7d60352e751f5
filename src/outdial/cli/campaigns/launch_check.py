"""Asks the provider about the workspace of a campaign, for `outdial campaign check`."""

from uuid import UUID

from rich.console import Console

from outdial.cli.finding import find_campaign
from outdial.db.session import Database, assert_no_transaction
from outdial.dialer.launching.checks import CheckFinding, FindingLevel, check_launch
from outdial.retell.client import RetellClient
from outdial.retell.provider import RetellProvider
from outdial.retell.transport import BASE_URL
from outdial.settings import credentials, web_url
from outdial.stack.local import environment_of_calls

_LABELS = {FindingLevel.OK: "ok", FindingLevel.WARNING: "warning", FindingLevel.PROBLEM: "problem"}


async def read_findings(database: Database, campaign: str) -> list[CheckFinding]:
    """Check the workspace of a campaign with the API keys of this command's environment."""
    environ = environment_of_calls()
    async with database.as_service() as connection:
        campaign_id: UUID = await find_campaign(connection, campaign)
    clients = {
        credential: RetellClient.connect(
            key, web_url(environ, "RETELL_BASE_URL") or BASE_URL, guard=assert_no_transaction
        )
        for credential, key in credentials(environ, "RETELL_API_KEY").items()
    }
    try:
        return await check_launch(database.as_service, RetellProvider(clients), campaign_id) or []
    finally:
        for client in clients.values():
            await client.close()


def print_findings(findings: list[CheckFinding], console: Console) -> None:
    """Print one finding a line."""
    for finding in findings:
        console.print(f"{_LABELS[finding.level]}: {finding.text}.", markup=False, soft_wrap=True)
