"""Deployments on one host and on several, with real workers and a real database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from tests.support.deploying import BROKEN, FUNCTIONS, PROJECT, Host, hosting, saying
from tests.support.hosting import KEYS
from tests.support.postgres import Scratch
from tests.support.processes import until

NEEDING = """
from outdial.settings import require
{source}
async def start(runtime):
    require(runtime.env, {name!r}, "the test")
"""


@pytest.fixture
async def host(database: Scratch, tmp_path: Path) -> AsyncIterator[Host]:
    async with hosting(database, tmp_path) as (one,):
        yield one


@pytest.fixture
async def two(database: Scratch, tmp_path: Path) -> AsyncIterator[list[Host]]:
    async with hosting(database, tmp_path, hosts=2) as both:
        yield both


def says(hosts: list[Host], slug: str, text: str | None) -> Callable[[], Awaitable[bool]]:
    async def all_say() -> bool:
        return [await host.say(slug) for host in hosts] == [text] * len(hosts)

    return all_say


# One function.


async def test_a_function_is_in_service_when_its_deployment_returns(host: Host) -> None:
    shared = {"supabase/functions/shared/words.py": b"WORD = 'shared'"}
    source = "from shared.words import WORD\nfrom .beside import BESIDE\n" + saying("one")
    beside = {"supabase/functions/hello/beside.py": b"BESIDE = 1"}

    answer = await host.deploy("hello", source, {**shared, **beside}, name="Hello")

    assert await host.say("hello") == "one"
    assert (answer["slug"], answer["name"], answer["version"], answer["status"]) == ("hello", "Hello", 1, "ACTIVE")
    assert (answer["verify_jwt"], answer["entrypoint_path"]) == (False, "supabase/functions/hello/index.py")
    assert await host.json("GET", FUNCTIONS) == [answer]
    assert await host.json("GET", f"{FUNCTIONS}/hello") == answer


async def test_each_deployment_creates_a_version(host: Host) -> None:
    first = await host.deploy("hello", saying("one"))
    second = await host.deploy("hello", saying("two"))

    assert await host.say("hello") == "two"
    assert (first["version"], second["version"]) == (1, 2)
    assert first["ezbr_sha256"] != second["ezbr_sha256"]
    assert first["created_at"] == second["created_at"] < second["updated_at"]
    versions = await host.json("GET", f"{FUNCTIONS}/hello/versions")
    assert [(one["version"], one["status"], one["created_by"]) for one in versions] == [
        (2, "active", "tests"),
        (1, "superseded", "tests"),
    ]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (BROKEN, "RuntimeError: out of order"),
        ("def broken(:", "SyntaxError"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("fetch = 1", "fetch"),
        (NEEDING.format(source=saying("x"), name="NEVER_SET"), "NEVER_SET is not set"),
    ],
)
async def test_a_version_that_does_not_start_is_refused_and_the_old_one_stays(
    host: Host, source: str, told: str
) -> None:
    await host.deploy("hello", saying("one"))

    refused = await host.deploy("hello", source, status=400)

    assert told in refused["message"]
    assert refused["code"] == "VERSION_REFUSED"
    assert refused["error"] == "Rejected; the live versions stay in place: hello 2"
    assert "host-0" not in refused["message"]
    assert await host.say("hello") == "one"
    versions = await host.json("GET", f"{FUNCTIONS}/hello/versions")
    assert [one["status"] for one in versions] == ["refused", "active"]
    assert told in versions[0]["error"]


async def test_a_first_version_that_does_not_start_is_not_in_service(host: Host) -> None:
    await host.deploy("hello", BROKEN, status=400)

    assert await host.say("hello") is None
    assert await host.json("GET", FUNCTIONS) == []
    assert (await host.json("GET", f"{FUNCTIONS}/hello", status=404))["message"] == "Function not found"


async def test_loses_no_request_while_versions_change(host: Host) -> None:
    await host.deploy("hello", saying("0"))
    heard: list[str | None] = []
    done = asyncio.Event()

    async def ask_on() -> None:
        while not done.is_set():
            heard.append(await host.say("hello"))

    asking = [asyncio.create_task(ask_on()) for _ in range(4)]
    for number in range(1, 6):
        await host.deploy("hello", saying(str(number)))
        await host.deploy("hello", BROKEN, status=400)
    done.set()
    await asyncio.gather(*asking)

    assert set(heard) == {"0", "1", "2", "3", "4", "5"}
    assert len(heard) > 20


async def test_concurrent_deployments_get_distinct_numbers(host: Host) -> None:
    answers = await asyncio.gather(*(host.deploy("hello", saying(str(number))) for number in range(6)))

    active = await host.json("GET", f"{FUNCTIONS}/hello")
    assert sorted(answer["version"] for answer in answers) == [1, 2, 3, 4, 5, 6]
    assert active["version"] == 6
    served = next(number for number, answer in enumerate(answers) if answer["version"] == 6)
    assert await host.say("hello") == str(served)


async def test_a_deployment_carries_its_limits_and_secrets(host: Host) -> None:
    config = b'[functions.hello]\nmemory_mb = 77\nsecrets = ["GREETING"]\n[functions.other]\nmemory_mb = 1\n'
    await host.json("POST", f"{PROJECT}/secrets", [{"name": "GREETING", "value": "!"}], status=201)
    await host.deploy("hello", saying("hi"), {"supabase/config.toml": config})

    served = host.catalogue.get("hello")
    assert served is not None
    assert served.config.memory_mb == 77
    assert await host.say("hello") == "hi!"


async def test_rejects_an_invalid_limit(host: Host) -> None:
    refused = await host.deploy("hello", saying("x"), status=400, config={"database_role": "postgres"})

    assert "functions.hello.database_role" in refused["message"]
    assert await host.say("hello") is None


# Webhooks.


async def test_explains_why_a_webhook_needs_verify_jwt_off(host: Host) -> None:
    refused = await host.deploy("retell-webhook", saying("x"), status=400, verify_jwt=True)
    assert "verify_jwt = false under [functions.retell-webhook]" in refused["message"]

    await host.deploy("retell-webhook", saying("x"))
    changed = await host.json("PATCH", f"{FUNCTIONS}/retell-webhook", {"verify_jwt": True}, status=400)
    assert "401 to every event" in changed["message"]
    assert (await host.json("GET", f"{FUNCTIONS}/retell-webhook"))["verify_jwt"] is False


async def test_a_deployment_without_verify_jwt_keeps_the_current_value(host: Host) -> None:
    first = await host.deploy("hello", saying("1"), verify_jwt=None)
    changed = await host.json("PATCH", f"{FUNCTIONS}/hello", {"verify_jwt": False})
    served = host.catalogue.get("hello")
    second = await host.deploy("hello", saying("2"), verify_jwt=None)

    assert (first["verify_jwt"], changed["verify_jwt"], second["verify_jwt"]) == (True, False, False)
    assert served is not None
    assert served.verify_jwt is False


# Several functions.


async def bundle(host: Host, **sources: str) -> list[dict[str, object]]:
    return [await host.deploy(slug, source, bundle_only=True) for slug, source in sources.items()]


async def test_a_stored_version_is_not_in_service(host: Host) -> None:
    await host.deploy("a", saying("1"))
    kept = await bundle(host, a=saying("2"), b=saying("2"))

    assert [(one["slug"], one["version"]) for one in kept] == [("a", 2), ("b", 1)]
    assert (await host.say("a"), await host.say("b")) == ("1", None)


async def test_activates_several_functions_together(host: Host) -> None:
    answer = await host.json("PUT", FUNCTIONS, await bundle(host, a=saying("1"), b=saying("1")))

    assert [(one["slug"], one["version"]) for one in answer["functions"]] == [("a", 1), ("b", 1)]
    assert (await host.say("a"), await host.say("b")) == ("1", "1")


async def test_one_failure_activates_none(host: Host) -> None:
    await host.json("PUT", FUNCTIONS, await bundle(host, a=saying("1"), b=saying("1")))
    kept = await bundle(host, a=saying("2"), b=BROKEN, c=saying("2"))

    refused = await host.json("PUT", FUNCTIONS, kept, status=400)

    assert "b: Traceback" in refused["message"]
    assert 'File "supabase/functions/b/index.py", line 1' in refused["message"]
    assert "out of order" in refused["message"]
    assert [await host.say(slug) for slug in "abc"] == ["1", "1", None]
    assert [one["version"] for one in await host.json("GET", FUNCTIONS)] == [1, 1]


async def test_activating_the_same_versions_twice_changes_nothing(host: Host) -> None:
    kept = await bundle(host, a=saying("1"), b=saying("1"))
    await host.json("PUT", FUNCTIONS, kept)
    pools = [one.pool for one in host.catalogue]
    await host.json("PUT", FUNCTIONS, kept)

    assert [one.pool for one in host.catalogue] == pools


async def test_the_newest_version_is_the_default(host: Host) -> None:
    await bundle(host, a=saying("1"))
    await bundle(host, a=saying("2"))
    await host.json("PUT", FUNCTIONS, [{"slug": "a"}])

    assert await host.say("a") == "2"


async def test_an_unknown_version_cannot_be_activated(host: Host) -> None:
    await host.deploy("a", saying("1"))
    for wanted in ([{"slug": "a", "version": 7}], [{"slug": "nope", "version": 1}], [{"slug": "nope"}]):
        await host.json("PUT", FUNCTIONS, wanted, status=404)

    assert await host.say("a") == "1"


# Rollback and deletion.


async def roll_back(host: Host, slug: str, to: int | None = None, *, status: int = 200) -> dict[str, object]:
    found: dict[str, object] = await host.json("POST", f"{FUNCTIONS}/{slug}/rollback", {"version": to}, status=status)
    return found


async def test_a_rollback_activates_the_previous_version(host: Host) -> None:
    await host.deploy("hello", saying("1"))
    await host.deploy("hello", saying("2"))
    await host.deploy("hello", BROKEN, status=400)
    await host.deploy("hello", saying("4"))

    assert await roll_back(host, "hello") == {"slug": "hello", "version": 2}
    assert await host.say("hello") == "2"
    assert await roll_back(host, "hello") == {"slug": "hello", "version": 1}
    assert (await roll_back(host, "hello", status=409))["code"] == "NO_EARLIER_VERSION"
    assert await roll_back(host, "hello", 4) == {"slug": "hello", "version": 4}
    assert await host.say("hello") == "4"


async def test_a_rollback_to_a_broken_version_changes_nothing(host: Host) -> None:
    config = {"secrets": ["GREETING"]}
    await host.json("POST", f"{PROJECT}/secrets", [{"name": "GREETING", "value": "!"}], status=201)
    needing = NEEDING.format(source=saying("1"), name="GREETING")
    await host.deploy("hello", needing, config=config)
    await host.deploy("hello", saying("2"))
    await host.json("DELETE", f"{PROJECT}/secrets", ["GREETING"])

    assert "GREETING is not set" in str((await roll_back(host, "hello", status=400))["message"])
    assert await host.say("hello") == "2"
    statuses = [one["status"] for one in await host.json("GET", f"{FUNCTIONS}/hello/versions")]
    assert statuses == ["active", "superseded"]


async def test_a_deleted_function_is_gone_until_its_next_deployment(host: Host) -> None:
    await host.deploy("hello", saying("1"))
    await host.json("DELETE", f"{FUNCTIONS}/hello")

    assert await host.say("hello") is None
    assert await host.json("GET", FUNCTIONS) == []
    await host.json("DELETE", f"{FUNCTIONS}/hello", status=404)
    assert (await host.deploy("hello", saying("2")))["version"] == 2
    assert await host.say("hello") == "2"


async def test_a_rollback_restores_a_deleted_function(host: Host) -> None:
    await host.deploy("hello", saying("1"))
    await host.json("DELETE", f"{FUNCTIONS}/hello")

    assert await roll_back(host, "hello") == {"slug": "hello", "version": 1}
    assert await host.say("hello") == "1"


# The source tree.


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with the function `hello`, a disabled one, and one that is not Python."""
    supabase = tmp_path / "supabase"
    for slug in ("hello", "off", "shared"):
        (supabase / "functions" / slug).mkdir(parents=True)
        (supabase / "functions" / slug / "index.py").write_text(saying("from the tree"))
    (supabase / "config.toml").write_text(
        "[functions.hello]\nverify_jwt = false\nmemory_mb = 99\n[functions.off]\nenabled = false\n"
        '[functions.typescript]\nentrypoint = "./functions/typescript/index.ts"\n'
    )
    return supabase


