"""The project under test: one small function, under one name per cold start."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The wrapper's whole work is part of it: CORS, method, body, JSON in and out.
FUNCTION = '''"""hello: greets the name in the body."""

from outdial.functions import Context, Request, Response, with_supabase


@with_supabase(auth="none", methods=["POST"])
async def fetch(request: Request, ctx: Context) -> Response:
    """Return a greeting."""
    body = await request.json()
    return Response.json({"message": f"Hello {body['name']}!"})
'''
WARM = "hello"
IDLE_S = 0.2


def cold_names(count: int) -> list[str]:
    """Return the names of the functions for cold starts; each is called once."""
    return [f"cold-{number}" for number in range(count)]


@contextmanager
def project(count: int) -> Iterator[Path]:
    """Yield a directory with config.toml and functions in Supabase's layout; remove it after the block."""
    root = Path(tempfile.mkdtemp(prefix="outdial-bench-"))
    # Workers that have given up root must pass through.
    root.chmod(0o755)
    try:
        limits = "verify_jwt = false\nrate_limit = 1000000\n"
        # The host starts a worker of each function once, to check it: it ends soon, and then the function is cold.
        tables = [f"[functions.{name}]\n{limits}idle_timeout_s = {IDLE_S}\n" for name in cold_names(count)]
        tables.append(f"[functions.{WARM}]\n{limits}min_workers = 1\nmax_workers = 1\nconcurrency = 512\n")
        (root / "supabase" / "functions").mkdir(parents=True)
        (root / "supabase" / "config.toml").write_text("\n".join(tables))
        for name in (WARM, *cold_names(count)):
            directory = root / "supabase" / "functions" / name
            directory.mkdir()
            (directory / "index.py").write_text(FUNCTION)
        yield root / "supabase"
    finally:
        shutil.rmtree(root, ignore_errors=True)
