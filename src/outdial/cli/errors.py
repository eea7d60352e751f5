"""What the command line says, in one line, when something foreseeable is wrong.

CliError
├── NoSuchThing
├── Ambiguous
├── Refused
├── BadInput
├── PortTaken
└── PartFailed
"""

import json
from collections.abc import Sequence

import asyncpg

from outdial.auth.tokens import VerifierMisconfigured
from outdial.campaigns.errors import CampaignsError
from outdial.db.errors import DatabaseError
from outdial.domain.errors import DomainError
from outdial.host.wire.errors import HostError
from outdial.http import HttpServerError
from outdial.settings import SettingError


class CliError(Exception):
    """A command cannot do what was asked; the message says why, and what to do."""


class NoSuchThing(CliError):
    """What the command was given names nothing."""


class Ambiguous(CliError):
    """What the command was given names several things."""


class Refused(CliError):
    """The state of a thing does not allow what was asked."""


class BadInput(CliError):
    """An argument cannot be read."""


class PortTaken(CliError):
    """Another process listens where the local stack wants to."""

    def __init__(self, port: int, what: str, instead: str) -> None:
        super().__init__(f"port {port}, for the {what}, is taken by another process: stop it, or {instead}")


class PartFailed(CliError):
    """A part of the local stack did not start."""

    def __init__(self, name: str, last_lines: Sequence[str]) -> None:
        errors = [line.removeprefix("Error: ") for line in last_lines if line.startswith("Error: ")]
        said = (errors or list(last_lines) or ["it said nothing"])[-1]
        super().__init__(f"the {name} did not start: {said.strip()}")
        self.last_lines = tuple(last_lines)


_OURS = (
    CliError,
    SettingError,
    CampaignsError,
    DatabaseError,
    DomainError,
    HostError,
    HttpServerError,
    VerifierMisconfigured,
)
_NO_TABLES = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedFunctionError)
_NO_ROLES = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.UndefinedObjectError)


def explain(error: BaseException) -> str | None:
    """Return what to tell the user about a foreseeable error; None for a surprise, which deserves its traceback."""
    if isinstance(error, _OURS):
        return str(error)
    if isinstance(error, asyncpg.InvalidPasswordError):
        return f"the database refuses the login: {error}; see outdial db credentials"
    if isinstance(error, (*_NO_TABLES, *_NO_ROLES)):
        return f"the database lacks what Outdial needs ({error}): run outdial db push"
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        return f"the database says: {error}"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error}"
    if isinstance(error, ConnectionError) or (isinstance(error, OSError) and error.filename is None):
        host = getattr(error, "host", None)  # that of an HTTP request; everything else is Postgres
        return f"no connection to {host or 'the database'}: {error.strerror or error}"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return _of_functions(error)


def _of_functions(error: BaseException) -> str | None:
    # Imported here: the functions bring an HTTP server with them, which most commands have no use for.
    from outdial.functions.errors import FunctionsError

    return str(error) if isinstance(error, FunctionsError) else None
