"""Warns about calling rules that were last checked long ago: laws change, and a process may run for months."""

from datetime import date, timedelta
from typing import Final

from outdial.clock import Clock
from outdial.domain.rules import RuleBook
from outdial.log import log

CHECKED_EVERY: Final = timedelta(days=1)


class StaleRulesCheck:
    """A background task: `run_once` warns once a day, and returns how many rules are stale. They stay in force."""

    def __init__(self, rules: RuleBook, clock: Clock) -> None:
        self._rules = rules
        self._clock = clock
        self._warned_on: date | None = None

    async def run_once(self) -> int:
        """Warn about stale rules, unless that was done today."""
        today = self._clock.now().date()
        stale = self._rules.stale(today)
        if stale and self._warned_on != today:
            self._warned_on = today
            oldest = min(rule.checked_on for rule in stale)
            log("dialer.calling_rules_old", level="warning", rules=len(stale), checked_on=oldest.isoformat())
        return len(stale)
