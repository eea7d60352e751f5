"""A Postgres server that needs no installation. All processes of a user share it, and it ends with its owner."""

import contextlib
import fcntl
import os
import platform
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from outdial.db.binaries import Binaries, ServerUser
from outdial.db.errors import EmbeddedPostgresFailed, SocketPathTooLong
from outdial.process import die_with_parent
from outdial.settings import EmbeddedSettings, read_environment

SUPERUSER = "postgres"

_DEFAULT_PORT = 5432
_BOOT_SECONDS = 120.0
_POLL_SECONDS = 0.005
_LOG_BYTES = 16 * 2**20
_LOG_LINES = 8
# sockaddr_un.sun_path with its terminating zero has 108 bytes on Linux and 104 on macOS.
_LONGEST_SOCKET_PATH = 103
_LINUX = platform.system() == "Linux"

_DEFAULTS: Mapping[str, str] = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "unix_socket_permissions": "0700",
}
_NOT_DURABLE: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """One server per home directory. The process that starts it owns it, and all others share it.

    `home` defaults to OUTDIAL_HOME, to /var/lib/outdial for root, or to the user's data directory. The owner holds a
    lock that the kernel releases when the owner dies, and the server ends with its owner. For root the server runs as
    the first of OUTDIAL_PG_USER, `postgres` and `nobody` that exists, because Postgres refuses to run as root.

    The socket trusts every role, because only this user may enter its directory. `listen_port` also opens 127.0.0.1,
    with passwords. The superuser's is random and kept in a file that only this user may read: functions may connect to
    127.0.0.1, and the superuser can have Postgres run any program. `durable=False` trades crash safety for speed, for
    tests only. `settings` are added to the command line of the server. Only the owner uses the last three.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        durable: bool = True,
        listen_port: int | None = None,
        settings: Mapping[str, str] = {},
    ) -> None:
        self.home = (home or default_home()).absolute()
        self._run = self.home / "run"
        self._log = self.home / "postgres.log"
        self._port = listen_port or _DEFAULT_PORT
        socket = self._run / f".s.PGSQL.{self._port}"
        if len(os.fsencode(socket)) > _LONGEST_SOCKET_PATH:
            raise SocketPathTooLong(f"{socket} is too long for a socket: set OUTDIAL_HOME to a shorter path")
        self._settings = {
            **_DEFAULTS,
            **({} if durable else _NOT_DURABLE),
            **settings,
            "listen_addresses": "127.0.0.1" if listen_port else "",
            "port": str(self._port),
            "unix_socket_directories": str(self._run),
        }
        self._user = ServerUser.current()
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._server: _PidFile | None = None

    def start(self) -> bool:
        """Start a server unless one runs. Returns whether this process owns it.

        Call it again after a lost connection, because any process may have to become the owner. Only the main thread
        may call it: Linux ends the server with the thread that started it. Raises EmbeddedPostgresFailed with the last
        lines of the log, or EmbeddedPostgresMissing.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the embedded Postgres must be started from the main thread")
        deadline = time.monotonic() + _BOOT_SECONDS
        self._user.make_home(self.home)
        self._user.require_access(self.home)
        while not self._take_lock():
            self._server = self._running()
            if self._server is not None:
                return False
            if time.monotonic() > deadline:
                raise self._failure("another process has the lock but no Postgres")
            time.sleep(_POLL_SECONDS)
        if self._process is None or self._process.poll() is not None:
            try:
                self._boot(deadline)
            except BaseException:
                self.stop()
                raise
        return True

    def stop(self) -> None:
        """Stop the server if this process owns it. If it takes longer than 30 s, the next start recovers."""
        if self._process is not None:
            _end(self._process)
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def dsn(self) -> str:
        """The URL over the socket, as the superuser."""
        return self.dsn_for(SUPERUSER)

    def dsn_for(self, role: str, database: str = "postgres") -> str:
        """Return the URL of a database over the socket, as `role`. The socket needs no password."""
        port = self._server.port if self._server else self._port
        return f"postgresql://{role}@/{database}?host={quote(str(self._run))}&port={port}"

    @property
    def tcp_dsn(self) -> str | None:
        """The URL over TCP, as the superuser. None if the running server has no TCP port."""
        if self._server is None or not self._server.listens:
            return None
        password = _password_file(self._server.path.parent).read_text()
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self._server.port}/postgres"

    def _take_lock(self) -> bool:
        if self._lock is not None:
            return True
        lock = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def _boot(self, deadline: float) -> None:
        self._user.make_private(self._run)
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        self._log.touch(mode=0o600)
        binaries = Binaries.find(self.home, self._user)
        data = self.home / f"pg{binaries.major}"
        if not (data / "PG_VERSION").exists():
            self._create_cluster(binaries, data)
        self._end_predecessor(deadline)
        while not self._launch(binaries, data, deadline):
            time.sleep(0.1)

    def _create_cluster(self, binaries: Binaries, data: Path) -> None:
        """Create the cluster in a temporary directory and rename it, so that a killed start leaves no partial one."""
        staging = self.home / "initdb.new"
        password = self._run / "password"
        shutil.rmtree(staging, ignore_errors=True)
        self._user.make_private(staging)
        kept = _keep_password(_password_file(data), secrets.token_urlsafe(24))
        password.touch(mode=0o600)
        if self._user.ids:
            os.chown(password, *self._user.ids)
        password.write_text(kept)
        # A collation that needs no locale on this machine. Postgres 17 added the built-in provider.
        builtin = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        locale = builtin if binaries.major >= 17 else ["--locale=C.UTF-8"]
        auth = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}"]
        sync = ["--no-sync"] if self._settings.get("fsync") == "off" else []
        initdb = str(binaries.directory / "initdb")
        command = [initdb, "-D", str(staging), "-U", SUPERUSER, "-E", "UTF8", *locale, *auth, *sync]
        with self._log.open("ab") as log:
            done = subprocess.run(command, stdout=log, stderr=log, check=False, **self._user.process_options())
        password.unlink()
        if done.returncode:
            raise self._failure("Postgres could not create its data directory")
        staging.rename(data)

    def _end_predecessor(self, deadline: float) -> None:
        """Wait for the server of a dead owner, and remove files that would stop a new one from starting."""
        for old in self._pid_files():
            while old.is_alive():
                if time.monotonic() > deadline:
                    raise self._failure(f"the old server (process {old.pid}) does not stop")
                with contextlib.suppress(ProcessLookupError):
                    os.kill(old.pid, signal.SIGINT)
                time.sleep(_POLL_SECONDS)
            try:
                os.kill(old.pid, 0)
            except ProcessLookupError:
                continue
            except PermissionError:
                pass
            # The pid now belongs to another process or a zombie. Postgres would take it for its server.
            old.path.unlink(missing_ok=True)
        for leftover in self._run.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)

    def _launch(self, binaries: Binaries, data: Path, deadline: float) -> bool:
        """Start the server. Returns False if it has to wait for the backends of a killed server."""
        beginning = self._log.stat().st_size
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        if not _password_file(data).exists() and not self._renew_password(binaries, data):
            return self._may_try_again(beginning, deadline)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [binaries.directory / "postgres", "-D", data, *options],
                stdout=log,
                stderr=log,
                start_new_session=True,
                # On macOS this is None, and the next owner stops a server that was left running.
                preexec_fn=die_with_parent(signal.SIGINT),  # noqa: PLW1509 - one system call
                **self._user.process_options(),
            )
        self._server = None
        while self._process.poll() is None and time.monotonic() < deadline:
            pid_file = _PidFile.read(data / "postmaster.pid")
            if pid_file and pid_file.ready and pid_file.pid == self._process.pid:
                self._server = pid_file
                return True
            time.sleep(_POLL_SECONDS)
        _end(self._process)
        return self._may_try_again(beginning, deadline)

    def _may_try_again(self, beginning: int, deadline: float) -> bool:
        """Return False if the server did not start because it has to wait; otherwise raise EmbeddedPostgresFailed."""
        # Busy backends still hold the shared memory of a killed server, and Postgres refuses to start next to them.
        if "pre-existing shared memory block" in self._log_since(beginning) and time.monotonic() < deadline:
            return False
        raise self._failure("Postgres did not start")

    def _renew_password(self, binaries: Binaries, data: Path) -> bool:
        """Set a random password in a cluster without a password file, before it accepts any connection."""
        password = secrets.token_urlsafe(24)
        options = self._user.process_options()
        del options["stdin"]
        with self._log.open("ab") as log:
            done = subprocess.run(
                [binaries.directory / "postgres", "--single", "-D", data, "-c", "exit_on_error=on", "postgres"],
                input=f"alter role {SUPERUSER} password '{password}'\n".encode(),
                stdout=log,
                stderr=log,
                check=False,
                **options,
            )
        if done.returncode == 0:
            _keep_password(_password_file(data), password)
        return done.returncode == 0

    def running_password_file(self) -> Path | None:
        """Return the file with the superuser's password of the running server, of this process or another."""
        server = self._running()
        return None if server is None else _password_file(server.path.parent)

    def _running(self) -> "_PidFile | None":
        return next((found for found in self._pid_files() if found.ready and found.is_alive()), None)

    def _pid_files(self) -> "Iterator[_PidFile]":
        for path in self.home.glob("pg*/postmaster.pid"):
            if pid_file := _PidFile.read(path):
                yield pid_file

    def _failure(self, reason: str) -> EmbeddedPostgresFailed:
        lines = self._log_since(0).splitlines() if self._log.exists() else []
        return EmbeddedPostgresFailed(reason, self._log, lines[-_LOG_LINES:])

    def _log_since(self, byte: int) -> str:
        return self._log.read_bytes()[byte:].decode(errors="replace")


