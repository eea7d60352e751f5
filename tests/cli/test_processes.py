"""The commands that run processes say in one line what they lack."""

from tests.cli.conftest import Outdial


def test_a_dialer_without_a_key_names_the_setting(outdial: Outdial) -> None:
    assert outdial.error("dialer").startswith("RETELL_API_KEY is not set: ")


def test_a_dialer_with_a_setting_that_cannot_be_read_names_it(outdial: Outdial) -> None:
    env = {"RETELL_API_KEY": "key", "OUTDIAL_POLL_INTERVAL": "soon"}
    assert outdial.error("dialer", "--once", env=env).startswith("OUTDIAL_POLL_INTERVAL must be")


def test_a_dialer_does_once_what_is_due(outdial: Outdial) -> None:
    done = outdial.json("dialer", "--once", env={"RETELL_API_KEY": "key"})
    assert done == {"started": 0, "claimed": 0, "asked": 0, "applied": 0}


def test_functions_without_a_key_name_the_setting(outdial: Outdial) -> None:
    env = {"RETELL_WEBHOOK_SECRET": "key", "SUPABASE_URL": "http://127.0.0.1:54321"}
    result = outdial.run("functions", "serve", "--port=0", env=env)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("SUPABASE_JWT_SECRET is not set")


def test_a_stack_is_never_run_on_a_remote_database(outdial: Outdial) -> None:
    remote = {"SUPABASE_DB_URL": "postgresql://postgres:secret@db.example.com/postgres"}
    result = outdial.run("dev", "--ports=auto", env=remote)
    assert result.exit_code == 1
    assert "db.example.com is not on this machine" in result.stderr
    assert "Traceback" not in result.output
