"""`outdial demo`: shows the progress of the demo, and prints its report."""

import time
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from outdial.cli.campaigns.commands import follow_in_lines, follow_live
from outdial.cli.demo_report import print_report
from outdial.cli.errors import explain
from outdial.cli.output import fail, notes, print_json
from outdial.db.session import Database
from outdial.domain.rules import RuleBook
from outdial.promises.demo import run_demo

LINE_EVERY = timedelta(seconds=2)


class TerminalDemoConsole:
    """Standard error, as `outdial.promises.demo.DemoConsole`."""

    def say(self, text: str) -> None:
        """Print a line."""
        notes.print(text, markup=False)

    async def follow(self, database: Database, campaign_id: UUID, rules: RuleBook) -> tuple[str, str | None]:
        """Show the campaign until it stops; return its status, and why it waits under the rules."""
        if notes.is_terminal:
            view = await follow_live(database, campaign_id, rules, console=notes)
        else:
            view = await follow_in_lines(database, campaign_id, rules, console=notes, every=LINE_EVERY)
        return view.campaign.status, view.waiting

    def failed(self, error: Exception, log_lines: Sequence[str]) -> bool:
        """Print an expected error and the end of the stack's log; return False for an unexpected error."""
        message = explain(error)
        if message is None:
            return False
        fail(message)
        for line in log_lines:
            notes.print(line, markup=False, soft_wrap=True)
        return True


async def run_and_print_demo(rows: int, seed: int, *, as_json: bool) -> int:
    """Run the demo; return 0 when every promise holds, 1 when not, 130 when interrupted."""
    started = time.monotonic()
    report = await run_demo(rows, seed, TerminalDemoConsole())
    if isinstance(report, int):
        return report
    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report, time.monotonic() - started)
    return 0 if all(check.holds for check in report.checks) else 1