async def test_a_function_that_was_never_deployed_comes_from_the_source_tree(tree: Path, host: Host) -> None:
    assert [(one.slug, one.version, one.config.memory_mb) for one in host.catalogue] == [("hello", 0, 99)]
    assert await host.say("hello") == "from the tree"
    assert await host.json("GET", FUNCTIONS) == []


async def test_deployments_override_the_tree_and_deletions_do_not_fall_back(tree: Path, host: Host) -> None:
    await host.deploy("hello", saying("deployed"))
    assert await host.say("hello") == "deployed"
    await host.json("DELETE", f"{FUNCTIONS}/hello")

    assert await host.say("hello") is None


async def test_a_deployment_without_a_config_uses_the_hosts_own(tree: Path, host: Host) -> None:
    await host.deploy("hello", saying("x"), verify_jwt=True)

    served = host.catalogue.get("hello")
    assert served is not None
    assert (served.config.memory_mb, served.verify_jwt) == (99, True)


async def test_version_0_is_the_tree(tree: Path, host: Host) -> None:
    await host.deploy("hello", saying("deployed"))
    await host.deploy("other", saying("deployed"))

    assert await roll_back(host, "hello", 0) == {"slug": "hello", "version": 0}
    assert await host.say("hello") == "from the tree"
    await roll_back(host, "other", 0, status=404)
    assert await host.say("other") == "deployed"


