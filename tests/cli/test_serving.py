"""`outdial serve` and `outdial functions serve` report in one line why they do not start."""

from pathlib import Path

from tests.cli.conftest import Outdial


def test_a_listener_open_to_the_network_is_refused(outdial: Outdial) -> None:
    for command in (["serve"], ["functions", "serve"]):
        assert "is open to the network without TLS" in outdial.error(*command, "--host=0.0.0.0", "--port=0")


def test_a_certificate_needs_its_key(outdial: Outdial, tmp_path: Path) -> None:
    assert "pass both --cert and --key" in outdial.error("serve", f"--cert={tmp_path / 'chain.pem'}")


def test_a_missing_certificate_is_named(outdial: Outdial, tmp_path: Path) -> None:
    options = [f"--cert={tmp_path / 'chain.pem'}", f"--key={tmp_path / 'key.pem'}"]
    assert "chain.pem" in outdial.error("serve", "--port=0", *options)


def test_production_requires_a_database(outdial: Outdial) -> None:
    assert outdial.error("serve", env={"SUPABASE_DB_URL": ""}).startswith("SUPABASE_DB_URL is not set: ")


def test_each_function_needs_its_own_login(outdial: Outdial) -> None:
    error = outdial.error("functions", "serve", "--port=0")
    assert error.startswith("OUTDIAL_API_DB_URL is not set: campaign-trigger logs in as outdial_api")


def test_an_unknown_standalone_function_is_reported_with_the_known_ones(outdial: Outdial) -> None:
    error = outdial.error("functions", "serve", "--alone=moon")
    assert error.endswith("supabase/functions contains campaign-trigger, retell-webhook")
