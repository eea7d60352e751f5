"""What the demo shows at its end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.text import Text

from outdial.cli.output import console, print_pairs, print_rows
from outdial.db.events import EventCount
from outdial.promises.checks import Check, Evidence, Resolved

BREACHES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is known of a finished run."""

    evidence: Evidence
    imported: Mapping[str, Any]
    events: Sequence[EventCount]
    state: Mapping[str, Any]
    resolved: Resolved
    checks: Sequence[Check]

    def numbers(self) -> dict[str, object]:
        """Return what happened in numbers, by what they count."""
        evidence, webhooks = self.evidence, [row for row in self.events if row.source == "webhook"]
        return {
            "contacts": len(evidence.contacts),
            "contacts by status": _counted(contact.status for contact in evidence.contacts),
            "contacts by attempts": _counted(f"after {contact.attempts}" for contact in evidence.contacts),
            "calls": len(evidence.calls),
            "calls by outcome": _counted(call.outcome or call.status for call in evidence.calls),
            "refused rows": _listed(self.imported["refused"]),
            "events received": sum(row.events + row.repeats for row in webhooks),
            "duplicates among them": sum(row.repeats for row in webhooks),
            "events dropped on the way": self.state["webhooks"].get("dropped", 0),
            "reports got by asking": sum(row.events for row in self.events if row.source == "reconciler"),
            "calls with an answer that told nothing": self.resolved.ambiguous,
            "of these known now": self.resolved.resolved,
        }

    def as_dict(self) -> dict[str, object]:
        """Return the report as JSON has it."""
        return {
            "numbers": self.numbers(),
            "checks": [{**asdict(check), "holds": check.holds} for check in self.checks],
            "holds": all(check.holds for check in self.checks),
        }


def print_report(report: Report, seconds: float) -> None:
    """Print the numbers, then each check with what broke it."""
    console.print()
    print_pairs(report.numbers())
    console.print()
    columns = {
        "": lambda check: Text("holds", "green") if check.holds else Text("BROKEN", "bold red"),
        "PROMISE": lambda check: check.promise,
        "SAYS": lambda check: check.says,
        "LOOKED AT": lambda check: check.looked_at,
    }
    print_rows(columns, report.checks, empty="")
    for check in report.checks:
        for breach in check.breaches[:BREACHES_SHOWN]:
            console.print(f"promise {check.promise}: {breach}", markup=False, soft_wrap=True)
        if len(check.breaches) > BREACHES_SHOWN:
            console.print(f"promise {check.promise}: and {len(check.breaches) - BREACHES_SHOWN} more")
    broken = sum(not check.holds for check in report.checks)
    verdict = f"{broken} of {len(report.checks)} checks broken" if broken else "every check holds"
    console.print(f"\nDone in {seconds:.0f} s: {verdict}.")


def _counted(names: Any) -> str:
    return _listed(Counter(names))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
