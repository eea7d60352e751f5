"""`outdial retell-key`: stores a key from standard input, encrypted, and never prints it."""

import json

import pytest

from outdial.cli.accounts import retell_key
from tests.cli.conftest import Outdial, sql
from tests.support.factories import ENCRYPTION_SECRETS
from tests.support.postgres import Scratch
from tests.support.studio import FakeKeyTester

KEY = "key_good_from_stdin_1a2b"
ENV = {"RETELL_ENCRYPTION_KEY": ENCRYPTION_SECRETS[0]}


@pytest.fixture(autouse=True)
def tester(monkeypatch: pytest.MonkeyPatch) -> FakeKeyTester:
    """What stands in for Retell."""
    fake = FakeKeyTester()
    monkeypatch.setattr(retell_key, "RetellKeyTester", lambda _url: fake)
    return fake


def test_a_key_is_stored_shown_encrypted_again_and_removed(acme: Outdial, database: Scratch) -> None:
    assert acme.json("retell-key", "show")[0]["last_four"] is None
    done = acme("retell-key", "set", stdin=f"{KEY}\n", env=ENV)
    shown = acme("retell-key", "show") + str(acme.json("retell-key", "show"))
    [(first,)] = sql(database, "select ciphertext from provider_keys")
    assert sql(database, "select count(*) from number_imports where next_try_at is not null") == [(1,)]
    again = acme("retell-key", "reencrypt", env={"RETELL_ENCRYPTION_KEY": f"{'n' * 32},{ENCRYPTION_SECRETS[0]}"})
    [(second,)] = sql(database, "select ciphertext from provider_keys")
    other = acme.error("retell-key", "reencrypt", env=ENV)
    acme("retell-key", "set", stdin=f"{KEY}\n", env=ENV)
    removed = acme("retell-key", "remove", "--now")

    assert "1a2b" in done
    assert "1a2b" in shown
    assert shown.count("not reported") == 2, "no process is running"
    assert "Keys encrypted again: 1" in again
    assert first != second
    assert "1 keys cannot be read" in other
    assert KEY not in done + shown + again + other + removed
    assert acme.error("retell-key", "remove") == "no key is stored for this account"
    entries = sql(database, "select action, details::text from audit_log where action like '%api_key' order by id")
    assert [action for action, _ in entries] == ["enter_api_key", "replace_api_key", "remove_api_key"]
    assert [json.loads(details)["last_four"] for _, details in entries] == ["1a2b"] * 3
    assert KEY not in str(entries)


def test_keys_of_different_workspaces_on_the_server_are_named(acme: Outdial, database: Scratch) -> None:
    assert "different workspaces" not in acme("retell-key", "show")
    report = (
        "select private.report_environment_keys(array['{0}'], array[{1}]::text[], array['{2}'], array['key of {2}'],"
        " now() - interval '{3} minutes')"
    )
    credential = acme.json("retell-key", "show")[0]["credential"]
    for minutes, workspace_id, name in ((3, "'org_1'", "Sales"), (2, "null", "")):
        sql(database, report.format(credential, workspace_id, name, minutes))
    assert "different workspaces" not in acme("retell-key", "show"), "the key may have changed"
    sql(database, report.format(credential, "'org_1'", "Sales", 1))
    shown = " ".join(acme("retell-key", "show").split())
    assert f"{credential}: the dialers have keys of different workspaces on the server: Sales, one that" in shown
    assert acme.json("retell-key", "show")[0]["server_workspaces"] == ["Sales", ""]


def test_what_is_wrong_is_said_and_the_key_is_not_repeated(acme: Outdial, database: Scratch) -> None:
    assert "RETELL_ENCRYPTION_KEY" in acme.error("retell-key", "set", stdin=KEY)
    refused = acme.error("retell-key", "set", stdin="key_wrong_0123456789", env=ENV)
    unknown = acme.error("retell-key", "set", "--account", "other", stdin=KEY, env=ENV)

    assert "Retell does not accept this key" in refused
    assert "unknown account 'other'" in unknown
    assert "key_wrong" not in refused
    assert KEY not in unknown
    assert sql(database, "select count(*) from provider_keys") == [(0,)]
