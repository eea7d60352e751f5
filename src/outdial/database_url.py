"""Checks database URLs, and says in one line how to correct one that cannot work.

No message quotes the URL: a special character in a password shifts its parts, so any part may hold some of the
password.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

_SCHEMES: Final = ("postgresql://", "postgres://")
# [YOUR-PASSWORD] as Supabase shows it, <password>, your_password, and the stars of a masked one.
_PLACEHOLDER: Final = re.compile(
    r":(?:[\[<{(]\S*pass\S*[\]>})]|(?:your|db)[-_]?pass(?:word)?|\*+|%5B\S*pass\S*%5D)@", re.IGNORECASE
)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]*")
_ENCODED: Final = ", ".join(f"{character} as {quote(character, safe='')}" for character in "@#/?[]%")
_ENCODE: Final = f"has a special character that is not encoded; in the password, write {_ENCODED}"

# Parameters that asyncpg reads, or that Postgres knows as settings of a session.
_KEPT: Final = frozenset(
    {
        "host", "port", "user", "password", "dbname", "database", "passfile", "service", "target_session_attrs",
        "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation",
        "ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib",
        "options", "search_path", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
        "idle_session_timeout", "timezone", "client_encoding", "application_name", "jit", "work_mem",
    }
)  # fmt: skip
# Parameters for other clients, such as Prisma, JDBC, node-postgres and libpq, that change nothing here.
_DROPPED: Final = frozenset(
    {
        "pgbouncer", "connection_limit", "pool_timeout", "socket_timeout", "statement_cache_size", "connect_timeout",
        "supa", "uselibpqcompat", "channel_binding", "gssencmode", "keepalives", "keepalives_idle",
        "keepalives_interval", "keepalives_count", "tcp_user_timeout", "fallback_application_name", "sslcompression",
        "sslsni", "load_balance_hosts", "require_auth", "preparethreshold", "prepared_statements", "pool_mode",
    }
)  # fmt: skip
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TRANSACTION_PORT: Final = 6543
_SUPABASE_HOSTS: Final = (".supabase.com", ".supabase.co")


class BadDatabaseUrl(ValueError):
    """The URL cannot work; the message says what to write, and quotes no part of the URL."""


def check_database_url(raw: str) -> str:
    """Return the URL without quotes around it and without parameters for other clients; raise BadDatabaseUrl."""
    url = raw.strip()
    try:
        url.encode()
    except UnicodeEncodeError:
        raise BadDatabaseUrl("is not UTF-8 text; percent-encode its special characters") from None
    if any(character.isspace() or ord(character) < 32 for character in url):
        raise BadDatabaseUrl("contains a space or a line break; in a password, write a space as %20")
    if not url.startswith(_SCHEMES):
        raise BadDatabaseUrl("must begin with postgresql://, as in postgresql://user:password@host:5432/name")
    _check_login(url.partition("://")[2])
    try:
        parts = urlsplit(url)
        hosts_of(url)
        kept = _check_parameters(parts.query)
    except BadDatabaseUrl:
        raise
    except ValueError:  # such as characters that turn into a / or @ when they are normalised
        raise BadDatabaseUrl(_ENCODE) from None
    before = url.partition("?")[0]
    return f"{before}?{kept}" if kept else before


def _check_login(rest: str) -> None:
    """Check the part after `://` for a password with special characters, which end it early."""
    login = rest.rpartition("@")[0]
    if _PLACEHOLDER.search(f"{login}@"):
        raise BadDatabaseUrl("still has a placeholder; put the password of the database in its place")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    # An @ in a parameter needs no encoding for a URL without a host, as in postgresql:///name?host=@socket.
    is_parameter = authority.endswith("@") or not authority
    is_cut_off = "@" in tail and not (is_parameter and "@" not in tail.partition("?")[0])
    has_brackets = re.search(r"[\[\]]", authority.rpartition("@")[0])
    if is_cut_off or has_brackets or "#" in rest or authority.count("@") > 1 or _BAD_ESCAPE.search(rest):
        raise BadDatabaseUrl(_ENCODE)


def hosts_of(url: str) -> list[tuple[str, int | None]]:
    """Return the hosts that `url` names, with their ports; raise BadDatabaseUrl. A path is a Unix socket."""
    parts = urlsplit(url)
    found: list[tuple[str, int | None]] = []
    query = dict(parse_qsl(parts.query))
    before_path = parts.netloc.rpartition("@")[2]
    in_parameter = query.get("host", "")
    for listed in (before_path, in_parameter):
        if "," in listed and "" in listed.split(","):
            raise BadDatabaseUrl("has an empty host in its list of hosts; remove the comma")
    for item in filter(None, before_path.split(",")):
        if item.startswith("["):
            host, _, port = item[1:].partition("]")
            port = port.removeprefix(":")
            try:
                IPv6Address(host.partition("%")[0])
            except ValueError:
                raise BadDatabaseUrl("has brackets around something that is not an IPv6 address") from None
        else:
            host, _, port = item.partition(":")
            if ":" in port:
                raise BadDatabaseUrl("has an IPv6 address without brackets; write postgresql://user@[2001:db8::1]:5432")
            if not _HOST.fullmatch(host) and not unquote(host).startswith(("/", "@")):
                raise BadDatabaseUrl(_ENCODE)
        found.append((unquote(host), _port(port)))
    ports = [_port(port) for port in query.get("port", "").split(",")]
    for index, host in enumerate(filter(None, in_parameter.split(","))):
        found.append((host, ports[index] if index < len(ports) else ports[0]))
    return found


def names_transaction_pooler(url: str) -> bool:
    """Return whether `url` names port 6543 of a host of Supabase, where its pooler runs in transaction mode."""
    return any(
        port == _TRANSACTION_PORT and host.lower().rstrip(".").endswith(_SUPABASE_HOSTS) for host, port in hosts_of(url)
    )


def without_login(query: str) -> str:
    """Return the parameters of a URL without its user and its password, which would replace those before the host."""
    kept = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in ("user", "password")]
    return _encode(kept)


def user_of(url: str) -> str:
    """Return the database user that `url` names, or an empty string."""
    parts = urlsplit(url)
    return unquote(parts.netloc.rpartition("@")[0].partition(":")[0]) or dict(parse_qsl(parts.query)).get("user", "")


def _port(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not 0 < int(text) < 65536:
        raise BadDatabaseUrl(f"has no port number from 1 to 65535 after the host, or {_ENCODE}")
    return int(text)


def _check_parameters(query: str) -> str:
    kept: dict[str, str] = {}
    if query and any("=" not in item for item in query.split("&")):
        raise BadDatabaseUrl(f"has a parameter without a value, or {_ENCODE}")
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in ("ssl", "tls"):
            raise BadDatabaseUrl(f"has the parameter {name}; write sslmode=require")
        if name == "schema" and value == "public":
            continue
        if name not in _KEPT | _DROPPED:
            raise BadDatabaseUrl(
                f"has an unknown parameter after the ?; remove it. Known are {', '.join(sorted(_KEPT))}"
            )
        if name == "sslmode" and value not in _SSL_MODES:
            raise BadDatabaseUrl(f"has an unknown sslmode; write one of {', '.join(_SSL_MODES)}")
        if name in _KEPT and value:
            kept[name] = value
    return _encode(list(kept.items()))


def _encode(parameters: Sequence[tuple[str, str]]) -> str:
    return urlencode(parameters, quote_via=quote, safe="/,:@")
