import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outdial.host.deployments.catalogue import FunctionCatalogue
from outdial.host.deployments.plan import FunctionSpec
from outdial.host.wire.bundle import Bundle
from outdial.host.wire.config import FunctionConfig
from outdial.host.wire.errors import BootFailed
from outdial.host.wire.frames import InvokeFrame
from outdial.host.wire.invocation import Invocation
from outdial.host.wire.outcomes import BootFailure, InvocationCompleted, InvocationOutcome, WorkerCrashed
from tests.support.hosting import RecordingSink
from tests.support.workers import FakeSpawner, FakeWorker, keep, until


def wanted(slug: str, version: int = 1, **limits: Any) -> FunctionSpec:
    return FunctionSpec(
        bundle=Bundle(slug, version, Path("code"), "index.py"),
        verify_jwt=False,
        config=FunctionConfig(**limits),
        env={},
    )


def answer_with_version(fake: FakeWorker, received: InvokeFrame) -> None:
    fake.respond(received, body=str(fake.spec.bundle.version).encode())


@pytest.fixture
async def spawner() -> AsyncIterator[FakeSpawner]:
    spawner = FakeSpawner(answer_with_version)
    yield spawner
    spawner.close()


@pytest.fixture
async def catalogue(spawner: FakeSpawner) -> AsyncIterator[FunctionCatalogue]:
    catalogue = FunctionCatalogue(spawner, RecordingSink())
    yield catalogue
    await catalogue.close(0.1)


def broken(slug: str) -> Any:
    def start(fake: FakeWorker) -> None:
        fake.fail("E", f"Traceback of {slug}") if fake.spec.slug == slug else fake.send_ready()

    return start


async def ask(catalogue: FunctionCatalogue, slug: str) -> InvocationOutcome:
    served = catalogue.get(slug)
    assert served is not None
    return await served.pool.invoke(Invocation("request", "GET", f"/{slug}", "", [], b""))


async def version_of(catalogue: FunctionCatalogue, slug: str) -> str:
    outcome = await ask(catalogue, slug)
    assert isinstance(outcome, InvocationCompleted)
    return outcome.body.decode()


async def test_serves_added_functions_and_not_removed_ones(catalogue: FunctionCatalogue) -> None:
    assert catalogue.get("a") is None
    await catalogue.swap({"a": wanted("a", 3), "b": wanted("b", 1)}, proved=False)

    served = catalogue.get("a")
    assert served is not None
    assert (served.slug, served.version, served.verify_jwt, served.config) == ("a", 3, False, FunctionConfig())
    assert await version_of(catalogue, "a") == "3"

    await catalogue.swap({"a": None}, proved=False)
    assert catalogue.get("a") is None
    assert [served.slug for served in catalogue] == ["b"]


async def test_probes_a_version_before_it_serves(catalogue: FunctionCatalogue, spawner: FakeSpawner) -> None:
    await catalogue.swap({"a": wanted("a", 1)}, proved=False)
    spawner.on_start = lambda fake: None
    before = len(spawner.workers)

    swapping = asyncio.create_task(catalogue.swap({"a": wanted("a", 2)}, proved=False))
    await until(lambda: len(spawner.workers) > before)
    assert await version_of(catalogue, "a") == "1"
    spawner.workers[-1].send_ready()
    await swapping

    assert await version_of(catalogue, "a") == "2"


async def test_a_failed_boot_changes_nothing_and_leaves_nothing_behind(
    catalogue: FunctionCatalogue, spawner: FakeSpawner
) -> None:
    await catalogue.swap({"a": wanted("a", 1), "b": wanted("b", 1)}, proved=False)
    alive = list(spawner.alive)
    spawner.on_start = broken("b")

    with pytest.raises(BootFailed, match="b: Traceback of b"):
        await catalogue.swap({"a": wanted("a", 2), "b": wanted("b", 2), "c": wanted("c", 1)}, proved=False)

    assert [await version_of(catalogue, slug) for slug in "ab"] == ["1", "1"]
    assert catalogue.get("c") is None
    assert spawner.alive == alive


