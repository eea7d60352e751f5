"""Prints the report of `outdial demo`."""

from rich.table import Table
from rich.text import Text

from outdial.cli.output import console, print_rows
from outdial.promises.demo import DemoReport

BREACHES_SHOWN = 5


def print_report(report: DemoReport, seconds: float) -> None:
    """Print the numbers, then each check with its breaches."""
    console.print()
    numbers = Table.grid(padding=(0, 2))
    for name, value in report.numbers().items():
        numbers.add_row(Text(name, style="bold"), Text(str(value)))
    console.print(numbers)
    console.print()
    columns = {
        "": lambda check: Text("holds", "green") if check.holds else Text("BROKEN", "bold red"),
        "PROMISE": lambda check: check.promise,
        "TEXT": lambda check: check.promise.short,
        "EXAMINED": lambda check: check.examined,
    }
    print_rows(columns, report.checks, empty="")
    for check in report.checks:
        for breach in check.breaches[:BREACHES_SHOWN]:
            console.print(f"promise {check.promise}: {breach}", markup=False, soft_wrap=True)
        if len(check.breaches) > BREACHES_SHOWN:
            console.print(f"promise {check.promise}: and {len(check.breaches) - BREACHES_SHOWN} more")
    broken = sum(not check.holds for check in report.checks)
    verdict = f"{broken} of {len(report.checks)} promises broken" if broken else "every promise holds"
    console.print(f"\nDone in {seconds:.0f} s: {verdict}.")