async def test_version_0_is_activated_with_others(tree: Path, host: Host) -> None:
    await host.deploy("hello", saying("deployed"))
    await host.deploy("other", saying("1"))
    await host.deploy("other", saying("2"))

    chosen = [{"slug": "hello", "version": 0}, {"slug": "other", "version": 1}]
    answer = await host.json("PUT", FUNCTIONS, chosen)

    assert [(one["slug"], one["version"]) for one in answer["functions"]] == [("other", 1)]
    assert (await host.say("hello"), await host.say("other")) == ("from the tree", "1")


async def test_a_broken_function_of_the_tree_does_not_affect_others(
    database: Scratch, tree: Path, tmp_path: Path
) -> None:
    (tree / "functions" / "broken").mkdir()
    (tree / "functions" / "broken" / "index.py").write_text(BROKEN)
    (tree / "functions" / "roleless").mkdir()
    (tree / "functions" / "roleless" / "index.py").write_text(saying("x"))
    with (tree / "config.toml").open("a") as config:
        config.write('[functions.roleless]\ndatabase_role = "nobody"\n')
    async with hosting(database, tmp_path) as (host,):
        assert sorted(one.slug for one in host.catalogue) == ["broken", "hello"]
        assert await host.say("hello") == "from the tree"


# Several hosts.


