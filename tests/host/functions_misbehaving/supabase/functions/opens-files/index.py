"""Opens files without end, and writes one without end."""

import os
import tempfile

from outdial.functions import Context, Request, Response, with_supabase


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Open files until it fails, write until it fails, and tell how far it came."""
    if request.path.endswith("/well"):
        return Response.json({"ok": True})
    return Response.json({"opened": opened(), "written": written(), "elsewhere": elsewhere()})


def opened() -> int:
    """Return how many descriptors there were to have."""
    taken: list[int] = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return len(taken)
    finally:
        for descriptor in taken:
            os.close(descriptor)


def written() -> int:
    """Return how large a file grew."""
    with tempfile.NamedTemporaryFile(buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 20))
        except OSError:
            return os.fstat(file.fileno()).st_size


def elsewhere() -> dict[str, str]:
    """Return what came of writing where it should not."""
    outcomes = {}
    for name in ("/var/outdial-escaped", "/dev/shm/outdial-escaped", __file__, os.path.expanduser("~/own")):
        try:
            with open(name, "a"):
                outcomes[name] = "writes"
        except OSError as error:
            outcomes[name] = type(error).__name__
    return outcomes
