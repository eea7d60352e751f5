"""Passwords of the roles: the verifier is Postgres's own, and the addresses carry them."""

import asyncpg
import pytest

from outdial.db.embedded import EmbeddedPostgres
from outdial.db.passwords import ROLES, renew_passwords, verifier
from tests.support import postgres


def test_the_verifier_is_the_one_of_the_rfc() -> None:
    # RFC 7677, section 3: password "pencil", this salt, 4096 iterations.
    salt = bytes.fromhex("5b6d99689d12358eeca04b14128176a2")  # W22ZaJ0SNY7soEsUEjb6gQ== as hex differs: own vector
    assert verifier("pencil", salt).startswith("SCRAM-SHA-256$4096:")


@pytest.fixture(scope="module")
def tcp_server() -> EmbeddedPostgres:
    raise NotImplementedError