async def test_every_host_serves_a_deployment_to_one_of_them(two: list[Host]) -> None:
    await two[0].deploy("hello", saying("1"))
    await until(says(two, "hello", "1"), "both say 1")
    await two[1].deploy("hello", saying("2"))
    await until(says(two, "hello", "2"), "both say 2")
    await roll_back(two[0], "hello")
    await until(says(two, "hello", "1"), "both say 1 again")
    await two[1].json("DELETE", f"{FUNCTIONS}/hello")
    await until(says(two, "hello", None), "nobody says anything")


async def test_concurrent_deployments_through_two_hosts_converge(two: list[Host]) -> None:
    answers = await asyncio.gather(*(two[n % 2].deploy("hello", saying(str(n))) for n in range(6)))

    assert sorted(answer["version"] for answer in answers) == [1, 2, 3, 4, 5, 6]
    active = (await two[0].json("GET", f"{FUNCTIONS}/hello"))["version"]
    text = str(next(n for n, answer in enumerate(answers) if answer["version"] == active))
    await until(says(two, "hello", text), f"both say {text}")


async def test_a_new_host_serves_earlier_deployments(database: Scratch, tmp_path: Path) -> None:
    async with hosting(database, tmp_path) as (host,):
        await host.deploy("hello", saying("1"))
    async with hosting(database, tmp_path) as (host,):
        assert await host.say("hello") == "1"


async def test_a_lost_connection_loses_no_deployment(two: list[Host], connection: asyncpg.Connection) -> None:
    await two[0].deploy("hello", saying("1"))
    await until(says(two, "hello", "1"), "both say 1")
    await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'outdial-listener'"
    )
    await two[0].deploy("hello", saying("2"))

    await until(says(two, "hello", "2"), "both say 2")


async def test_a_new_secret_reaches_running_functions(two: list[Host]) -> None:
    await two[0].deploy("hello", saying("hi"), config={"secrets": ["GREETING"]})
    await two[0].deploy("other", saying("hi"))
    others = [host.catalogue.get("other") for host in two]
    await two[1].json("POST", f"{PROJECT}/secrets", [{"name": "GREETING", "value": "!"}], status=201)
    await until(says(two, "hello", "hi!"), "both have the secret")
    await two[0].json("DELETE", f"{PROJECT}/secrets", ["GREETING"])
    await until(says(two, "hello", "hi"), "nobody has it")

    assert await two[0].say("other") == "hi"
    assert others[0] is two[0].catalogue.get("other")


