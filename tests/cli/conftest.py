"""The command line run in this process, against a database of its own."""

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from outdial.cli.main import app
from tests.support.postgres import Scratch
from tests.support.processes import CONFIGURING


@dataclass
class Outdial:
    """Runs commands with `env` and none of the settings of the test process."""

    env: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, stdin: str | None = None) -> Result:
        """Run a command and return its result."""
        others: dict[str, str | None] = {name: None for name in os.environ if name.startswith(CONFIGURING)}
        logger = logging.getLogger("outdial")
        handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
        try:
            return CliRunner().invoke(app, arguments, env={**others, **self.env, **(env or {})}, input=stdin)
        finally:  # a command that logs to stderr leaves a handler of the stream that the runner has closed
            logger.handlers[:], logger.propagate = handlers, propagate
            logger.setLevel(level)

    def __call__(self, *arguments: str, **options: Any) -> str:
        """Run a command that must succeed; return its output."""
        result = self.run(*arguments, **options)
        assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
        return result.stdout

    def json(self, *arguments: str, **options: Any) -> Any:
        """Run a command with --json; return its decoded output."""
        return json.loads(self(*arguments, "--json", **options))

    def error(self, *arguments: str, **options: Any) -> str:
        """Run a command that must exit with status 1; return its error line."""
        result = self.run(*arguments, **options)
        assert result.exit_code == 1, result.output
        lines = [line for line in result.stderr.splitlines() if not line.startswith("Target: ")]
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("Error: ")
        return lines[0].removeprefix("Error: ")


def sql(database: Scratch, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a statement, and return its rows."""

    async def run() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(database.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(statement, *values)]
        finally:
            await connection.close()

    return asyncio.run(run())


@pytest.fixture
def outdial(database: Scratch, tmp_path: Path) -> Outdial:
    """The command line on a database with every migration applied and no rows."""
    return Outdial({"SUPABASE_DB_URL": database.dsn, "OUTDIAL_HOME": str(tmp_path / "home")})


@pytest.fixture
def acme(outdial: Outdial) -> Outdial:
    """The command line with one organization."""
    outdial("organization", "create", "Acme")
    return outdial


@pytest.fixture
def campaign(acme: Outdial) -> str:
    """The id of a draft in that organization, named Spring."""
    created = acme.json("campaign", "create", "--name=Spring", "--agent=agent_1", "--from=+12125550100")
    return str(created["id"])
