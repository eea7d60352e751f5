import tomllib
from pathlib import Path

import pytest

from outdial.host.wire.config import FunctionConfig, read_function_configs, unknown_keys
from outdial.host.wire.errors import BadConfig

ROOT = Path(__file__).parents[2]


def test_defaults_are_supabases_limits() -> None:
    config = FunctionConfig.from_table("hello", {})

    assert (config.memory_mb, config.cpu_ms, config.wall_clock_s, config.verify_jwt) == (256, 2_000, 300.0, True)
    assert (config.rate_limit, config.burst_size) == (100.0, 100.0)


def test_unknown_keys_are_named_with_the_one_that_may_be_meant() -> None:
    table = {
        "memory": 512,
        "colour": "red",
        "env": {"A": "1"},
        "import_map": "./deno.json",
        "static_files": [],
        "burst": 1,
    }

    assert unknown_keys("hello", table) == [
        "functions.hello: unknown key colour: it has no effect",
        "functions.hello: unknown key env: set values with outdial secrets set, and list their names in secrets",
        "functions.hello: unknown key memory: did you mean memory_mb?",
    ]


def test_every_key_can_be_set_and_keys_of_other_tools_are_ignored() -> None:
    text = """
    [functions.hello]
    verify_jwt = false
    import_map = "./functions/hello/deno.json"
    secrets = ["STRIPE_KEY", "RETELL_WEBHOOK_SECRET*"]
    min_workers = 1
    max_workers = 4
    idle_timeout_s = 5
    rate_limit = 0.5
    """

    config = read_function_configs(tomllib.loads(text))["hello"]

    assert config == FunctionConfig(
        verify_jwt=False,
        secrets=("STRIPE_KEY", "RETELL_WEBHOOK_SECRET*"),
        min_workers=1,
        max_workers=4,
        idle_timeout_s=5.0,
        rate_limit=0.5,
    )
    assert config.burst_size == 1.0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("memory_mb = 0", "functions.hello.memory_mb must be more than 0"),
        ("memory_mb = -1", "functions.hello.memory_mb must be more than 0"),
        ("memory_mb = 1.5", "functions.hello.memory_mb must be a whole number"),
        ("wall_clock_s = inf", "functions.hello.wall_clock_s must be a number"),
        ("wall_clock_s = nan", "functions.hello.wall_clock_s must be a number"),
        ('wall_clock_s = "300"', "functions.hello.wall_clock_s must be a number"),
        ("concurrency = true", "functions.hello.concurrency must be a number"),
        ("verify_jwt = 1", "functions.hello.verify_jwt must be true or false"),
        ("database_role = 1", "functions.hello.database_role must be a string"),
        ('secrets = "A"', "functions.hello.secrets must be a list of names"),
        ('secrets = ["*"]', "functions.hello.secrets: '\\*' is not a name"),
        ('secrets = ["A*B"]', "functions.hello.secrets: 'A\\*B' is not a name"),
        ("min_workers = 3", "functions.hello: min_workers is 3, more than max_workers"),
        ("max_body = 100000000", "functions.hello.max_body is 100000000, more than 66060288"),
    ],
)
def test_invalid_keys_are_named(line: str, complaint: str) -> None:
    with pytest.raises(BadConfig, match=complaint):
        read_function_configs(tomllib.loads(f"[functions.hello]\n{line}"))


@pytest.mark.parametrize("text", ["[functions]\nhello = 1", "functions = 1", '[functions."9lives"]'])
def test_functions_must_be_tables(text: str) -> None:
    with pytest.raises(BadConfig, match="functions"):
        read_function_configs(tomllib.loads(text))


def test_the_repositorys_own_config_can_be_read() -> None:
    functions = read_function_configs(tomllib.loads((ROOT / "supabase" / "config.toml").read_text()))

    assert functions["retell-webhook"].verify_jwt is False


def test_max_in_flight_includes_the_queue() -> None:
    assert FunctionConfig(max_workers=3, concurrency=10, queue=5).max_in_flight == 35
