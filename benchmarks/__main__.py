"""`python -m benchmarks all [options]` runs all benchmarks in turn; a name runs one."""

import signal
import subprocess
import sys

NAMES = ("webhook", "dial", "faults", "import_contacts", "contacts", "results", "forecast", "host", "studio")


def main() -> int:
    """Run the benchmarks named by the first argument; return the highest exit status."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else "all"
    if wanted != "all" and wanted not in NAMES:
        print(f"no benchmark {wanted!r}: use all, {', '.join(NAMES)}", file=sys.stderr)
        return 2
    names = NAMES if wanted == "all" else (wanted,)
    return max(_run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[2:]]) for name in names)


def _run(command: list[str]) -> int:
    """Run one benchmark. A SIGTERM is passed on, so that it cleans up, and no further benchmark runs."""
    terminated = False

    def pass_on(*_: object) -> None:
        nonlocal terminated
        terminated = True
        running.terminate()

    with subprocess.Popen(command) as running:
        signal.signal(signal.SIGTERM, pass_on)
        status = running.wait()
    if terminated:
        sys.exit(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
