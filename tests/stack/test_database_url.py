"""Database URLs: what is not encoded or left in gets one line that names the cure and no part of the password."""

from urllib.parse import quote, unquote

import asyncpg
import pytest
from asyncpg import connect_utils
from hypothesis import example, given
from hypothesis import strategies as st

from outdial.database_url import BadDatabaseUrl, check_database_url, hosts_of
from outdial.db.migrate import refuse_remote
from outdial.settings import DatabaseUrls, SettingError

ENCODE = "in the password, write @ as %40, # as %23, / as %2F, ? as %3F, [ as %5B, ] as %5D, % as %25"
URL = "postgresql://postgres:secret@db.example.com/postgres"


def problem(url: str) -> str:
    with pytest.raises(SettingError) as refused:
        DatabaseUrls.from_env({"SUPABASE_DB_URL": url})
    told = str(refused.value)
    assert told.startswith("SUPABASE_DB_URL ")
    assert "\n" not in told
    return told


@pytest.mark.parametrize("character", "@#/?[]%")
@pytest.mark.parametrize(
    "host", ["127.0.0.1/x", "db.example.com:5432/postgres?sslmode=require", "[2001:db8::1]/x", "/x"]
)
@pytest.mark.parametrize("around", ["S3cr{}t", "{}", "1{}2", "a{}b=c", "=&{}"])
def test_a_character_of_the_password_that_is_not_encoded_is_named_and_its_code_works(
    character: str, host: str, around: str
) -> None:
    password = around.format(character)

    told = problem(f"postgresql://postgres:{password}@{host}")

    assert ENCODE in told
    good = f"postgresql://postgres:{quote(password, safe='')}@{host}"
    assert check_database_url(good) == good


@pytest.mark.parametrize(
    "password", ["[YOUR-PASSWORD]", "[your-password]", "<password>", "{db_password}", "YOUR_PASSWORD", "*****",
                 "%5BYOUR-PASSWORD%5D"]
)  # fmt: skip
def test_a_placeholder_is_named(password: str) -> None:
    url = f"postgresql://postgres.abc:{password}@aws-0-eu-central-1.pooler.supabase.com:5432/postgres"
    assert problem(url) == ("SUPABASE_DB_URL still has a placeholder; put the password of the database in its place")


@pytest.mark.parametrize("password", ["password", "postgres", "my-password-1", ""])
def test_a_plain_password_is_no_placeholder(password: str) -> None:
    url = f"postgresql://postgres:{password}@localhost/postgres"
    assert check_database_url(url) == url


@pytest.mark.parametrize(
    ("parameters", "kept"),
    [
        ("pgbouncer=true&connection_limit=1", ""),
        ("pgbouncer=true&sslmode=require", "?sslmode=require"),
        ("sslmode=require&channel_binding=require", "?sslmode=require"),
        ("sslmode=require&supa=base-pooler.x", "?sslmode=require"),
        ("schema=public&connect_timeout=10", ""),
        ("host=/run/postgresql&port=5433", "?host=/run/postgresql&port=5433"),
        ("options=-c%20work_mem%3D64MB", "?options=-c%20work_mem%3D64MB"),
    ],
)
def test_parameters_for_other_clients_are_dropped(parameters: str, kept: str) -> None:
    assert check_database_url(f"{URL}?{parameters}") == f"{URL}{kept}"


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        (f"{URL}?ssl=true", "write sslmode=require"),
        (f"{URL}?sslmode=no-verify", "has an unknown sslmode; write one of disable, allow, prefer, require"),
        (f"{URL}?frobnicate=1", "has an unknown parameter after the ?; remove it"),
        ("postgresql://postgres:x@2001:db8::1/postgres", "has an IPv6 address without brackets; write postgresql://"),
        ("postgresql://postgres:x@[nonsense]/postgres", "in the password, write"),
        ("postgresql://postgres:x@host:99999/postgres", "has no port number from 1 to 65535"),
        ("postgresql://postgres:x@host:port/postgres", "has no port number from 1 to 65535"),
        ("postgresql://postgres:a b@host/postgres", "in a password, write a space as %20"),
        ("postgresql://u:p@host,,other/x", "has an empty host in its list of hosts"),
        ("postgresql:///x?host=,", "has an empty host in its list of hosts"),
        ("jdbc:postgresql://host/postgres?user=x", "must begin with postgresql://"),
        ("https://abcdefgh.supabase.co", "must begin with postgresql://"),
        ("host=127.0.0.1 dbname=x", "contains a space"),
        ("postgresql://postgres:\udce9@host/x", "is not UTF-8 text"),
    ],
)
def test_other_mistakes_name_their_cure(url: str, cure: str) -> None:
    assert cure in problem(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgresql:///postgres",
        "postgres://postgres@localhost",
        "postgresql://postgres@/postgres?host=%2Frun%2Foutdial&port=5432",
        "postgresql://postgres@%2Frun%2Foutdial/postgres",
        "postgresql:///postgres?host=@abstract",
        "postgresql://postgres:x@10.0.0.1:5432,10.0.0.2:5433/postgres?target_session_attrs=primary",
        "postgresql://postgres:x@[2001:db8::1]:5432/postgres",
        "postgresql://postgres.abcdefghijklmnopqrst:x@aws-0-eu-central-1.pooler.supabase.com:5432/postgres",
    ],
)
def test_good_urls_stay_as_they_are(url: str) -> None:
    assert check_database_url(url) in (url, url.replace("%2Frun%2Foutdial&", "/run/outdial&"))