@pytest.mark.parametrize(
    ("limit", "value"), [("processes", 1_000), ("memory_mb", 10**9), ("open_files", 10**9), ("wall_clock_s", 1e9)]
)
async def test_a_deployment_above_a_ceiling_of_the_host_is_refused(host: Host, limit: str, value: float) -> None:
    refused = await host.deploy("hello", saying("1"), config={limit: value}, status=400)

    assert f"functions.hello: {limit} is {value:g}, more than " in refused["message"]
    assert await host.say("hello") is None
    assert (await host.json("GET", f"{FUNCTIONS}/hello/versions", status=404))["code"] == "NOT_FOUND"


async def test_a_deployment_gets_no_setting_of_the_host_that_it_names(database: Scratch, tmp_path: Path) -> None:
    settings = {"HOST_SETTING": "of the host", "OUTDIAL_STUDIO_SECRET": "of the studio", "GREETING": "from the host"}
    source = saying("").replace('ctx.env.get("GREETING", "")', '",".join(sorted(ctx.env.values()))')
    async with hosting(database, tmp_path, settings=settings) as (host,):
        for name in ("HOST_SETTING", "OUTDIAL_STUDIO_SECRET"):
            refused = await host.deploy("hello", source, config={"secrets": [name]}, status=400)
            assert name in refused["message"]
        await host.deploy("hello", source, config={"secrets": ["HOST_*", "G*"]})
        said = await host.say("hello")
        assert said is not None
        assert "the host" not in said

        # A secret of the same name may be named.
        await host.json("POST", f"{PROJECT}/secrets", [{"name": "GREETING", "value": "deployed"}], status=201)
        await host.deploy("hello", saying("1 "), config={"secrets": ["GREETING"]})
        assert await host.say("hello") == "1 deployed"


async def test_an_upload_that_drops_limits_or_secrets_of_the_live_version_warns(host: Host) -> None:
    config = {"memory_mb": 64, "secrets": ["GREETING"], "queue": 128, "memry": 1}
    first = await host.deploy("hello", saying("1"), config=config)
    same = await host.deploy("hello", saying("2"), config={"memory_mb": 32, "secrets": []})
    dropping = await host.deploy("hello", saying("3"), config={"queue": 128})
    without = await host.deploy("hello", saying("4"), bundle_only=True)

    assert first["warnings"] == ["functions.hello: unknown key memry: did you mean memory_mb?"]
    assert "warnings" not in same
    assert dropping["warnings"] == [
        "functions.hello: this version drops settings of version 2: memory_mb = 32. To keep them, deploy with outdial "
        "functions deploy, or add ./config.toml to static_files"
    ]
    assert "warnings" not in without


async def test_an_upload_without_a_config_drops_no_setting_of_the_source_tree(
    database: Scratch, tmp_path: Path
) -> None:
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase" / "config.toml").write_text("[functions.hello]\nrate_limit = 5000\nmemry_mb = 1\n")
    async with hosting(database, tmp_path) as (host,):
        without = await host.deploy("hello", saying("1"))
        other = await host.deploy("hello", saying("2"), config={"memory_mb": 64})

    assert "warnings" not in without
    assert "drops settings of version 1: rate_limit = 5000" in other["warnings"][0]


async def test_a_stored_version_runs_within_ceilings_that_were_lowered(database: Scratch, tmp_path: Path) -> None:
    async with hosting(database, tmp_path) as (host,):
        await host.deploy("hello", saying("1"), config={"memory_mb": 512})
    async with hosting(database, tmp_path, settings={**KEYS, "OUTDIAL_FUNCTION_CEILINGS": "memory_mb=128"}) as (host,):
        served = host.catalogue.get("hello")
        assert served is not None
        assert served.config.memory_mb == 128
        assert await host.say("hello") == "1"


async def test_a_host_where_a_version_fails_keeps_the_old_one(database: Scratch, tmp_path: Path) -> None:
    needing = NEEDING.format(source=saying("2"), name="ONLY_HERE")
    async with (
        hosting(database, tmp_path, settings={"ONLY_HERE": "1", "OUTDIAL_FUNCTION_SETTINGS": "ONLY_HERE"}) as (able,),
        hosting(database, tmp_path, settings={"ELSEWHERE": "1"}) as (unable,),
    ):
        await able.deploy("hello", saying("1"))
        await until(says([able, unable], "hello", "1"), "both say 1")
        kept = [
            await able.deploy("hello", needing, bundle_only=True, config={"secrets": ["ONLY_HERE"]}),
            await able.deploy("good", saying("2"), bundle_only=True),
        ]
        await able.json("PUT", FUNCTIONS, kept)
        await until(says([able, unable], "good", "2"), "both say 2")

        assert (await able.say("hello"), await unable.say("hello")) == ("2", "1")
