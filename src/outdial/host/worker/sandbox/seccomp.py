"""A seccomp filter: system calls that a function must not make fail with EPERM, irreversibly.

It is a denylist: Python, its C libraries and the next kernel need more calls than an allowlist could hold. Landlock,
resource limits and a separate user back it up.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable

from outdial.host.worker.sandbox import kernel

# Name: number on x86-64 and on aarch64, None where the call does not exist.
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "fork": (57, None),
    "vfork": (58, None),
    "clone": (56, 220),
    "clone3": (435, 435),
    "execve": (59, 221),
    "execveat": (322, 281),
    "prctl": (157, 167),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kcmp": (312, 272),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "listen": (50, 201),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "mmap": (9, 222),
    "vmsplice": (278, 75),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "truncate": (76, 45),
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "fanotify_init": (300, 262),
    "personality": (135, 92),
    "quotactl": (179, 60),
    "syslog": (103, 116),
}
_PROCESSES = ("fork", "vfork", "execve", "execveat")
_OTHERS = (  # other processes: their memory, descriptors, signals, and their share of the processors
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "pidfd_getfd", "kcmp"),
    *("pidfd_send_signal", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    *("setpriority", "ioprio_set", "migrate_pages", "move_pages"),
)
# Memory that no resource limit counts. Pages in a pipe are not in the memory of the process either.
_MEMORY = ("memfd_create", "memfd_secret", "shmget", "msgget", "semget", "mq_open", "vmsplice")
# The zygote kills the process group of a worker that has ended, and all its children must be in it.
_GROUPS = ("setsid", "setpgid")
# Landlock restricts bind, and only from version 4 on: listen without bind takes any port, on all addresses.
_NETWORK = ("listen",)
_KERNEL = (
    *("unshare", "setns", "mount", "umount2", "move_mount", "open_tree", "fsopen", "fspick", "mount_setattr"),
    *("pivot_root", "chroot", "name_to_handle_at", "open_by_handle_at", "bpf", "perf_event_open", "userfaultfd"),
    *("keyctl", "add_key", "request_key", "fanotify_init", "personality", "quotactl", "syslog"),
)
# These fail with ENOSYS, so that callers fall back to other calls: pthread_create to clone, whose flags the filter can
# inspect. It cannot inspect argument structures, and io_uring opens sockets and files without passing the filter.
_ABSENT = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register")
# Landlock does not restrict them, and the files of the host's user include the host's own. They succeed without effect,
# as on a file system without permissions, because libraries call them in passing (shutil.copy).
_PERMISSIONS = ("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat")
_OF_ITSELF_ONLY = ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
_SIGNALS = ("kill", "tgkill")
# The position of the flags. Landlock restricts truncating from version 3 on. Before, a file that is opened for reading,
# or by its name alone, can be truncated, if its permissions allow writing.
_OPEN_FLAGS = {"open": 1, "openat": 2}
_O_TRUNC, _O_ACCMODE, _O_WRONLY, _O_RDWR = 0x200, 3, 1, 2

_AF_INET, _AF_INET6, _AF_NETLINK, _SOCK_STREAM, _SOCK_TYPE = 2, 10, 16, 1, 0xF
# The default, TCP and UDP. Landlock does not know others, such as MPTCP.
_PROTOCOLS = [0, 6, 17]
_CLONE_THREAD = 0x10000
# CLONE_PARENT makes a process a child of the zygote, not of the worker. Then all namespaces but that of times, which
# clone cannot create.
_CLONE_DENIED = 0x8000 | 0x7E020000
# Options that weaken the sandbox: PR_SET_PDEATHSIG (the process survives the zygote), PR_SET_DUMPABLE (others of its
# user read its memory, and a crash writes it to a core dump), PR_SET_MM, PR_SCHED_CORE (keeps others off its core),
# PR_SET_PTRACER.
_PRCTL_DENIED = [1, 4, 35, 62, 0x59616D61]
# They make the kernel send signals to any process: F_SETOWN, F_SETSIG, F_SETOWN_EX; FIOSETOWN, SIOCSPGRP.
_FCNTL_OF_SIGNALS = [8, 10, 15]
_IOCTL_OF_SIGNALS = [0x8901, 0x8902]
# Memory that remains when its pages leave the process, so that no measurement sees it.
_MAP_SHARED, _MAP_ANONYMOUS = 0x01, 0x20

# linux/filter.h, linux/seccomp.h, linux/audit.h
_LOAD, _AND, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
_SET_MODE_FILTER, _SPEC_ALLOW = 1, 4
_SECCOMP = {"x86_64": 317, "aarch64": 277}

_DENY = _ERRNO | errno.EPERM
_NO_SUCH_CALL = _ERRNO | errno.ENOSYS
_SUCCEED = _ERRNO

Instruction = tuple[int, int, int, int]


def install(*, processes: bool, permissions: bool, truncation: bool) -> None:
    """Apply the filter to this process and its future threads.

    `processes` allows fork and exec, `permissions` changing the permissions and owners of files, and `truncation`
    truncating files that the process did not open for writing.

    Requires `no_new_privs`. Raises OSError without seccomp, or on an unknown machine.
    """
    if kernel.MACHINE is None:
        raise OSError(errno.ENOSYS, "the system calls of this machine are not known")
    steps = program(kernel.MACHINE, os.getpid(), processes=processes, permissions=permissions, truncation=truncation)
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    filters = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(filters))
    argument = ctypes.create_string_buffer(fprog, len(fprog))
    try:
        # Without this flag, kernels before 5.16 enable Spectre mitigations that slow the process down.
        kernel.syscall(_SECCOMP[kernel.MACHINE], _SET_MODE_FILTER, _SPEC_ALLOW, kernel.address(argument))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        kernel.syscall(_SECCOMP[kernel.MACHINE], _SET_MODE_FILTER, 0, kernel.address(argument))


def program(machine: str, pid: int, *, processes: bool, permissions: bool, truncation: bool) -> list[Instruction]:
    """Return the filter as instructions (code, jump if true, jump if false, operand)."""
    column = list(_AUDIT).index(machine)

    def numbers(names: Iterable[str]) -> list[int]:
        return [number for name in names if (number := _NUMBERS[name][column]) is not None]

    denied = (
        *(*_OTHERS, *_GROUPS, *_MEMORY, *_NETWORK, *_KERNEL),
        *(() if processes else _PROCESSES),
        *(() if truncation else ("truncate",)),
    )
    steps = [(_LOAD, 0, 0, _MACHINE_AT), (_EQUAL, 1, 0, _AUDIT[machine]), (_RETURN, 0, 0, _KILL)]
    steps.append((_LOAD, 0, 0, _NUMBER_AT))
    if machine == "x86_64":
        steps += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _NO_SUCH_CALL)]
    steps += [step for number in numbers(denied) for step in _return_for(number, _DENY)]
    steps += [step for number in numbers(() if permissions else _PERMISSIONS) for step in _return_for(number, _SUCCEED)]
    absent = (*_ABSENT, *(() if truncation else ("openat2",)))
    steps += [step for number in numbers(absent) for step in _return_for(number, _NO_SUCH_CALL)]
    families = _jump_unless_among(0, [_AF_INET, _AF_INET6, _AF_NETLINK], len(_PROTOCOLS) + 2)
    both = _MAP_SHARED | _MAP_ANONYMOUS
    bodies = {
        "socket": [*families, *_argument_is_among(2, _PROTOCOLS)],
        # A datagram pair could later connect to any address; a stream pair cannot.
        "socketpair": [
            *((_LOAD, 0, 0, _argument(1)), (_AND, 0, 0, _SOCK_TYPE), (_EQUAL, 0, 1, _SOCK_STREAM)),
            *_ALLOW_ELSE_DENY,
        ],
        "fcntl": [*_jump_unless_among(1, _FCNTL_OF_SIGNALS, 1), *_DENY_ELSE_ALLOW],
        "ioctl": [*_jump_unless_among(1, _IOCTL_OF_SIGNALS, 1), *_DENY_ELSE_ALLOW],
        "prctl": [*_jump_unless_among(0, _PRCTL_DENIED, 1), *_DENY_ELSE_ALLOW],
        "mmap": [*((_LOAD, 0, 0, _argument(3)), (_AND, 0, 0, both), (_EQUAL, 0, 1, both)), *_DENY_ELSE_ALLOW],
        **dict.fromkeys(_SIGNALS, _argument_is_among(0, [pid])),
        **dict.fromkeys(_OF_ITSELF_ONLY, _argument_is_among(0, [0, pid])),
    }
    if processes:
        bodies["clone"] = [(_LOAD, 0, 0, _argument(0)), (_HAS_BITS, 0, 1, _CLONE_DENIED), *_DENY_ELSE_ALLOW]
    else:
        bodies["clone"] = [
            *((_LOAD, 0, 0, _argument(0)), (_HAS_BITS, 2, 0, _CLONE_DENIED), (_HAS_BITS, 0, 1, _CLONE_THREAD)),
            *_ALLOW_ELSE_DENY,
        ]
    if not truncation:
        steps_of_open = [
            *((_HAS_BITS, 0, 3, _O_TRUNC), (_AND, 0, 0, _O_ACCMODE)),
            *((_EQUAL, 1, 0, _O_WRONLY), (_EQUAL, 0, 1, _O_RDWR), *_ALLOW_ELSE_DENY),
        ]
        bodies |= {name: [(_LOAD, 0, 0, _argument(flags)), *steps_of_open] for name, flags in _OPEN_FLAGS.items()}
    for name, body in bodies.items():
        # The body always returns.
        for number in numbers((name,)):
            steps += [(_EQUAL, 0, len(body), number), *body]
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


_ALLOW_ELSE_DENY: list[Instruction] = [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _DENY)]
_DENY_ELSE_ALLOW = _ALLOW_ELSE_DENY[::-1]


def _return_for(number: int, action: int) -> list[Instruction]:
    return [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, action)]


def _argument_is_among(index: int, values: list[int]) -> list[Instruction]:
    return [*_jump_unless_among(index, values, 1), *_ALLOW_ELSE_DENY]


def _jump_unless_among(index: int, values: list[int], distance: int) -> list[Instruction]:
    """Go on if an argument is one of `values`, otherwise skip `distance` instructions."""
    steps: list[Instruction] = [(_LOAD, 0, 0, _argument(index))]
    for left, value in enumerate(reversed(values)):
        steps.insert(1, (_EQUAL, left, distance if left == 0 else 0, value))
    return steps


def _argument(index: int) -> int:
    # The lower half, which both machines store first: pids, families and flags are ints.
    return _ARGUMENTS_AT + 8 * index