async def test_old_workers_finish_their_requests_while_new_ones_take_over(
    catalogue: FunctionCatalogue, spawner: FakeSpawner
) -> None:
    await catalogue.swap({"a": wanted("a", 1)}, proved=False)
    spawner.on_request = keep
    old = asyncio.create_task(version_of(catalogue, "a"))
    worker = spawner.workers[0]
    received = await worker.requests.get()
    while received.invocation.method == "OPTIONS":
        received = await worker.requests.get()
    spawner.on_request = answer_with_version

    await catalogue.swap({"a": wanted("a", 2)}, proved=False)
    assert await version_of(catalogue, "a") == "2"
    assert not worker.has_ended
    worker.respond(received, body=b"1")

    assert await old == "1"


async def test_a_request_queued_for_the_old_version_reaches_the_new_one(
    catalogue: FunctionCatalogue, spawner: FakeSpawner
) -> None:
    await catalogue.swap({"a": wanted("a", 1)}, proved=False)
    before = catalogue.get("a")
    assert before is not None
    await catalogue.swap({"a": wanted("a", 2)}, proved=False)
    await until(lambda: spawner.workers[0].has_ended)

    outcome = await before.pool.invoke(Invocation("request", "GET", "/a", "", [], b""))

    assert isinstance(outcome, InvocationCompleted)
    assert outcome.body == b"2"


async def test_no_request_is_lost_while_versions_change(catalogue: FunctionCatalogue) -> None:
    await catalogue.swap({"a": wanted("a", 1, min_workers=1)}, proved=False)
    done, answered = asyncio.Event(), list[str]()

    async def caller() -> None:
        while not done.is_set():
            answered.append(await version_of(catalogue, "a"))

    callers = [asyncio.create_task(caller()) for _ in range(20)]
    for version in range(2, 12):
        await catalogue.swap({"a": wanted("a", version, min_workers=1)}, proved=False)
        await version_of(catalogue, "a")
    done.set()
    await asyncio.gather(*callers)

    assert set(answered) == {str(version) for version in range(1, 12)}
    assert answered == sorted(answered, key=int)


async def test_changed_settings_alone_replace_the_workers(catalogue: FunctionCatalogue, spawner: FakeSpawner) -> None:
    first = wanted("a", 1)
    await catalogue.swap({"a": first}, proved=False)
    await catalogue.swap({"a": replace(first, env={"STRIPE_KEY": "other"})}, proved=False)
    await ask(catalogue, "a")

    assert spawner.workers[-1].spec.env["STRIPE_KEY"] == "other"


async def test_a_deployment_does_not_reset_the_rate_limit(catalogue: FunctionCatalogue) -> None:
    await catalogue.swap({"a": wanted("a", 1, rate_limit=5)}, proved=False)
    one = catalogue.get("a")
    await catalogue.swap({"a": wanted("a", 2, rate_limit=5)}, proved=False)
    two = catalogue.get("a")
    await catalogue.swap({"a": wanted("a", 3, rate_limit=50)}, proved=False)
    three = catalogue.get("a")

    assert one is not None
    assert two is not None
    assert three is not None
    assert one.bucket is two.bucket
    assert three.bucket.rate == 50


async def test_a_proved_function_is_not_probed_again(catalogue: FunctionCatalogue, spawner: FakeSpawner) -> None:
    spawner.on_start = broken("a")
    await catalogue.swap({"a": wanted("a", min_workers=1)}, proved=True)

    assert await ask(catalogue, "a") == BootFailure("Traceback of a")


async def test_reloads_only_functions_of_the_source_tree(catalogue: FunctionCatalogue, spawner: FakeSpawner) -> None:
    await catalogue.swap(
        {slug: wanted(slug, version) for slug, version in (("a", 0), ("b", 0), ("c", 4))}, proved=False
    )
    before = {served.slug: served.pool for served in catalogue}
    spawner.on_start = broken("b")

    assert [await catalogue.reload(slug) for slug in ("a", "c", "unknown")] == [True, False, False]
    with pytest.raises(BootFailed, match="Traceback of b"):
        await catalogue.reload("b")

    assert [served.slug for served in catalogue if served.pool is not before[served.slug]] == ["a"]


