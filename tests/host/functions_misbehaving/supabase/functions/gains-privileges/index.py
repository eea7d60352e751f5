"""Gains privileges, or tries to."""

import ctypes
import os
from collections.abc import Callable

from outdial.functions import Context, Request, Response, with_supabase

PTRACE_TRACEME, CLONE_NEWUSER, PR_SET_DUMPABLE = 0, 0x10000000, 4
LIBC = ctypes.CDLL(None, use_errno=True)
STATUS = ("Uid", "Groups", "CapEff", "CapPrm", "NoNewPrivs", "Seccomp")


def checked(result: int) -> None:
    """Raise what C tells by -1."""
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


WAYS: dict[str, Callable[[], object]] = {
    "root": lambda: os.setuid(0),
    "setuid program": lambda: os.execv("/bin/su", ["su"]),
    "user namespace": lambda: checked(LIBC.unshare(CLONE_NEWUSER)),
    "trace": lambda: checked(LIBC.ptrace(PTRACE_TRACEME, 0, 0, 0)),
    "mount": lambda: checked(LIBC.mount(b"none", b"/mnt", b"tmpfs", 0, None)),
    "chroot": lambda: os.chroot("/"),
    "shadow": lambda: open("/etc/shadow").close(),
}


@with_supabase(auth="none")
async def fetch(request: Request, ctx: Context) -> Response:
    """Try every way, and tell what it is."""
    if request.path.endswith("/well"):
        return Response.json({"ok": True})
    outcomes = {name: attempt(act) for name, act in WAYS.items()}
    return Response.json({"outcomes": outcomes, "status": what_it_is()})


def what_it_is() -> dict[str, str]:
    """Return what the kernel says of this process."""
    with open("/proc/self/status") as status:
        return dict(line.rstrip("\n").split(":\t", 1) for line in status if line.partition(":")[0] in STATUS)


def attempt(act: Callable[[], object]) -> str:
    """Return what came of it."""
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"
