"""The filter of system calls, read as the kernel reads it, for both machines: here no test could run on both."""

import errno
from typing import Any

import pytest

from outdial.host.worker.sandbox import seccomp
from outdial.host.worker.sandbox.seccomp import program

PID = 4321
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
# From the kernel's tables: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
READ = {"x86_64": 0, "aarch64": 63}
OPENAT = {"x86_64": 257, "aarch64": 56}
CONNECT = {"x86_64": 42, "aarch64": 203}
CLONE = {"x86_64": 56, "aarch64": 220}
KILL_CALL = {"x86_64": 62, "aarch64": 129}
TGKILL = {"x86_64": 234, "aarch64": 131}
SOCKET = {"x86_64": 41, "aarch64": 198}
SOCKETPAIR = {"x86_64": 53, "aarch64": 199}
LISTEN = {"x86_64": 50, "aarch64": 201}
FCNTL = {"x86_64": 72, "aarch64": 25}
CHMOD = {"x86_64": [90, 91, 268, 452], "aarch64": [52, 53, 452]}
CHOWN = {"x86_64": [92, 93, 94, 260], "aarch64": [54, 55]}
IOCTL = {"x86_64": 16, "aarch64": 29}
MMAP = {"x86_64": 9, "aarch64": 222}
VMSPLICE = {"x86_64": 278, "aarch64": 75}
PRLIMIT = {"x86_64": 302, "aarch64": 261}
EXECVE = {"x86_64": 59, "aarch64": 221}
PRCTL = {"x86_64": 157, "aarch64": 167}
PTRACE = {"x86_64": 101, "aarch64": 117}
TRUNCATE = {"x86_64": 76, "aarch64": 45}
SESSIONS = {"x86_64": (112, 109), "aarch64": (157, 154)}
CLONE3, IO_URING_SETUP, OPENAT2 = 435, 425, 437
PTHREAD_FLAGS, FORK_FLAGS = 0x3D0F00, 0x1200011