async def test_a_reload_does_not_undo_an_earlier_deployment(catalogue: FunctionCatalogue, spawner: FakeSpawner) -> None:
    await catalogue.swap({"a": wanted("a", 0)}, proved=False)
    spawner.on_start = lambda fake: None
    before = len(spawner.workers)

    deploying = asyncio.create_task(catalogue.swap({"a": wanted("a", 3)}, proved=False))
    renewing = asyncio.create_task(catalogue.reload("a"))
    await until(lambda: len(spawner.workers) > before)
    spawner.workers[-1].send_ready()
    await deploying

    assert await renewing is False
    assert await version_of(catalogue, "a") == "3"


async def test_a_function_that_hangs_at_import_does_not_hold_up_the_reload_of_others(
    catalogue: FunctionCatalogue, spawner: FakeSpawner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outdial.host.deployments.catalogue._TURN_S", 0.01)
    hanging = [f"hangs-{number}" for number in range(5)]
    await catalogue.swap({slug: wanted(slug, 0) for slug in ("a", *hanging)}, proved=False)
    before, others = catalogue.get("a"), len(spawner.workers)
    spawner.on_start = lambda fake: None if fake.spec.slug in hanging else fake.send_ready()

    reloads = [asyncio.create_task(catalogue.reload(slug)) for slug in hanging]
    await until(lambda: len(spawner.workers) > others)
    assert await catalogue.reload("a")

    assert catalogue.get("a") is not before
    assert not any(reload.done() for reload in reloads)
    for reload in reloads:
        reload.cancel()
    await asyncio.gather(*reloads, return_exceptions=True)
    assert [await version_of(catalogue, slug) for slug in hanging] == ["0"] * 5


async def test_a_cancelled_reload_leaves_no_worker_behind(catalogue: FunctionCatalogue, spawner: FakeSpawner) -> None:
    await catalogue.swap({"a": wanted("a", 0)}, proved=False)
    alive = list(spawner.alive)
    spawner.on_start = lambda fake: None
    reload = asyncio.create_task(catalogue.reload("a"))
    await until(lambda: len(spawner.alive) > len(alive))

    reload.cancel()

    await until(lambda: spawner.alive == alive)
    assert reload.cancelled()


async def test_workers_run_as_the_user_of_their_function(spawner: FakeSpawner) -> None:
    catalogue = FunctionCatalogue(spawner, RecordingSink(), uid_of={"a": 20_001}.get)
    await catalogue.swap({"a": wanted("a"), "b": wanted("b")}, proved=False)
    await catalogue.close(1)

    assert {fake.spec.slug: fake.spec.uid for fake in spawner.workers} == {"a": 20_001, "b": None}


async def test_closing_waits_for_workers_of_old_versions(spawner: FakeSpawner) -> None:
    catalogue = FunctionCatalogue(spawner, RecordingSink())
    for version in range(3):
        await catalogue.swap({"a": wanted("a", version)}, proved=False)
    await catalogue.close(10)

    assert spawner.alive == []
    assert catalogue.get("a") is None


async def test_closing_applies_its_timeout_to_old_versions(spawner: FakeSpawner) -> None:
    catalogue = FunctionCatalogue(spawner, RecordingSink())
    await catalogue.swap({"a": wanted("a", 1)}, proved=False)
    spawner.on_request = keep
    hangs = asyncio.create_task(ask(catalogue, "a"))
    await until(lambda: spawner.workers[0].requests.qsize() == 2)
    spawner.on_request = answer_with_version
    await catalogue.swap({"a": wanted("a", 2)}, proved=False)

    await catalogue.close(0.01)

    assert isinstance(await hangs, WorkerCrashed)
    assert spawner.alive == []
