"""`python -m benchmarks all [options]`: every benchmark, one after the other; a name runs that one."""

import signal
import subprocess
import sys

NAMES = ("webhook", "dial", "import_contacts", "host", "studio")


def main() -> int:
    """Run what the first argument names; return the highest exit status."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else "all"
    if wanted != "all" and wanted not in NAMES:
        print(f"no benchmark {wanted!r}: use all, {', '.join(NAMES)}", file=sys.stderr)
        return 2
    names = NAMES if wanted == "all" else (wanted,)
    return max(_run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[2:]]) for name in names)


def _run(command: list[str]) -> int:
    """Run one benchmark; it is told of a SIGTERM, cleans up, and is the last."""
    told = False

    def pass_on(*_: object) -> None:
        nonlocal told
        told = True
        running.terminate()

    with subprocess.Popen(command) as running:
        signal.signal(signal.SIGTERM, pass_on)
        status = running.wait()
    if told:
        sys.exit(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