def decide(
    machine: str,
    number: int,
    *arguments: int,
    of: str | None = None,
    processes: bool = False,
    permissions: bool = False,
    truncation: bool = True,
) -> int:
    """Run the filter on one system call, as linux/filter.h defines its instructions."""
    words = {0: number, 4: AUDIT[of or machine], **{16 + 8 * at: value for at, value in enumerate(arguments)}}
    steps = program(machine, PID, processes=processes, permissions=permissions, truncation=truncation)
    at, loaded = 0, 0
    tests: dict[int, Any] = {
        0x15: lambda operand: loaded == operand,
        0x35: lambda operand: loaded >= operand,
        0x45: lambda operand: bool(loaded & operand),
    }
    while True:
        code, on_true, on_false, operand = steps[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            loaded = words.get(operand, 0)
        elif code == 0x54:
            loaded &= operand
        else:
            at += on_true if tests[code](operand) else on_false


@MACHINES
def test_ordinary_calls_are_allowed(machine: str) -> None:
    for call in (READ, OPENAT, CONNECT):
        assert decide(machine, call[machine]) == ALLOW


@MACHINES
def test_processes_cannot_be_started_and_threads_can(machine: str) -> None:
    assert decide(machine, EXECVE[machine]) == EPERM
    assert decide(machine, CLONE[machine], FORK_FLAGS) == EPERM
    assert decide(machine, CLONE[machine], PTHREAD_FLAGS) == ALLOW
    assert decide(machine, CLONE3) == ENOSYS
    assert machine != "x86_64" or decide(machine, 57) == decide(machine, 58) == EPERM


@MACHINES
def test_a_function_that_may_have_processes_starts_them_and_nothing_else(machine: str) -> None:
    assert decide(machine, EXECVE[machine], processes=True) == ALLOW
    assert decide(machine, CLONE[machine], FORK_FLAGS, processes=True) == ALLOW
    assert decide(machine, PTRACE[machine], processes=True) == EPERM
    # The C library falls back to clone, which creates no namespace: with one come rights of root inside it.
    assert decide(machine, CLONE3, processes=True) == ENOSYS
    for namespace in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert decide(machine, CLONE[machine], namespace | 17, processes=True) == EPERM
        assert decide(machine, CLONE[machine], namespace | PTHREAD_FLAGS) == EPERM
    # CLONE_PARENT: a child of the zygote. vfork and posix_spawn set CLONE_VM and CLONE_VFORK.
    assert decide(machine, CLONE[machine], 0x8000 | 17, processes=True) == EPERM
    assert decide(machine, CLONE[machine], 0x4100 | 17, processes=True) == ALLOW
    assert {decide(machine, call, processes=True) for call in SESSIONS[machine]} == {EPERM}


@MACHINES
@pytest.mark.parametrize("processes", [False, True])
def test_options_of_the_process_that_weaken_its_sandbox_cannot_be_set(machine: str, processes: bool) -> None:
    # PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_MM, PR_SCHED_CORE, PR_SET_PTRACER.
    refused = (1, 4, 35, 62, 0x59616D61)
    assert {decide(machine, PRCTL[machine], option, processes=processes) for option in refused} == {EPERM}
    # PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_NAME, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_SET_VMA.
    allowed = (2, 3, 15, 36, 38, 0x53564D41)
    assert {decide(machine, PRCTL[machine], option, processes=processes) for option in allowed} == {ALLOW}


@MACHINES
def test_signals_reach_only_itself(machine: str) -> None:
    for call in (KILL_CALL, TGKILL):
        assert decide(machine, call[machine], PID) == ALLOW
        assert {decide(machine, call[machine], pid) for pid in (0, 1, PID + 1, 0xFFFFFFFF)} == {EPERM}


@MACHINES
def test_limits_of_others_are_not_its_own(machine: str) -> None:
    assert {decide(machine, PRLIMIT[machine], pid) for pid in (0, PID)} == {ALLOW}
    assert decide(machine, PRLIMIT[machine], 1) == EPERM


@MACHINES
def test_sockets_are_those_of_the_internet(machine: str) -> None:
    assert {decide(machine, SOCKET[machine], family) for family in (2, 10, 16)} == {ALLOW}
    assert {decide(machine, SOCKET[machine], family) for family in (1, 17, 38, 40)} == {EPERM}
    for family in (2, 10):
        assert {decide(machine, SOCKET[machine], family, 1, protocol) for protocol in (0, 6, 17)} == {ALLOW}
        # ICMP, SCTP, MPTCP.
        assert {decide(machine, SOCKET[machine], family, 1, protocol) for protocol in (1, 132, 262)} == {EPERM}
    assert {decide(machine, SOCKET[machine], family, 1, 6) for family in (1, 17)} == {EPERM}
    assert decide(machine, LISTEN[machine], 5, 128) == EPERM
    assert decide(machine, SOCKETPAIR[machine], 1, 0o2004001) == ALLOW
    assert {decide(machine, SOCKETPAIR[machine], 1, kind) for kind in (2, 0o2000002, 5)} == {EPERM}


@MACHINES
def test_descriptors_send_no_signals(machine: str) -> None:
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETLK, F_GETOWN; then F_SETOWN, F_SETSIG, F_SETOWN_EX.
    assert {decide(machine, FCNTL[machine], 3, command) for command in (0, 1, 2, 3, 4, 6, 9, 1030)} == {ALLOW}
    assert {decide(machine, FCNTL[machine], 3, command) for command in (8, 10, 15)} == {EPERM}
    # FIONBIO, FIONREAD; then FIOSETOWN, SIOCSPGRP.
    assert {decide(machine, IOCTL[machine], 3, command) for command in (0x5421, 0x541B)} == {ALLOW}
    assert {decide(machine, IOCTL[machine], 3, command) for command in (0x8901, 0x8902)} == {EPERM}


@MACHINES
def test_permissions_of_files_change_only_for_a_user_of_its_own(machine: str) -> None:
    calls = [*CHMOD[machine], *CHOWN[machine]]
    # Success, without the call.
    assert {decide(machine, call) for call in calls} == {0x00050000}
    assert {decide(machine, call, permissions=True) for call in calls} == {ALLOW}


@MACHINES
def test_where_landlock_does_not_restrict_truncating_only_files_open_for_writing_are_truncated(machine: str) -> None:
    calls = [(TRUNCATE[machine], 0), (OPENAT2, 0), *((OPENAT[machine], flags) for flags in (0o1000, 0o1003))]
    assert {decide(machine, call, 0, 0, flags) for call, flags in calls} == {ALLOW}
    refused = [decide(machine, call, 0, 0, flags, truncation=False) for call, flags in calls]
    assert refused == [EPERM, ENOSYS, EPERM, EPERM]
    for flags in (0, 2, 3, 0o100, 0o2000000, 0o1001, 0o1002, 0o1101):
        assert decide(machine, OPENAT[machine], 0, 0, flags, truncation=False) == ALLOW
        assert machine != "x86_64" or decide(machine, 2, 0, flags, truncation=False) == ALLOW
    assert machine != "x86_64" or decide(machine, 2, 0, 0o1000, truncation=False) == EPERM


@MACHINES
def test_memory_of_no_process_cannot_be_had(machine: str) -> None:
    private, anonymous = 0x02, 0x20
    for flags in (private, private | anonymous, 0x01, 0x03):
        assert decide(machine, MMAP[machine], 0, 4096, 3, flags) == ALLOW
    for shared in (0x01, 0x03):
        assert decide(machine, MMAP[machine], 0, 4096, 3, shared | anonymous | 0x8000) == EPERM
    assert decide(machine, VMSPLICE[machine]) == EPERM


@MACHINES
def test_io_uring_is_not_there(machine: str) -> None:
    assert decide(machine, IO_URING_SETUP) == ENOSYS


def test_calls_of_another_machine_end_the_process() -> None:
    assert decide("x86_64", 0, of="aarch64") == KILL


def test_the_other_numbering_of_x86_is_not_there() -> None:
    assert decide("x86_64", 0x40000000 | 59) == ENOSYS


@MACHINES
def test_every_jump_stays_within_the_filter(machine: str) -> None:
    steps = program(machine, PID, processes=False, permissions=False, truncation=False)
    assert all(at + 1 + max(step[1], step[2]) < len(steps) for at, step in enumerate(steps[:-1]))
    assert len(steps) < 4096
    assert steps[-1] == (0x06, 0, 0, ALLOW)


def test_every_call_in_the_table_is_used() -> None:
    denied = {*seccomp._OTHERS, *seccomp._GROUPS, *seccomp._MEMORY, *seccomp._NETWORK, *seccomp._KERNEL}
    denied |= {*seccomp._PROCESSES, *seccomp._ABSENT, *seccomp._PERMISSIONS}
    denied |= {"truncate", "openat2", *seccomp._OPEN_FLAGS}
    assert set(seccomp._NUMBERS) == denied | {*seccomp._OF_ITSELF_ONLY, *seccomp._SIGNALS, "clone", "clone3"} | {
        "socket",
        "socketpair",
        "fcntl",
        "ioctl",
        "prctl",
        "mmap",
    }