def default_home() -> Path:
    """Return OUTDIAL_HOME; by default /var/lib/outdial for root, and the user's data directory otherwise."""
    return EmbeddedSettings.from_env(read_environment()).home


@dataclass(frozen=True, slots=True)
class _PidFile:
    """The contents of postmaster.pid, which the server writes line by line while it starts."""

    path: Path
    pid: int
    port: int
    listens: bool
    ready: bool

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the contents so far. None if the file is missing or has no pid yet."""
        try:
            lines = path.read_text().split("\n") + [""] * 8
            pid, _, _, port, _, address, _, status = lines[:8]
            return cls(path, int(pid), int(port or 0), bool(address.strip()), status.strip() == "ready")
        except (FileNotFoundError, ValueError):
            return None

    def is_alive(self) -> bool:
        """Return whether the process is this server, and not a zombie or a process that reuses its pid."""
        data = self.path.parent
        if _LINUX:
            try:
                return Path(f"/proc/{self.pid}/cwd").readlink() == data.resolve()
            except OSError:
                return False
        listing = subprocess.run(["ps", "-p", str(self.pid), "-o", "command="], capture_output=True, check=False)
        return os.fsencode(data) in listing.stdout


def _password_file(data: Path) -> Path:
    """Return the file with the superuser's password for the cluster in `data`."""
    return data.with_suffix(".password")


def _keep_password(file: Path, password: str) -> str:
    """Write `password` to `file`, which only this user may read; return it."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(password)
    draft.replace(file)
    return password


def _end(process: subprocess.Popen[bytes]) -> None:
    # A fast shutdown first, then an immediate one. Never SIGKILL, which leaves backends running.
    for signal_number, seconds in ((signal.SIGINT, 30), (signal.SIGQUIT, 10)):
        process.send_signal(signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
