"""`outdial functions manifests`: the files it writes, and that every command in them parses."""

from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from outdial.cli.main import app

SUPABASE = Path(__file__).parents[2] / "supabase"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["functions", "manifests", *arguments])


def objects(*arguments: str) -> list[dict[str, Any]]:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return [each for each in yaml.safe_load_all(result.stdout) if each]


def containers(target: str) -> list[dict[str, Any]]:
    templates = [each["spec"]["template"] for each in objects("--target", target) if "template" in each.get("spec", {})]
    return [container for template in templates for container in template["spec"]["containers"]]


@pytest.mark.parametrize("target", ["knative", "kubernetes"])
def test_every_command_in_a_manifest_parses(target: str) -> None:
    commands = [container["command"] for container in containers(target)]

    assert ["outdial", "dialer"] in commands
    for program, *words in commands:
        assert program == "outdial"
        command: Any = typer.main.get_command(app)
        at = 0
        while hasattr(command, "commands"):
            command = command.commands[words[at]]
            at += 1
        # Parsed, and not run.
        command.make_context(words[at - 1], words[at:])


@pytest.mark.parametrize("target", ["knative", "kubernetes"])
def test_each_component_has_its_own_login(target: str) -> None:
    logins = {
        container["name"]: variable["valueFrom"]["secretKeyRef"]["key"]
        for container in containers(target)
        for variable in container["env"]
        if variable["name"] == "SUPABASE_DB_URL"
    }

    assert (
        logins.items()
        >= {
            "retell-webhook": "OUTDIAL_WEBHOOK_DB_URL",
            "campaign-trigger": "OUTDIAL_API_DB_URL",
            "outdial-gateway": "OUTDIAL_HOST_DB_URL",
            "outdial-dialer": "OUTDIAL_DIALER_DB_URL",
        }.items()
    )


def test_writes_a_file_per_component_that_names_the_command(tmp_path: Path) -> None:
    result = run("--target", "knative", "--out", str(tmp_path / "k8s"), "--image", "registry.example.com/outdial:7")

    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    names = {path.name for path in (tmp_path / "k8s").iterdir()}
    assert names >= {"service-account.yaml", "retell-webhook.yaml", "campaign-trigger.yaml", "outdial-dialer.yaml"}
    text = (tmp_path / "k8s" / "retell-webhook.yaml").read_text()
    assert text.startswith(
        "# Made by: outdial functions manifests --target knative --image registry.example.com/outdial:7 "
        "--namespace outdial\n"
    )
    assert "image: registry.example.com/outdial:7\n" in text


def test_the_environment_is_the_default_namespace() -> None:
    def namespaces(*arguments: str) -> set[str]:
        return {each["metadata"]["namespace"] for each in objects("--target", "kubernetes", *arguments)}

    assert namespaces() == {"outdial"}
    assert namespaces("--env", "staging") == {"outdial-staging"}
    assert namespaces("--env", "staging", "--namespace", "voice") == {"voice"}


def test_rejects_an_environment_that_is_not_configured() -> None:
    result = run("--target", "knative", "--env", "moon")

    assert result.exit_code == 1
    assert "there is no environment 'moon'" in result.stderr


def test_a_users_own_function_uses_its_config_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "supabase"
    (project / "functions" / "hello").mkdir(parents=True)
    (project / "functions" / "hello" / "index.py").touch()
    (project / "functions" / "shared").mkdir()
    (project / "functions" / "shared" / "index.py").touch()
    (project / "config.toml").write_text('[functions.hello]\nsecrets = ["GREETING"]\nmax_workers = 7\n')
    monkeypatch.chdir(tmp_path)

    made = objects("--target", "knative")

    services = [each for each in made if each["apiVersion"] == "serving.knative.dev/v1"]
    assert [each["metadata"]["name"] for each in services] == ["hello"]
    template = services[0]["spec"]["template"]
    assert template["metadata"]["annotations"]["autoscaling.knative.dev/max-scale"] == "7"
    assert "GREETING" in {variable["name"] for variable in template["spec"]["containers"][0]["env"]}


def test_reports_an_invalid_setting_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "supabase" / "functions" / "hello").mkdir(parents=True)
    (tmp_path / "supabase" / "functions" / "hello" / "index.py").touch()
    (tmp_path / "supabase" / "config.toml").write_text("[functions.hello]\nmax_workers = -1\n")
    monkeypatch.chdir(tmp_path)

    result = run("--target", "knative")

    assert (result.exit_code, result.stderr) == (1, "Error: functions.hello.max_workers must be more than 0\n")
