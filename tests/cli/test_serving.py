"""`outdial serve` and `outdial functions serve` say in one line why they do not start."""

from pathlib import Path

from tests.cli.conftest import Outdial


def test_a_listener_open_to_the_network_is_refused(outdial: Outdial) -> None:
    for command in (["serve"], ["functions", "serve"]):
        assert "is open to the network without TLS" in outdial.error(*command, "--host=0.0.0.0", "--port=0")


def test_a_certificate_needs_its_key(outdial: Outdial, tmp_path: Path) -> None:
    assert "pass both --cert and --key" in outdial.error("serve", f"--cert={tmp_path / 'chain.pem'}")


def test_a_certificate_that_is_not_there_is_named(outdial: Outdial, tmp_path: Path) -> None:
    options = [f"--cert={tmp_path / 'chain.pem'}", f"--key={tmp_path / 'key.pem'}"]
    assert "chain.pem" in outdial.error("serve", "--port=0", *options)


def test_production_does_not_make_up_a_database(outdial: Outdial) -> None:
    assert outdial.error("serve", env={"SUPABASE_DB_URL": ""}).startswith("SUPABASE_DB_URL is not set: ")


def test_a_function_gets_a_login_of_its_own_or_none(outdial: Outdial) -> None:
    error = outdial.error("functions", "serve", "--port=0")
    assert error.startswith("OUTDIAL_API_DB_URL is not set: campaign-trigger logs in as outdial_api")


def test_a_function_that_is_not_there_is_told_with_those_that_are(outdial: Outdial) -> None:
    error = outdial.error("functions", "serve", "--alone=moon")
    assert error.endswith("supabase/functions contains campaign-trigger, retell-webhook")
