"""Carries out the launch checks that members have requested: only dialers have the keys of the provider."""

from datetime import timedelta
from typing import Final

import msgspec

from outdial.background import run_each
from outdial.clock import Clock
from outdial.db.queries.dialing import launch_checks
from outdial.db.session import Database
from outdial.dialer.launching.checks import check_launch
from outdial.log import log
from outdial.provider import WorkspaceDirectory

EVERY: Final = timedelta(seconds=2)
_BATCH: Final = 20
_AT_ONCE: Final = 4


class LaunchChecker:
    """A background task: `run_once` carries out the requested checks, and returns how many were due."""

    def __init__(self, database: Database, directory: WorkspaceDirectory, clock: Clock) -> None:
        self._database = database
        self._directory = directory
        self._clock = clock

    async def run_once(self) -> int:
        """Carry out the checks that are due, a few side by side."""
        async with self._database.transaction() as connection:
            due = await launch_checks.due_launch_checks(connection, now=self._clock.now(), limit=_BATCH)
        await run_each(
            due,
            self._check,
            at_once=_AT_ONCE,
            on_error=lambda each, error: log(
                "launch_check.failed", level="error", campaign_id=str(each.campaign_id), error=error
            ),
        )
        return len(due)

    async def _check(self, due: launch_checks.DueLaunchCheck) -> None:
        organization_id, campaign_id = due.organization_id, due.campaign_id
        async with self._database.for_organization(organization_id) as connection:
            requested_at = await launch_checks.take_launch_check(
                connection, campaign_id=campaign_id, now=self._clock.now()
            )
        if requested_at is None:
            return
        findings = await check_launch(
            lambda: self._database.for_organization(organization_id), self._directory, campaign_id
        )
        if findings is None:
            return
        async with self._database.for_organization(organization_id) as connection:
            await launch_checks.finish_launch_check(
                connection,
                campaign_id=campaign_id,
                requested_at=requested_at,
                findings=msgspec.json.encode(findings).decode(),
                now=self._clock.now(),
            )
