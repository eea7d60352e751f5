"""Expected errors of the command line, and the one line that each prints.

CliError
├── UnknownName
├── AmbiguousName
├── ActionRefused
└── InvalidArgument
"""

import errno
import json
import socket

import asyncpg

from outdial.auth.tokens import VerifierMisconfigured
from outdial.campaigns.errors import CampaignsError
from outdial.db.errors import DatabaseError
from outdial.domain.errors import DomainError
from outdial.evidence.errors import EvidenceError
from outdial.host.wire.errors import HostError
from outdial.http import HttpServerError
from outdial.promises.errors import PromisesError
from outdial.provider_keys.errors import ProviderKeysError
from outdial.settings import SettingError
from outdial.stack.errors import StackError
from outdial.supervisor import ProcessFailed

# What a machine without IPv6 reports for a host that has only such addresses.
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_SESSION_POOLER = "use the address of Supabase's session pooler, which has port 5432"


class CliError(Exception):
    """The command failed; the message says why, and what to do."""


class UnknownName(CliError):
    """No such id or name."""


class AmbiguousName(CliError):
    """The name matches more than one."""


class ActionRefused(CliError):
    """The current state does not allow the action."""


class InvalidArgument(CliError):
    """An argument is invalid."""


_EXPECTED = (
    CliError,
    StackError,
    ProcessFailed,
    PromisesError,
    ProviderKeysError,
    SettingError,
    CampaignsError,
    DatabaseError,
    DomainError,
    EvidenceError,
    HostError,
    HttpServerError,
    VerifierMisconfigured,
)
_NO_TABLES = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedFunctionError)
_NO_ROLES = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.UndefinedObjectError)


def explain(error: BaseException) -> str | None:
    """Return the message for an expected error; None for an unexpected one, which deserves its traceback."""
    if isinstance(error, _EXPECTED):
        return str(error)
    if isinstance(error, asyncpg.InvalidPasswordError):
        return f"the database refused the login: {error}; outdial db credentials sets new passwords"
    if isinstance(error, asyncpg.UndefinedObjectError) and "configuration parameter" in str(error):
        return f"the database URL sets a parameter that the server does not know: {error}"
    if isinstance(error, (*_NO_TABLES, *_NO_ROLES)):
        return f"the database is not migrated ({error}): run outdial db push"
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        return f"database error: {error}"
    if isinstance(error, json.JSONDecodeError):
        return f"invalid JSON: {error}"
    if isinstance(error, ConnectionError) or (isinstance(error, OSError) and error.filename is None):
        host = getattr(error, "host", None)  # errors of HTTP requests have a host; all others come from Postgres
        reason = f"cannot connect to {host or 'the database'}: {error.strerror or error}"
        if host is None and (isinstance(error, socket.gaierror) or error.errno in _NO_ROUTE):
            return f"{reason}; if its host has only IPv6 addresses, as Supabase's direct address has, {_SESSION_POOLER}"
        return reason
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    # Imported late: it loads the HTTP server, which most commands do not need.
    from outdial.functions.errors import FunctionsError

    return str(error) if isinstance(error, FunctionsError) else None
