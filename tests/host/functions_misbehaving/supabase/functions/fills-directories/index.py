"""Leaves directories that are hard to remove: too deep for recursion, or without permissions; and a link out."""

import os

from outdial.functions import Context, Request, Response, with_supabase

# More than Python recurses.
DEPTH = 1_500


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Fill the home directory and return its path."""
    if request.path.endswith("/well"):
        return Response.json({"ok": True})
    home = os.environ["HOME"]
    fill(home)
    return Response.json({"home": home})


def fill(home: str) -> None:
    """Make all kinds."""
    locked = os.path.join(home, "locked")
    # They can be entered and filled, and not be listed.
    os.mkdir(locked, 0o300)
    os.mkdir(os.path.join(locked, "inner"), 0o300)
    os.mkdir(os.path.join(locked, "inner", "closed"), 0)
    with open(os.path.join(locked, "inner", "file"), "wb") as file:
        file.write(b"x")
    os.symlink("/usr", os.path.join(home, "link"))
    os.chdir(home)
    for _ in range(DEPTH):
        os.mkdir("deep")
        os.chdir("deep")
    for directory in (os.path.join(locked, "inner"), locked, home):
        os.chmod(directory, 0)