def test_quotes_around_a_url_are_dropped() -> None:
    assert DatabaseUrls.from_env({"SUPABASE_DB_URL": f"'{URL}'"}).owner == URL


def test_the_name_of_another_setting_is_named() -> None:
    with pytest.raises(SettingError, match="OUTDIAL_JOBS_DB_URL has a special character"):
        DatabaseUrls.from_env({"SUPABASE_DB_URL": URL, "OUTDIAL_JOBS_DB_URL": "postgresql://u:a#b@host/x"})


# The parts of a password that a message might quote.
MARK = "Zq7w"
PASSWORDS = st.lists(st.sampled_from([*"@#/?[]%=&:,;.$ é", MARK, "1", "%41", "sslmode=", "YOUR-PASSWORD"]), max_size=8)


@given(
    PASSWORDS.map("".join),
    st.sampled_from(["db.example.com", "127.0.0.1:5432", "[::1]:6543", "a,b", ""]),
    st.sampled_from(["/postgres", "", "/x?sslmode=require", "?pgbouncer=true", "/x?host=/run&user=a@b"]),
)
@example("Zq7w?Zq7w=1", "host", "/x")
@example("1?Zq7w=1", "host", "/x")
@example("@?Zq7w=1", "", "/x")
@example("5432/Zq7w", "host", "/x")
def test_no_password_is_quoted_and_what_is_accepted_is_read_as_it_is(password: str, host: str, rest: str) -> None:
    try:
        url = check_database_url(f"postgresql://postgres:{password}@{host}{rest}")
    except BadDatabaseUrl as error:
        told = str(error)
        assert MARK not in told
        assert "\n" not in told
        return
    assert parsed(url) == (unquote(password) or None)


@given(st.text())
@example("postgresql://[")
@example("postgresql://u@[::1")
@example("postgresql://\u2100@host/x")
@example("postgresql://u:p@host:/x?port=a")
def test_no_text_causes_another_error(text: str) -> None:
    for raw in (text, f"postgresql://{text}", f"postgresql://u:p@{text}", f"postgresql://u:p@host/x?{text}"):
        try:
            url = check_database_url(raw)
        except BadDatabaseUrl:
            continue
        hosts_of(url)
        assert check_database_url(url) == url
        parsed(url)


def parsed(url: str) -> str | None:
    """Return the password in `url` as asyncpg reads it. None also if `url` names certificates that are not there."""
    try:
        _, parameters, *_ = connect_utils._parse_connect_dsn_and_args(
            dsn=url, host=None, port=None, user="test", password=None, passfile="/nowhere/pgpass", database="test",
            ssl=None, service=None, servicefile=None, direct_tls=None, server_settings=None, target_session_attrs=None,
            krbsrvname=None, gsslib=None,
        )  # fmt: skip
    except (asyncpg.InterfaceError, OSError):
        return None
    return parameters.password


@pytest.mark.parametrize("url", ["postgresql://u:p@[::1]/x", "postgresql:///x?host=/run", "postgresql://localhost/x"])
def test_hosts_of_this_machine_are_local(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGHOST", raising=False)
    refuse_remote(url)
