"""The commands that run processes report in one line what is missing."""

import logging
import socket
from pathlib import Path

import pytest

from tests.cli.conftest import Outdial


def test_a_dialer_without_a_key_names_the_setting(outdial: Outdial) -> None:
    assert outdial.error("dialer").startswith("RETELL_API_KEY is not set: ")


def test_a_dialer_with_an_invalid_setting_names_it(outdial: Outdial) -> None:
    env = {"RETELL_API_KEY": "key", "OUTDIAL_POLL_INTERVAL": "soon"}
    assert outdial.error("dialer", "--once", env=env).startswith("OUTDIAL_POLL_INTERVAL must be")


def test_a_dialer_calls_through_retell_only_from_a_named_database(outdial: Outdial, tmp_path: Path) -> None:
    env = {"RETELL_API_KEY": "key", "SUPABASE_DB_URL": "", "OUTDIAL_HOME": str(tmp_path)}
    assert outdial.error("dialer", env=env).startswith("SUPABASE_DB_URL is not set: ")


def test_a_dialer_runs_once(outdial: Outdial) -> None:
    done = outdial.json("dialer", "--once", env={"RETELL_API_KEY": "key"})
    assert done == {
        "started": 0,
        "claimed": 0,
        "asked": 0,
        "applied": 0,
        "hung_up": 0,
        "decided": 0,
        "late_callbacks": 0,
        "deleted": 0,
        "opt_outs_restarted": 0,
        "opt_outs_sent": 0,
        "opt_outs_read": 0,
        "located": 0,
        "number_imports": 0,
        "organizations_measured": 0,
        "budgets_checked": 0,
        "launch_checks": 0,
        "test_calls": 0,
        "listen_requests": 0,
    }


def test_functions_without_a_key_name_the_setting(outdial: Outdial) -> None:
    env = {"RETELL_WEBHOOK_SECRET": "key", "SUPABASE_URL": "http://127.0.0.1:54321"}
    error = outdial.error("functions", "serve", "--port=0", "--alone=campaign-trigger", env=env)
    assert error.startswith("SUPABASE_SERVICE_ROLE_KEY is not set")


def test_a_stack_is_never_run_on_a_remote_database(outdial: Outdial) -> None:
    remote = {"SUPABASE_DB_URL": "postgresql://postgres:secret@db.example.com/postgres"}
    result = outdial.run("dev", "--ports=auto", env=remote)
    assert result.exit_code == 1
    assert "db.example.com is not on this machine" in result.stderr
    assert "Traceback" not in result.output


def test_a_taken_port_is_reported_before_anything_starts(
    outdial: Outdial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "supabase").mkdir()
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "supabase" / "config.toml").write_text(f"[api]\nport = {port}\n")
        result = outdial.run("dev")
    assert result.exit_code == 1
    assert f"port {port}, for the functions, is taken by another process" in result.stderr
    assert "--ports auto" in result.stderr


def test_a_simulator_reports_a_taken_port(outdial: Outdial) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = outdial.error("simulator", f"--port={taken.getsockname()[1]}")
    assert "for the simulator, is taken by another process" in error


def test_a_webhook_secret_of_commas_only_is_reported_in_one_line(outdial: Outdial) -> None:
    env = {"RETELL_WEBHOOK_SECRET": ","}
    assert outdial.error("simulator", "--port=0", env=env).startswith("RETELL_WEBHOOK_SECRET contains no secret: ")
    error = outdial.error("functions", "test", env=env)
    assert error.startswith("the webhook secret of local contains no secret: ")


def test_a_command_that_logs_leaves_the_logger_of_the_tests_alone(outdial: Outdial) -> None:
    logger = logging.getLogger("outdial")
    before = (logger.handlers[:], logger.level, logger.propagate)

    outdial.json("dialer", "--once", env={"RETELL_API_KEY": "key"})

    assert (logger.handlers, logger.level, logger.propagate) == before


def test_an_incomplete_installation_is_reported_in_one_line(
    outdial: Outdial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outdial.project._PACKAGE", tmp_path / "src" / "outdial")
    assert outdial.error("db", "push").startswith("this installation of Outdial is incomplete: ")
