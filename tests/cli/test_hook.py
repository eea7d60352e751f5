"""`outdial hook`: sets, shows and removes the pre-dial hook, and never prints its secret."""

from tests.cli.conftest import Outdial, sql
from tests.support.hooks import SECRET
from tests.support.postgres import Scratch

URL = "https://hook.example.com/calls"
GIVEN = {"OUTDIAL_HOOK_SECRET": SECRET}


def test_a_hook_is_set_shown_and_removed(acme: Outdial, database: Scratch) -> None:
    assert "No pre-dial hook is set" in acme("hook", "show")
    assert acme.json("hook", "show") is None
    assert acme.run("hook", "remove").exit_code == 1
    done = acme("hook", "set", URL, env=GIVEN)
    assert URL in done
    [(url, secret)] = sql(database, "select url, secret from pre_dial_hooks")
    entries = sql(database, "select action, details::text from audit_log order by id")
    audited = [f"{action} {details}" for action, details in entries]
    assert (url, secret) == (URL, SECRET)
    assert audited[-1].startswith("set_pre_dial_hook ")
    shown = acme("hook", "show") + str(acme.json("hook", "show")) + "".join(audited) + done
    assert URL in shown
    assert SECRET not in shown
    assert "removed" in acme("hook", "remove")
    assert acme.json("hook", "show") is None


def test_the_secret_can_be_typed_and_is_not_echoed(acme: Outdial) -> None:
    done = acme("hook", "set", URL, stdin=f"{SECRET}\n")
    assert SECRET not in done
    assert acme.json("hook", "show")["url"] == URL


def test_a_bad_url_or_secret_says_what_to_change(acme: Outdial) -> None:
    assert "Use https" in acme.error("hook", "set", "http://hook.example.com", env=GIVEN)
    assert "OUTDIAL_HOOK_PRIVATE_NETWORKS" in acme.error("hook", "set", "https://10.0.0.1/", env=GIVEN)
    acme("hook", "set", "http://127.0.0.1:9000/", env=GIVEN | {"OUTDIAL_HOOK_PRIVATE_NETWORKS": "true"})
    error = acme.error("hook", "set", URL, env={"OUTDIAL_HOOK_SECRET": "hunter2"})
    assert "16 to 200" in error
    assert "hunter2" not in error
