"""Asks the provider about the workspace of a campaign, for `outdial campaign check`."""

from collections.abc import Mapping
from uuid import UUID

from rich.console import Console

from outdial.cli.finding import find_campaign
from outdial.clock import SystemClock
from outdial.db.session import Database, assert_no_transaction
from outdial.dialer.launching.checks import CheckFinding, FindingLevel, check_launch
from outdial.provider_keys.cache import KeyCache, KeyReader
from outdial.provider_keys.sealing import KeySealer
from outdial.settings import DatabaseUrls, credentials, encryption_secrets, web_url
from outdial.stack.local import environment_of_calls

_LABELS = {FindingLevel.OK: "ok", FindingLevel.WARNING: "warning", FindingLevel.PROBLEM: "problem"}


async def read_findings(database: Database, campaign: str) -> list[CheckFinding]:
    """Check the workspace of a campaign with the stored API keys, and with those of this command's environment."""
    # They import aiohttp, a third of a second of which no other command of `outdial campaign` has a use.
    from outdial.retell.client import RetellClient
    from outdial.retell.provider import RetellProvider
    from outdial.retell.transport import BASE_URL

    environ = environment_of_calls()
    async with database.as_service() as connection:
        campaign_id: UUID = await find_campaign(connection, campaign)
    keys = await _stored_keys(environ) | credentials(environ, "RETELL_API_KEY")
    clients = {
        credential: RetellClient.connect(
            key, web_url(environ, "RETELL_BASE_URL") or BASE_URL, guard=assert_no_transaction
        )
        for credential, key in keys.items()
    }
    try:
        return await check_launch(database.as_service, RetellProvider(clients), campaign_id) or []
    finally:
        for client in clients.values():
            await client.close()


async def _stored_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the stored API keys by credential, none where this command cannot decrypt or read them."""
    sealer = KeySealer.of(encryption_secrets(environ))
    if sealer is None or not environ.get("SUPABASE_DB_URL", "").strip():
        return {}
    urls = DatabaseUrls.from_env(environ)
    connecting = Database.connect(urls.dialer, application_name="outdial:cli", max_size=1, role=urls.role("dialer"))
    async with await connecting as database:
        cache = KeyCache(database, sealer, SystemClock(), reader=KeyReader.COMMAND)
        await cache.reload()
    return {credential: key.api_key for credential, key in cache.in_use.items()}


def print_findings(findings: list[CheckFinding], console: Console) -> None:
    """Print one finding a line."""
    for finding in findings:
        console.print(f"{_LABELS[finding.level]}: {finding.text}.", markup=False, soft_wrap=True)
