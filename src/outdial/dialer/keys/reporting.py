"""Reports which accounts have an API key in the environment: the studio cannot know, and such a key wins."""

from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Final, assert_never

from outdial.background import run_each
from outdial.clock import Clock
from outdial.db.queries.auth import provider_keys
from outdial.db.session import Database
from outdial.log import log
from outdial.provider import KeyAccepted, KeyRefused, ProviderUnavailable, WorkspaceDirectory

EVERY: Final = timedelta(minutes=5)
_AT_ONCE: Final = 20
"""A dialer waits for this when it starts, up to 20 seconds for each request."""


def fingerprint_of(api_key: str) -> str:
    """Return a fingerprint that identifies a key without revealing it: keys are random and long."""
    return sha256(b"outdial environment key\0" + api_key.encode()).hexdigest()[:32]


class EnvironmentKeyReporter:
    """A background task: `run_once` stores which credentials have a key here, and the workspaces of the keys.

    The database notes a change of the workspace: the new one does not have the calls of the former one. It compares
    fingerprints of the keys while a workspace is not known, and finds out whether other dialers have another one's.
    """

    def __init__(
        self, database: Database, directory: WorkspaceDirectory, api_keys: Mapping[str, str], clock: Clock
    ) -> None:
        self._database = database
        self._directory = directory
        self._fingerprints = {credential: fingerprint_of(api_key) for credential, api_key in api_keys.items()}
        self._workspaces: dict[str, KeyAccepted] = dict.fromkeys(api_keys, KeyAccepted(""))
        self._clock = clock

    async def run_once(self) -> int:
        """Report the keys; return how many there are. Asks about a workspace until the provider has named it."""
        unnamed = [credential for credential, each in self._workspaces.items() if each.workspace_id is None]
        await run_each(
            unnamed,
            self._ask,
            at_once=_AT_ONCE,
            on_error=lambda credential, error: log(
                "dialer.key_check_failed", level="error", credential=credential, error=error
            ),
        )
        if self._workspaces:
            async with self._database.transaction() as connection:
                different = await provider_keys.report_environment_keys(
                    connection,
                    credentials=list(self._workspaces),
                    workspace_ids=[workspace.workspace_id for workspace in self._workspaces.values()],
                    workspace_names=[workspace.workspace for workspace in self._workspaces.values()],
                    fingerprints=[self._fingerprints[credential] for credential in self._workspaces],
                    now=self._clock.now(),
                )
            for credential in different:
                log("dialer.keys_differ", level="warning", credential=credential)
        return len(self._workspaces)

    async def _ask(self, credential: str) -> None:
        match await self._directory.check_key(credential):
            case KeyAccepted() as found:
                self._workspaces[credential] = found
            case KeyRefused() | ProviderUnavailable():
                pass
            case never:
                assert_never(never)
