"""`python -m benchmarks all [options]`: every benchmark, one after the other; a name runs that one."""

import subprocess
import sys

NAMES = ("webhook", "dial", "import_contacts")


def main() -> int:
    """Run what the first argument names; return the highest exit status."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else "all"
    if wanted != "all" and wanted not in NAMES:
        print(f"no benchmark {wanted!r}: use all, {', '.join(NAMES)}", file=sys.stderr)
        return 2
    names = NAMES if wanted == "all" else (wanted,)
    return max(subprocess.call([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[2:]]) for name in names)


if __name__ == "__main__":
    sys.exit(main())
