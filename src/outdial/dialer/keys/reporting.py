"""Reports which accounts have an API key in the environment: the studio cannot know, and such a key wins."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, assert_never

from outdial.clock import Clock
from outdial.db.queries.auth import provider_keys
from outdial.db.session import Database
from outdial.provider import KeyAccepted, KeyRefused, ProviderUnavailable, WorkspaceDirectory

EVERY: Final = timedelta(minutes=5)


class EnvironmentKeyReporter:
    """A background task: `run_once` stores which credentials have a key here, and the workspaces of the keys."""

    def __init__(
        self, database: Database, directory: WorkspaceDirectory, credentials: Sequence[str], clock: Clock
    ) -> None:
        self._database = database
        self._directory = directory
        self._workspaces: dict[str, str | None] = dict.fromkeys(credentials)
        self._clock = clock

    async def run_once(self) -> int:
        """Report the keys; return how many there are. Asks about a workspace until the provider has named it."""
        for credential, workspace_id in list(self._workspaces.items()):
            if workspace_id is None:
                match await self._directory.check_key(credential):
                    case KeyAccepted(workspace_id=found):
                        self._workspaces[credential] = found
                    case KeyRefused() | ProviderUnavailable():
                        pass
                    case never:
                        assert_never(never)
        if self._workspaces:
            async with self._database.transaction() as connection:
                await provider_keys.report_environment_keys(
                    connection,
                    credentials=list(self._workspaces),
                    workspace_ids=list(self._workspaces.values()),
                    now=self._clock.now(),
                )
        return len(self._workspaces)
