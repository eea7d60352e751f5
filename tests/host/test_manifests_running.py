"""Run the containers of the manifests as processes, with their commands and settings."""

from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from outdial.auth.keys import LOCAL_SECRET_KEY
from outdial.clock import SystemClock
from outdial.host.deployments.source import read_source_tree
from outdial.host.manifests import ClusterTarget, manifests
from outdial.host.manifests.components import PORT
from outdial.project import source_layers
from outdial.retell.signature import sign
from outdial.stack.local import LOCAL_WEBHOOK_SECRET
from tests.support.clusters import Object, environment_in_cluster
from tests.support.ports import reserved_port
from tests.support.postgres import Scratch
from tests.support.processes import Launcher, Process

SETTINGS = {"SUPABASE_URL": "http://127.0.0.1:54321", "RETELL_BASE_URL": "http://127.0.0.1:9"}
HEALTH = "/functions/v1/_internal/health"


class Pods:
    """Runs containers of this repository's manifests against one database."""

    def __init__(self, launcher: Launcher, database: Scratch, port: int) -> None:
        self.launcher, self.database, self.port = launcher, database, port
        self.url = f"http://127.0.0.1:{port}"

    async def start(self, name: str) -> Process:
        """Start a container by name, on a local port."""
        container = container_of(name)
        program, *arguments = [str(self.port) if word == str(PORT) else word for word in container["command"]]
        assert program == "outdial"
        return await self.launcher.start(name, *arguments, **self.environment(container)).ready()

    def environment(self, container: Object) -> dict[str, str]:
        roles = ("outdial_api", "outdial_webhook", "outdial_dialer", "outdial_host")
        secrets = {
            "outdial": {
                **{f"{role.upper()}_DB_URL": self.database.dsn_for(role) for role in roles},
                "SUPABASE_SERVICE_ROLE_KEY": LOCAL_SECRET_KEY,
            },
            "outdial-retell-webhook-secret": {"RETELL_WEBHOOK_SECRET": LOCAL_WEBHOOK_SECRET},
            "outdial-retell-api-key": {"RETELL_API_KEY": "key_of_nobody"},
        }
        return environment_in_cluster(container, secrets, SETTINGS)


def container_of(name: str) -> Object:
    source = read_source_tree(*source_layers())
    functions = {slug: source.config(slug) for slug in source.bundles}
    [file] = [
        file
        for file in manifests(functions, ClusterTarget(target="kubernetes", image="outdial:1"))
        if file.name == name
    ]
    [deployment] = [each for each in file.objects if each["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


@pytest.fixture
def pods(tmp_path: Path, database: Scratch) -> Iterator[Pods]:
    launcher = Launcher(tmp_path, {})
    with reserved_port() as port:
        try:
            yield Pods(launcher, database, port)
        finally:
            for process in launcher.started:
                process.kill_session()


async def test_the_webhook_receives_events_in_its_pod(pods: Pods) -> None:
    process = await pods.start("retell-webhook")

    async with aiohttp.ClientSession(pods.url) as client:
        async with client.get(HEALTH) as response:
            assert response.status == 200
        body = b'{"event": "call_started", "call": {"call_id": "test-123"}}'
        now_ms = round(SystemClock().now().timestamp() * 1000)
        signed = {"x-retell-signature": sign(body, LOCAL_WEBHOOK_SECRET, now_ms), "content-type": "application/json"}
        async with client.post("/functions/v1/retell-webhook", data=body, headers=signed) as response:
            assert (response.status, await response.json()) == (200, {"success": True, "event": "call_started"})
        async with client.post("/functions/v1/campaign-trigger") as response:
            assert response.status == 404
    assert await process.terminate() == 0


async def test_campaign_trigger_works_in_its_pod(pods: Pods) -> None:
    process = await pods.start("campaign-trigger")

    path, key = "/functions/v1/campaign-trigger", {"apikey": LOCAL_SECRET_KEY}
    async with (
        aiohttp.ClientSession(pods.url) as client,
        client.post(path, json={"action": "schedule_check"}, headers=key) as response,
    ):
        assert (response.status, (await response.json())["success"]) == (200, True)
    assert await process.terminate() == 0


async def test_the_dialer_works_in_its_pod(pods: Pods) -> None:
    process = await pods.start("outdial-dialer")

    assert await process.terminate() == 0
    assert process.log_lines("dialer.stopped")
